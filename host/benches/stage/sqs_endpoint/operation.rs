//! What can be asked for, by SQS's names.

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    ReceiveMessage,
    DeleteMessageBatch,
    ChangeMessageVisibilityBatch,
    SendMessageBatch,
    GetQueueAttributes,
    GetQueueUrl,
}

/// The operations beside their names.
pub const OPERATIONS: [(Operation, &str); 6] = [
    (Operation::ReceiveMessage, "ReceiveMessage"),
    (Operation::DeleteMessageBatch, "DeleteMessageBatch"),
    (
        Operation::ChangeMessageVisibilityBatch,
        "ChangeMessageVisibilityBatch",
    ),
    (Operation::SendMessageBatch, "SendMessageBatch"),
    (Operation::GetQueueAttributes, "GetQueueAttributes"),
    (Operation::GetQueueUrl, "GetQueueUrl"),
];

impl Operation {
    /// The one that the header `x-amz-target` names.
    pub fn from_target(target: &[u8]) -> Option<Operation> {
        let name = target.strip_prefix(b"AmazonSQS.")?;
        let mut known = OPERATIONS.iter();
        let found = known.find(|(_, known)| known.as_bytes() == name)?;
        Some(found.0)
    }
}
