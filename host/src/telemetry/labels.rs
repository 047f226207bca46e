//! Labels of the metrics: closed sets, each value with its name.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// What the host cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// The source queue.
    Queue,
    /// The dead-letter queue.
    DeadLetterQueue,
    /// The database with its ledger and its table.
    Database,
    /// The transform component.
    Component,
}

impl Dependency {
    pub(super) const ALL: [Self; 4] = [
        Self::Database,
        Self::Queue,
        Self::DeadLetterQueue,
        Self::Component,
    ];
    /// What is looked for at the start; the queue's line stands for both queues.
    pub(super) const STARTED: [Self; 3] = [Self::Queue, Self::Database, Self::Component];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Queue => "queue",
            Self::DeadLetterQueue => "dead_letter_queue",
            Self::Component => "component",
        }
    }
}

/// What is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A receive.
    Receive,
    /// A statement.
    Commit,
    /// A deletion.
    Delete,
    /// A copy to the dead-letter queue.
    DeadLetter,
    /// The extension of leases.
    Extend,
}

impl Stage {
    pub(super) const ALL: [Self; 5] = [
        Self::Receive,
        Self::Commit,
        Self::Delete,
        Self::DeadLetter,
        Self::Extend,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Commit => "commit",
            Self::Delete => "delete",
            Self::DeadLetter => "dead_letter",
            Self::Extend => "extend",
        }
    }
}

/// A call to SQS, which is what SQS is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// ReceiveMessage.
    ReceiveMessage,
    /// DeleteMessageBatch.
    DeleteMessageBatch,
    /// ChangeMessageVisibilityBatch.
    ChangeMessageVisibilityBatch,
    /// SendMessageBatch, to the dead-letter queue.
    SendMessageBatch,
    /// GetQueueAttributes.
    GetQueueAttributes,
}

impl Operation {
    pub(super) const ALL: [Self; 5] = [
        Self::ReceiveMessage,
        Self::DeleteMessageBatch,
        Self::ChangeMessageVisibilityBatch,
        Self::SendMessageBatch,
        Self::GetQueueAttributes,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::ReceiveMessage => "receive_message",
            Self::DeleteMessageBatch => "delete_message_batch",
            Self::ChangeMessageVisibilityBatch => "change_message_visibility_batch",
            Self::SendMessageBatch => "send_message_batch",
            Self::GetQueueAttributes => "get_queue_attributes",
        }
    }
}

/// What became of the wish for another component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replacement {
    /// It took over.
    Done,
    /// It was refused, and the running one stays.
    Refused,
}

impl Replacement {
    pub(super) const ALL: [Self; 2] = [Self::Done, Self::Refused];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// What a shadow made of a message, beside the running component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShadowResult {
    /// The same.
    Same,
    /// Something else.
    Different,
    /// Nothing: there was no room for it.
    LeftOut,
}

impl ShadowResult {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::LeftOut => "left_out",
        }
    }
}

macro_rules! label_values {
    ($($closed_set:ty),+) => {$(
        impl EncodeLabelValue for $closed_set {
            fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
                EncodeLabelValue::encode(&self.label(), encoder)
            }
        }
    )+};
}

label_values!(Dependency, Stage, Operation, Replacement, ShadowResult);
