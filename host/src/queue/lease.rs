//! Leases: for how long a taken message is ours, and the extension of that.
//!
//! The table is kept by message id, with the newest receipt handle: an older
//! one may "succeed" and do nothing. A lease is extended from its receive on,
//! and never after its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::budget::Permit;
use super::client::Queue;
use super::error::QueueError;

/// Entries of one batch call (SQS quota).
pub(super) const BATCH_ENTRIES_MAX: usize = 10;
/// Between a message's hiding and its arrival here: an answer's way back.
const ANSWER_ALLOWANCE_MS: u64 = 1_000;
/// Extension calls at a time, so that ten thousand leases cannot fall behind:
/// at 50 ms a call, 16 callers extend 3,200 messages a second.
const EXTENDERS_MAX: usize = 16;
/// The longest that a message may be hidden in one piece (SQS quota: 12 h).
const VISIBILITY_SECS_MAX: u64 = 43_200;

/// The leases of all messages in work.
#[derive(Clone)]
pub struct Leases {
    table: Arc<Mutex<HashMap<String, Entry>>>,
    visibility: Duration,
}

struct Entry {
    handle: String,
    deadline: Instant,
}

/// One message's lease. Dropping it lets it run out: the message comes back.
pub struct Lease {
    id: String,
    table: Arc<Mutex<HashMap<String, Entry>>>,
    permit: Option<Permit>,
    ended: bool,
}

/// What is needed to speak to the queue about a message, once.
pub(super) struct Receipt {
    pub(super) handle: String,
    pub(super) deadline: Instant,
    pub(super) permit: Option<Permit>,
}

impl Leases {
    /// An empty table for a queue with this visibility timeout.
    pub fn new(visibility: Duration) -> Self {
        Self {
            table: Arc::default(),
            visibility,
        }
    }

    /// How long an answer may have been on its way.
    pub(super) fn answer_allowance(&self) -> Duration {
        Duration::from_millis(ANSWER_ALLOWANCE_MS).min(self.visibility / 4)
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
        let entry = Entry {
            handle,
            deadline: hidden_since + self.visibility,
        };
        let known = lock(&self.table).insert(id.to_owned(), entry).is_some();
        (!known).then(|| Lease {
            id: id.to_owned(),
            table: Arc::clone(&self.table),
            permit: Some(permit),
            ended: false,
        })
    }

    /// Extends leases for as long as it is polled. A lease is due when a third
    /// of it is spent, so that two more tries fit into what is left.
    pub async fn keep(self, queue: Queue) {
        let mut ticks = interval((self.visibility / 6).max(Duration::from_millis(200)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.extend_due(&queue).await;
        }
    }

    async fn extend_due(&self, queue: &Queue) {
        let due_by = Instant::now() + self.visibility * 2 / 3;
        let due: Vec<(String, String)> = lock(&self.table)
            .iter()
            .filter(|(_, entry)| entry.deadline < due_by)
            .map(|(id, entry)| (id.clone(), entry.handle.clone()))
            .collect();
        let mut chunks = due.chunks(BATCH_ENTRIES_MAX);
        let mut extenders = tokio::task::JoinSet::new();
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

    /// Extends up to ten leases. What fails is due again at the next tick.
    async fn extend(&self, queue: &Queue, due: &[(String, String)]) {
        let asked = Instant::now();
        let handles = due.iter().map(|(_, handle)| handle.as_str());
        let Ok(failed) = queue.change_visibility(handles, self.visibility).await else {
            return;
        };
        let mut table = lock(&self.table);
        for (index, (id, handle)) in due.iter().enumerate() {
            if failed.contains(&index) {
                continue;
            }
            if let Some(entry) = table.get_mut(id)
                && entry.handle == *handle
            {
                entry.deadline = entry.deadline.max(asked + self.visibility);
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

fn lock(table: &Mutex<HashMap<String, Entry>>) -> MutexGuard<'_, HashMap<String, Entry>> {
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
            let handles = chunk.iter().map(|receipt| receipt.handle.as_str());
            self.change_visibility(handles, hidden).await?;
        }
        Ok(())
    }

    /// Gives the positions of the entries that failed.
    async fn change_visibility(
        &self,
        handles: impl Iterator<Item = &str>,
        hidden: Duration,
    ) -> Result<Vec<usize>, QueueError> {
        let seconds = hidden.as_secs().min(VISIBILITY_SECS_MAX) as i32;
        let mut call = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url);
        for (position, handle) in handles.enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(handle)
                .visibility_timeout(seconds)
                .build()
                .map_err(|_| QueueError::incomplete("a receipt handle"))?;
            call = call.entries(entry);
        }
        let answer = call.send().await?;
        let failed = answer.failed.iter();
        Ok(failed.filter_map(|entry| entry.id.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::*;

    const VISIBILITY: Duration = Duration::from_secs(30);

    async fn permit() -> Permit {
        let mut reservation = Budget::new(10, 0).reserve().await.expect("room");
        reservation.permit(1).expect("one of ten")
    }

    #[tokio::test]
    async fn the_newest_handle_is_the_one_that_ends_a_lease() {
        let leases = Leases::new(VISIBILITY);
        let now = Instant::now();
        let lease = leases.take("m", "old".into(), now, permit().await);
        let again = leases.take("m", "new".into(), now, permit().await);
        assert!(again.is_none(), "in work already");
        let receipt = lease.and_then(Lease::end).expect("known");
        assert_eq!(receipt.handle, "new");
    }

    #[tokio::test]
    async fn an_ended_or_dropped_lease_is_extended_no_more() {
        let leases = Leases::new(VISIBILITY);
        let now = Instant::now();
        let ended = leases.take("a", "h".into(), now, permit().await);
        let dropped = leases.take("b", "h".into(), now, permit().await);
        assert_eq!(lock(&leases.table).len(), 2);
        assert!(ended.and_then(Lease::end).is_some());
        drop(dropped);
        assert!(lock(&leases.table).is_empty());
    }
}
