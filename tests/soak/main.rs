//! The soak: several hosts on one strict fake queue and a real PostgreSQL
//! server, killed, stopped and disturbed at random for as long as one asks,
//! while messages keep coming. Then all is left in peace, the queue is emptied,
//! and what each message became is judged. `cargo soak -- --minutes 10`.
//!
//! The printed seed gives the same faults in the same order again; how they
//! meet the hosts is the machine's to decide.

#[path = "../fake_network/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod fake_network;
#[path = "../fake_queue/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod fake_queue;
mod fleet;
mod mischief;
mod schedule;
mod stage;
mod stream;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod support;
mod table_fault;
mod verdict;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use fleet::Fleet;
use mischief::Mischief;
use schedule::Schedule;
use stage::Stage;
use stream::Stream;
use support::pause;
use verdict::Verdict;
use watch::Watch;

const PROGRESS_SECS: u64 = 5;
/// Of the faults that are not kills.
const FAULTS_PER_MINUTE: f64 = 50.0;
/// Of hosts that are told to end in order, and of those that are suspended.
const TERMINATIONS_PER_MINUTE: f64 = 4.0;
const SUSPENSIONS_PER_MINUTE: f64 = 3.0;
/// Times in which nothing goes wrong until the hosts have recovered.
const RESPITES_PER_MINUTE: f64 = 1.0;

/// Hundreds of random kills of several hosts on one queue, with faults of the
/// queue, the network and the database, and the verdict on what came of it.
#[derive(Parser)]
struct Arguments {
    /// For how long things go wrong.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How many hosts share the queue.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=32))]
    hosts: u16,
    /// How many hosts are killed a minute, in all.
    #[arg(long, default_value_t = 45.0)]
    kills_per_minute: f64,
    /// Which random numbers; default: others each time.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    println!(
        "seed {seed}: {} hosts, {} minutes",
        arguments.hosts, arguments.minutes
    );
    let stage = Stage::build();
    let mut stream = Stream::new(StdRng::seed_from_u64(seed ^ 1));
    let mut fleet = Fleet::start(&stage, arguments.hosts.into());
    let mut mischief = Mischief::new(&stage, StdRng::seed_from_u64(seed ^ 2));
    let mut watch = Watch::start(&stage);
    disturb(
        &arguments,
        seed,
        &stage,
        (&mut stream, &mut fleet, &mut mischief, &mut watch),
    );
    mischief.end();
    fleet.leave_in_peace();
    println!(
        "no more faults; {} messages wait",
        stage.left_in_queue().len()
    );
    let drained = watch.until_empty(&mut fleet);
    fleet.end();
    mischief.report();
    fleet.report();
    let verdict = Verdict::on(&stage, &stream, &fleet, &watch, &mischief, drained);
    verdict.print()
}

/// All that goes wrong, until the time is over.
fn disturb(
    arguments: &Arguments,
    seed: u64,
    stage: &Stage,
    (stream, fleet, mischief, watch): (&mut Stream, &mut Fleet, &mut Mischief, &mut Watch),
) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut kills = Schedule::new(arguments.kills_per_minute);
    let mut faults = Schedule::new(FAULTS_PER_MINUTE);
    let mut terminations = Schedule::new(TERMINATIONS_PER_MINUTE);
    let mut suspensions = Schedule::new(SUSPENSIONS_PER_MINUTE);
    let mut respites = Schedule::new(RESPITES_PER_MINUTE);
    let began = Instant::now();
    let mut progress_due = began;
    while began.elapsed() < Duration::from_secs_f64(arguments.minutes * 60.0) {
        stream.feed(stage);
        fleet.look_after();
        watch.look(stage);
        mischief.look_after();
        if kills.is_due(&mut rng) {
            fleet.kill(rng.random_range(0..fleet.size()));
        }
        if terminations.is_due(&mut rng) {
            fleet.terminate(rng.random_range(0..fleet.size()));
        }
        if suspensions.is_due(&mut rng) {
            let lease = f64::from(stage::VISIBILITY_SECS);
            let pause = Duration::from_secs_f64(lease * rng.random_range(1.2..2.0));
            fleet.suspend(rng.random_range(0..fleet.size()), pause);
        }
        if faults.is_due(&mut rng) {
            mischief.strike();
        }
        if respites.is_due(&mut rng) {
            mischief.end();
            fleet.leave_in_peace();
            stream.end_quiet_spell();
            watch.until_recovered(fleet, || stream.feed(stage));
        }
        if Instant::now() >= progress_due {
            progress_due += Duration::from_secs(PROGRESS_SECS);
            println!(
                "{:>4} s: sent {}, {}, kills {}, faults {}",
                began.elapsed().as_secs(),
                stream.sent.len(),
                watch.line(stage),
                fleet.killed,
                mischief.fired(),
            );
        }
        pause();
    }
}
