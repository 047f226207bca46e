//! The dead-letter queue: a copy of a rejected message, with what is known.

use std::sync::Arc;

use super::calls::{DeadLetterCalls, OutgoingMessage};
use super::error::QueueError;
use super::send::{self, Sent, given};
use crate::message::{Attribute, Message};
use crate::verdict::Rejection;

/// The id that the message first had, so that a redrive keeps its key.
pub const ORIGIN_ID: &str = "etl-host.origin-id";
/// When the queue first accepted it, in milliseconds since 1970.
pub const ORIGIN_SENT_MS: &str = "etl-host.origin-sent-ms";
/// Why it was rejected.
const REASON: &str = "etl-host.reason";
/// Which field or column is at fault.
const FIELD: &str = "etl-host.field";
/// The SHA-256 of the component that decided.
const POLICY: &str = "etl-host.policy";
/// What begins the names of attributes that the host itself gives.
const OURS: &str = "etl-host.";

/// Whether an attribute is the host's own, not the producer's.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// The attributes by which a message is known through all its lives.
pub(super) fn origin(message: &Message) -> Vec<Attribute> {
    vec![
        given(ORIGIN_ID, message.origin_id.clone()),
        given(ORIGIN_SENT_MS, message.sent_ms.to_string()),
    ]
}

/// The dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    pub(super) calls: Arc<dyn DeadLetterCalls>,
    /// The name at the end of its URL.
    pub name: String,
}

impl DeadLetterQueue {
    pub(crate) fn new(calls: Arc<dyn DeadLetterCalls>, name: String) -> Self {
        Self { calls, name }
    }

    /// Copies rejected messages; says of each what became of it. `policy` is
    /// the SHA-256 of the component that decided, in hex.
    ///
    /// # Errors
    /// The queue did not answer, or not with yes; some may have got there.
    pub async fn send(
        &self,
        rejected: &[(&Message, &Rejection)],
        policy: &str,
    ) -> Result<Vec<Sent>, QueueError> {
        let messages = rejected.iter().map(|(message, rejection)| OutgoingMessage {
            message,
            given: known(message, rejection, policy),
        });
        send::send(&*self.calls, messages.collect()).await
    }
}

/// What is known of a rejected message.
fn known(message: &Message, rejection: &Rejection, policy: &str) -> Vec<Attribute> {
    let mut known = origin(message);
    known.push(given(REASON, rejection.reason.to_string()));
    known.push(given(POLICY, policy.to_owned()));
    if let Some(field) = &rejection.field {
        known.push(given(FIELD, field.clone()));
    }
    known
}
