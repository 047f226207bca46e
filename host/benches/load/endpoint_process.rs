//! The endpoint in a process of its own, so that its processor time is its own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::Deserialize;

use crate::login;
use crate::role::{Role, RoleProcess};
use crate::sqs_endpoint::{Endpoint, STATS};

/// An endpoint that answers.
pub struct EndpointProcess {
    /// Where, as `http://ADDRESS`.
    pub url: String,
    _process: RoleProcess,
}

/// What it has seen.
#[derive(Debug, Deserialize)]
pub struct EndpointStats {
    pub calls_by_last_delete: BTreeMap<String, u64>,
    pub deleted: u64,
    /// From the first receive to the last delete.
    pub seconds: Option<f64>,
    pub receive_to_delete_p50_ms: f64,
    pub receive_to_delete_p99_ms: f64,
    pub cpu_seconds: f64,
}

impl EndpointProcess {
    /// Starts it, filled with so many logins; each call takes this much longer.
    pub fn start(messages: usize, latency: Duration) -> EndpointProcess {
        let words = [messages.to_string(), latency.as_micros().to_string()];
        let process = RoleProcess::start(Role::Endpoint, &words);
        EndpointProcess {
            url: process.told.clone(),
            _process: process,
        }
    }

    pub fn stats(&self) -> EndpointStats {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("connect to the endpoint");
        let request =
            format!("GET {STATS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let asked = stream.write_all(request.as_bytes());
        asked.expect("ask the endpoint");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        read.expect("read the endpoint's answer");
        let (_, json) = answer
            .split_once("\r\n\r\n")
            .expect("an answer with a body");
        serde_json::from_str(json).expect("the endpoint's statistics")
    }
}

/// Is the endpoint: so many messages, and so many microseconds a call.
pub fn be(words: &[String]) -> ! {
    let number = |n: usize| -> u64 {
        let word = words.get(n).expect("a number of messages and a latency");
        word.parse().expect("a whole number")
    };
    let (messages, latency) = (number(0) as usize, Duration::from_micros(number(1)));
    let endpoint = Endpoint::filled((0..messages).map(login::body), latency);
    println!("{}", endpoint.url());
    endpoint.serve()
}
