//! What the admin endpoint of a host answers.

use std::io::{Read, Write};
use std::net::TcpStream;

/// The answer to a request, its status line first.
pub fn get(address: &str, path: &str) -> String {
    let mut answer = String::new();
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("ask");
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The value of a series, named with its labels.
pub fn series(address: &str, name: &str) -> Option<f64> {
    let metrics = get(address, "/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok())
}
