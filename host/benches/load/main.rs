//! The whole path under load, and what each message costs: `cargo load`.
//!
//! A queue in memory that is full beforehand, a real PostgreSQL server with
//! durable settings, and one to several hosts between them, each in processes
//! of its own; beside them what users would write instead. After each run every
//! message must have given its row and its ledger entry.

mod arguments;
mod ceiling;
mod consumer;
#[path = "../stage/cpu.rs"]
#[allow(dead_code, reason = "other processes are measured here")]
mod cpu;
mod database;
mod endpoint_process;
#[path = "../stage/login.rs"]
mod login;
mod peers;
#[path = "../stage/postgres.rs"]
mod postgres;
mod relay;
mod role;
mod run;
mod running;
#[path = "../stage/sqs_endpoint/mod.rs"]
mod sqs_endpoint;
mod table;

use clap::Parser;

use arguments::Arguments;
use ceiling::Ceiling;
use database::Databases;
use run::Measured;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    role::play(&words);
    // `cargo bench` adds this word at the end, where it may be taken for the
    // hosts'.
    let words = std::env::args().filter(|word| word != "--bench");
    let arguments = Arguments::parse_from(words);
    if arguments.ceiling {
        println!("{}", ceiling::measure(arguments.messages));
        return;
    }
    let runs = measure(&arguments);
    println!("\n{}", table::table(&runs));
}

fn measure(arguments: &Arguments) -> Vec<Measured> {
    let mut databases = Databases::start();
    let expected = databases.expected(arguments.messages);
    let mut runs = Vec::new();
    for scenario in arguments.scenarios() {
        let run = run::run(&scenario, &mut databases, &expected, &arguments.options);
        eprintln!(
            "{}: {:.0} messages/s, {:.1} CPU-us a message",
            scenario, run.messages_per_second, run.consumer_cpu_us
        );
        runs.push(run);
    }
    runs
}

impl std::fmt::Display for Ceiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the endpoint alone: {:.0} messages/s, {:.2} CPU-us a message",
            self.messages_per_second, self.endpoint_us_per_message
        )
    }
}
