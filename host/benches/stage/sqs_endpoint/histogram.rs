//! How long something took, for as many times as wanted in constant memory.

use std::time::Duration;

/// Each doubling is divided into so many steps: what is read off is at most
/// 1.6 % too high.
const STEPS: u64 = 64;
/// Enough for a year in microseconds.
const DOUBLINGS: usize = 40;

/// Counts of microseconds, in steps that grow with them.
pub struct Histogram {
    counts: Vec<u64>,
    recorded: u64,
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram {
            counts: vec![0; STEPS as usize * DOUBLINGS],
            recorded: 0,
        }
    }

    pub fn record(&mut self, time: Duration) {
        let step = step(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        let last = self.counts.len() - 1;
        self.counts[step.min(last)] += 1;
        self.recorded += 1;
    }

    /// No longer than this took so many percent of all.
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.recorded as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return Duration::from_micros(upper(step as u64));
            }
        }
        Duration::ZERO
    }
}

/// The step that a number belongs to. The first steps are single numbers.
fn step(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let doubling = micros.ilog2() - STEPS.ilog2();
    let within = micros >> doubling;
    (u64::from(doubling) * STEPS + within) as usize
}

/// The largest number of a step.
fn upper(step: u64) -> u64 {
    if step < STEPS {
        return step;
    }
    let doubling = step / STEPS - 1;
    let within = step - doubling * STEPS;
    ((within + 1) << doubling) - 1
}
