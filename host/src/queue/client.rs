//! The source queue: what it says of itself, and how it is spoken to.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::address::Address;
use super::aws::{Attributes, AwsQueue};
use super::backlog::Backlog;
use super::breaker::Breakers;
use super::budget::BODY_BYTES_MAX;
use super::calls::SourceCalls;
use super::dead_letter::DeadLetterQueue;
use super::error::QueueError;
use super::timing::Timing;
use crate::origin::Secrets;

/// The SQS default, for servers that do not tell.
pub(super) const VISIBILITY_SECS_DEFAULT: u64 = 30;

/// Which queue, and how to use it.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// Its URL.
    pub url: String,
    /// The dead-letter queue to use instead of the queue's own.
    pub dead_letter_url: Option<String>,
    /// The longest wait for a message.
    pub poll_max: Duration,
}

impl QueueSettings {
    /// How long a receive may take at most, whatever the queue says of itself.
    pub fn receive_max(&self) -> Duration {
        Timing::new(Duration::MAX / 2, self.poll_max).receive_max
    }
}

/// The source queue.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(super) calls: Arc<dyn SourceCalls>,
    /// The name at the end of its URL.
    pub name: String,
    /// How long everything takes at most.
    pub timing: Timing,
    /// Whether the queue keeps order within groups.
    pub fifo: bool,
    /// What proves a message's origin.
    pub(super) secrets: Secrets,
    /// One for each kind of call that many tasks make.
    pub breakers: Breakers,
}

/// Both queues, and what an operator should know of them.
#[derive(Debug)]
pub struct Found {
    /// The source queue.
    pub queue: Queue,
    /// Where rejected messages go.
    pub dead_letter_queue: Option<DeadLetterQueue>,
    /// What endangers the delivery, each with its remedy.
    pub warnings: Vec<String>,
}

impl Queue {
    /// Finds the queue and the dead-letter queue, and reads their attributes.
    /// Region, credentials and endpoint are the AWS SDK's own.
    ///
    /// # Errors
    /// A queue cannot be reached, does not exist or may not be used.
    pub async fn find(settings: &QueueSettings) -> Result<Found, QueueError> {
        let mut aws = AwsQueue::new(&settings.url).await?;
        let attributes = aws.attributes().await?;
        let visibility = seconds(&attributes, "VisibilityTimeout")
            .unwrap_or(Duration::from_secs(VISIBILITY_SECS_DEFAULT));
        let timing = Timing::new(visibility, settings.poll_max);
        aws.keep_to(&timing);

        let mut warnings: Vec<String> = Timing::warning(visibility).into_iter().collect();
        warnings.extend(aws.region_warning());
        let dead_letter_url = dead_letter_url(settings, &aws, &attributes).await?;
        let dead_letter_queue = match dead_letter_url {
            Some(url) => {
                let aws = aws.other(&url)?;
                // Fails here, not at the first rejection, where it is missing.
                let about = |error: QueueError| error.about(&format!("dead-letter queue {url}"));
                let its = aws.attributes().await.map_err(about)?;
                warnings.extend(short_retention(&attributes, &its));
                warnings.extend(smaller_messages(&attributes, &its));
                Some(DeadLetterQueue {
                    bytes_max: bytes_max(&its),
                    ..DeadLetterQueue::new(Arc::new(aws), name(&url))
                })
            }
            None => {
                warnings.push(
                    "there is no dead-letter queue: rejected messages stay in the queue, hidden \
                     for longer each time, until its retention ends; give the queue a \
                     RedrivePolicy, or --dead-letter-queue-url"
                        .into(),
                );
                None
            }
        };
        let queue = Self {
            calls: Arc::new(aws),
            name: name(&settings.url),
            timing,
            fifo: settings.url.ends_with(".fifo"),
            secrets: Secrets::default(),
            breakers: Breakers::default(),
        };
        Ok(Found {
            queue,
            dead_letter_queue,
            warnings,
        })
    }

    /// Asks the queue for its counts.
    ///
    /// # Errors
    /// The queue did not answer, or not with yes.
    pub async fn backlog(&self) -> Result<Backlog, QueueError> {
        self.calls.backlog().await
    }
}

impl Found {
    /// The same queues, for which these secrets prove and sign origins.
    #[must_use]
    pub fn with_secrets(mut self, secrets: &Secrets) -> Self {
        self.queue.secrets = secrets.clone();
        if let Some(queue) = &mut self.dead_letter_queue {
            queue.secrets = secrets.clone();
        }
        self
    }
}

#[cfg(any(test, feature = "bench"))]
impl Queue {
    /// A queue that lives in memory.
    pub(crate) fn simulated(calls: Arc<dyn SourceCalls>, timing: Timing, fifo: bool) -> Self {
        Self {
            calls,
            name: "simulated".into(),
            timing,
            fifo,
            secrets: Secrets::default(),
            breakers: Breakers::default(),
        }
    }
}

/// The URL of the dead-letter queue: the one that is named, or the target of
/// the queue's own RedrivePolicy.
///
/// # Errors
/// The target cannot be found, or is the queue itself.
pub(super) async fn dead_letter_url(
    settings: &QueueSettings,
    queue: &AwsQueue,
    attributes: &Attributes,
) -> Result<Option<String>, QueueError> {
    let url = match (&settings.dead_letter_url, redrive_target(attributes)) {
        (Some(url), _) => {
            Address::new(url, "--dead-letter-queue-url")?;
            url.clone()
        }
        (None, Some(arn)) => {
            let about = |error: QueueError| error.about(&format!("dead-letter queue {arn}"));
            queue.url_of(&arn).await.map_err(about)?
        }
        (None, None) => return Ok(None),
    };
    match url == settings.url {
        true => Err(QueueError::configuration(
            "the dead-letter queue is the source queue itself".into(),
        )),
        false => Ok(Some(url)),
    }
}

/// The name at the end of a queue's URL.
pub(super) fn name(url: &str) -> String {
    url.rsplit('/').next().unwrap_or(url).to_owned()
}

pub(super) fn seconds(attributes: &Attributes, name: &str) -> Option<Duration> {
    let seconds = attributes.get(name)?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The size of the largest message that a queue takes, in bytes.
pub(super) fn bytes_max(attributes: &Attributes) -> usize {
    let max = attributes.get("MaximumMessageSize");
    max.and_then(|max| max.parse().ok())
        .unwrap_or(BODY_BYTES_MAX)
}

pub(super) fn redrive_target(attributes: &Attributes) -> Option<String> {
    let policy = attributes.get("RedrivePolicy")?;
    let policy: Value = serde_json::from_str(policy).ok()?;
    Some(policy.get("deadLetterTargetArn")?.as_str()?.to_owned())
}

/// On a standard queue SQS counts retention from the first sending: a message
/// that it moves itself arrives with the time that is left.
fn short_retention(source: &Attributes, dead_letter: &Attributes) -> Option<String> {
    let name = "MessageRetentionPeriod";
    let (source, dead_letter) = (seconds(source, name)?, seconds(dead_letter, name)?);
    (dead_letter <= source).then(|| {
        format!(
            "the dead-letter queue keeps messages for {} s, the queue for {} s: a message that \
             SQS moves itself may expire at once; set the dead-letter queue's \
             MessageRetentionPeriod higher (at most 1209600 s)",
            dead_letter.as_secs(),
            source.as_secs()
        )
    })
}

/// A rejected message that the dead-letter queue cannot take stays where it is.
fn smaller_messages(source: &Attributes, dead_letter: &Attributes) -> Option<String> {
    let (source, dead_letter) = (bytes_max(source), bytes_max(dead_letter));
    (dead_letter < source).then(|| {
        format!(
            "the dead-letter queue takes messages of {dead_letter} bytes, the queue of {source}: \
             a larger one that is rejected stays in the queue; set the dead-letter queue's \
             MaximumMessageSize to {source}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_queue_that_forgets_first_is_a_warning() {
        let keeps = |seconds: &str| {
            Attributes::from([("MessageRetentionPeriod".to_owned(), seconds.to_owned())])
        };
        assert!(short_retention(&keeps("345600"), &keeps("345600")).is_some());
        assert!(short_retention(&keeps("345600"), &keeps("1209600")).is_none());
    }

    #[test]
    fn a_dead_letter_queue_that_takes_less_is_a_warning() {
        let takes =
            |bytes: &str| Attributes::from([("MaximumMessageSize".to_owned(), bytes.to_owned())]);
        assert!(smaller_messages(&takes("1048576"), &takes("262144")).is_some());
        assert!(smaller_messages(&Attributes::new(), &takes("262144")).is_some());
        assert!(smaller_messages(&takes("262144"), &takes("262144")).is_none());
        assert!(smaller_messages(&takes("262144"), &Attributes::new()).is_none());
    }

    #[test]
    fn the_redrive_policy_names_the_target() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:r:1:dead","maxReceiveCount":"3"}"#;
        let attributes = Attributes::from([("RedrivePolicy".to_owned(), policy.to_owned())]);
        assert_eq!(
            redrive_target(&attributes).as_deref(),
            Some("arn:aws:sqs:r:1:dead")
        );
        assert_eq!(redrive_target(&Attributes::new()), None);
    }
}
