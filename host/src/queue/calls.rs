//! The calls that a queue is spoken to with: what SQS promises of each, and
//! nothing of how they travel.
//!
//! `aws` makes them for real. What is above them (leases, deletion, the
//! dead-letter queue) is the same over any other implementation, so the tests
//! drive it with a queue that lives in memory.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::backlog::Backlog;
use super::error::QueueError;
use crate::message::{Attribute, Message};

/// Entries of one batch call (SQS quota).
pub(super) const BATCH_ENTRIES_MAX: usize = 10;

/// The answer to a call, on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + Send + 'a>>;

/// What a source queue is asked. An error without an answer leaves open
/// whether the call took effect.
pub trait SourceCalls: Debug + Send + Sync {
    /// Waits up to `poll` for up to ten messages, which are then hidden from
    /// others for `visibility`. `attempt` names a series of tries: a FIFO queue
    /// gives a retried receive the messages whose answer was lost.
    fn receive<'a>(&'a self, poll: Poll, attempt: &'a str) -> Answer<'a, Received>;

    /// Deletes up to ten messages; gives the entries that failed.
    fn delete<'a>(&'a self, handles: &'a [&'a str]) -> Answer<'a, Vec<EntryFailure>>;

    /// Hides up to ten messages for a while from now on, or for no time;
    /// gives the entries that failed.
    fn change_visibility<'a>(
        &'a self,
        entries: &'a [(&'a str, Duration)],
    ) -> Answer<'a, Vec<EntryFailure>>;

    /// How much is left.
    fn backlog(&self) -> Answer<'_, Backlog>;
}

/// What a queue is asked that messages are sent on to: a dead-letter queue, or
/// the one that dead letters go back to.
pub trait DeadLetterCalls: Debug + Send + Sync {
    /// Takes up to ten messages; gives the entries that failed.
    fn send<'a>(&'a self, messages: &'a [OutgoingMessage<'a>]) -> Answer<'a, Vec<EntryFailure>>;
}

/// How to poll.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// How long to wait for a message.
    pub wait: Duration,
    /// How long what comes is hidden.
    pub visibility: Duration,
}

/// What a receive brought.
#[derive(Debug, Default)]
pub struct Received {
    /// The messages.
    pub messages: Vec<ReceivedMessage>,
    /// Messages that cannot be used: without an id, a handle or a time, or
    /// damaged on the way (their checksum does not match). They come back.
    pub unusable: usize,
}

/// A message as it was received.
#[derive(Debug)]
pub struct ReceivedMessage {
    /// The message.
    pub message: Message,
    /// What the queue is told to name this delivery.
    pub handle: String,
    /// How often it has been delivered, this time included.
    pub receive_count: u32,
}

/// An entry of a batch call that failed, while others may have succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryFailure {
    /// Its position in the call.
    pub position: usize,
    /// Whether it is the entry's own fault: again would fail again.
    pub refused: bool,
}

/// A message that is sent on.
pub struct OutgoingMessage<'a> {
    /// The message.
    pub message: &'a Message,
    /// What the host adds to the producer's attributes, as far as it fits.
    pub given: Vec<Attribute>,
}
