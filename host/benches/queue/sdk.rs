//! The AWS SDK alone, set up as the host sets it up.

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName as System};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;
use tokio::task::JoinSet;

use crate::caller::{CALL_MESSAGES, Calls, Turns};

/// How long a call may take: the SDK has no limit by default.
const CALL_SECS_MAX: u64 = 10;

/// A client, and how many use it at once.
pub struct Sdk {
    client: Client,
    url: String,
    pollers: usize,
}

impl Sdk {
    pub async fn load(url: String, pollers: usize) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(CALL_SECS_MAX))
            .operation_timeout(Duration::from_secs(CALL_SECS_MAX))
            .build();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(timeouts)
            .load()
            .await;
        Self {
            client: Client::new(&config),
            url,
            pollers,
        }
    }
}

impl Calls for Sdk {
    async fn drain(&mut self, turns: Turns) {
        let mut pollers = JoinSet::new();
        for _ in 0..self.pollers {
            let (client, url, turns) = (self.client.clone(), self.url.clone(), turns.clone());
            pollers.spawn(async move {
                while turns.take() {
                    turn(&client, &url).await;
                }
            });
        }
        pollers.join_all().await;
    }
}

async fn turn(client: &Client, url: &str) {
    let received = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(CALL_MESSAGES as i32)
        .wait_time_seconds(1)
        .visibility_timeout(30)
        .message_system_attribute_names(System::SentTimestamp)
        .message_system_attribute_names(System::ApproximateReceiveCount)
        .message_system_attribute_names(System::MessageGroupId)
        .message_attribute_names("All")
        .send()
        .await
        .expect("receive");
    let messages = received.messages.unwrap_or_default();
    assert_eq!(messages.len(), CALL_MESSAGES);
    let mut delete = client.delete_message_batch().queue_url(url);
    for (id, message) in messages.into_iter().enumerate() {
        let entry = DeleteMessageBatchRequestEntry::builder()
            .id(id.to_string())
            .set_receipt_handle(message.receipt_handle)
            .build()
            .expect("an entry");
        delete = delete.entries(entry);
    }
    let deleted = delete.send().await.expect("delete");
    assert!(deleted.failed.is_empty(), "deletes failed");
}
