//! The dead-letter queue: a copy of a rejected message, with what is known.

use std::sync::Arc;

use super::budget::BODY_BYTES_MAX;
use super::calls::{DeadLetterCalls, OutgoingMessage};
use super::error::QueueError;
use super::send::{self, Sent};
use crate::message::{Attribute, Message};
use crate::origin::{FIELD, ORIGIN_ID, ORIGIN_MAC, POLICY, REASON, Secrets};
use crate::verdict::Rejection;

/// The dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    pub(super) calls: Arc<dyn DeadLetterCalls>,
    /// The name at the end of its URL.
    pub name: String,
    /// The size of the largest message that it takes, in bytes.
    pub(super) bytes_max: usize,
    /// What origins are signed under.
    pub(super) secrets: Secrets,
}

impl DeadLetterQueue {
    pub(crate) fn new(calls: Arc<dyn DeadLetterCalls>, name: String) -> Self {
        Self {
            calls,
            name,
            bytes_max: BODY_BYTES_MAX,
            secrets: Secrets::default(),
        }
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
        let messages = rejected.iter().map(|(message, rejection)| {
            let additions = additions(message, rejection, policy, &self.secrets);
            OutgoingMessage::fitted(message, additions, self.bytes_max)
        });
        send::send(&*self.calls, self.bytes_max, messages.collect()).await
    }
}

/// What is known of a rejected message, in the order in which it is kept where
/// not all of it fits. The id comes first, because the ledger has all the rest
/// under it; then what makes a redrive keep it. Nothing is added where the
/// producer uses a name of the host: SQS takes each name once, and after a
/// redrive nobody could tell whose the others are.
pub(super) fn additions(
    message: &Message,
    rejection: &Rejection,
    policy: &str,
    secrets: &Secrets,
) -> Vec<Attribute> {
    let origin = secrets.origin(message);
    if origin.is_empty() {
        return origin;
    }
    let comes_first = |attribute: &Attribute| [ORIGIN_ID, ORIGIN_MAC].contains(&&*attribute.name);
    let (mut additions, later): (Vec<Attribute>, Vec<Attribute>) =
        origin.into_iter().partition(comes_first);
    additions.push(Attribute::text(REASON, rejection.reason.to_string()));
    additions.extend(later);
    let field = rejection.field.clone();
    additions.extend(field.map(|field| Attribute::text(FIELD, field)));
    additions.push(Attribute::text(POLICY, policy.to_owned()));
    additions
}
