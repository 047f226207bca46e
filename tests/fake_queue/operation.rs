//! The operations that the fake queue knows, by their names on the wire.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    CreateQueue,
    GetQueueUrl,
    GetQueueAttributes,
    SetQueueAttributes,
    SendMessage,
    SendMessageBatch,
    ReceiveMessage,
    DeleteMessage,
    DeleteMessageBatch,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
}

use Operation::{
    ChangeMessageVisibility, ChangeMessageVisibilityBatch, CreateQueue, DeleteMessage,
    DeleteMessageBatch, GetQueueAttributes, GetQueueUrl, ReceiveMessage, SendMessage,
    SendMessageBatch, SetQueueAttributes,
};

const ALL: [Operation; 11] = [
    CreateQueue,
    GetQueueUrl,
    GetQueueAttributes,
    SetQueueAttributes,
    SendMessage,
    SendMessageBatch,
    ReceiveMessage,
    DeleteMessage,
    DeleteMessageBatch,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
];

/// One by one and in batches.
pub const SENDS: [Operation; 2] = [SendMessage, SendMessageBatch];
pub const DELETES: [Operation; 2] = [DeleteMessage, DeleteMessageBatch];
pub const EXTENSIONS: [Operation; 2] = [ChangeMessageVisibility, ChangeMessageVisibilityBatch];

impl Operation {
    /// From the header `X-Amz-Target`.
    pub fn from_target(target: &str) -> Option<Operation> {
        let name = target.strip_prefix("AmazonSQS.")?;
        ALL.into_iter()
            .find(|operation| format!("{operation:?}") == name)
    }
}
