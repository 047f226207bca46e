//! The runs as a table: Markdown, which a terminal shows as well.

use crate::run::Measured;

const HEADINGS: [&str; 13] = [
    "consumer",
    "n",
    "queue ms",
    "database ms",
    "messages/s",
    "whole",
    "CPU-µs",
    "endpoint",
    "PostgreSQL",
    "RSS MiB",
    "p50 ms",
    "p99 ms",
    "calls",
];

/// All runs, a line each.
pub fn table(runs: &[Measured]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(runs.iter().map(cells));
    let width = |column: usize| {
        let widths = lines.iter().map(|cells| cells[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for (n, cells) in lines.iter().enumerate() {
        text.push_str(&line(cells, &widths));
        if n == 0 {
            text.push_str(&rule(&widths));
        }
    }
    text
}

fn cells(run: &Measured) -> [String; HEADINGS.len()] {
    let scenario = &run.scenario;
    [
        scenario.consumer.name().to_owned(),
        scenario.processes.to_string(),
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

/// Names to the left, numbers to the right.
fn line(cells: &[String; HEADINGS.len()], widths: &[usize; HEADINGS.len()]) -> String {
    let cells = cells.iter().zip(widths).enumerate();
    let padded = cells.map(|(column, (cell, width))| match column {
        0 => format!(" {cell:<width$} "),
        _ => format!(" {cell:>width$} "),
    });
    format!("|{}|\n", padded.collect::<Vec<String>>().join("|"))
}

fn rule(widths: &[usize; HEADINGS.len()]) -> String {
    let columns = widths.iter().enumerate();
    let rules = columns.map(|(column, width)| match column {
        0 => "-".repeat(width + 2),
        _ => format!("{}:", "-".repeat(width + 1)),
    });
    format!("|{}|\n", rules.collect::<Vec<String>>().join("|"))
}
