//! How much memory a host needs for a backlog of a thousand, a hundred
//! thousand and a million messages, and how many API calls ten messages cost
//! while it works one off. It prints a table and keeps nothing.
//!
//! The queue is the strict fake one: its receives and deletes cost the
//! logarithm of the backlog, and it holds a message in about a kilobyte. A
//! debug build is measured, as the tests use it; its speed says nothing.

#[path = "../fake_network/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod fake_network;
#[path = "../fake_queue/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod fake_queue;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use fake_queue::FakeQueue;
use fake_queue::operation::{DELETES, EXTENSIONS, Operation};
use support::database::Database;
use support::host::{Host, Running};
use support::login::Login;
use support::{guest, pause};

const QUEUE: &str = "backlog";
/// One receive and one delete.
const CALLS_PER_TEN_MAX: f64 = 2.0;
/// How much more a larger backlog may take before the line is not called flat.
const GROWTH_MAX: f64 = 1.5;
/// Without a delete for so long, it will not come to an end.
const STANDSTILL_SECS_MAX: u64 = 60;

/// Peak memory of one host by the size of its backlog.
#[derive(Parser)]
struct Arguments {
    /// How many messages wait when the host starts; once for each run.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    messages: Vec<usize>,
}

/// What was measured.
struct Measured {
    messages: usize,
    peak_kib: u64,
    seconds: f64,
    steady: Calls,
}

/// Calls so far, and messages deleted by then.
#[derive(Clone, Copy, Default)]
struct Calls {
    deleted: usize,
    receives: usize,
    deletes: usize,
    extensions: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    println!(
        "{:>9} {:>9} {:>9} {:>7}   API calls per ten messages: receives, deletes, extensions",
        "messages", "peak MiB", "seconds", "rate/s"
    );
    let measured: Vec<Measured> = arguments.messages.into_iter().map(measure).collect();
    let peaks = || measured.iter().map(|one| one.peak_kib);
    let (least, most) = (peaks().min().unwrap_or(0), peaks().max().unwrap_or(0));
    let flat = most as f64 <= least as f64 * GROWTH_MAX;
    // A short run has no steady state to speak of.
    let longest = measured.iter().max_by_key(|one| one.messages);
    let cheap = longest.is_none_or(|one| one.steady.paid_per_ten() <= CALLS_PER_TEN_MAX + 0.05);
    println!(
        "peak memory is {}, receives and deletes are {CALLS_PER_TEN_MAX} per ten messages {}",
        ["NOT FLAT", "flat"][usize::from(flat)],
        ["AND MORE", "or fewer"][usize::from(cheap)],
    );
    match flat && cheap {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn measure(messages: usize) -> Measured {
    let (fake, database) = (FakeQueue::start(), Database::with_table());
    let url = fake.queue(QUEUE).visibility_secs(30).create();
    for n in 0..messages {
        fake.send(QUEUE, &[Login::invented("memory", n).body()]);
    }
    let began = Instant::now();
    let mut host = Host::bare()
        .option("--transform", guest("sha256_mask.wasm"))
        .option("--queue-url", url)
        .option("--database-url", database.url())
        .env("AWS_ENDPOINT_URL_SQS", fake.endpoint())
        .start();
    wait_for_deletes(&fake, &mut host, messages / 10);
    let from = calls(&fake);
    wait_for_deletes(&fake, &mut host, messages / 10 * 9);
    let to = calls(&fake);
    wait_for_deletes(&fake, &mut host, messages);
    let seconds = began.elapsed().as_secs_f64();
    let peak_kib = host.memory_kib_max().expect("the host runs");
    host.terminate();
    host.finish().exited(0);
    let rows = database.count("user_logins");
    assert_eq!(usize::try_from(rows), Ok(messages), "rows of {messages}");
    let measured = Measured {
        messages,
        peak_kib,
        seconds,
        steady: to.since(from),
    };
    measured.print();
    measured
}

fn wait_for_deletes(fake: &FakeQueue, host: &mut Running, wanted: usize) {
    let (mut before, mut moved) = (0, Instant::now());
    loop {
        let deleted = fake.counts(QUEUE).tally.deleted;
        if deleted >= wanted {
            return;
        }
        if deleted > before {
            (before, moved) = (deleted, Instant::now());
        }
        let patience = Duration::from_secs(STANDSTILL_SECS_MAX);
        assert!(
            !host.has_ended() && moved.elapsed() < patience,
            "the host stands still at {deleted} of {wanted}"
        );
        pause();
    }
}

fn calls(fake: &FakeQueue) -> Calls {
    let count = |operations: &[Operation]| {
        let fits = |operation| operations.contains(&operation);
        fake.journal().matching(|call| fits(call.operation))
    };
    Calls {
        deleted: fake.counts(QUEUE).tally.deleted,
        receives: count(&[Operation::ReceiveMessage]),
        deletes: count(&DELETES),
        extensions: count(&EXTENSIONS),
    }
}

impl Calls {
    fn since(self, before: Calls) -> Calls {
        Calls {
            deleted: self.deleted - before.deleted,
            receives: self.receives - before.receives,
            deletes: self.deletes - before.deletes,
            extensions: self.extensions - before.extensions,
        }
    }

    fn per_ten(self, calls: usize) -> f64 {
        calls as f64 * 10.0 / self.deleted.max(1) as f64
    }

    fn paid_per_ten(self) -> f64 {
        self.per_ten(self.receives + self.deletes)
    }
}

impl Measured {
    fn print(&self) {
        let steady = self.steady;
        println!(
            "{:>9} {:>9.1} {:>9.1} {:>7.0}   {:.2}, {:.2}, {:.2}",
            self.messages,
            self.peak_kib as f64 / 1024.0,
            self.seconds,
            self.messages as f64 / self.seconds,
            steady.per_ten(steady.receives),
            steady.per_ten(steady.deletes),
            steady.per_ten(steady.extensions),
        );
    }
}
