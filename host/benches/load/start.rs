//! How long a consumer takes from its start to its first committed row, with
//! all services up and the component compiled beforehand.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::consumer::{Consumer, Place};
use crate::database::Databases;
use crate::endpoint_process::EndpointProcess;
use crate::run::watch;
use crate::running::Running;

/// What waits in the queue.
pub const MESSAGES: usize = 100;
/// Of so many starts the median is told, after one that is not counted.
const STARTS: usize = 7;
/// Between two looks at the table.
const LOOK_MS: u64 = 1;
/// How long the first row may take.
const START_SECS_MAX: u64 = 60;

/// What a start takes.
#[derive(Debug, Serialize)]
pub struct Start {
    pub consumer: Consumer,
    /// From the process's start to the first row that others see.
    pub first_row_ms: f64,
    /// Of the whole process, which has next to nothing to do.
    pub cpu_ms: f64,
}

/// Starts it a few times, each on a queue and a database of its own.
pub fn measure(consumer: Consumer, databases: &mut Databases, options: &[String]) -> Start {
    once(consumer, databases, options);
    let starts: Vec<(f64, f64)> = (0..STARTS)
        .map(|_| once(consumer, databases, options))
        .collect();
    Start {
        consumer,
        first_row_ms: median(starts.iter().map(|start| start.0)),
        cpu_ms: median(starts.iter().map(|start| start.1)),
    }
}

fn once(consumer: Consumer, databases: &mut Databases, options: &[String]) -> (f64, f64) {
    let endpoint = EndpointProcess::start(MESSAGES, Duration::ZERO);
    let database = databases.create();
    let place = Place {
        endpoint: &endpoint.url,
        database: database.url(databases.server.port),
        options,
    };
    let began = Instant::now();
    let mut running = [Running::start(consumer.command(&place), 0)];
    while !database.has_rows() {
        let patience = Duration::from_secs(START_SECS_MAX);
        assert!(began.elapsed() < patience, "{}", running[0].words());
        sleep(Duration::from_millis(LOOK_MS));
    }
    let first_row = began.elapsed();
    let used = watch(consumer, MESSAGES, &mut running, &endpoint);
    databases.drop(database);
    (ms(first_row), used.iter().map(|used| ms(used.cpu)).sum())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
