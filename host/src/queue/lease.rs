//! Leases: for how long a taken message is ours, and the extension of that.
//!
//! The table is kept by message id, with the newest receipt handle: an older
//! one may "succeed" and do nothing. A lease is extended from its receive on,
//! and never after its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::budget::Permit;
use super::calls::BATCH_ENTRIES_MAX;
use super::client::Queue;
use super::error::QueueError;
use super::timing::Timing;
use super::told::{Listener, Told};

/// Extension calls at a time, so that ten thousand leases cannot fall behind:
/// at 50 ms a call, 16 callers extend 3,200 messages a second.
const EXTENDERS_MAX: usize = 16;
/// The leases of all messages in work.
#[derive(Clone)]
pub struct Leases {
    table: Table,
    timing: Timing,
    listener: Listener,
}

type Table = Arc<Mutex<HashMap<String, Entry>>>;

struct Entry {
    handle: String,
    /// When it was first received.
    taken: Instant,
    deadline: Instant,
    /// The end of what SQS allows, however often it is extended.
    end: Instant,
    /// Whether its loss has been counted.
    lost: bool,
}

/// One message's lease. Dropping it lets it run out: the message comes back.
pub struct Lease {
    id: String,
    table: Table,
    permit: Option<Permit>,
    ended: bool,
}

/// What is needed to speak to the queue about a message, once.
pub(super) struct Receipt {
    pub(super) handle: String,
    pub(super) taken: Instant,
    pub(super) deadline: Instant,
    pub(super) permit: Option<Permit>,
}

/// A lease to be extended.
#[derive(Clone)]
struct Due {
    id: String,
    handle: String,
    by: Duration,
}

impl Leases {
    /// An empty table, whose extensions and losses are told to a listener.
    pub fn new(timing: Timing, listener: Listener) -> Self {
        Self {
            table: Arc::default(),
            timing,
            listener,
        }
    }

    /// Takes a lease; none where the message is in work already, whose lease
    /// then has the newer handle.
    pub(super) fn take(
        &self,
        id: &str,
        handle: String,
        hidden_since: Instant,
        permit: Permit,
    ) -> Option<Lease> {
        let mut table = lock(&self.table);
        let known = table.get(id).map(|entry| entry.taken);
        let entry = Entry {
            handle,
            taken: known.unwrap_or(hidden_since),
            deadline: hidden_since + self.timing.lease,
            end: hidden_since + self.timing.hidden_max,
            lost: false,
        };
        table.insert(id.to_owned(), entry);
        known.is_none().then(|| Lease {
            id: id.to_owned(),
            table: Arc::clone(&self.table),
            permit: Some(permit),
            ended: false,
        })
    }

    /// Extends leases for as long as it is polled. A lease is due when a third
    /// of it is spent, so that more tries fit into what is left.
    pub async fn keep(self, queue: Queue) {
        let mut ticks = interval(self.timing.extension_tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.extend_due(&queue).await;
        }
    }

    async fn extend_due(&self, queue: &Queue) {
        let due = self.due(Instant::now());
        let mut chunks = due.chunks(BATCH_ENTRIES_MAX);
        let mut extenders = JoinSet::new();
        loop {
            while extenders.len() < EXTENDERS_MAX
                && let Some(chunk) = chunks.next()
            {
                let (leases, queue, chunk) = (self.clone(), queue.clone(), chunk.to_vec());
                extenders.spawn(async move { leases.extend(&queue, &chunk).await });
            }
            if extenders.join_next().await.is_none() {
                return;
            }
        }
    }

    /// The leases of which a third is spent, and by how much SQS lets each be
    /// extended: whole seconds, within 12 hours in all.
    fn due(&self, now: Instant) -> Vec<Due> {
        let due_by = now + self.timing.lease - self.timing.extension_due;
        let mut due = Vec::new();
        let mut lost = 0;
        for (id, entry) in lock(&self.table).iter_mut() {
            if entry.deadline <= now && !std::mem::replace(&mut entry.lost, true) {
                lost += 1;
            }
            let left = entry.end.saturating_duration_since(now);
            let by = Duration::from_secs(self.timing.lease.min(left).as_secs());
            if entry.deadline < due_by && now + by > entry.deadline.max(now) {
                due.push(Due {
                    id: id.clone(),
                    handle: entry.handle.clone(),
                    by,
                });
            }
        }
        if lost > 0 {
            (self.listener)(Told::Lost(lost));
        }
        due
    }

    /// Extends up to ten leases. What fails is due again at the next tick.
    async fn extend(&self, queue: &Queue, due: &[Due]) {
        let asked = Instant::now();
        let entries: Vec<(&str, Duration)> = due
            .iter()
            .map(|due| (due.handle.as_str(), due.by))
            .collect();
        let Ok(failures) = queue.calls.hide(&entries).await else {
            return;
        };
        (self.listener)(Told::Extended(due.len() - failures.len().min(due.len())));
        let mut table = lock(&self.table);
        for (position, due) in due.iter().enumerate() {
            let failed = failures.iter().any(|failure| failure.position == position);
            if let Some(entry) = table.get_mut(&due.id)
                && !failed
                && entry.handle == due.handle
            {
                entry.deadline = entry.deadline.max(asked + due.by);
                entry.lost = false;
            }
        }
    }
}

impl Lease {
    /// Ends the lease for good, with the newest handle. None where it is
    /// unknown, which does not happen while a lease lives.
    pub(super) fn end(mut self) -> Option<Receipt> {
        let entry = lock(&self.table).remove(&self.id)?;
        // From here on the id may be a later delivery's.
        self.ended = true;
        Some(Receipt {
            handle: entry.handle,
            taken: entry.taken,
            deadline: entry.deadline,
            permit: self.permit.take(),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.ended {
            lock(&self.table).remove(&self.id);
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.id).finish()
    }
}

fn lock(table: &Table) -> MutexGuard<'_, HashMap<String, Entry>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// Ends leases so that the messages are hidden for `hidden` from now on:
    /// not at all, to hand them back, or longer, to back off.
    ///
    /// # Errors
    /// The queue did not answer; the messages come back when their leases run
    /// out.
    pub async fn release(&self, leases: Vec<Lease>, hidden: Duration) -> Result<(), QueueError> {
        let receipts: Vec<Receipt> = leases.into_iter().filter_map(Lease::end).collect();
        for chunk in receipts.chunks(BATCH_ENTRIES_MAX) {
            let entries: Vec<(&str, Duration)> = chunk
                .iter()
                .map(|receipt| (receipt.handle.as_str(), hidden))
                .collect();
            self.calls.hide(&entries).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::budget::Budget;
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn timing() -> Timing {
        Timing::new(LEASE, Duration::from_secs(20))
    }

    async fn permit() -> Permit {
        let mut reservation = Budget::new(10, 0).reserve().await.expect("room");
        reservation.permit(1).expect("one of ten")
    }

    #[tokio::test]
    async fn the_newest_handle_is_the_one_that_ends_a_lease() {
        let leases = Leases::new(timing(), Arc::new(|_| {}));
        let now = Instant::now();
        let lease = leases.take("m", "old".into(), now, permit().await);
        let again = leases.take("m", "new".into(), now, permit().await);
        assert!(again.is_none(), "in work already");
        let receipt = lease.and_then(Lease::end).expect("known");
        assert_eq!(receipt.handle, "new");
    }

    #[tokio::test]
    async fn an_ended_or_dropped_lease_is_extended_no_more() {
        let leases = Leases::new(timing(), Arc::new(|_| {}));
        let now = Instant::now();
        let ended = leases.take("a", "h".into(), now, permit().await);
        let dropped = leases.take("b", "h".into(), now, permit().await);
        assert_eq!(lock(&leases.table).len(), 2);
        assert!(ended.and_then(Lease::end).is_some());
        drop(dropped);
        assert!(lock(&leases.table).is_empty());
    }

    #[tokio::test]
    async fn a_lease_is_due_after_a_third_and_never_beyond_twelve_hours() {
        let leases = Leases::new(timing(), Arc::new(|_| {}));
        let now = Instant::now();
        let _lease = leases.take("m", "h".into(), now, permit().await);
        assert!(leases.due(now + LEASE / 3).is_empty());
        let due = leases.due(now + LEASE / 3 + Duration::from_secs(1));
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].by, LEASE);
        let hours = timing().hidden_max;
        let due = leases.due(now + hours - Duration::from_secs(10));
        assert_eq!(due[0].by, Duration::from_secs(10), "what SQS still allows");
        assert!(leases.due(now + hours).is_empty());
    }

    #[tokio::test]
    async fn a_lease_that_runs_out_is_counted_once() {
        let lost = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lost);
        let listener: Listener = Arc::new(move |told| {
            if let Told::Lost(leases) = told {
                counted.fetch_add(leases, Ordering::Relaxed);
            }
        });
        let leases = Leases::new(timing(), listener);
        let now = Instant::now();
        let _lease = leases.take("m", "h".into(), now, permit().await);
        leases.due(now + LEASE / 2);
        assert_eq!(lost.load(Ordering::Relaxed), 0);
        leases.due(now + LEASE);
        leases.due(now + LEASE * 2);
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }
}
