//! What the endpoint has seen, and what it took of the processor.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::histogram::Histogram;
use super::operation::{OPERATIONS, Operation};

/// Counted since the endpoint began to answer.
pub struct Stats {
    cpu_before: Duration,
    calls: [u64; OPERATIONS.len()],
    /// The calls when a message was last deleted: what comes later is the
    /// looking for more.
    calls_by_last_delete: [u64; OPERATIONS.len()],
    received: u64,
    deleted: u64,
    first_receive: Option<Instant>,
    last_delete: Option<Instant>,
    receive_to_delete: Histogram,
}

impl Stats {
    pub fn start() -> Stats {
        Stats {
            cpu_before: thread_cpu(),
            calls: [0; OPERATIONS.len()],
            calls_by_last_delete: [0; OPERATIONS.len()],
            received: 0,
            deleted: 0,
            first_receive: None,
            last_delete: None,
            receive_to_delete: Histogram::new(),
        }
    }

    pub fn called(&mut self, operation: Operation) {
        self.calls[operation as usize] += 1;
    }

    pub fn received(&mut self, messages: usize) {
        if messages > 0 {
            self.first_receive.get_or_insert_with(Instant::now);
            self.received += messages as u64;
        }
    }

    /// Messages are deleted that had been received so long ago.
    pub fn deleted(&mut self, ages: &[Duration]) {
        if ages.is_empty() {
            return;
        }
        self.deleted += ages.len() as u64;
        self.last_delete = Some(Instant::now());
        self.calls_by_last_delete = self.calls;
        for age in ages {
            self.receive_to_delete.record(*age);
        }
    }

    /// All of it, as one JSON object.
    pub fn json(&self) -> String {
        let span = self.first_receive.zip(self.last_delete);
        let seconds = span.map(|(first, last)| last.duration_since(first).as_secs_f64());
        let ms = |percent| self.receive_to_delete.percentile(percent).as_secs_f64() * 1e3;
        json!({
            "calls": by_name(&self.calls),
            "calls_by_last_delete": by_name(&self.calls_by_last_delete),
            "received": self.received,
            "deleted": self.deleted,
            "seconds": seconds,
            "receive_to_delete_p50_ms": ms(50.0),
            "receive_to_delete_p99_ms": ms(99.0),
            "cpu_seconds": (thread_cpu() - self.cpu_before).as_secs_f64(),
        })
        .to_string()
    }
}

fn by_name(calls: &[u64; OPERATIONS.len()]) -> Value {
    let calls = OPERATIONS
        .iter()
        .map(|(operation, name)| ((*name).to_owned(), calls[*operation as usize].into()));
    Value::Object(Map::from_iter(calls))
}

/// How long this thread has run, by Linux's scheduler.
fn thread_cpu() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = schedstat.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("Linux tells how long the thread has run"))
}
