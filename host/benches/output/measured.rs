//! What a run took: time, CPU time on both sides, and the server's log.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::cpu;
use crate::postgres::{Server, block_on};

/// What has been used up to a moment.
pub struct Meter {
    at: Instant,
    client: Duration,
    server: Duration,
    log_bytes: i64,
}

/// What a row took.
#[derive(Clone, Copy)]
pub struct Measured {
    rows_per_sec: f64,
    client_us: f64,
    server_us: f64,
    log_bytes: f64,
}

impl Meter {
    pub fn read(server: &Server, client: &Client) -> Self {
        let log = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8";
        let log = block_on(client.query_one(log, &[])).expect("ask how long the log is");
        Self {
            log_bytes: log.get(0),
            server: cpu::of(server.id()),
            client: cpu::own(),
            at: Instant::now(),
        }
    }

    /// What each of `rows` took from here to `after`.
    pub fn until(&self, after: &Self, rows: usize) -> Measured {
        let each = |whole: f64| whole / rows as f64;
        let us = |took: Duration| each(took.as_secs_f64() * 1e6);
        Measured {
            rows_per_sec: rows as f64 / (after.at - self.at).as_secs_f64(),
            client_us: us(after.client - self.client),
            server_us: us(after.server.saturating_sub(self.server)),
            log_bytes: each((after.log_bytes - self.log_bytes) as f64),
        }
    }
}

impl Measured {
    /// The median of each figure.
    pub fn median(runs: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = runs.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Self {
            rows_per_sec: median(|run| run.rows_per_sec),
            client_us: median(|run| run.client_us),
            server_us: median(|run| run.server_us),
            log_bytes: median(|run| run.log_bytes),
        }
    }

    pub fn header() -> String {
        format!(
            "{:<30} {:>8}  {:>15} {:>15} {:>8} {:>8}  {:>10}",
            "batch",
            "rows/s",
            "client µs a row",
            "server µs a row",
            "x COPY",
            "x INSERT",
            "log B a row"
        )
    }

    /// A line of the table; CPU time of both sides is compared with the
    /// floors', COPY's and INSERT's.
    pub fn line(&self, name: &str, floors: Option<[&Self; 2]>) -> String {
        let ratio = |floor: &Self| format!("{:.2}", self.cpu_us() / floor.cpu_us());
        let [copy, insert] = floors.map_or_else(Default::default, |floors| floors.map(ratio));
        format!(
            "{name:<30} {:>8.0}  {:>15.2} {:>15.1} {copy:>8} {insert:>8}  {:>10.0}",
            self.rows_per_sec, self.client_us, self.server_us, self.log_bytes
        )
    }

    fn cpu_us(&self) -> f64 {
        self.client_us + self.server_us
    }
}
