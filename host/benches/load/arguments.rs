//! What `cargo load` takes, and which runs that makes.

use std::fmt;
use std::path::PathBuf;

use clap::Parser;

use crate::consumer::Consumer;
use crate::run::Scenario;

/// Measures the whole path under load: first several hosts at once, then one
/// with each round trip to the queue and to the database, then what users would
/// write instead.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Messages a run.
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "100000"
    )]
    pub messages: Vec<usize>,
    /// How many hosts at once.
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,2,4"
    )]
    hosts: Vec<usize>,
    /// Round trips to the queue, beyond the loopback address's own.
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
    /// Run what users would write in Python and Node as well.
    #[arg(long, env = "ETL_HOST_LOAD_PEERS")]
    pub peers: bool,
    /// Run everything so often, in turns, and tell the run of median cost.
    #[arg(
        long,
        value_name = "N",
        env = "ETL_HOST_LOAD_RUNS",
        default_value_t = 1
    )]
    pub runs: usize,
    /// Write what was measured as JSON. Where cargo runs this, a relative name
    /// begins in host/.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write it as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Draw it.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Measure what the endpoint itself can do at most, and nothing else.
    #[arg(long)]
    pub ceiling: bool,
    /// Further options of the hosts.
    #[arg(last = true, value_name = "OPTION")]
    pub options: Vec<String>,
}

impl Arguments {
    /// All that is run. Only hosts are slowed down by latency, one at a time.
    pub fn scenarios(&self) -> Vec<Scenario> {
        let messages = self.messages.iter();
        messages.flat_map(|messages| self.of(*messages)).collect()
    }

    fn of(&self, messages: usize) -> Vec<Scenario> {
        let queue = self.queue_latency_ms.iter();
        let latencies: Vec<(u64, u64)> = queue
            .flat_map(|queue| self.database_latency_ms.iter().map(|base| (*queue, *base)))
            .collect();
        let scenario = |consumer, processes, (queue, database)| Scenario {
            consumer,
            processes,
            messages,
            queue_latency_ms: queue,
            database_latency_ms: database,
        };
        let hosts = self.hosts.iter();
        let hosts = hosts.map(|hosts| scenario(Consumer::Host, *hosts, latencies[0]));
        let late = latencies[1..].iter();
        let late = late.map(|latency| scenario(Consumer::Host, 1, *latency));
        let peers = Consumer::PEERS.into_iter().filter(|_| self.peers);
        let peers = peers.map(|peer| scenario(peer, 1, latencies[0]));
        hosts.chain(late).chain(peers).collect()
    }

    /// Whose start is measured.
    pub fn consumers(&self) -> Vec<Consumer> {
        let peers = Consumer::PEERS.into_iter().filter(|_| self.peers);
        [Consumer::Host].into_iter().chain(peers).collect()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} × {}, {} messages, {} ms to the queue, {} ms to the database",
            self.processes,
            self.consumer.name(),
            self.messages,
            self.queue_latency_ms,
            self.database_latency_ms
        )
    }
}
