//! What `cargo load` takes, and which runs that makes.

use std::fmt;

use clap::Parser;

use crate::consumer::Consumer;
use crate::run::Scenario;

/// Measures the whole path under load.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Messages a run.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub messages: usize,
    /// How many hosts at once, without latency.
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,2,4"
    )]
    hosts: Vec<usize>,
    /// Round trips to the queue, each with each one to the database.
    #[arg(
        long,
        value_name = "MS,…",
        value_delimiter = ',',
        default_value = "0,5,20"
    )]
    queue_latency_ms: Vec<u64>,
    /// Round trips to the database.
    #[arg(
        long,
        value_name = "MS,…",
        value_delimiter = ',',
        default_value = "0,5,20"
    )]
    database_latency_ms: Vec<u64>,
    /// Measure what the endpoint itself can do at most, and nothing else.
    #[arg(long)]
    pub ceiling: bool,
    /// Further options of the hosts.
    #[arg(last = true, value_name = "OPTION")]
    pub options: Vec<String>,
}

impl Arguments {
    /// Each number of hosts with the first latencies, then one host with each
    /// of the others.
    pub fn scenarios(&self) -> Vec<Scenario> {
        let latencies: Vec<(u64, u64)> = self
            .queue_latency_ms
            .iter()
            .flat_map(|queue| self.database_latency_ms.iter().map(|base| (*queue, *base)))
            .collect();
        let scenario = |consumer, processes, (queue, database)| Scenario {
            consumer,
            processes,
            messages: self.messages,
            queue_latency_ms: queue,
            database_latency_ms: database,
        };
        let hosts = self
            .hosts
            .iter()
            .map(|hosts| scenario(Consumer::Host, *hosts, latencies[0]));
        let late = latencies[1..]
            .iter()
            .map(|latency| scenario(Consumer::Host, 1, *latency));
        hosts.chain(late).collect()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} × {}, {} ms to the queue, {} ms to the database",
            self.processes,
            self.consumer.name(),
            self.queue_latency_ms,
            self.database_latency_ms
        )
    }
}
