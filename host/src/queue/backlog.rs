//! How much is left in the queue.

use aws_sdk_sqs::types::QueueAttributeName;

use super::client::Queue;
use super::error::QueueError;

/// The queue's own counts, which SQS gives approximately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that a receive could bring.
    pub visible: u64,
    /// Messages that somebody has taken and not deleted.
    pub in_flight: u64,
    /// Messages that become visible later.
    pub delayed: u64,
}

impl Queue {
    /// Asks the queue for its counts.
    ///
    /// # Errors
    /// The queue did not answer, or not with yes.
    pub async fn backlog(&self) -> Result<Backlog, QueueError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
            .send()
            .await?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name: QueueAttributeName| {
            attributes
                .get(&name)
                .and_then(|count| count.parse().ok())
                .ok_or_else(|| QueueError::incomplete("a number of messages"))
        };
        Ok(Backlog {
            visible: count(QueueAttributeName::ApproximateNumberOfMessages)?,
            in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)?,
            // Some servers leave it out where nothing is delayed.
            delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed).unwrap_or(0),
        })
    }
}
