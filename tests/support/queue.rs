//! An SQS server over HTTP on the loopback address, one for each test, with
//! the test's queue and, on request, its dead-letter queue.
//!
//! It proves wiring: the requests that a real client sends, and what comes
//! back. It counts the calls by operation and can refuse an operation for a
//! while, which is how a test keeps a delete from happening.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{
    Message, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::body::SqsResponseBody;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use serde_json::json;
use tokio::net::TcpListener;

pub use super::credentials::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use super::{block_on, login, spawn, wait_until};

/// SQS's own limit.
const ENTRIES_PER_BATCH_MAX: usize = 10;
/// Sending takes well under this, so all of it falls on one UTC date.
const SEND_SECS_MAX: u64 = 10;
/// How often a queue delivers before it gives up on a message by itself.
const DELIVERIES_MAX: u32 = 5;

/// Whether there is a dead-letter queue, and who knows of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DeadLetters {
    None,
    /// The queue's own RedrivePolicy names it.
    ByPolicy,
    /// It is there, and the host has to be told.
    ByOption,
}

/// What queue a test wants.
#[derive(Clone, Copy)]
pub struct Shape {
    pub dead_letters: DeadLetters,
    pub fifo: bool,
    pub visibility_secs: u32,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            dead_letters: DeadLetters::ByPolicy,
            fifo: false,
            visibility_secs: 30,
        }
    }
}

pub struct Queue {
    pub url: String,
    pub endpoint: String,
    pub dead_letter_url: Option<String>,
    fifo: bool,
    client: Client,
    traffic: Arc<Traffic>,
}

/// What came in, and what is not let through.
#[derive(Default)]
struct Traffic {
    calls: Mutex<BTreeMap<String, usize>>,
    refused: Mutex<BTreeSet<String>>,
}

/// A message of the dead-letter queue.
#[derive(Debug)]
pub struct DeadLetter {
    pub body: String,
    pub attributes: BTreeMap<String, String>,
}

/// What was sent: the ids in order, and the day on which the queue took it.
pub struct Sent {
    pub ids: Vec<String>,
    pub day: i32,
}

impl Queue {
    pub fn with_dead_letters() -> Queue {
        Queue::shaped(Shape::default())
    }

    /// With a short visibility timeout: it gives a dead consumer's messages out
    /// again soon, and a host keeps its open polls short.
    pub fn impatient() -> Queue {
        Queue::shaped(Shape {
            visibility_secs: 6,
            ..Shape::default()
        })
    }

    pub fn without_dead_letters() -> Queue {
        Queue::shaped(Shape {
            dead_letters: DeadLetters::None,
            ..Shape::default()
        })
    }

    pub fn shaped(shape: Shape) -> Queue {
        block_on(async {
            let traffic = Arc::new(Traffic::default());
            let endpoint = serve(Arc::clone(&traffic)).await;
            let client = client(&endpoint);
            let dead_letter_url = match shape.dead_letters {
                DeadLetters::None => None,
                _ => Some(create(&client, "login-queue-dead", shape, None).await),
            };
            let target = match shape.dead_letters {
                DeadLetters::ByPolicy => dead_letter_url.as_deref(),
                _ => None,
            };
            Queue {
                url: create(&client, "login-queue", shape, target).await,
                endpoint,
                dead_letter_url,
                fifo: shape.fifo,
                client,
                traffic,
            }
        })
    }

    /// Sends the bodies in order. All of them arrive on one UTC date.
    pub fn send(&self, bodies: &[String]) -> Sent {
        wait_until("the UTC date is not about to change", || {
            login::secs_left_today() > SEND_SECS_MAX
        });
        let batches = bodies.chunks(ENTRIES_PER_BATCH_MAX);
        let ids = batches.flat_map(|batch| block_on(self.send_batch(batch)));
        Sent {
            ids: ids.collect(),
            day: login::today(),
        }
    }

    async fn send_batch(&self, bodies: &[String]) -> Vec<String> {
        let entries = bodies.iter().enumerate().map(|(n, body)| {
            let group = self.fifo.then(|| format!("group-{}", n % 3));
            SendMessageBatchRequestEntry::builder()
                .id(n.to_string())
                .message_body(body)
                .set_message_group_id(group)
                .build()
                .expect("an entry with an id and a body")
        });
        let answer = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect()))
            .send()
            .await
            .expect("send a batch");
        assert!(answer.failed.is_empty(), "the queue refused a message");
        let ids = answer.successful.into_iter().map(|entry| entry.message_id);
        ids.collect()
    }

    /// Messages that a consumer could receive now.
    pub fn visible(&self) -> usize {
        self.attribute(QueueAttributeName::ApproximateNumberOfMessages)
    }

    /// Messages that somebody has taken and not yet settled.
    pub fn hidden(&self) -> usize {
        self.attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
    }

    fn attribute(&self, name: QueueAttributeName) -> usize {
        block_on(async {
            let answer = self
                .client
                .get_queue_attributes()
                .queue_url(&self.url)
                .attribute_names(name.clone())
                .send()
                .await
                .expect("ask for the queue's attributes");
            let attributes = answer.attributes.expect("attributes");
            attributes[&name].parse().expect("a count")
        })
    }

    pub fn assert_empty(&self) {
        assert_eq!(
            (self.visible(), self.hidden()),
            (0, 0),
            "messages left in the queue (visible, hidden)"
        );
    }

    /// Everything in the dead-letter queue.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let url = self.dead_letter_url.as_ref();
        let url = url.expect("the test asked for a dead-letter queue");
        let mut letters = Vec::new();
        loop {
            let received = block_on(receive(&self.client, url));
            if received.is_empty() {
                return letters;
            }
            letters.extend(received.into_iter().map(dead_letter));
        }
    }

    /// Moves everything from the dead-letter queue back to where it came from,
    /// as a redrive does: with its attributes, and a new id. Returns how many.
    pub fn redrive(&self) -> usize {
        let dead = self.dead_letter_url.as_ref();
        let dead = dead.expect("the test asked for a dead-letter queue");
        let messages = block_on(receive(&self.client, dead));
        for message in &messages {
            let send = self.client.send_message().queue_url(&self.url);
            let send = send
                .set_message_body(message.body.clone())
                .set_message_attributes(message.message_attributes.clone());
            block_on(send.send()).expect("send the message back");
            let delete = self.client.delete_message().queue_url(dead);
            let delete = delete.set_receipt_handle(message.receipt_handle.clone());
            block_on(delete.send()).expect("delete the dead letter");
        }
        messages.len()
    }

    /// How often the operation was called, by the host or by the test.
    pub fn calls(&self, operation: &str) -> usize {
        let calls = self.traffic.calls.lock().expect("no test panics here");
        calls.get(operation).copied().unwrap_or(0)
    }

    /// From now on the service answers these operations with 503.
    pub fn refuse(&self, operations: &[&str]) {
        let mut refused = self.traffic.refused.lock().expect("no test panics here");
        refused.extend(operations.iter().map(|&operation| operation.to_owned()));
    }

    /// The service is well again.
    pub fn refuse_nothing(&self) {
        let mut refused = self.traffic.refused.lock().expect("no test panics here");
        refused.clear();
    }
}

impl Traffic {
    /// Counts the call, and says whether it is let through.
    fn admit(&self, request: &Request<Incoming>) -> bool {
        let target = request.headers().get("x-amz-target");
        let target = target.and_then(|value| value.to_str().ok()).unwrap_or("");
        let operation = target.rsplit('.').next().unwrap_or("");
        let mut calls = self.calls.lock().expect("no test panics here");
        *calls.entry(operation.to_owned()).or_default() += 1;
        let refused = self.refused.lock().expect("no test panics here");
        !refused.contains(operation)
    }
}

/// Serves a new provider until the process ends. Returns its endpoint.
async fn serve(traffic: Arc<Traffic>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.expect("listen on the loopback address");
    let port = listener.local_addr().expect("a bound address").port();
    let provider = RustackSqs::new(SqsConfig {
        default_region: REGION.to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        ..SqsConfig::default()
    });
    let handler = Arc::new(RustackSqsHandler::new(Arc::new(provider)));
    let service = SqsHttpService::new(handler, SqsHttpConfig::default());
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (service, traffic) = (service.clone(), Arc::clone(&traffic));
            let answer = move |request| answer(service.clone(), Arc::clone(&traffic), request);
            spawn(async move {
                // An error here is a client that went away: tests kill some.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer))
                    .await;
            });
        }
    });
    format!("http://127.0.0.1:{port}")
}

async fn answer(
    service: SqsHttpService<RustackSqsHandler>,
    traffic: Arc<Traffic>,
    request: Request<Incoming>,
) -> Result<Response<SqsResponseBody>, Infallible> {
    if traffic.admit(&request) {
        return service.call(request).await;
    }
    let body = json!({"__type": "ServiceUnavailable", "message": "refused by the test"});
    let mut response = Response::new(SqsResponseBody::from_json(body.to_string().into_bytes()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    Ok(response)
}

fn client(endpoint: &str) -> Client {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "invented");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(credentials)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// Creates a queue, with the given dead-letter queue if any. Returns its URL.
async fn create(client: &Client, name: &str, shape: Shape, dead_letter: Option<&str>) -> String {
    let mut request = client.create_queue().attributes(
        QueueAttributeName::VisibilityTimeout,
        shape.visibility_secs.to_string(),
    );
    let mut name = name.to_owned();
    if shape.fifo {
        name.push_str(".fifo");
        request = request
            .attributes(QueueAttributeName::FifoQueue, "true")
            .attributes(QueueAttributeName::ContentBasedDeduplication, "true");
    }
    if let Some(url) = dead_letter {
        let target = url.rsplit('/').next().expect("a queue's URL");
        let policy = json!({
            "deadLetterTargetArn": format!("arn:aws:sqs:{REGION}:000000000000:{target}"),
            "maxReceiveCount": DELIVERIES_MAX,
        });
        request = request.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    }
    let answer = request.queue_name(name).send().await;
    let answer = answer.expect("create a queue");
    answer.queue_url.expect("a queue has a URL")
}

async fn receive(client: &Client, url: &str) -> Vec<Message> {
    let answer = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .expect("receive from the dead-letter queue");
    answer.messages.unwrap_or_default()
}

fn dead_letter(message: Message) -> DeadLetter {
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    DeadLetter {
        body: message.body.unwrap_or_default(),
        attributes: attributes
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
    }
}

#[test]
fn the_queue_gives_what_was_sent_and_counts_it() {
    let queue = Queue::without_dead_letters();
    let bodies: Vec<String> = (0..25).map(|n| format!("invented {n}")).collect();
    assert_eq!(queue.send(&bodies).ids.len(), 25);
    assert_eq!((queue.visible(), queue.hidden()), (25, 0));
    let received = block_on(receive(&queue.client, &queue.url));
    assert_eq!((queue.visible(), queue.hidden()), (15, 10));
    assert_eq!(
        (received.len(), received[0].body()),
        (10, Some("invented 0"))
    );
    assert_eq!(queue.calls("ReceiveMessage"), 1);
}

#[test]
fn a_refused_operation_fails_until_the_service_is_well_again() {
    let queue = Queue::with_dead_letters();
    queue.refuse(&["PurgeQueue"]);
    let purge = || {
        let request = queue.client.purge_queue().queue_url(&queue.url);
        block_on(request.send()).is_ok()
    };
    assert!(!purge());
    queue.refuse_nothing();
    assert!(purge());
}
