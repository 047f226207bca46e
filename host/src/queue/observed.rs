//! The calls to a queue, each told to whoever listens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::backlog::Backlog;
use super::breaker::Breakers;
use super::calls::{
    Answer, DeadLetterCalls, EntryFailure, OutgoingMessage, Poll, Received, SourceCalls,
};
use super::client::Queue;
use super::dead_letter::DeadLetterQueue;
use super::event::{Observer, Operation, QueueEvent};

struct Observed<C: ?Sized> {
    calls: Arc<C>,
    observer: Observer,
}

impl<C: ?Sized> fmt::Debug for Observed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observed")
    }
}

impl<C: ?Sized> Observed<C> {
    fn tell(&self, operation: Operation) {
        (self.observer)(QueueEvent::Called(operation));
    }
}

impl SourceCalls for Observed<dyn SourceCalls> {
    fn receive<'a>(&'a self, poll: Poll, attempt: &'a str) -> Answer<'a, Received> {
        self.tell(Operation::Receive);
        self.calls.receive(poll, attempt)
    }

    fn delete<'a>(&'a self, handles: &'a [&'a str]) -> Answer<'a, Vec<EntryFailure>> {
        self.tell(Operation::Delete);
        self.calls.delete(handles)
    }

    fn change_visibility<'a>(
        &'a self,
        entries: &'a [(&'a str, Duration)],
    ) -> Answer<'a, Vec<EntryFailure>> {
        self.tell(Operation::ChangeVisibility);
        self.calls.change_visibility(entries)
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        self.tell(Operation::Look);
        self.calls.backlog()
    }
}

impl DeadLetterCalls for Observed<dyn DeadLetterCalls> {
    fn send<'a>(&'a self, messages: &'a [OutgoingMessage<'a>]) -> Answer<'a, Vec<EntryFailure>> {
        self.tell(Operation::Send);
        self.calls.send(messages)
    }
}

impl Queue {
    /// The same queue, whose calls are told to an observer, and which of them
    /// fail.
    #[must_use]
    pub fn observed(self, observer: Observer) -> Self {
        let calls = self.calls;
        Self {
            breakers: Breakers::observed(&observer),
            calls: Arc::new(Observed { calls, observer }),
            ..self
        }
    }
}

impl DeadLetterQueue {
    /// The same queue, whose calls are told to a observer.
    #[must_use]
    pub fn observed(self, observer: Observer) -> Self {
        let calls = self.calls;
        Self {
            calls: Arc::new(Observed { calls, observer }),
            ..self
        }
    }
}
