//! Receiving: one long poll, and messages out of its answer.

use aws_sdk_sqs::types::{
    Message as SqsMessage, MessageAttributeValue, MessageSystemAttributeName,
};
use tokio::time::Instant;

use super::budget::Reservation;
use super::client::Queue;
use super::dead_letter::{ORIGIN_ID, ORIGIN_SENT_MS, is_ours};
use super::error::QueueError;
use super::lease::{Lease, Leases};
use crate::message::{Attribute, AttributeValue, Fifo, Message};

/// Messages that one receive brings at most (SQS quota).
pub const RECEIVE_MESSAGES_MAX: usize = 10;

/// A message, and the lease that keeps it hidden from others.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Its lease.
    pub lease: Lease,
    /// How often the queue has delivered it, this time included.
    pub receive_count: u32,
}

impl Queue {
    /// Polls once. A message that is in work already only renews its lease: the
    /// newest receipt handle is the only one that deletes.
    ///
    /// Not to be cancelled: what the queue has hidden would stay hidden.
    ///
    /// # Errors
    /// The queue did not answer, or not with yes.
    pub async fn receive(
        &self,
        leases: &Leases,
        mut reservation: Reservation,
    ) -> Result<Vec<Delivery>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(RECEIVE_MESSAGES_MAX as i32)
            .wait_time_seconds(self.poll.as_secs() as i32)
            .visibility_timeout(self.visibility.as_secs() as i32)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_attribute_names("All")
            .send()
            .await?;
        // In a long poll the queue hides messages at its end, not at its
        // start; the arrival less an allowance is the earliest moment.
        let hidden_since = Instant::now() - leases.answer_allowance();
        let received = answer.messages.unwrap_or_default();
        let deliveries = received.into_iter().filter_map(|received| {
            let (message, handle, receive_count) = message(received)?;
            let permit = reservation.permit(message.bytes())?;
            let lease = leases.take(&message.queue_id, handle, hidden_since, permit)?;
            Some(Delivery {
                message,
                lease,
                receive_count,
            })
        });
        Ok(deliveries.collect())
    }
}

/// A message out of an answer; none where the answer lacks what would be
/// needed to deal with it, so that it comes back once its lease has passed.
fn message(received: SqsMessage) -> Option<(Message, String, u32)> {
    let queue_id = received.message_id?;
    let handle = received.receipt_handle?;
    let system = received.attributes.unwrap_or_default();
    let number = |name| system.get(&name).and_then(|digits| digits.parse().ok());
    let sent_ms = number(MessageSystemAttributeName::SentTimestamp)?;
    let receive_count = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
    let group = system
        .get(&MessageSystemAttributeName::MessageGroupId)
        .cloned();
    let mut attributes: Vec<Attribute> = received
        .message_attributes
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, value)| attribute(name, value))
        .collect();
    attributes.sort_by(|one, other| one.name.cmp(&other.name));
    let text = |name: &str| {
        let found = attributes.iter().find(|attribute| attribute.name == name);
        found.and_then(|attribute| match &attribute.value {
            AttributeValue::Text(text) | AttributeValue::Number(text) => Some(text.clone()),
            AttributeValue::Bytes(_) => None,
        })
    };
    // What the dead-letter copy carried; a redrive gives a new id and time.
    let origin_id = text(ORIGIN_ID).unwrap_or_else(|| queue_id.clone());
    let sent_ms = text(ORIGIN_SENT_MS)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(sent_ms);
    attributes.retain(|attribute| !is_ours(&attribute.name));
    let message = Message {
        queue_id,
        origin_id,
        body: received.body.unwrap_or_default(),
        sent_ms,
        attributes,
        fifo: group.map(|group| Fifo { group }),
    };
    let receive_count = u32::try_from(receive_count).unwrap_or(u32::MAX);
    Some((message, handle, receive_count))
}

fn attribute(name: String, value: MessageAttributeValue) -> Option<Attribute> {
    let bytes = value.binary_value.map(|blob| blob.into_inner());
    let text = value.string_value;
    let value_of = match value.data_type.split('.').next() {
        Some("Binary") => AttributeValue::Bytes(bytes?),
        Some("Number") => AttributeValue::Number(text?),
        _ => AttributeValue::Text(text?),
    };
    Some(Attribute {
        name,
        data_type: value.data_type,
        value: value_of,
    })
}
