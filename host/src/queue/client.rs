//! The SQS client and what the queue says of itself.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use serde_json::Value;

use super::error::QueueError;

/// The longest long poll (SQS quota).
const POLL_SECS_MAX: u64 = 20;
/// What a call may take beyond the time that it waits on purpose. The SDK has
/// no such limit by default: a call could hang for ever (aws-sdk-rust#1094).
const CALL_SECS_MAX: u64 = 10;
/// The longest wait for a connection.
const CONNECT_SECS_MAX: u64 = 5;
/// The SQS default, for servers that do not tell.
const VISIBILITY_SECS_DEFAULT: u64 = 30;

/// Which queue, and how to use it.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// Its URL.
    pub url: String,
    /// The dead-letter queue to use instead of the queue's own.
    pub dead_letter_url: Option<String>,
    /// The longest wait for a message.
    pub poll_secs_max: u64,
}

/// The source queue.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(super) client: Client,
    pub(super) url: String,
    /// How long a received message stays hidden.
    pub visibility: Duration,
    /// How long a receive waits for a message.
    pub poll: Duration,
    /// Whether the queue keeps order within groups.
    pub fifo: bool,
    dead_letter_target: Option<String>,
}

impl Queue {
    /// Finds the queue and reads its attributes. Region, credentials and
    /// endpoint are the AWS SDK's own.
    ///
    /// # Errors
    /// The queue cannot be reached, does not exist or may not be used.
    pub async fn find(settings: &QueueSettings) -> Result<Self, QueueError> {
        let client = client(settings).await;
        let answer = client
            .get_queue_attributes()
            .queue_url(&settings.url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await?;
        let attributes = answer.attributes.unwrap_or_default();
        let visibility_secs = attributes
            .get(&QueueAttributeName::VisibilityTimeout)
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(VISIBILITY_SECS_DEFAULT);
        Ok(Self {
            client,
            url: settings.url.clone(),
            visibility: Duration::from_secs(visibility_secs.max(1)),
            // A poll shorter than the lease leaves time to act on the answer.
            poll: Duration::from_secs(settings.poll_secs_max.min(visibility_secs / 2)),
            fifo: settings.url.ends_with(".fifo"),
            dead_letter_target: dead_letter_target(&attributes),
        })
    }

    /// The name at the end of the URL, for messages.
    pub fn name(&self) -> &str {
        name(&self.url)
    }

    /// The URL of the queue's own dead-letter queue, if it has one.
    pub(super) async fn own_dead_letter_url(&self) -> Result<Option<String>, QueueError> {
        let Some(arn) = &self.dead_letter_target else {
            return Ok(None);
        };
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let mut parts = arn.rsplitn(3, ':');
        let (Some(queue), Some(account)) = (parts.next(), parts.next()) else {
            return Err(QueueError::configuration(format!(
                "the queue's RedrivePolicy names no queue: {arn}"
            )));
        };
        let answer = self
            .client
            .get_queue_url()
            .queue_name(queue)
            .queue_owner_aws_account_id(account)
            .send()
            .await?;
        Ok(answer.queue_url)
    }
}

/// The name at the end of a queue's URL.
pub(super) fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

async fn client(settings: &QueueSettings) -> Client {
    // ring, because the database's TLS uses it too and it builds anywhere that
    // has a C compiler; aws-lc would add minutes to a cold build.
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let poll_secs = settings.poll_secs_max.min(POLL_SECS_MAX);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
        .operation_attempt_timeout(Duration::from_secs(poll_secs + CALL_SECS_MAX))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts);
    // A queue's URL names its region; the variable, where it is set, wins.
    if std::env::var_os("AWS_REGION").is_none()
        && let Some(region) = region(&settings.url)
    {
        loader = loader.region(Region::new(region));
    }
    Client::new(&loader.load().await)
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

fn dead_letter_target(attributes: &HashMap<QueueAttributeName, String>) -> Option<String> {
    let policy = attributes.get(&QueueAttributeName::RedrivePolicy)?;
    let policy: Value = serde_json::from_str(policy).ok()?;
    Some(policy.get("deadLetterTargetArn")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_an_aws_url_only() {
        let region = |url| region(url);
        assert_eq!(
            region("https://sqs.eu-central-1.amazonaws.com/1/q").as_deref(),
            Some("eu-central-1")
        );
        assert_eq!(region("http://localhost:4566/1/q"), None);
    }
}
