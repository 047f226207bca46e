//! The dead-letter queue: a copy of a rejected message, with what is known.

use std::sync::Arc;

use super::budget::BODY_BYTES_MAX;
use super::calls::{BATCH_ENTRIES_MAX, DeadLetterCalls, Letter};
use super::error::QueueError;
use crate::message::{Attribute, AttributeValue, Message};
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

/// Attributes of one message (SQS quota).
const ATTRIBUTES_MAX: usize = 10;

/// Whether an attribute is the host's own, not the producer's.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// The dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    pub(super) calls: Arc<dyn DeadLetterCalls>,
    /// The name at the end of its URL.
    pub name: String,
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The dead-letter queue has it.
    Accepted,
    /// The dead-letter queue cannot take it: with the host's attributes the
    /// message would have too many of them, or be too large.
    Unfit,
    /// It did not get there this time.
    Failed,
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
        let mut sent = Vec::with_capacity(rejected.len());
        let mut rest = rejected;
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch_len(rest, policy));
            self.send_batch(batch, policy, &mut sent).await?;
            rest = after;
        }
        Ok(sent)
    }

    async fn send_batch(
        &self,
        batch: &[(&Message, &Rejection)],
        policy: &str,
        sent: &mut Vec<Sent>,
    ) -> Result<(), QueueError> {
        let mut results = vec![Sent::Unfit; batch.len()];
        let (mut letters, mut positions) = (Vec::new(), Vec::new());
        for (position, (message, rejection)) in batch.iter().enumerate() {
            let given = given(message, rejection, policy);
            if fits(message, &given) {
                letters.push(Letter { message, given });
                positions.push(position);
                results[position] = Sent::Accepted;
            }
        }
        if !letters.is_empty() {
            for failure in self.calls.send(&letters).await? {
                if let Some(position) = positions.get(failure.position) {
                    results[*position] = match failure.refused {
                        true => Sent::Unfit,
                        false => Sent::Failed,
                    };
                }
            }
        }
        sent.append(&mut results);
        Ok(())
    }
}

/// The attributes that the host gives.
fn given(message: &Message, rejection: &Rejection, policy: &str) -> Vec<Attribute> {
    let text = |name: &str, text: String| Attribute {
        name: name.to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(text),
    };
    let mut given = vec![
        text(ORIGIN_ID, message.origin_id.clone()),
        text(ORIGIN_SENT_MS, message.sent_ms.to_string()),
        text(REASON, rejection.reason.to_string()),
        text(POLICY, policy.to_owned()),
    ];
    if let Some(field) = &rejection.field {
        given.push(text(FIELD, field.clone()));
    }
    given
}

fn fits(message: &Message, given: &[Attribute]) -> bool {
    let bytes = message.bytes() + given.iter().map(Attribute::bytes).sum::<usize>();
    !message.body.is_empty()
        && message.attributes.len() + given.len() <= ATTRIBUTES_MAX
        && bytes <= BODY_BYTES_MAX
}

/// How many of the messages fit into one call: ten, and 1 MiB in all.
fn batch_len(rejected: &[(&Message, &Rejection)], policy: &str) -> usize {
    let mut bytes = 0;
    let within = rejected
        .iter()
        .take(BATCH_ENTRIES_MAX)
        .take_while(|rejected| {
            let (message, rejection) = rejected;
            let given = given(message, rejection, policy);
            bytes += message.bytes() + given.iter().map(Attribute::bytes).sum::<usize>();
            bytes <= BODY_BYTES_MAX
        });
    within.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Reason;

    fn message(body_bytes: usize, attributes: usize) -> Message {
        Message {
            queue_id: "id".into(),
            origin_id: "id".into(),
            body: "x".repeat(body_bytes),
            sent_ms: 0,
            attributes: (0..attributes)
                .map(|n| Attribute {
                    name: n.to_string(),
                    data_type: "String".into(),
                    value: AttributeValue::Text("x".into()),
                })
                .collect(),
            fifo: None,
        }
    }

    #[test]
    fn what_the_dead_letter_queue_would_refuse_is_not_sent() {
        let rejection = Rejection::from(Reason::Malformed);
        let fits = |message: &Message| fits(message, &given(message, &rejection, "policy"));
        assert!(fits(&message(1, 6)));
        assert!(!fits(&message(1, 7)), "too many attributes");
        assert!(!fits(&message(BODY_BYTES_MAX, 0)), "too large");
    }

    #[test]
    fn a_call_holds_ten_messages_and_a_mebibyte() {
        let rejection = Rejection::from(Reason::Malformed);
        let small = message(1, 0);
        let large = message(BODY_BYTES_MAX / 2, 0);
        let many = |message| vec![(message, &rejection); 12];
        assert_eq!(batch_len(&many(&small), "policy"), 10);
        assert_eq!(batch_len(&many(&large), "policy"), 1);
    }
}
