//! The endpoint that is called: this program, started again, so that its CPU
//! time is its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::login;
use crate::sqs_endpoint::{Endpoint, STATS};

/// The word by which this program is told to be the endpoint.
pub const ROLE: &str = "endpoint";

/// An endpoint that answers, for as long as this lives.
pub struct Served {
    /// Where, as `http://ADDRESS`.
    pub url: String,
    process: Child,
}

/// What it has seen, and what that took.
#[derive(Deserialize)]
pub struct Stats {
    pub deleted: usize,
    pub cpu_seconds: f64,
}

impl Served {
    /// Starts it with so many logins.
    pub fn start(messages: usize) -> Self {
        let this = std::env::current_exe().expect("this program's file");
        let mut process = Command::new(this)
            .args([ROLE, &messages.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the endpoint");
        let stdout = process.stdout.take().expect("a pipe");
        let mut url = String::new();
        let read = BufReader::new(stdout).read_line(&mut url);
        read.expect("read where it listens");
        Self {
            url: url.trim_end().to_owned(),
            process,
        }
    }

    pub fn stats(&self) -> Stats {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("connect to the endpoint");
        let request =
            format!("GET {STATS} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let asked = stream.write_all(request.as_bytes());
        asked.expect("ask the endpoint");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        read.expect("read the endpoint's answer");
        let json = answer.split("\r\n\r\n").nth(1).expect("a body");
        serde_json::from_str(json).expect("what it has seen")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is the endpoint until its standard input ends, of which whoever started it
/// holds the other end.
pub fn be(words: &[String]) -> ! {
    let messages = words.first().and_then(|word| word.parse().ok());
    let messages: usize = messages.expect("a number of messages");
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let endpoint = Endpoint::filled((0..messages).map(login::body), Duration::ZERO);
    println!("{}", endpoint.url());
    endpoint.serve()
}
