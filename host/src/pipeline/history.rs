//! What the statements of each policy have lately stored: the evidence against
//! a record that is refused. Shared by all workers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::output::Policy;

/// For how long what was stored speaks for the statement, in seconds: a table
/// that was right an hour ago is seldom still asked about.
const LATELY_SECS: u64 = 3_600;
/// Policies that are remembered: the one that decides, and those before it
/// whose batches are still at work.
const POLICIES_MAX: usize = 4;

/// What has been stored, by policy. Clones share it.
#[derive(Clone)]
pub(super) struct History(Arc<Shared>);

struct Shared {
    tallies: Mutex<Vec<(Arc<Policy>, Tally)>>,
    /// Counts the changes.
    changed: watch::Sender<u64>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    /// Statements that stored fresh rows.
    stores: u64,
    last: Option<Instant>,
    /// Records that were charged by history alone since the last store.
    charges: usize,
}

impl History {
    /// Nothing has been stored yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            tallies: Mutex::default(),
            changed: watch::Sender::new(0),
        }))
    }

    /// How many statements of the policy have stored fresh rows.
    pub(super) fn stores(&self, policy: &Arc<Policy>) -> u64 {
        self.with(policy, |tally| tally.stores)
    }

    /// Whether something was stored within the last hour.
    pub(super) fn lately(&self, policy: &Arc<Policy>) -> bool {
        let lately = Duration::from_secs(LATELY_SECS);
        self.with(policy, |tally| {
            tally.last.is_some_and(|last| last.elapsed() < lately)
        })
    }

    /// Records charged by history alone since the last store.
    pub(super) fn charges(&self, policy: &Arc<Policy>) -> usize {
        self.with(policy, |tally| tally.charges)
    }

    /// A statement has stored fresh rows.
    pub(super) fn stored(&self, policy: &Arc<Policy>) {
        self.with(policy, |tally| {
            tally.stores += 1;
            tally.last = Some(Instant::now());
            tally.charges = 0;
        });
        self.0.changed.send_modify(|changes| *changes += 1);
    }

    /// Charges one more record by history alone, unless `max` are already, or
    /// something has been stored meanwhile.
    pub(super) fn charge(&self, policy: &Arc<Policy>, seen: u64, max: usize) -> bool {
        self.with(policy, |tally| {
            let allowed = tally.stores == seen && tally.charges < max;
            tally.charges += usize::from(allowed);
            allowed
        })
    }

    /// Waits until more has been stored than was seen.
    pub(super) async fn stored_since(&self, policy: &Arc<Policy>, seen: u64) {
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if self.stores(policy) > seen {
                return;
            }
            if changed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn with<T>(&self, policy: &Arc<Policy>, look: impl FnOnce(&mut Tally) -> T) -> T {
        let mut tallies = self.lock();
        let known = tallies.iter().position(|(of, _)| Arc::ptr_eq(of, policy));
        let place = known.unwrap_or_else(|| {
            if tallies.len() >= POLICIES_MAX {
                tallies.remove(0);
            }
            tallies.push((Arc::clone(policy), Tally::default()));
            tallies.len() - 1
        });
        look(&mut tallies[place].1)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<Policy>, Tally)>> {
        self.0
            .tallies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(number: u8) -> Arc<Policy> {
        Arc::new(Policy::simulated(number))
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_policy_stores_says_nothing_of_another() {
        let (history, one, other) = (History::new(), policy(1), policy(2));
        history.stored(&one);
        assert!(history.lately(&one) && !history.lately(&other));
        assert_eq!((history.stores(&one), history.stores(&other)), (1, 0));
        tokio::time::advance(Duration::from_secs(LATELY_SECS)).await;
        assert!(!history.lately(&one), "that was long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_a_handful_is_charged_until_something_is_stored() {
        let (history, policy) = (History::new(), policy(1));
        let charge = || history.charge(&policy, history.stores(&policy), 2);
        assert_eq!([charge(), charge(), charge()], [true, true, false]);
        history.stored(&policy);
        assert!(
            !history.charge(&policy, 0, 2),
            "it has been stored meanwhile"
        );
        assert_eq!([charge(), charge(), charge()], [true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_by_a_store() {
        let (history, policy) = (History::new(), policy(1));
        let waits = history.stored_since(&policy, 0);
        let stores = async { history.stored(&policy) };
        tokio::join!(waits, stores);
        history.stored_since(&policy, 0).await;
    }
}
