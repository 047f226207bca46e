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
mod machine;
mod peers;
mod plot;
#[path = "../stage/postgres.rs"]
mod postgres;
mod relay;
mod report;
mod role;
mod run;
mod running;
#[path = "../stage/sqs_endpoint/mod.rs"]
mod sqs_endpoint;
mod start;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Parser;

use arguments::Arguments;
use database::{Databases, Expected};
use machine::Machine;
use report::Report;
use run::Measured;

/// Messages by which the endpoint alone is measured.
const CEILING_MESSAGES: usize = 200_000;

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    role::play(&words);
    // `cargo bench` adds this word at the end, where it would be the hosts'.
    words.retain(|word| word != "--bench");
    let command = format!("cargo load -- {}", words.join(" "));
    words.insert(0, "cargo load --".to_owned());
    let arguments = Arguments::parse_from(words);
    if arguments.ceiling {
        println!("{}", ceiling::measure(CEILING_MESSAGES));
        return;
    }
    let report = measure(&arguments, command.trim_end_matches([' ', '-']).to_owned());
    println!("\n{}", report.markdown());
    let write = |file: &Option<PathBuf>, text: String| {
        if let Some(file) = file {
            fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    };
    write(&arguments.json, report.json());
    write(&arguments.markdown, report.markdown());
    write(&arguments.plot, plot::svg(&report.runs));
}

fn measure(arguments: &Arguments, command: String) -> Report {
    if arguments.peers {
        peers::install();
    }
    let mut databases = Databases::start();
    let consumers = arguments.consumers().into_iter();
    let starts = consumers
        .map(|consumer| start::measure(consumer, &mut databases, &arguments.options))
        .collect();
    Report {
        command,
        endpoint_alone: ceiling::measure(CEILING_MESSAGES),
        machine: Machine::look(&mut databases),
        starts,
        runs: runs(arguments, &mut databases),
    }
}

/// Everything in turns, so that what else the machine does befalls all of it.
fn runs(arguments: &Arguments, databases: &mut Databases) -> Vec<Measured> {
    let expected: BTreeMap<usize, Expected> = arguments
        .messages
        .iter()
        .map(|messages| (*messages, databases.expected(*messages)))
        .collect();
    let scenarios = arguments.scenarios();
    let mut runs: Vec<Vec<Measured>> = scenarios.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.runs {
        for (scenario, runs) in scenarios.iter().zip(&mut runs) {
            let expected = &expected[&scenario.messages];
            let run = run::run(scenario, databases, expected, &arguments.options);
            eprintln!(
                "{scenario}: {:.0} messages/s, {:.1} CPU-us a message",
                run.messages_per_second, run.consumer_cpu_us
            );
            runs.push(run);
        }
    }
    runs.into_iter().filter_map(median).collect()
}

/// The run of median cost, as a whole.
fn median(mut runs: Vec<Measured>) -> Option<Measured> {
    runs.sort_by(|one, other| one.consumer_cpu_us.total_cmp(&other.consumer_cpu_us));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}
