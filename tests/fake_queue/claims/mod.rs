//! What the fake queue claims, shown with the client that the host uses. The
//! client tries nothing twice, so that each call is one call.

mod faults;
mod fifo;
mod journal;
mod limits;
mod oracle;
mod standard;

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::delete_message_batch::DeleteMessageBatchOutput;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName,
};

use super::FakeQueue;
use super::store::REGION;
use crate::support::block_on;

/// A queue's name in most claims.
const SOURCE: &str = "login-queue";
const DEAD: &str = "login-queue-dead";
/// Long enough that nothing runs out by itself while a claim is shown.
const VISIBILITY_SECS: u32 = 300;
/// In wall time, as the client knows no other: far above what a call takes
/// beside a poll of 20 s on the busiest machine.
const CALL_SECS_MAX: u64 = 600;

struct Scene {
    fake: FakeQueue,
    client: Client,
}

impl Scene {
    /// A source queue, and one for its dead letters after three receives.
    fn new() -> Scene {
        let fake = FakeQueue::start();
        fake.queue(DEAD).create();
        fake.queue(SOURCE)
            .visibility_secs(VISIBILITY_SECS)
            .dead_letters(DEAD, 3)
            .create();
        Scene::around(fake)
    }

    fn around(fake: FakeQueue) -> Scene {
        let client = client(fake.endpoint(), CALL_SECS_MAX * 1_000);
        Scene { fake, client }
    }

    /// A client that gives up early.
    fn impatient(&self) -> Client {
        client(self.fake.endpoint(), 1_500)
    }

    fn receive(&self) -> Vec<Message> {
        self.receive_from(SOURCE)
    }

    fn receive_from(&self, queue: &str) -> Vec<Message> {
        let received = receive(&self.client, &self.fake.url(queue), 0);
        received.expect("receive")
    }

    /// Receives exactly one message.
    #[track_caller]
    fn receive_one(&self) -> Message {
        let mut received = self.receive();
        assert_eq!(received.len(), 1);
        received.remove(0)
    }

    /// The code of the refusal, if it was refused.
    fn delete(&self, handle: &str) -> Result<(), String> {
        self.delete_from(SOURCE, handle)
    }

    fn delete_from(&self, queue: &str, handle: &str) -> Result<(), String> {
        let call = self.client.delete_message();
        let call = call
            .queue_url(self.fake.url(queue))
            .receipt_handle(handle)
            .send();
        block_on(call).map(|_| ()).map_err(code)
    }

    fn delete_batch(&self, handles: &[&str]) -> Result<DeleteMessageBatchOutput, String> {
        let entries = handles.iter().enumerate().map(|(n, handle)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(n.to_string())
                .receipt_handle(*handle)
                .build()
                .expect("an entry with an id and a handle")
        });
        let call = self.client.delete_message_batch();
        let call = call
            .queue_url(self.fake.url(SOURCE))
            .set_entries(Some(entries.collect()))
            .send();
        block_on(call).map_err(code)
    }

    fn extend(&self, handle: &str, secs: i32) -> Result<(), String> {
        let call = self.client.change_message_visibility();
        let call = call
            .queue_url(self.fake.url(SOURCE))
            .receipt_handle(handle)
            .visibility_timeout(secs)
            .send();
        block_on(call).map(|_| ()).map_err(code)
    }

    /// The codes of the entries that failed, by position.
    fn extend_batch(&self, handles: &[&str], secs: i32) -> Vec<(String, String)> {
        let entries = handles.iter().enumerate().map(|(n, handle)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(n.to_string())
                .receipt_handle(*handle)
                .visibility_timeout(secs)
                .build()
                .expect("an entry with an id and a handle")
        });
        let call = self.client.change_message_visibility_batch();
        let call = call
            .queue_url(self.fake.url(SOURCE))
            .set_entries(Some(entries.collect()))
            .send();
        let failed = block_on(call).map_err(code).expect("extend").failed;
        failed
            .into_iter()
            .map(|entry| (entry.id, entry.code))
            .collect()
    }

    /// Visible, in flight, delayed.
    fn counts_of(&self, queue: &str) -> (usize, usize, usize) {
        let counts = self.fake.counts(queue);
        (counts.visible, counts.in_flight, counts.delayed)
    }

    fn lease_runs_out(&self) {
        let visibility = Duration::from_secs(VISIBILITY_SECS.into());
        self.fake.put_clock_forward(visibility);
    }
}

fn client(endpoint: &str, call_ms_max: u64) -> Client {
    let credentials = Credentials::new("AKIAINVENTEDFORTESTS", "invented", None, None, "invented");
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_millis(call_ms_max));
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(credentials)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .build();
    Client::from_conf(config)
}

fn receive(client: &Client, url: &str, wait_secs: i32) -> Result<Vec<Message>, String> {
    let call = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .wait_time_seconds(wait_secs)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send();
    let answer = block_on(call).map_err(code)?;
    Ok(answer.messages.unwrap_or_default())
}

/// The service's code, or what else went wrong.
fn code<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> String {
    match &error {
        SdkError::ServiceError(answer) => answer.err().code().unwrap_or("none").to_owned(),
        SdkError::TimeoutError(_) => "timeout".to_owned(),
        SdkError::DispatchFailure(_) => "dispatch".to_owned(),
        SdkError::ResponseError(_) => "response".to_owned(),
        _ => "other".to_owned(),
    }
}

fn bodies(received: &[Message]) -> Vec<&str> {
    received.iter().filter_map(Message::body).collect()
}

fn ids(received: &[Message]) -> Vec<&str> {
    received.iter().filter_map(Message::message_id).collect()
}

fn handles(received: &[Message]) -> Vec<&str> {
    received
        .iter()
        .filter_map(Message::receipt_handle)
        .collect()
}

fn handle(message: &Message) -> &str {
    message.receipt_handle().expect("a handle")
}

fn system<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let attributes = message.attributes()?;
    let value = attributes.get(&MessageSystemAttributeName::from(name))?;
    Some(value)
}
