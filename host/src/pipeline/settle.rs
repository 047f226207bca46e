//! Settling: each message leaves with its fate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::item::Item;
use super::reject::groups;
use super::rejections::Rejections;
use crate::event::Event;
use crate::output::Committed;
use crate::queue::{DeadLetterQueue, Deletions, Lease, Queue, Released};
use crate::shutdown::Shutdown;
use crate::telemetry::Telemetry;
use crate::verdict::Verdict;

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
    /// The log lines of rejections.
    pub(super) rejections: Rejections,
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

    /// Leaves rejected messages in the queue, hidden for longer each time.
    /// Gives their FIFO groups.
    pub(super) async fn keep(&self, items: Vec<Item>) -> Vec<String> {
        let groups = groups(&items);
        let mut hidden = Vec::new();
        for item in items {
            self.log(&item, false);
            if let Some(rejection) = item.rejection() {
                self.telemetry.rejected(&rejection.reason);
            }
            let doublings = item.receive_count.saturating_sub(1).min(16);
            let secs = (KEPT_SECS_FIRST << doublings).min(KEPT_SECS_MAX);
            hidden.push((item, Duration::from_secs(secs)));
        }
        self.hide(hidden).await;
        groups
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

    pub(super) fn log(&self, item: &Item, dead_lettered: bool) {
        if let Some(rejection) = item.rejection() {
            self.rejections
                .log(&item.message.origin_id, rejection, dead_lettered);
        }
    }
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
