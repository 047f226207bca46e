//! What a message costs to receive and delete, ten a call: through the host's
//! own code, through the AWS SDK alone, and through the same HTTP calls made
//! bare, in the same run: `cargo calls`.
//!
//! Whoever calls is a process of its own, and so is the endpoint, so that each
//! one's CPU time is its own. Of several runs the median is shown.

mod bare;
mod caller;
#[path = "../stage/cpu.rs"]
#[allow(dead_code, reason = "only this process's own time is asked for")]
mod cpu;
mod host;
#[path = "../stage/login.rs"]
mod login;
mod sdk;
mod served;
mod signer;
#[path = "../stage/sqs_endpoint/mod.rs"]
mod sqs_endpoint;

use caller::{Caller, Way};
use served::Served;

/// What the host allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls under way at once.
const POLLERS: [usize; 3] = [1, 4, 16];
/// Of so many runs the median is shown.
const RUNS: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((role, words)) if role == served::ROLE => served::be(words),
        Some((role, words)) if role == caller::ROLE => caller::be(words),
        _ => measure(),
    }
}

fn measure() {
    println!(
        "{:>7}  {:<28} {:>10} {:>16} {:>8} {:>14}",
        "pollers", "", "messages/s", "CPU µs a message", "x bare", "endpoint's µs"
    );
    for pollers in POLLERS {
        let mut runs = vec![Vec::new(); Way::ALL.len()];
        for _ in 0..RUNS {
            for (way, runs) in Way::ALL.into_iter().zip(&mut runs) {
                runs.push(run(Caller { way, pollers }));
            }
        }
        let medians: Vec<Figures> = runs.iter().map(|runs| Figures::median(runs)).collect();
        for (way, median) in Way::ALL.into_iter().zip(&medians) {
            println!(
                "{pollers:>7}  {:<28} {:>10.0} {:>16.2} {:>8.2} {:>14.2}",
                way.name(),
                median.messages_per_sec,
                median.caller_us,
                median.caller_us / medians[0].caller_us,
                median.endpoint_us,
            );
        }
    }
}

/// What a run gave.
#[derive(Clone, Copy)]
struct Figures {
    messages_per_sec: f64,
    /// CPU time, a message.
    caller_us: f64,
    endpoint_us: f64,
}

fn run(caller: Caller) -> Figures {
    let endpoint = Served::start(caller::MESSAGES_IN_ALL);
    let taken = caller.start(&endpoint.url);
    let stats = endpoint.stats();
    assert_eq!(stats.deleted, caller::MESSAGES_IN_ALL, "messages are left");
    let us = |secs: f64, messages: usize| secs * 1e6 / messages as f64;
    Figures {
        messages_per_sec: caller::MESSAGES as f64 / taken.secs,
        caller_us: us(taken.cpu_secs, caller::MESSAGES),
        endpoint_us: us(stats.cpu_seconds, caller::MESSAGES_IN_ALL),
    }
}

impl Figures {
    /// The median of each.
    fn median(runs: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = runs.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Self {
            messages_per_sec: median(|run| run.messages_per_sec),
            caller_us: median(|run| run.caller_us),
            endpoint_us: median(|run| run.endpoint_us),
        }
    }
}
