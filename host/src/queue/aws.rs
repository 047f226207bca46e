//! The calls to SQS, made with the AWS SDK: no other file makes one.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, Message as SqsMessage, MessageAttributeValue,
    MessageSystemAttributeName as System, QueueAttributeName, SendMessageBatchRequestEntry,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use md5::{Digest, Md5};

use super::backlog::Backlog;
use super::calls::{
    Answer, BATCH_ENTRIES_MAX, DeadLetterCalls, EntryFailure, Letter, Poll, Received,
    ReceivedMessage, SourceCalls,
};
use super::dead_letter::{ORIGIN_ID, ORIGIN_SENT_MS, is_ours};
use super::destination::Destination;
use super::error::QueueError;
use super::timing::Timing;
use crate::message::{Attribute, AttributeValue, Fifo, Message};

/// The longest wait for a connection.
const CONNECT_SECS_MAX: u64 = 5;
/// How long the first calls may take, before the queue's own times are known.
const FIRST_CALL_SECS_MAX: u64 = 10;
/// The longest that a message may be hidden by one call (SQS quota: 12 h).
const HIDE_SECS_MAX: u64 = 43_200;

/// A queue of SQS.
#[derive(Clone, Debug)]
pub(super) struct AwsQueue {
    config: SdkConfig,
    /// For receives, which wait on purpose.
    polls: Client,
    /// For all other calls.
    calls: Client,
    destination: Destination,
    url: String,
}

/// A queue's own attributes, by SQS's names for them.
pub(super) type Attributes = HashMap<String, String>;

impl AwsQueue {
    /// Prepares to speak to a queue. Region, credentials and endpoint are the
    /// AWS SDK's own.
    ///
    /// # Errors
    /// Nobody says which region the queue is in.
    pub(super) async fn new(url: &str) -> Result<Self, QueueError> {
        // ring, because the database's TLS uses it too and it builds anywhere
        // that has a C compiler; aws-lc would add minutes to a cold build.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http);
        // A queue's URL names its region; the variable, where it is set, wins.
        if std::env::var_os("AWS_REGION").is_none()
            && let Some(region) = region(url)
        {
            loader = loader.region(Region::new(region));
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(QueueError::configuration(
                "no region is configured: set AWS_REGION, or name a profile that has one".into(),
            ));
        }
        let destination = Destination::default();
        let first_max = Duration::from_secs(FIRST_CALL_SECS_MAX);
        let first = client(&config, &destination, first_max);
        Ok(Self {
            polls: first.clone(),
            calls: first,
            destination,
            config,
            url: url.to_owned(),
        })
    }

    /// Keeps to these times from now on. The SDK has no such limits by default:
    /// a call could hang for ever (aws-sdk-rust#1094).
    pub(super) fn keep_to(&mut self, timing: &Timing) {
        self.polls = client(&self.config, &self.destination, timing.receive_max);
        self.calls = client(&self.config, &self.destination, timing.call_max);
    }

    /// Another queue, spoken to in the same way.
    pub(super) fn other(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// The queue's attributes.
    pub(super) async fn attributes(&self) -> Result<Attributes, QueueError> {
        let answer = self
            .calls
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await
            .map_err(|error| self.destination.of_failure(error))?;
        let attributes = answer.attributes.unwrap_or_default().into_iter();
        Ok(attributes
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect())
    }

    /// The URL of the queue that an ARN names.
    pub(super) async fn url_of(&self, arn: &str) -> Result<String, QueueError> {
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let mut parts = arn.rsplitn(3, ':');
        let (Some(queue), Some(account)) = (parts.next(), parts.next()) else {
            return Err(QueueError::configuration(format!(
                "the queue's RedrivePolicy names no queue: {arn}"
            )));
        };
        let answer = self
            .calls
            .get_queue_url()
            .queue_name(queue)
            .queue_owner_aws_account_id(account)
            .send()
            .await
            .map_err(|error| self.destination.of_failure(error))?;
        answer
            .queue_url
            .ok_or_else(|| QueueError::incomplete("the queue's URL"))
    }
}

/// A client whose calls take no longer than this, the SDK's own retries
/// included (three tries, of which a throttled or failed one comes back soon).
fn client(config: &SdkConfig, destination: &Destination, call_max: Duration) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(call_max.min(Duration::from_secs(CONNECT_SECS_MAX)))
        .operation_timeout(call_max)
        .build();
    let config = aws_sdk_sqs::config::Builder::from(config)
        .interceptor(destination.clone())
        .timeout_config(timeouts);
    Client::from_conf(config.build())
}

/// The region in `https://sqs.REGION.amazonaws.com/…`.
fn region(url: &str) -> Option<String> {
    let host = url.split("//").nth(1)?.split('/').next()?;
    let rest = host.strip_prefix("sqs.")?;
    let (region, domain) = rest.split_once('.')?;
    domain
        .starts_with("amazonaws.com")
        .then(|| region.to_owned())
}

impl SourceCalls for AwsQueue {
    fn receive<'a>(&'a self, poll: Poll, attempt: &'a str) -> Answer<'a, Received> {
        Box::pin(async move {
            let fifo = self.url.ends_with(".fifo");
            let answer = self
                .polls
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(BATCH_ENTRIES_MAX as i32)
                .wait_time_seconds(poll.wait.as_secs() as i32)
                .visibility_timeout(poll.visibility.as_secs() as i32)
                .message_system_attribute_names(System::SentTimestamp)
                .message_system_attribute_names(System::ApproximateReceiveCount)
                .message_system_attribute_names(System::MessageGroupId)
                .message_attribute_names("All")
                .set_receive_request_attempt_id(fifo.then(|| attempt.to_owned()))
                .send()
                .await
                .map_err(|error| self.destination.of_failure(error))?;
            let answered = answer.messages.unwrap_or_default();
            let in_all = answered.len();
            let messages: Vec<ReceivedMessage> =
                answered.into_iter().filter_map(received).collect();
            Ok(Received {
                unusable: in_all - messages.len(),
                messages,
            })
        })
    }

    fn delete<'a>(&'a self, handles: &'a [&'a str]) -> Answer<'a, Vec<EntryFailure>> {
        Box::pin(async move {
            let mut call = self.calls.delete_message_batch().queue_url(&self.url);
            for (position, handle) in handles.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(*handle)
                    .build()
                    .map_err(|_| QueueError::incomplete("a receipt handle"))?;
                call = call.entries(entry);
            }
            Ok(failures(&call.send().await?.failed))
        })
    }

    fn hide<'a>(&'a self, entries: &'a [(&'a str, Duration)]) -> Answer<'a, Vec<EntryFailure>> {
        Box::pin(async move {
            let mut call = self
                .calls
                .change_message_visibility_batch()
                .queue_url(&self.url);
            for (position, (handle, hidden)) in entries.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(*handle)
                    .visibility_timeout(hidden.as_secs().min(HIDE_SECS_MAX) as i32)
                    .build()
                    .map_err(|_| QueueError::incomplete("a receipt handle"))?;
                call = call.entries(entry);
            }
            Ok(failures(&call.send().await?.failed))
        })
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        Box::pin(async move {
            let attributes = self.attributes().await?;
            let count = |name: QueueAttributeName| {
                let count = attributes.get(name.as_str());
                count
                    .and_then(|count| count.parse().ok())
                    .ok_or_else(|| QueueError::incomplete("a number of messages"))
            };
            Ok(Backlog {
                visible: count(QueueAttributeName::ApproximateNumberOfMessages)?,
                in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)?,
                // Some servers leave it out where nothing is delayed.
                delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed).unwrap_or(0),
            })
        })
    }
}

impl DeadLetterCalls for AwsQueue {
    fn send<'a>(&'a self, letters: &'a [Letter<'a>]) -> Answer<'a, Vec<EntryFailure>> {
        Box::pin(async move {
            let fifo = self.url.ends_with(".fifo");
            let mut call = self.calls.send_message_batch().queue_url(&self.url);
            for (position, letter) in letters.iter().enumerate() {
                call = call.entries(sent(position, letter, fifo)?);
            }
            Ok(failures(&call.send().await?.failed))
        })
    }
}

fn failures(failed: &[BatchResultErrorEntry]) -> Vec<EntryFailure> {
    let failures = failed.iter().filter_map(|failed| {
        Some(EntryFailure {
            position: failed.id.parse().ok()?,
            refused: failed.sender_fault,
        })
    });
    failures.collect()
}

fn sent(
    position: usize,
    letter: &Letter<'_>,
    fifo: bool,
) -> Result<SendMessageBatchRequestEntry, QueueError> {
    let message = letter.message;
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(position.to_string())
        .message_body(&message.body);
    for attribute in message.attributes.iter().chain(&letter.given) {
        entry = entry.message_attributes(&attribute.name, sent_value(attribute)?);
    }
    if fifo {
        let group = message.fifo.as_ref().map(|fifo| fifo.group.clone());
        // By the id of this delivery's message, and not its first one: within
        // five minutes a queue takes what it has had under the same id, says
        // yes and drops it, so that a message which goes back and is rejected
        // again would be lost.
        entry = entry
            .message_group_id(group.unwrap_or_else(|| message.origin_id.clone()))
            .message_deduplication_id(&message.queue_id);
    }
    entry
        .build()
        .map_err(|_| QueueError::incomplete("a message's body"))
}

fn sent_value(attribute: &Attribute) -> Result<MessageAttributeValue, QueueError> {
    let value = MessageAttributeValue::builder().data_type(&attribute.data_type);
    let value = match &attribute.value {
        AttributeValue::Text(text) | AttributeValue::Number(text) => value.string_value(text),
        AttributeValue::Bytes(bytes) => value.binary_value(Blob::new(bytes.clone())),
    };
    value
        .build()
        .map_err(|_| QueueError::incomplete("an attribute's type"))
}

/// A message out of an answer; none where the answer lacks what is needed to
/// deal with it, or where it is damaged.
fn received(received: SqsMessage) -> Option<ReceivedMessage> {
    let queue_id = received.message_id?;
    let handle = received.receipt_handle?;
    let body = received.body.unwrap_or_default();
    let is_whole = |md5: &String| *md5 == hex(&Md5::digest(&body));
    if !received.md5_of_body.as_ref().is_none_or(is_whole) {
        return None;
    }
    let system = received.attributes.unwrap_or_default();
    let number = |name| system.get(&name).and_then(|digits| digits.parse().ok());
    let sent_ms: u64 = number(System::SentTimestamp)?;
    let receive_count = number(System::ApproximateReceiveCount).unwrap_or(1);
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
    let group = system.get(&System::MessageGroupId).cloned();
    Some(ReceivedMessage {
        message: Message {
            queue_id,
            origin_id,
            body,
            sent_ms,
            attributes,
            fifo: group.map(|group| Fifo { group }),
        },
        handle,
        receive_count: u32::try_from(receive_count).unwrap_or(u32::MAX),
    })
}

fn attribute(name: String, value: MessageAttributeValue) -> Option<Attribute> {
    let bytes = value.binary_value.map(Blob::into_inner);
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_an_aws_url_only() {
        assert_eq!(
            region("https://sqs.eu-central-1.amazonaws.com/1/q").as_deref(),
            Some("eu-central-1")
        );
        assert_eq!(region("http://localhost:4566/1/q"), None);
    }

    fn answered() -> aws_sdk_sqs::types::builders::MessageBuilder {
        SqsMessage::builder()
            .message_id("m")
            .receipt_handle("h")
            .body("body")
            .attributes(System::SentTimestamp, "1000")
    }

    #[test]
    fn a_damaged_or_incomplete_message_is_not_used() {
        let whole = hex(&Md5::digest("body"));
        assert!(received(answered().md5_of_body(whole).build()).is_some());
        assert!(received(answered().md5_of_body("0").build()).is_none());
        assert!(received(answered().set_receipt_handle(None).build()).is_none());
        assert!(received(answered().set_message_id(None).build()).is_none());
        assert!(received(answered().set_attributes(None).build()).is_none());
    }

    #[test]
    fn a_redriven_message_keeps_its_first_id_and_time() {
        let given = |value: &str| {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value);
            value.build().expect("a value")
        };
        let redriven = answered()
            .message_attributes(ORIGIN_ID, given("first"))
            .message_attributes(ORIGIN_SENT_MS, given("7"))
            .message_attributes("own", given("kept"));
        let message = received(redriven.build()).expect("usable").message;
        assert_eq!(message.queue_id, "m");
        assert_eq!(message.origin_id, "first");
        assert_eq!(message.sent_ms, 7);
        assert_eq!(message.attributes.len(), 1);
    }
}
