//! Letting go of messages: visible to others at once, or hidden for a while.

use std::time::Duration;

use tokio::time::timeout;

use super::change_visibility::{Begin, Change, Changed};
use super::client::Queue;
use super::error::QueueError;
use super::lease::{Lease, Receipt};
use crate::backoff::Backoff;

/// What became of leases that were to end, in their order. A message that the
/// queue says is not ours any more is with somebody else, or visible already.
#[derive(Debug)]
pub struct Released {
    /// Of each, whether the queue has done what it was told.
    pub each: Vec<bool>,
    /// How many the queue could not or did not answer for: their messages come
    /// back when their leases run out.
    pub failed: usize,
    /// Why, where whole calls failed.
    pub error: Option<QueueError>,
}

impl Released {
    fn new(outcomes: &[Changed], error: Option<QueueError>) -> Self {
        let is_failed = |changed: &&Changed| **changed == Changed::NotNow;
        let is_done = |changed: &Changed| matches!(changed, Changed::At(_));
        Self {
            each: outcomes.iter().map(is_done).collect(),
            failed: outcomes.iter().filter(is_failed).count(),
            error,
        }
    }

    /// For how many the queue has done it.
    pub fn done(&self) -> usize {
        self.each.iter().filter(|done| **done).count()
    }
}

/// Messages that a run has taken and not finished.
#[derive(Debug, Default)]
pub struct Unfinished {
    pub(super) handles: Vec<String>,
}

impl Unfinished {
    pub(super) fn new(handles: impl IntoIterator<Item = String>) -> Self {
        let handles = handles.into_iter().collect();
        Self { handles }
    }
}

impl Queue {
    /// Ends leases so that each message is hidden for so long from now on: not
    /// at all, to hand it back, or longer, to back off.
    pub async fn release(&self, leases: Vec<(Lease, Duration)>) -> Released {
        let mut outcomes = vec![Changed::Never; leases.len()];
        let (mut places, mut changes): (Vec<usize>, Vec<Change>) = Default::default();
        // Their room in the budget is kept until the queue has answered.
        let mut receipts: Vec<Receipt> = Vec::new();
        for (place, (lease, hidden)) in leases.into_iter().enumerate() {
            if let Some(receipt) = lease.end() {
                outcomes[place] = Changed::NotNow;
                places.push(place);
                changes.push((receipt.handle.clone(), hidden));
                receipts.push(receipt);
            }
        }
        let tell = |position: usize, changed| outcomes[places[position]] = changed;
        let answer = self.change_visibility(&changes, Begin::AtOnce, tell).await;
        Released::new(&outcomes, answer.err())
    }

    /// Has messages visible at once. Tries again and again, for as long as is
    /// left for it, unless the queue says that a message is not ours any more.
    pub async fn hand_back(&self, unfinished: Unfinished, time: Duration) -> Released {
        let handles = unfinished.handles;
        let mut outcomes = vec![Changed::NotNow; handles.len()];
        let mut error = None;
        let trying = async {
            let (mut begin, mut backoff) = (Begin::AtOnce, Backoff::default());
            loop {
                let open = |place: &usize| outcomes[*place] == Changed::NotNow;
                let places: Vec<usize> = (0..handles.len()).filter(open).collect();
                if places.is_empty() {
                    return;
                }
                if begin == Begin::Carefully {
                    backoff.wait().await;
                }
                let changes: Vec<Change> = places
                    .iter()
                    .map(|place| (handles[*place].clone(), Duration::ZERO))
                    .collect();
                let tell = |position: usize, changed| outcomes[places[position]] = changed;
                error = self.change_visibility(&changes, begin, tell).await.err();
                begin = Begin::Carefully;
            }
        };
        let _ = timeout(time, trying).await;
        Released::new(&outcomes, error)
    }
}
