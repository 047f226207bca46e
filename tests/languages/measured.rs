//! What a component costs its host.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use etl_host::sandbox::{Conditions, Sandbox};

use crate::project::Component;
use crate::{same, stage};

/// Messages of a batch.
const BATCH_MESSAGES: usize = 100;
/// How long batches are judged, and how many at the least.
const JUDGING: Duration = Duration::from_secs(2);
const BATCHES_MIN: usize = 5;

/// A component's size, and the times that it takes.
pub struct Measured {
    title: &'static str,
    bytes: u64,
    compile: Duration,
    /// Loaded from the cache, described and configured: the start of a command.
    start: Duration,
    /// The median over batches, each in a fresh instance.
    message: Duration,
}

impl Measured {
    /// Measures one.
    pub fn of(title: &'static str, component: &Component) -> Self {
        let load = |conditions: &Conditions| {
            let began = Instant::now();
            let sandbox =
                Sandbox::load(&component.file, conditions, 1).expect("load the component");
            (began.elapsed(), sandbox)
        };
        let cached = same::conditions(component.wasi);
        let (compile, _) = load(&Conditions {
            cache: None,
            ..cached.clone()
        });
        load(&cached);
        let (start, sandbox) = load(&cached);
        Self {
            title,
            bytes: fs::metadata(&component.file)
                .expect("look at the component")
                .len(),
            compile,
            start,
            message: message(&sandbox),
        }
    }

    /// Several of them, a line each.
    pub fn table(measured: &[Self]) -> String {
        let mut table = format!(
            "{:<11} {:>9} {:>10} {:>9} {:>13}\n",
            "", "KiB", "compile s", "start ms", "µs a message"
        );
        for one in measured {
            let _ = writeln!(
                table,
                "{:<11} {:>9} {:>10.2} {:>9.1} {:>13.2}",
                one.title,
                one.bytes.div_ceil(1024),
                one.compile.as_secs_f64(),
                one.start.as_secs_f64() * 1e3,
                one.message.as_secs_f64() * 1e6,
            );
        }
        table
    }
}

fn message(sandbox: &Sandbox) -> Duration {
    let messages = stage::messages(BATCH_MESSAGES);
    let mut batches = Vec::new();
    let began = Instant::now();
    while batches.len() < BATCHES_MIN || began.elapsed() < JUDGING {
        let began = Instant::now();
        assert_eq!(sandbox.judge(&messages).len(), messages.len());
        batches.push(began.elapsed());
    }
    batches.sort();
    batches[batches.len() / 2] / BATCH_MESSAGES as u32
}
