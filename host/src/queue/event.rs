//! What the queue's own tasks report to an observer: calls, deletions, leases.

use std::sync::Arc;
use std::time::Duration;

use super::error::QueueError;

/// One thing that happened.
#[derive(Debug)]
pub enum QueueEvent<'a> {
    /// A call was made.
    Called(Operation),
    /// A message is deleted, so long after it was received.
    Deleted {
        /// From its first receive here.
        after: Duration,
    },
    /// Deletions of so many messages failed, this time.
    DeleteFailed(usize),
    /// So many leases were extended.
    Extended(usize),
    /// So many leases ran out while their messages were in work. Such a
    /// message may be in work elsewhere too; the ledger lets one of them win.
    Lost(usize),
    /// A kind of call fails (an error), or works again (none).
    Failing(Operation, Option<&'a QueueError>),
}

/// The calls that a queue is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Receiving.
    Receive,
    /// Deleting.
    Delete,
    /// Extending, handing back, backing off.
    ChangeVisibility,
    /// Sending to the dead-letter queue.
    Send,
    /// Reading attributes.
    Look,
}

/// Who is told of them.
pub type Observer = Arc<dyn Fn(QueueEvent<'_>) + Send + Sync>;
