//! The floor: the same requests over connections that are kept open, and
//! answers in which the same fields are read, with nothing between.

use std::borrow::Cow;
use std::fmt::Write;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::caller::{CALL_MESSAGES, Calls, Turns};
use crate::signer::Signer;

/// A connection for each poller.
pub struct Bare {
    connections: Vec<Connection>,
}

struct Connection {
    requests: SendRequest<Full<Bytes>>,
    endpoint: String,
    queue_url: String,
    receive: Bytes,
    signer: Option<Signer>,
}

#[derive(Deserialize)]
struct Received<'a> {
    #[serde(borrow, rename = "Messages")]
    messages: Vec<Message<'a>>,
}

/// What the host needs of a message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read, which is what is measured")]
struct Message<'a> {
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    receipt_handle: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    #[serde(borrow, rename = "MD5OfBody")]
    md5_of_body: Cow<'a, str>,
    #[serde(borrow)]
    attributes: Attributes<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read, which is what is measured")]
struct Attributes<'a> {
    #[serde(borrow)]
    sent_timestamp: Cow<'a, str>,
    #[serde(borrow)]
    approximate_receive_count: Cow<'a, str>,
}

impl Bare {
    pub async fn connect(
        endpoint: &str,
        queue_url: &str,
        pollers: usize,
        signer: Option<Signer>,
    ) -> Self {
        let mut connections = Vec::new();
        for _ in 0..pollers {
            connections.push(Connection::open(endpoint, queue_url, signer.clone()).await);
        }
        Self { connections }
    }
}

impl Calls for Bare {
    async fn drain(&mut self, turns: Turns) {
        let mut pollers = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let turns = turns.clone();
            pollers.spawn(async move {
                while turns.take() {
                    connection.turn().await;
                }
                connection
            });
        }
        self.connections = pollers.join_all().await;
    }
}

impl Connection {
    async fn open(endpoint: &str, queue_url: &str, signer: Option<Signer>) -> Self {
        let address = endpoint.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("send requests at once");
        let (requests, connection) = handshake(TokioIo::new(stream)).await.expect("connect");
        tokio::spawn(connection);
        let receive = serde_json::json!({
            "QueueUrl": queue_url,
            "MaxNumberOfMessages": CALL_MESSAGES,
            "WaitTimeSeconds": 1,
            "VisibilityTimeout": 30,
            "MessageSystemAttributeNames":
                ["SentTimestamp", "ApproximateReceiveCount", "MessageGroupId"],
            "MessageAttributeNames": ["All"],
        });
        Self {
            requests,
            endpoint: format!("{endpoint}/"),
            queue_url: queue_url.to_owned(),
            receive: receive.to_string().into(),
            signer,
        }
    }

    async fn turn(&mut self) {
        let answer = self.call("ReceiveMessage", self.receive.clone()).await;
        let received: Received<'_> = serde_json::from_slice(&answer).expect("messages");
        assert_eq!(received.messages.len(), CALL_MESSAGES);
        let delete = delete(&self.queue_url, &received.messages);
        self.call("DeleteMessageBatch", delete.into()).await;
    }

    async fn call(&mut self, operation: &str, body: Bytes) -> Bytes {
        let host = self.endpoint.trim_start_matches("http://");
        let mut request = Request::post("/")
            .header(HOST, host.trim_end_matches('/'))
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{operation}"))
            .body(Full::new(body.clone()))
            .expect("a request");
        if let Some(signer) = &self.signer {
            signer.sign(&self.endpoint, &mut request, &body);
        }
        let answer = self
            .requests
            .send_request(request)
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.expect("an answer");
        body.to_bytes()
    }
}

fn delete(queue_url: &str, messages: &[Message<'_>]) -> String {
    let mut body = format!(r#"{{"QueueUrl":"{queue_url}","Entries":["#);
    for (id, message) in messages.iter().enumerate() {
        let comma = if id > 0 { "," } else { "" };
        let handle = &message.receipt_handle;
        write!(body, r#"{comma}{{"Id":"{id}","ReceiptHandle":"{handle}"}}"#).expect("a text grows");
    }
    body.push_str("]}");
    body
}
