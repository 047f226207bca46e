//! The calls to a queue, each told to whoever listens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::backlog::Backlog;
use super::calls::{
    Answer, DeadLetterCalls, EntryFailure, OutgoingMessage, Poll, Received, SourceCalls,
};
use super::client::Queue;
use super::dead_letter::DeadLetterQueue;
use super::told::{Listener, Operation, Told};

struct Listened<C: ?Sized> {
    calls: Arc<C>,
    listener: Listener,
}

impl<C: ?Sized> fmt::Debug for Listened<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listened")
    }
}

impl<C: ?Sized> Listened<C> {
    fn tell(&self, operation: Operation) {
        (self.listener)(Told::Called(operation));
    }
}

impl SourceCalls for Listened<dyn SourceCalls> {
    fn receive<'a>(&'a self, poll: Poll, attempt: &'a str) -> Answer<'a, Received> {
        self.tell(Operation::Receive);
        self.calls.receive(poll, attempt)
    }

    fn delete<'a>(&'a self, handles: &'a [&'a str]) -> Answer<'a, Vec<EntryFailure>> {
        self.tell(Operation::Delete);
        self.calls.delete(handles)
    }

    fn hide<'a>(&'a self, entries: &'a [(&'a str, Duration)]) -> Answer<'a, Vec<EntryFailure>> {
        self.tell(Operation::Hide);
        self.calls.hide(entries)
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        self.tell(Operation::Look);
        self.calls.backlog()
    }
}

impl DeadLetterCalls for Listened<dyn DeadLetterCalls> {
    fn send<'a>(&'a self, messages: &'a [OutgoingMessage<'a>]) -> Answer<'a, Vec<EntryFailure>> {
        self.tell(Operation::Send);
        self.calls.send(messages)
    }
}

impl Queue {
    /// The same queue, whose calls are told to a listener.
    #[must_use]
    pub fn listened(self, listener: Listener) -> Self {
        let calls = self.calls;
        Self {
            calls: Arc::new(Listened { calls, listener }),
            ..self
        }
    }
}

impl DeadLetterQueue {
    /// The same queue, whose calls are told to a listener.
    #[must_use]
    pub fn listened(self, listener: Listener) -> Self {
        let calls = self.calls;
        Self {
            calls: Arc::new(Listened { calls, listener }),
            ..self
        }
    }
}
