//! The calls to SQS, made with the AWS SDK; receives and deletes first by the
//! direct calls, as long as all is well.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, Message as SqsMessage, MessageAttributeValue,
    MessageSystemAttributeName as System, QueueAttributeName, SendMessageBatchRequestEntry,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::time::{Instant, timeout_at};

use super::address::{Address, check_endpoint};
use super::answered::{Answered, attribute};
use super::backlog::Backlog;
use super::calls::{
    Answer, BATCH_ENTRIES_MAX, DeadLetterCalls, EntryFailure, OutgoingMessage, Poll, Received,
    SourceCalls,
};
use super::direct::{Direct, Tried};
use super::error::QueueError;
use super::http_client;
use super::profile::check_profile;
use super::remedy::Asked;
use super::sdk_runtime::SdkRuntime;
use super::timing::Timing;
use crate::message::{Attribute, AttributeValue};

/// The longest wait for a connection.
const CONNECT_SECS_MAX: u64 = 5;
/// How long the first calls may take, before the queue's own times are known.
const FIRST_CALL_SECS_MAX: u64 = 10;
/// The longest that a message may be hidden by one call (SQS quota: 12 h).
const HIDE_SECS_MAX: u64 = 43_200;

/// The variables that name an endpoint.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"];

/// A queue of SQS.
#[derive(Clone, Debug)]
pub(super) struct AwsQueue {
    config: SdkConfig,
    /// For receives, which wait on purpose.
    polls: Client,
    /// For all other calls.
    calls: Client,
    /// For receives and deletes, as long as all is well.
    direct: Direct,
    receive_max: Duration,
    call_max: Duration,
    runtime: SdkRuntime,
    url: String,
    address: Address,
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
        let address = Address::new(url, "--queue-url")?;
        let variable = |name: &str| std::env::var(name).ok();
        for name in ENDPOINTS {
            if let Some(endpoint) = variable(name).filter(|endpoint| !endpoint.is_empty()) {
                check_endpoint(name, &endpoint)?;
            }
        }
        check_profile(variable)?;
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client::from_environment()?);
        // A queue is nowhere else than in its URL's region.
        if let Some(region) = &address.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(QueueError::configuration(
                "no region is configured: set AWS_REGION, or name a profile that has one".into(),
            ));
        }
        if let Some(endpoint) = config.endpoint_url() {
            check_endpoint("endpoint_url", endpoint)?;
        }
        let runtime = SdkRuntime::default();
        let first_max = Duration::from_secs(FIRST_CALL_SECS_MAX);
        let first = client(&config, &runtime, first_max, RetryConfig::standard());
        let region = config.region().map(ToString::to_string);
        let direct = Direct::new(
            runtime.clone(),
            region.unwrap_or_default(),
            connect_max(first_max),
        );
        Ok(Self {
            polls: first.clone(),
            calls: first,
            direct,
            receive_max: first_max,
            call_max: first_max,
            runtime,
            config,
            url: url.to_owned(),
            address,
        })
    }

    /// Keeps to these times from now on. The SDK has no such limits by default:
    /// a call could hang for ever (aws-sdk-rust#1094).
    pub(super) fn keep_to(&mut self, timing: &Timing) {
        // Whoever calls tries again, and paces that over all tasks (see `breaker`).
        let once = RetryConfig::disabled();
        self.polls = client(
            &self.config,
            &self.runtime,
            timing.receive_max,
            once.clone(),
        );
        self.calls = client(&self.config, &self.runtime, timing.call_max, once);
        self.receive_max = timing.receive_max;
        self.call_max = timing.call_max;
    }

    /// Another queue, spoken to in the same way.
    ///
    /// # Errors
    /// Its URL is none, or it is in another region.
    pub(super) fn other(&self, url: &str) -> Result<Self, QueueError> {
        let address = Address::new(url, "--dead-letter-queue-url")?;
        match (&address.region, self.config.region()) {
            (Some(its), Some(own)) if its != own.as_ref() => {
                return Err(QueueError::configuration(format!(
                    "the dead-letter queue {url} is in {its} and the queue in {own}: both have to \
                     be in one region"
                )));
            }
            _ => {}
        }
        Ok(Self {
            url: url.to_owned(),
            address,
            ..self.clone()
        })
    }

    /// That AWS_REGION names another region than the queue's URL.
    pub(super) fn region_warning(&self) -> Option<String> {
        let named = ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .into_iter()
            .find_map(|name| Some((name, std::env::var(name).ok().filter(|it| !it.is_empty())?)));
        let (variable, named) = named?;
        let used = self.address.region.as_ref()?;
        (*used != named).then(|| {
            format!(
                "the queue's URL is in {used} and {variable} says {}: {used} is used",
                crate::foreign::foreign_name(&named)
            )
        })
    }

    /// What a failed call means; `action` is the permission that it takes.
    fn failed<E>(&self, action: &'static str, error: &SdkError<E, HttpResponse>) -> QueueError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let region = self.config.region().map(ToString::to_string);
        let asked = Asked {
            action,
            queue: self.address.name.clone(),
            account: self.address.account.clone(),
            region: region.unwrap_or_default(),
            endpoint: String::new(),
        };
        self.runtime.of_failure(error, asked)
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
            .map_err(|error| self.failed("sqs:GetQueueAttributes", &error))?;
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
            .map_err(|error| self.failed("sqs:GetQueueUrl", &error))?;
        answer
            .queue_url
            .ok_or_else(|| QueueError::incomplete("the queue's URL"))
    }
}

impl AwsQueue {
    /// The rest of a call's time is the SDK's.
    async fn in_time<T>(
        &self,
        by: Instant,
        call: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        match timeout_at(by, call).await {
            Ok(answer) => answer,
            Err(_) => Err(self.runtime.of_silence(QueueError::late())),
        }
    }

    async fn receive_by_sdk(
        &self,
        poll: Poll,
        attempt: Option<&str>,
    ) -> Result<Received, QueueError> {
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
            .set_receive_request_attempt_id(attempt.map(str::to_owned))
            .send()
            .await
            .map_err(|error| self.failed("sqs:ReceiveMessage", &error))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(Received::of(messages.into_iter().map(answered)))
    }

    async fn delete_by_sdk(&self, handles: &[&str]) -> Result<Vec<EntryFailure>, QueueError> {
        let mut call = self.calls.delete_message_batch().queue_url(&self.url);
        for (position, handle) in handles.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(*handle)
                .build()
                .map_err(|_| QueueError::incomplete("a receipt handle"))?;
            call = call.entries(entry);
        }
        let answer = call.send().await;
        let answer = answer.map_err(|error| self.failed("sqs:DeleteMessage", &error))?;
        Ok(failures(&answer.failed))
    }
}

/// A client whose calls take no longer than this, the SDK's own retries
/// included, where it makes any.
fn client(
    config: &SdkConfig,
    runtime: &SdkRuntime,
    call_max: Duration,
    retry: RetryConfig,
) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(connect_max(call_max))
        .operation_timeout(call_max)
        .build();
    let config = aws_sdk_sqs::config::Builder::from(config)
        .interceptor(runtime.clone())
        .retry_config(retry)
        .timeout_config(timeouts);
    Client::from_conf(config.build())
}

fn connect_max(call_max: Duration) -> Duration {
    call_max.min(Duration::from_secs(CONNECT_SECS_MAX))
}

impl SourceCalls for AwsQueue {
    fn receive<'a>(&'a self, poll: Poll, attempt: &'a str) -> Answer<'a, Received> {
        Box::pin(async move {
            let by = Instant::now() + self.receive_max;
            let attempt = self.url.ends_with(".fifo").then_some(attempt);
            let direct = self
                .direct
                .receive(&self.url, poll, attempt, self.receive_max);
            match direct.await {
                Tried::Done(received) => Ok(received),
                Tried::Late(error) => Err(error),
                Tried::NotPlain => self.in_time(by, self.receive_by_sdk(poll, attempt)).await,
            }
        })
    }

    fn delete<'a>(&'a self, handles: &'a [&'a str]) -> Answer<'a, Vec<EntryFailure>> {
        Box::pin(async move {
            let by = Instant::now() + self.call_max;
            match self.direct.delete(&self.url, handles, self.call_max).await {
                Tried::Done(failures) => Ok(failures),
                Tried::Late(error) => Err(error),
                Tried::NotPlain => self.in_time(by, self.delete_by_sdk(handles)).await,
            }
        })
    }

    fn change_visibility<'a>(
        &'a self,
        entries: &'a [(&'a str, Duration)],
    ) -> Answer<'a, Vec<EntryFailure>> {
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
            let answer = call.send().await;
            let answer =
                answer.map_err(|error| self.failed("sqs:ChangeMessageVisibility", &error))?;
            Ok(failures(&answer.failed))
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
    fn send<'a>(&'a self, messages: &'a [OutgoingMessage<'a>]) -> Answer<'a, Vec<EntryFailure>> {
        Box::pin(async move {
            let fifo = self.url.ends_with(".fifo");
            let mut call = self.calls.send_message_batch().queue_url(&self.url);
            for (position, message) in messages.iter().enumerate() {
                call = call.entries(sent(position, message, fifo)?);
            }
            let answer = call.send().await;
            let answer = answer.map_err(|error| self.failed("sqs:SendMessage", &error))?;
            Ok(failures(&answer.failed))
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
    outgoing: &OutgoingMessage<'_>,
    fifo: bool,
) -> Result<SendMessageBatchRequestEntry, QueueError> {
    let message = outgoing.message;
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(position.to_string())
        .message_body(&message.body);
    for attribute in message.attributes.iter().chain(&outgoing.given) {
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

/// A message as the SDK has read it.
fn answered(told: SqsMessage) -> Answered<'static> {
    let system = told.attributes.unwrap_or_default();
    let number = |name| system.get(&name).and_then(|digits| digits.parse().ok());
    let attributes = told.message_attributes.unwrap_or_default().into_iter();
    Answered {
        message_id: told.message_id,
        handle: told.receipt_handle,
        body: told.body,
        md5: told.md5_of_body.map(Cow::Owned),
        sent_ms: number(System::SentTimestamp),
        receive_count: number(System::ApproximateReceiveCount),
        group: system.get(&System::MessageGroupId).cloned(),
        attributes: attributes
            .filter_map(|(name, value)| {
                let bytes = value.binary_value.map(Blob::into_inner);
                attribute(name, value.data_type, value.string_value, bytes)
            })
            .collect(),
    }
}
