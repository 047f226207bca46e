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
use crate::output::{Committed, Policy};
use crate::queue::{
    DeadLetterQueue, Deletions, Lease, Queue, QueueError, RECEIVE_MESSAGES_MAX, Released, Sent,
};
use crate::sandbox::Digest;
use crate::shutdown::Shutdown;
use crate::telemetry::Telemetry;
use crate::verdict::{Rejection, Verdict};

/// The first hiding of a rejected message that no dead-letter queue takes; it
/// doubles with each delivery.
const KEPT_SECS_FIRST: u64 = 60;
/// The longest such hiding: a mended component is noticed within the hour.
const KEPT_SECS_MAX: u64 = 3_600;
/// Messages of one copying: as many as one call takes.
const COPIES_AT_A_TIME: usize = RECEIVE_MESSAGES_MAX;

/// What settling needs.
pub(super) struct Settler {
    pub(super) queue: Queue,
    pub(super) dead_letter_queue: Option<DeadLetterQueue>,
    pub(super) deletions: Deletions<Committed>,
    pub(super) kept: Kept,
    pub(super) telemetry: Telemetry,
    /// Whether a stop is asked for.
    pub(super) stop: Shutdown,
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

    /// Messages go back to the queue, unfinished and visible at once.
    pub(super) async fn hand_back(&self, items: Vec<Item>) {
        self.release(items.into_iter().map(|item| item.lease).collect())
            .await;
    }

    /// Leases end, and their messages are visible at once. Once a stop is asked
    /// for that waits for the end of the drain: an open poll of our own would
    /// take them again.
    pub(super) async fn release(&self, leases: Vec<Lease>) {
        if self.stop.is_requested() {
            leases.into_iter().for_each(Lease::leave);
            return;
        }
        let leases = leases.into_iter().map(|lease| (lease, Duration::ZERO));
        let released = self.queue.release(leases.collect()).await;
        self.telemetry.counts.handed_back(released.done());
        log_failed(&released);
    }

    /// Messages of one policy are rejected: copied to the dead-letter queue, entered into the
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
        let (accepted, unfit) = self.dead_letter(items, commit).await;
        let mut left = new;
        for (item, proof) in self.entered(accepted, commit).await {
            self.log(&item, true);
            self.committed(item, proof);
            left -= 1;
        }
        let entered = self.entered(unfit, commit).await.into_iter();
        self.keep(entered.map(|(item, _)| item).collect()).await;
        left
    }

    /// A message stays in the queue, unjudged and hidden for a while, because
    /// nothing can be done about it now.
    pub(super) async fn postpone(&self, item: Item) {
        let hidden = Duration::from_secs(KEPT_SECS_FIRST);
        self.hide(vec![(item, hidden)]).await;
    }

    /// Deletes what has been settled before: another component may have
    /// accepted it, and a copy in the dead-letter queue would be one too many.
    async fn without_duplicates(&self, items: Vec<Item>, commit: &mut Commit) -> Option<Vec<Item>> {
        let Ok(settled) = commit.settled(&items).await else {
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

    /// Gives what the dead-letter queue has taken, and what it cannot take. The
    /// rest goes back where a stop is asked for while the queue takes nothing:
    /// what a lost answer has copied of it will be there twice, but never lost.
    async fn dead_letter(&self, items: Vec<Item>, commit: &mut Commit) -> (Vec<Item>, Vec<Item>) {
        let Some(dead_letter_queue) = &self.dead_letter_queue else {
            return (Vec::new(), items);
        };
        let (mut accepted, mut unfit) = (Vec::new(), Vec::new());
        let Some(policy) = items.first().map(|item| Arc::clone(&item.policy)) else {
            return (accepted, unfit);
        };
        let mut backoff = Backoff::default();
        let mut open = items;
        while !open.is_empty() {
            // One call's worth at a time: what is ours now is copied now.
            let later = open.split_off(open.len().min(COPIES_AT_A_TIME));
            let now = self.still_ours(open);
            let tried = now.len();
            let (sent, error) = match copy(dead_letter_queue, &now, &policy).await {
                Ok(sent) => (sent, QueueError::refused("a message")),
                Err(error) => (vec![Sent::Failed; tried], error),
            };
            open = Vec::new();
            for (item, sent) in now.into_iter().zip(sent) {
                match sent {
                    Sent::Accepted => accepted.push(item),
                    Sent::Failed => open.push(item),
                    Sent::Unfit => {
                        let message_id = &item.message.origin_id;
                        Event::DeadLetterUnfit { message_id }.log();
                        unfit.push(item);
                    }
                }
            }
            let takes_nothing = tried > 0 && open.len() == tried;
            open.extend(later);
            if !takes_nothing {
                commit.queue_is_back();
                backoff.reset();
            } else if commit
                .outlast_queue(&error, &policy, &mut backoff)
                .await
                .is_err()
            {
                self.hand_back(open).await;
                break;
            }
        }
        (accepted, unfit)
    }

    /// Lets go of messages whose leases are over, because this host was
    /// suspended or could not extend them: they come back, if nobody has taken
    /// them yet, and each copy that is made nevertheless is one too many.
    fn still_ours(&self, mut items: Vec<Item>) -> Vec<Item> {
        let in_all = items.len();
        items.retain_mut(|item| !item.lease.ends_if_over());
        if items.len() < in_all {
            Event::LeasesOver(in_all - items.len()).log();
        }
        items
    }

    /// Enters rejections into the ledger.
    async fn entered(&self, items: Vec<Item>, commit: &mut Commit) -> Vec<(Item, Committed)> {
        if items.is_empty() {
            return Vec::new();
        }
        match commit.write(&items).await {
            Ok(proofs) => items.into_iter().zip(proofs).collect(),
            Err(Stop::Abandoned | Stop::Refused(_)) => {
                self.hand_back(items).await;
                Vec::new()
            }
        }
    }

    /// Leaves rejected messages in the queue, hidden for longer each time.
    async fn keep(&self, items: Vec<Item>) {
        let mut hidden = Vec::new();
        for item in items {
            self.log(&item, false);
            if let Some(rejection) = rejection(&item) {
                self.telemetry.rejected(&rejection.reason);
            }
            let doublings = item.receive_count.saturating_sub(1).min(16);
            let secs = (KEPT_SECS_FIRST << doublings).min(KEPT_SECS_MAX);
            hidden.push((item, Duration::from_secs(secs)));
        }
        self.hide(hidden).await;
    }

    async fn hide(&self, items: Vec<(Item, Duration)>) {
        let (ids, leases): (Vec<_>, Vec<_>) = items
            .into_iter()
            .map(|(item, hidden)| ((item.message.queue_id, hidden), (item.lease, hidden)))
            .unzip();
        let released = self.queue.release(leases).await;
        for ((queue_id, hidden), done) in ids.into_iter().zip(&released.each) {
            if *done {
                self.kept.hide(queue_id, hidden);
            }
        }
        log_failed(&released);
    }

    fn log(&self, item: &Item, dead_lettered: bool) {
        if let Some(rejection) = rejection(item) {
            Event::Rejected {
                message_id: &item.message.origin_id,
                reason: rejection.reason.to_string(),
                field: rejection.field.as_deref(),
                sqlstate: rejection.reason.sqlstate(),
                dead_lettered,
            }
            .log();
        }
    }
}

/// Copies messages, each at most once; says of each what became of it.
async fn copy(
    dead_letter_queue: &DeadLetterQueue,
    items: &[Item],
    policy: &Policy,
) -> Result<Vec<Sent>, QueueError> {
    let rejected: Vec<(&Message, &Rejection)> = items
        .iter()
        .filter_map(|item| Some((&item.message, rejection(item)?)))
        .collect();
    let policy = Digest(policy.digest()).to_string();
    dead_letter_queue.send(&rejected, &policy).await
}

/// Logs for how many messages the queue has not done what it was told.
pub(super) fn log_failed(released: &Released) {
    if released.failed > 0 {
        let no_words = || "not answered, or refused for now".to_owned();
        Event::HandBackFailed {
            messages: released.failed,
            cause: released
                .error
                .as_ref()
                .map_or_else(no_words, ToString::to_string),
        }
        .log();
    }
}

fn rejection(item: &Item) -> Option<&Rejection> {
    match &item.verdict {
        Verdict::Reject(rejection) => Some(rejection),
        _ => None,
    }
}
