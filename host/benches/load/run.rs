//! One run: so many consumers of one kind on a full queue, until it is empty.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::consumer::{Consumer, Place};
use crate::cpu;
use crate::database::{Databases, Expected};
use crate::endpoint_process::{EndpointProcess, EndpointStats};
use crate::relay::Relay;
use crate::running::{Running, Used};

/// Between two looks at the consumers.
const LOOK_MS: u64 = 50;
/// A queue from which nothing is deleted for so long ends the run.
const STANDSTILL_SECS_MAX: u64 = 60;
const US_PER_SEC: f64 = 1e6;

/// What is run.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    pub consumer: Consumer,
    /// How many of them at once.
    pub processes: usize,
    pub messages: usize,
    /// The round trip to the queue beyond that of the loopback address.
    pub queue_latency_ms: u64,
    /// The same to the database.
    pub database_latency_ms: u64,
}

/// What was seen. Processor time is user and system together, of whole
/// processes, from their start to their end.
#[derive(Debug, Serialize)]
pub struct Measured {
    #[serde(flatten)]
    pub scenario: Scenario,
    /// From the first receive to the last delete.
    pub messages_per_second: f64,
    /// From the first process's start to the last one's end.
    pub messages_per_second_whole: f64,
    /// Microseconds of a processor a message, all processes together.
    pub consumer_cpu_us: f64,
    pub endpoint_cpu_us: f64,
    pub postgresql_cpu_us: f64,
    /// Of the process that had most.
    pub peak_rss_mib: f64,
    pub receive_to_delete_p50_ms: f64,
    pub receive_to_delete_p99_ms: f64,
    /// Calls to the queue a message, until the last one was deleted.
    pub calls_per_message: f64,
    pub calls: BTreeMap<String, u64>,
}

/// Runs it, and checks what it has left in the database.
pub fn run(
    scenario: &Scenario,
    databases: &mut Databases,
    expected: &Expected,
    options: &[String],
) -> Measured {
    let ms = Duration::from_millis;
    let endpoint = EndpointProcess::start(scenario.messages, ms(scenario.queue_latency_ms));
    let database = databases.create();
    let server = databases.server.id();
    let direct = databases.server.port;
    let relay = (scenario.database_latency_ms > 0)
        .then(|| Relay::start(direct, ms(scenario.database_latency_ms)));
    let place = Place {
        endpoint: &endpoint.url,
        database: database.url(relay.as_ref().map_or(direct, |relay| relay.port)),
        options,
    };
    let postgresql_before = cpu::of(server);
    let began = Instant::now();
    let mut running: Vec<Running> = (0..scenario.processes)
        .map(|n| Running::start(scenario.consumer.command(&place), n))
        .collect();
    let used = watch(
        scenario.consumer,
        scenario.messages,
        &mut running,
        &endpoint,
    );
    let postgresql = cpu::of(server) - postgresql_before;
    let stats = endpoint.stats();
    database.verify(expected, scenario.consumer.keeps_in());
    databases.drop(database);
    measured(scenario, began, &used, &stats, postgresql)
}

/// Waits for the end of all; consumers that do not end by themselves are asked
/// to once the queue is empty.
pub fn watch(
    consumer: Consumer,
    messages: usize,
    running: &mut [Running],
    endpoint: &EndpointProcess,
) -> Vec<Used> {
    let (mut deleted, mut moved) = (0, Instant::now());
    let mut asked = consumer.ends_by_itself();
    loop {
        sleep(Duration::from_millis(LOOK_MS));
        let used: Vec<Option<Used>> = running.iter_mut().map(Running::look).collect();
        if let Some(used) = used.into_iter().collect() {
            return used;
        }
        let now = endpoint.stats().deleted;
        if now > deleted {
            (deleted, moved) = (now, Instant::now());
        }
        if !asked && deleted == messages as u64 {
            running.iter().for_each(Running::terminate);
            asked = true;
        }
        if moved.elapsed() > Duration::from_secs(STANDSTILL_SECS_MAX) {
            let words: Vec<String> = running.iter().map(Running::words).collect();
            panic!("no end at {deleted} deleted:\n{}", words.join("\n"));
        }
    }
}

fn measured(
    scenario: &Scenario,
    began: Instant,
    used: &[Used],
    stats: &EndpointStats,
    postgresql: Duration,
) -> Measured {
    let messages = scenario.messages as f64;
    let us = |seconds: f64| seconds * US_PER_SEC / messages;
    let cpu: Duration = used.iter().map(|used| used.cpu).sum();
    let end = used.iter().map(|used| used.at).max().unwrap_or(began);
    let peak = used.iter().map(|used| used.peak_rss_kib).max();
    let calls: u64 = stats.calls_by_last_delete.values().sum();
    Measured {
        scenario: scenario.clone(),
        messages_per_second: messages / stats.seconds.expect("messages were received"),
        messages_per_second_whole: messages / (end - began).as_secs_f64(),
        consumer_cpu_us: us(cpu.as_secs_f64()),
        endpoint_cpu_us: us(stats.cpu_seconds),
        postgresql_cpu_us: us(postgresql.as_secs_f64()),
        peak_rss_mib: peak.unwrap_or_default() as f64 / 1024.0,
        receive_to_delete_p50_ms: stats.receive_to_delete_p50_ms,
        receive_to_delete_p99_ms: stats.receive_to_delete_p99_ms,
        calls_per_message: calls as f64 / messages,
        calls: stats.calls_by_last_delete.clone(),
    }
}
