//! The endpoint in a process of its own, so that its processor time is its own.
//!
//! The process is this program, started again. It ends with this one: it reads
//! its standard input, of which this one holds the other end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::login;
use crate::sqs_endpoint::{Endpoint, STATS};

/// The word by which this program is told to be an endpoint.
pub const ROLE: &str = "endpoint";

/// An endpoint that answers.
pub struct EndpointProcess {
    /// Where, as `http://ADDRESS`.
    pub url: String,
    process: Child,
}

/// What it has seen.
#[derive(Debug, Deserialize)]
pub struct EndpointStats {
    pub deleted: u64,
    pub cpu_seconds: f64,
}

impl EndpointProcess {
    /// Starts it, filled with so many logins; each call takes this much longer.
    pub fn start(messages: usize, latency: Duration) -> EndpointProcess {
        let this = std::env::current_exe().expect("this program's file");
        let mut process = Command::new(this)
            .arg(ROLE)
            .arg(messages.to_string())
            .arg(latency.as_micros().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the endpoint");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        let read = BufReader::new(stdout).read_line(&mut url);
        read.expect("read the endpoint's address");
        EndpointProcess {
            url: url.trim_end().to_owned(),
            process,
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

impl Drop for EndpointProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is the endpoint, for as long as whoever started it lives.
pub fn be(words: &[String]) -> ! {
    let number = |n: usize| -> u64 {
        let word = words.get(n).expect("a number of messages and a latency");
        word.parse().expect("a whole number")
    };
    let (messages, latency) = (number(0) as usize, Duration::from_micros(number(1)));
    end_with_parent();
    let endpoint = Endpoint::filled((0..messages).map(login::body), latency);
    println!("{}", endpoint.url());
    endpoint.serve()
}

/// Ends this process when its standard input does.
pub fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}
