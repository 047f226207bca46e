//! The demo's two queues: creating them, filling one, reading the other.

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::{
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};

use super::queue_server::REGION;

/// The exercise's queue.
const SOURCE: &str = "login-queue";
/// Where rejected messages go.
const DEAD_LETTER: &str = "login-queue-dead-letter";
/// How long rejected messages are kept (SQS quota: 14 days).
const DEAD_LETTER_SECS: u32 = 1_209_600;
/// Deliveries after which SQS itself gives a message up.
const RECEIVES_MAX: u32 = 5;
/// Entries of one batch call (SQS quota).
const BATCH_ENTRIES_MAX: usize = 10;
/// Any key will do: the endpoint lets everyone in.
const ACCESS_KEY: &str = "demo";

/// The queues.
pub struct Queues {
    client: Client,
    /// The URL of the queue that is filled.
    pub source_url: String,
    dead_letter_url: String,
}

/// What the AWS SDK and CLI need in order to speak to the endpoint.
pub fn environment(endpoint_url: &str) -> [(&'static str, String); 4] {
    [
        ("AWS_ENDPOINT_URL_SQS", endpoint_url.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.to_owned()),
    ]
}

impl Queues {
    /// Creates both queues.
    pub async fn create(endpoint_url: &str) -> Result<Self> {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "demo"))
            .endpoint_url(endpoint_url)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let client = Client::from_conf(config);
        let created = client
            .create_queue()
            .queue_name(DEAD_LETTER)
            .attributes(
                QueueAttributeName::MessageRetentionPeriod,
                DEAD_LETTER_SECS.to_string(),
            )
            .send()
            .await?;
        let dead_letter_url = created.queue_url.context("a queue's URL")?;
        let answer = client
            .get_queue_attributes()
            .queue_url(&dead_letter_url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await?;
        let attributes = answer.attributes.unwrap_or_default();
        let arn = attributes
            .get(&QueueAttributeName::QueueArn)
            .context("a queue's ARN")?;
        let redrive =
            format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{RECEIVES_MAX}}}"#);
        let created = client
            .create_queue()
            .queue_name(SOURCE)
            .attributes(QueueAttributeName::RedrivePolicy, redrive)
            .send()
            .await?;
        Ok(Self {
            source_url: created.queue_url.context("a queue's URL")?,
            dead_letter_url,
            client,
        })
    }

    /// Sends bodies to the source queue.
    pub async fn send(&self, bodies: &[String]) -> Result<()> {
        for (chunk, first) in bodies.chunks(BATCH_ENTRIES_MAX).zip((1..).step_by(10)) {
            let mut call = self.client.send_message_batch().queue_url(&self.source_url);
            for (position, body) in chunk.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(position.to_string())
                    .message_body(body)
                    .build()?;
                call = call.entries(entry);
            }
            let answer = call
                .send()
                .await
                .with_context(|| format!("send messages {first} and following"))?;
            anyhow::ensure!(
                answer.failed.is_empty(),
                "the queue does not take {} of messages {first} and following",
                answer.failed.len()
            );
        }
        Ok(())
    }

    /// What the host wrote to the rejected messages, one line each. They are
    /// hidden by looking, for the endpoint's default of 30 s.
    pub async fn rejected(&self) -> Result<String> {
        let mut lines = Vec::new();
        loop {
            let answer = self
                .client
                .receive_message()
                .queue_url(&self.dead_letter_url)
                .max_number_of_messages(BATCH_ENTRIES_MAX as i32)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
                .message_attribute_names("All")
                .send()
                .await?;
            let messages = answer.messages.unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            for message in messages {
                let attributes = message.message_attributes.unwrap_or_default();
                let text = |name: &str| {
                    let value = attributes.get(name);
                    value.and_then(|value| value.string_value.clone())
                };
                lines.push(format!(
                    "  message {}: {}{}",
                    text("etl-host.origin-id").unwrap_or_default(),
                    text("etl-host.reason").unwrap_or_default(),
                    text("etl-host.field")
                        .map(|field| format!(" at {field}"))
                        .unwrap_or_default(),
                ));
            }
        }
        if lines.is_empty() {
            lines.push("  nothing".to_owned());
        }
        Ok(lines.join("\n"))
    }
}
