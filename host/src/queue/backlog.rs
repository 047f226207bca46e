//! How much is left in the queue.

/// The queue's own counts, which SQS gives approximately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that a receive could bring.
    pub visible: u64,
    /// Messages that somebody has taken and not deleted.
    pub in_flight: u64,
    /// Messages that become visible later.
    pub delayed: u64,
}
