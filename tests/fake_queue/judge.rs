//! Judges deletes: a message that is deleted from a judged queue has a fate
//! that is committed; one that was rejected has its copy in the dead-letter
//! queue by then, and is not deleted at all where there is none.
//!
//! It only records. A test's end asserts that nothing was recorded, and that
//! something was judged.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::oracle::{Fate, Oracle};
use super::store::Store;

/// A delete that should not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub message_id: String,
    pub origin_id: String,
    pub wrong: Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    DeletedBeforeCommitted,
    RejectedWithoutCopy,
    /// There is no dead-letter queue, so it should have stayed.
    RejectedAndNotKept,
}

/// A message that is about to be deleted.
#[derive(Clone, Debug)]
pub struct Suspect {
    pub message_id: String,
    pub origin_id: String,
}

struct Bench {
    oracle: Arc<dyn Oracle>,
    /// Where copies of rejected messages go.
    dead_letters: Option<String>,
}

#[derive(Default)]
pub struct Judge {
    benches: Mutex<HashMap<String, Bench>>,
    same_event: Mutex<Vec<BTreeSet<String>>>,
    record: Mutex<Record>,
}

#[derive(Clone, Default)]
struct Record {
    violations: Vec<Violation>,
    judged: usize,
    unasked: Vec<String>,
}

impl Judge {
    /// From now on judges what is deleted from the queue.
    pub fn watch(&self, queue: &str, dead_letters: Option<String>, oracle: impl Oracle + 'static) {
        let bench = Bench {
            oracle: Arc::new(oracle),
            dead_letters,
        };
        lock(&self.benches).insert(queue.to_owned(), bench);
    }

    /// These messages are one event, of which the ledger may know any.
    pub fn same_event(&self, ids: &[String]) {
        lock(&self.same_event).push(ids.iter().cloned().collect());
    }

    /// Asks the oracle, whether or not the delete is going to succeed: who
    /// deletes with an old handle has meant to delete.
    pub async fn before_delete(&self, store: &Mutex<Store>, queue: &str, suspects: &[Suspect]) {
        let (oracle, dead_letters) = match lock(&self.benches).get(queue) {
            Some(bench) => (Arc::clone(&bench.oracle), bench.dead_letters.clone()),
            None => return,
        };
        if suspects.is_empty() {
            return;
        }
        let ids: Vec<Vec<String>> = suspects.iter().map(|one| self.ids(one)).collect();
        let fates = oracle.fates(&ids).await;
        let copied = |suspect: &Suspect, ids: &[String]| {
            let dead_letters = dead_letters.as_ref()?;
            let mut store = lock(store);
            let known = store.queue(dead_letters).ok()?;
            if ids.iter().any(|id| known.has_ever_had(id)) {
                return Some(true);
            }
            let body = store.queue(queue).ok()?.body_of(&suspect.message_id);
            let known = store.queue(dead_letters).ok()?;
            Some(body.is_some_and(|body| known.has_ever_had_body(&body)))
        };
        for ((suspect, ids), fate) in suspects.iter().zip(&ids).zip(fates) {
            let wrong = match fate {
                Fate::Settled => None,
                Fate::Unknown => Some(Wrong::DeletedBeforeCommitted),
                Fate::Rejected => match copied(suspect, ids) {
                    Some(true) => None,
                    Some(false) => Some(Wrong::RejectedWithoutCopy),
                    None => Some(Wrong::RejectedAndNotKept),
                },
                Fate::Unasked => {
                    lock(&self.record).unasked.push(suspect.message_id.clone());
                    continue;
                }
            };
            let mut record = lock(&self.record);
            record.judged += 1;
            record.violations.extend(wrong.map(|wrong| Violation {
                message_id: suspect.message_id.clone(),
                origin_id: suspect.origin_id.clone(),
                wrong,
            }));
        }
    }

    fn ids(&self, suspect: &Suspect) -> Vec<String> {
        let mut ids = BTreeSet::from([suspect.message_id.clone(), suspect.origin_id.clone()]);
        for event in lock(&self.same_event).iter() {
            if !event.is_disjoint(&ids) {
                ids.extend(event.iter().cloned());
            }
        }
        ids.into_iter().collect()
    }

    pub fn violations(&self) -> Vec<Violation> {
        lock(&self.record).violations.clone()
    }

    /// How many deletes the oracle has told something about.
    pub fn judged(&self) -> usize {
        lock(&self.record).judged
    }

    /// Messages of which nobody could tell in time whether they might be
    /// deleted.
    pub fn unasked(&self) -> Vec<String> {
        lock(&self.record).unasked.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
