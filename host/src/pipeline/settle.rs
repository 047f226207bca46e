//! Settling: each message leaves with its fate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::commit::{Commit, Stop};
use super::worker::Item;
use crate::backoff::Backoff;
use crate::event::Event;
use crate::message::Message;
use crate::output::{Committed, Key};
use crate::queue::{DeadLetterQueue, Deletions, Lease, Queue, QueueError, Sent};
use crate::telemetry::Telemetry;
use crate::verdict::{Rejection, Verdict};

/// The first hiding of a rejected message that no dead-letter queue takes; it
/// doubles with each delivery.
const KEPT_SECS_FIRST: u64 = 60;
/// The longest such hiding: a mended component is noticed within the hour.
const KEPT_SECS_MAX: u64 = 3_600;

/// What settling needs.
pub(super) struct Settler {
    pub(super) queue: Queue,
    pub(super) dead_letter_queue: Option<DeadLetterQueue>,
    pub(super) deletions: Deletions<Committed>,
    pub(super) kept: Kept,
    pub(super) telemetry: Telemetry,
    /// The SHA-256 of the component, in hex.
    pub(super) policy: String,
}

/// Rejected messages that stay in the queue, hidden until a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept(Arc<Mutex<HashMap<String, Instant>>>);

impl Kept {
    fn hide(&self, queue_id: String, hidden: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(queue_id, Instant::now() + hidden);
    }

    /// How many of them are hidden at this moment.
    pub(super) fn hidden_now(&self) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|_, until| *until > now);
        kept.len() as u64
    }
}

impl Settler {
    /// A message is committed: it is counted and deleted.
    pub(super) fn committed(&self, item: Item, proof: Committed) {
        match &item.verdict {
            _ if proof.duplicate => self.telemetry.duplicate(),
            Verdict::Rows(rows) => self.telemetry.stored(rows.len()),
            Verdict::Skip => self.telemetry.skipped(),
            Verdict::Reject(rejection) => self.telemetry.rejected(&rejection.reason),
        }
        self.deletions.delete(item.lease, proof);
    }

    /// Messages go back to the queue, unjudged and visible at once.
    pub(super) async fn hand_back(&self, items: Vec<Item>) {
        self.release(items.into_iter().map(|item| item.lease).collect())
            .await;
    }

    /// Leases end, and their messages are visible at once.
    pub(super) async fn release(&self, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        let messages = leases.len();
        match self.queue.release(leases, Duration::ZERO).await {
            Ok(()) => self.telemetry.counts.handed_back(messages),
            Err(error) => Event::HandBackFailed {
                messages,
                cause: error.to_string(),
            }
            .log(),
        }
    }

    /// Messages are rejected: copied to the dead-letter queue, entered into the
    /// ledger, deleted; or kept hidden in the queue where there is none.
    ///
    /// Gives how many of them are still in the source queue.
    pub(super) async fn refused(&self, items: Vec<Item>, commit: &mut Commit) -> usize {
        if items.is_empty() {
            return 0;
        }
        let in_all = items.len();
        let Some(items) = self.without_duplicates(items, commit).await else {
            return in_all;
        };
        let new = items.len();
        let Some((accepted, unfit)) = self.dead_letter(items, commit).await else {
            return new;
        };
        let mut left = new;
        for (item, proof) in self.entered(accepted, commit).await {
            self.log(&item, true);
            self.committed(item, proof);
            left -= 1;
        }
        for (item, _) in self.entered(unfit, commit).await {
            self.keep(item).await;
        }
        left
    }

    /// A message stays in the queue, unjudged and hidden for a while, because
    /// nothing can be done about it now.
    pub(super) async fn postpone(&self, item: Item) {
        let hidden = Duration::from_secs(KEPT_SECS_FIRST);
        self.hide(item, hidden).await;
    }

    /// Deletes what has been settled before: another component may have
    /// accepted it, and a copy in the dead-letter queue would be one too many.
    async fn without_duplicates(&self, items: Vec<Item>, commit: &mut Commit) -> Option<Vec<Item>> {
        let keys: Vec<Key> = items.iter().map(|item| item.key).collect();
        let Ok(settled) = commit.settled(&keys).await else {
            self.hand_back(items).await;
            return None;
        };
        let mut new = Vec::new();
        for (item, proof) in items.into_iter().zip(settled) {
            match proof {
                Some(proof) => self.committed(item, proof),
                None => new.push(item),
            }
        }
        Some(new)
    }

    /// Gives what the dead-letter queue has taken, and what it cannot take.
    async fn dead_letter(
        &self,
        items: Vec<Item>,
        commit: &mut Commit,
    ) -> Option<(Vec<Item>, Vec<Item>)> {
        let Some(dead_letter_queue) = &self.dead_letter_queue else {
            return Some((Vec::new(), items));
        };
        let (mut accepted, mut unfit) = (Vec::new(), Vec::new());
        let mut open = items;
        while !open.is_empty() {
            let sent = self.copied(dead_letter_queue, &open, commit).await;
            let Ok(sent) = sent else {
                // What was copied is copied again at the next delivery: twice
                // in the dead-letter queue, but never lost.
                open.append(&mut accepted);
                open.append(&mut unfit);
                self.hand_back(open).await;
                return None;
            };
            let mut failed = Vec::new();
            for (item, sent) in open.into_iter().zip(sent) {
                match sent {
                    Sent::Accepted => accepted.push(item),
                    Sent::Failed => failed.push(item),
                    Sent::Unfit => {
                        let message_id = &item.message.origin_id;
                        Event::DeadLetterUnfit { message_id }.log();
                        unfit.push(item);
                    }
                }
            }
            open = failed;
        }
        Some((accepted, unfit))
    }

    /// Copies messages until the dead-letter queue has taken at least one, or
    /// said that it cannot.
    async fn copied(
        &self,
        dead_letter_queue: &DeadLetterQueue,
        items: &[Item],
        commit: &mut Commit,
    ) -> Result<Vec<Sent>, Stop> {
        let rejected: Vec<(&Message, &Rejection)> = items
            .iter()
            .filter_map(|item| Some((&item.message, rejection(item)?)))
            .collect();
        let mut backoff = Backoff::default();
        loop {
            let error = match dead_letter_queue.send(&rejected, &self.policy).await {
                Ok(sent) if sent.iter().any(|sent| *sent != Sent::Failed) => {
                    commit.queue_is_back();
                    return Ok(sent);
                }
                Ok(_) => QueueError::refused("a message"),
                Err(error) => error,
            };
            commit.outlast_queue(&error, &mut backoff).await?;
        }
    }

    /// Enters rejections into the ledger.
    async fn entered(&self, items: Vec<Item>, commit: &mut Commit) -> Vec<(Item, Committed)> {
        if items.is_empty() {
            return Vec::new();
        }
        match commit.write(&items).await {
            Ok(proofs) => items.into_iter().zip(proofs).collect(),
            Err(Stop::Shutdown | Stop::Refused(_)) => {
                self.hand_back(items).await;
                Vec::new()
            }
        }
    }

    /// Leaves a rejected message in the queue, hidden for longer each time.
    async fn keep(&self, item: Item) {
        self.log(&item, false);
        if let Some(rejection) = rejection(&item) {
            self.telemetry.rejected(&rejection.reason);
        }
        let doublings = item.receive_count.saturating_sub(1).min(16);
        let hidden = Duration::from_secs((KEPT_SECS_FIRST << doublings).min(KEPT_SECS_MAX));
        self.hide(item, hidden).await;
    }

    async fn hide(&self, item: Item, hidden: Duration) {
        match self.queue.release(vec![item.lease], hidden).await {
            Ok(()) => self.kept.hide(item.message.queue_id, hidden),
            Err(error) => Event::HandBackFailed {
                messages: 1,
                cause: error.to_string(),
            }
            .log(),
        }
    }

    fn log(&self, item: &Item, dead_lettered: bool) {
        if let Some(rejection) = rejection(item) {
            Event::Rejected {
                message_id: &item.message.origin_id,
                reason: rejection.reason.to_string(),
                field: rejection.field.as_deref(),
                dead_lettered,
            }
            .log();
        }
    }
}

fn rejection(item: &Item) -> Option<&Rejection> {
    match &item.verdict {
        Verdict::Reject(rejection) => Some(rejection),
        _ => None,
    }
}
