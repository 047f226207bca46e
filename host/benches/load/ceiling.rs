//! What the endpoint can do at most: receives and deletes of ten, by a client
//! that does nothing else.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::endpoint_process::EndpointProcess;
use crate::sqs_endpoint::queue_url;

/// Calls under way at once.
const CONNECTIONS: usize = 16;
const READ_BYTES: usize = 64 << 10;

/// What was seen.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ceiling {
    pub messages_per_second: f64,
    pub endpoint_cpu_us: f64,
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The endpoint alone, ten messages a call: {:.0} messages/s, {:.1} CPU-µs a message.",
            self.messages_per_second, self.endpoint_cpu_us
        )
    }
}

/// Receives and deletes so many messages.
pub fn measure(messages: usize) -> Ceiling {
    let endpoint = EndpointProcess::start(messages, Duration::ZERO);
    let url = queue_url(&endpoint.url);
    let connect = |_| Connection::open(&endpoint.url);
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(connect).collect();
    let receive = serde_json::json!({
        "QueueUrl": url,
        "MaxNumberOfMessages": 10,
        "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
    });
    let receive = request("ReceiveMessage", &receive.to_string());
    let began = Instant::now();
    let mut left = messages;
    while left > 0 {
        for connection in &mut connections {
            connection.ask(&receive);
        }
        let mut deletes = Vec::with_capacity(CONNECTIONS);
        for connection in &mut connections {
            let handles = handles(connection.answer());
            left -= handles.len();
            deletes.push(request("DeleteMessageBatch", &delete(&url, &handles)));
        }
        for (connection, delete) in connections.iter_mut().zip(&deletes) {
            connection.ask(delete);
        }
        for connection in &mut connections {
            connection.answer();
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let stats = endpoint.stats();
    assert_eq!(stats.deleted, messages as u64, "messages are left");
    Ceiling {
        messages_per_second: messages as f64 / seconds,
        endpoint_cpu_us: stats.cpu_seconds * 1e6 / messages as f64,
    }
}

fn delete(url: &str, handles: &[&str]) -> String {
    let entries: Vec<String> = handles
        .iter()
        .enumerate()
        .map(|(id, handle)| format!(r#"{{"Id":"{id}","ReceiptHandle":"{handle}"}}"#))
        .collect();
    format!(
        r#"{{"QueueUrl":"{url}","Entries":[{}]}}"#,
        entries.join(",")
    )
}

fn handles(answer: &str) -> Vec<&str> {
    let parts = answer.split(r#""ReceiptHandle":""#).skip(1);
    parts.filter_map(|part| part.split('"').next()).collect()
}

fn request(operation: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: AmazonSQS.{operation}\r\n\
         content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A bare connection: one request, one answer.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    fn open(url: &str) -> Connection {
        let address = url.trim_start_matches("http://");
        let stream = TcpStream::connect(address).expect("connect to the endpoint");
        stream.set_nodelay(true).expect("send requests at once");
        Connection {
            stream,
            buffer: vec![0; READ_BYTES],
            filled: 0,
        }
    }

    fn ask(&mut self, request: &str) {
        let asked = self.stream.write_all(request.as_bytes());
        asked.expect("ask the endpoint");
    }

    /// The body of the answer.
    fn answer(&mut self) -> &str {
        self.filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[self.filled..]);
            let read = read.expect("read the endpoint's answer");
            assert!(read > 0, "the endpoint hangs up");
            self.filled += read;
            if let Some((from, to)) = body(&self.buffer[..self.filled])
                && to <= self.filled
            {
                let body = &self.buffer[from..to];
                return std::str::from_utf8(body).expect("an answer in UTF-8");
            }
        }
    }
}

/// Where the body begins and ends, once all headers are there.
fn body(answer: &[u8]) -> Option<(usize, usize)> {
    let headers = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..headers]).ok()?;
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let from = headers + 4;
    Some((from, from + length.parse::<usize>().ok()?))
}
