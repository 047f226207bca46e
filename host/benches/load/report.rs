//! All that was measured: as JSON, as Markdown, as a plot.

use std::fmt::Write;

use serde::Serialize;

use crate::ceiling::Ceiling;
use crate::consumer::Consumer;
use crate::machine::Machine;
use crate::run::Measured;
use crate::start::{self, Start};
use crate::table::{NUMBER, TEXT, table};

/// What stands above the columns of the runs.
const RUNS: [(&str, bool); 14] = [
    ("consumer", TEXT),
    ("processes", NUMBER),
    ("messages", NUMBER),
    ("queue, ms", NUMBER),
    ("database, ms", NUMBER),
    ("messages/s", NUMBER),
    ("with start and end", NUMBER),
    ("CPU-µs", NUMBER),
    ("endpoint", NUMBER),
    ("PostgreSQL", NUMBER),
    ("peak RSS, MiB", NUMBER),
    ("p50, ms", NUMBER),
    ("p99, ms", NUMBER),
    ("calls", NUMBER),
];
const STARTS: [(&str, bool); 3] = [
    ("consumer", TEXT),
    ("first row, ms", NUMBER),
    ("CPU-ms", NUMBER),
];
const RATIOS: [(&str, bool); 3] = [
    ("consumer", TEXT),
    ("CPU-µs a message", NUMBER),
    ("times etl-host's", NUMBER),
];

/// All that was measured in one run of this benchmark.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub command: String,
    pub endpoint_alone: Ceiling,
    pub starts: Vec<Start>,
    pub runs: Vec<Measured>,
}

impl Report {
    /// For programs.
    pub fn json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        json.expect("a report is JSON") + "\n"
    }

    /// For people, on a page or in a terminal.
    pub fn markdown(&self) -> String {
        let Machine {
            processor,
            cores,
            kernel,
            postgresql,
            durability,
        } = &self.machine;
        let command = &self.command;
        let mut text = format!(
            "`{command}`, on {cores} cores of {processor}, Linux {kernel}; PostgreSQL \
             {postgresql}, {durability}.\n\n"
        );
        text += &table(&RUNS, self.runs.iter().map(run).collect());
        text += "\n";
        text += &table(&STARTS, self.starts.iter().map(start).collect());
        let ratios = self.ratios();
        if !ratios.is_empty() {
            text += "\n";
            text += &table(&RATIOS, ratios);
        }
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "\n{} A start finds {} messages.",
            self.endpoint_alone,
            start::MESSAGES
        );
        text
    }

    /// What the consumers take of the processor beside one host, in the same
    /// place.
    fn ratios(&self) -> Vec<Vec<String>> {
        let Some(host) = self.runs.first() else {
            return Vec::new();
        };
        let peers = self.runs.iter();
        let peers = peers.filter(|run| run.scenario.consumer != Consumer::Host);
        let ratio = |run: &Measured| {
            vec![
                run.scenario.consumer.name().to_owned(),
                format!("{:.1}", run.consumer_cpu_us),
                format!("{:.1}", run.consumer_cpu_us / host.consumer_cpu_us),
            ]
        };
        peers.map(ratio).collect()
    }
}

fn run(run: &Measured) -> Vec<String> {
    let scenario = &run.scenario;
    vec![
        scenario.consumer.name().to_owned(),
        scenario.processes.to_string(),
        scenario.messages.to_string(),
        scenario.queue_latency_ms.to_string(),
        scenario.database_latency_ms.to_string(),
        format!("{:.0}", run.messages_per_second),
        format!("{:.0}", run.messages_per_second_whole),
        format!("{:.1}", run.consumer_cpu_us),
        format!("{:.1}", run.endpoint_cpu_us),
        format!("{:.1}", run.postgresql_cpu_us),
        format!("{:.0}", run.peak_rss_mib),
        format!("{:.1}", run.receive_to_delete_p50_ms),
        format!("{:.1}", run.receive_to_delete_p99_ms),
        format!("{:.3}", run.calls_per_message),
    ]
}

fn start(start: &Start) -> Vec<String> {
    vec![
        start.consumer.name().to_owned(),
        format!("{:.0}", start.first_row_ms),
        format!("{:.0}", start.cpu_ms),
    ]
}
