//! Changes the component ten thousand times, and shows that neither memory nor
//! address space nor threads are lost to it: `cargo swaps`.
//!
//! A swap is what a host does whose component changes: load it from the cache
//! beside the running one, start its threads, judge a message, and let go of
//! the old one.

mod stage;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use etl_host::message::Message;
use etl_host::sandbox::{Isolation, Judge, SandboxThreads};
use etl_host::verdict::Verdict;

const SWAPS: usize = 10_000;
/// After so many swaps a line is printed.
const LINES: [usize; 5] = [1, 100, 1_000, 5_000, SWAPS];
/// The threads of a host on two cores.
const THREADS: usize = 2;
/// How long the threads of the last component may take to end.
const END_SECS_MAX: u64 = 10;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("start a runtime");
    let messages = stage::messages(1);
    let threads_before = status("Threads:");
    println!(
        "{:>7} {:>10} {:>12} {:>8} {:>9}",
        "swaps", "RSS KiB", "address MiB", "threads", "ms a swap"
    );
    let mut running = start();
    let mut latencies = Latencies::default();
    let began = Instant::now();
    for swap in 1..=SWAPS {
        let old = runtime.block_on(judge(&running, messages.clone()));
        let next = start();
        let first = runtime.block_on(judge(&next, messages.clone()));
        latencies.old.push(old);
        latencies.first.push(first);
        running = next;
        if LINES.contains(&swap) {
            println!(
                "{swap:>7} {:>10} {:>12} {:>8} {:>9.2}",
                status("VmRSS:"),
                status("VmSize:") >> 10,
                status("Threads:"),
                began.elapsed().as_secs_f64() * 1_000.0 / swap as f64
            );
        }
    }
    drop(running);
    latencies.print();
    let patience = Instant::now();
    while status("Threads:") > threads_before {
        assert!(
            patience.elapsed() < Duration::from_secs(END_SECS_MAX),
            "threads of old components are left"
        );
        std::thread::yield_now();
    }
}

fn start() -> SandboxThreads {
    let sandbox = stage::sandbox("sha256_mask.wasm", Isolation::Batch, THREADS);
    SandboxThreads::start(Arc::new(sandbox), THREADS).expect("start the threads")
}

async fn judge(threads: &SandboxThreads, messages: Vec<Message>) -> Duration {
    let began = Instant::now();
    let judged = threads.judge(messages).await;
    assert!(matches!(judged.verdicts[..], [Verdict::Rows(_)]));
    began.elapsed()
}

/// How long a message waited for its verdict: one of the old component, and
/// the first of its successor, which is loaded while the old one goes on.
#[derive(Default)]
struct Latencies {
    old: Vec<Duration>,
    first: Vec<Duration>,
}

impl Latencies {
    fn print(self) {
        for (whose, mut latencies) in [("old", self.old), ("successor", self.first)] {
            latencies.sort_unstable();
            let us = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_micros();
            println!(
                "a message of the {whose}: {} us at p50, {} at p99, {} at most",
                us(50),
                us(99),
                us(100)
            );
        }
    }
}

/// A number of this process, as Linux tells it.
fn status(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("read the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}
