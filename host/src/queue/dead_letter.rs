//! The dead-letter queue: a copy of a rejected message, with what is known.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};

use super::budget::BODY_BYTES_MAX;
use super::client::{self, Queue};
use super::error::QueueError;
use super::lease::BATCH_ENTRIES_MAX;
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
    queue: Queue,
    url: String,
    fifo: bool,
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
    /// The dead-letter queue that is asked for, or else the queue's own.
    ///
    /// # Errors
    /// The queue did not answer, or not with yes.
    pub async fn find(queue: &Queue, asked: Option<&str>) -> Result<Option<Self>, QueueError> {
        let url = match asked {
            Some(url) => Some(url.to_owned()),
            None => queue.own_dead_letter_url().await?,
        };
        let Some(url) = url else { return Ok(None) };
        if url == queue.url {
            return Err(QueueError::configuration(
                "the dead-letter queue is the source queue itself".into(),
            ));
        }
        // Fails here, not at the first rejection, where it does not exist.
        queue
            .client
            .get_queue_attributes()
            .queue_url(&url)
            .send()
            .await?;
        Ok(Some(Self {
            queue: queue.clone(),
            fifo: url.ends_with(".fifo"),
            url,
        }))
    }

    /// The name at the end of the URL, for messages.
    pub fn name(&self) -> &str {
        client::name(&self.url)
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
        let mut call = self.queue.client.send_message_batch().queue_url(&self.url);
        let mut results = vec![Sent::Unfit; batch.len()];
        let mut any = false;
        for (position, (message, rejection)) in batch.iter().enumerate() {
            let given = given(message, rejection, policy);
            if !fits(message, &given) {
                continue;
            }
            call = call.entries(self.entry(position, message, given)?);
            results[position] = Sent::Accepted;
            any = true;
        }
        if any {
            let answer = call.send().await?;
            for failed in &answer.failed {
                let position: Option<usize> = failed.id.parse().ok();
                if let Some(result) = position.and_then(|position| results.get_mut(position)) {
                    *result = match failed.sender_fault {
                        true => Sent::Unfit,
                        false => Sent::Failed,
                    };
                }
            }
        }
        sent.append(&mut results);
        Ok(())
    }

    fn entry(
        &self,
        position: usize,
        message: &Message,
        given: Vec<Attribute>,
    ) -> Result<SendMessageBatchRequestEntry, QueueError> {
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(position.to_string())
            .message_body(&message.body);
        for attribute in message.attributes.iter().cloned().chain(given) {
            entry = entry.message_attributes(attribute.name.clone(), value(attribute)?);
        }
        if self.fifo {
            let group = message.fifo.as_ref().map(|fifo| fifo.group.clone());
            entry = entry
                .message_group_id(group.unwrap_or_else(|| message.origin_id.clone()))
                .message_deduplication_id(&message.origin_id);
        }
        entry
            .build()
            .map_err(|_| QueueError::incomplete("a message's body"))
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

fn value(attribute: Attribute) -> Result<MessageAttributeValue, QueueError> {
    let value = MessageAttributeValue::builder().data_type(attribute.data_type);
    let value = match attribute.value {
        AttributeValue::Text(text) | AttributeValue::Number(text) => value.string_value(text),
        AttributeValue::Bytes(bytes) => value.binary_value(Blob::new(bytes)),
    };
    value
        .build()
        .map_err(|_| QueueError::incomplete("an attribute's type"))
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
