//! Bounds of time that are fair on a busy machine.
//!
//! They count *fair time*, not wall time. A thread looks fifty times a second
//! how many tasks share the processors, and how late the system woke it. Where
//! four tasks share one processor, a second of wall time is a quarter of a
//! fair one. On a quiet machine both are the same, so a bound is as strict
//! there as it says. Fair time never runs faster than wall time.
//!
//! Whoever waits for something asks `Deadline`, `within` or `receive`; whoever
//! asserts that something was quick measures it with `Stopwatch`. No test has
//! another bound: `tests/structure.rs` sees to it.

use std::fmt;
use std::fs;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at the machine.
const TICK: Duration = Duration::from_millis(20);
/// How late a thread may wake on a machine that has nothing else to do.
const LATE_ON_A_QUIET_MACHINE: Duration = Duration::from_millis(5);

/// The fair time that has passed since the first question, in microseconds.
static PASSED_US: LazyLock<Arc<AtomicU64>> = LazyLock::new(|| {
    let passed_us = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&passed_us);
    thread::Builder::new()
        .name("fair time".to_owned())
        .spawn(move || count(&counted))
        .expect("start a thread");
    passed_us
});

fn count(passed_us: &AtomicU64) {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut before = Instant::now();
    loop {
        thread::sleep(TICK);
        let now = Instant::now();
        let fair = fair_part(now - before, runnable_others(), processors);
        before = now;
        let fair_us = u64::try_from(fair.as_micros()).expect("a tick is short");
        passed_us.fetch_add(fair_us, Ordering::SeqCst);
    }
}

fn now() -> Duration {
    Duration::from_micros(PASSED_US.load(Ordering::SeqCst))
}

/// How much of the wall time between two ticks is fair, where so many tasks
/// besides the counting one want these processors.
pub fn fair_part(wall: Duration, runnable: usize, processors: usize) -> Duration {
    let crowding = runnable as f64 / processors as f64;
    let lateness = wall.as_secs_f64() / (TICK + LATE_ON_A_QUIET_MACHINE).as_secs_f64();
    wall.div_f64(crowding.max(lateness).max(1.0))
}

/// The tasks of the machine that run or could, without the one that asks. Only
/// Linux tells; elsewhere the lateness of the ticks has to do.
fn runnable_others() -> usize {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let tasks = load.split_whitespace().nth(3).unwrap_or_default();
    let runnable = tasks.split('/').next().unwrap_or_default().parse();
    runnable.map_or(0, |runnable: usize| runnable.saturating_sub(1))
}

/// A moment after which waiting is in vain.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Duration);

impl Deadline {
    /// So much fair time from now.
    pub fn after(wait: Duration) -> Deadline {
        // The tick that is under way has begun before.
        Deadline(now() + wait + TICK)
    }

    pub fn after_secs(secs: u64) -> Deadline {
        Deadline::after(Duration::from_secs(secs))
    }

    pub fn is_over(self) -> bool {
        now() >= self.0
    }
}

/// Measures how much fair time something takes, to less than a tick.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    fair: Duration,
    wall: Instant,
}

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch {
            fair: now(),
            wall: Instant::now(),
        }
    }

    pub fn elapsed(self) -> Duration {
        // The tick during which it started may count whole.
        (now() - self.fair).saturating_sub(TICK)
    }

    /// The wall time that so much fair time takes, as the pace has been since
    /// the start: for what is counted by a clock that knows no fair time.
    pub fn wall_time_of(self, fair: Duration) -> Duration {
        let passed = (now() - self.fair).max(TICK).as_secs_f64();
        let slowness = self.wall.elapsed().as_secs_f64() / passed;
        fair.mul_f64(slowness.max(1.0))
    }
}

/// What was waited for has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late(Duration);

impl fmt::Display for Late {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not within {:?}", self.0)
    }
}

/// Awaits the future for so much fair time. Only for a real clock: a paused
/// one has `tokio::time::timeout`.
pub async fn within<F: Future>(wait: Duration, future: F) -> Result<F::Output, Late> {
    let deadline = Deadline::after(wait);
    let mut future = pin!(future);
    loop {
        match tokio::time::timeout(TICK, &mut future).await {
            Ok(output) => return Ok(output),
            Err(_) if deadline.is_over() => return Err(Late(wait)),
            Err(_) => {}
        }
    }
}

/// Waits for a value of the channel for so much fair time.
pub fn receive<T>(receiver: &Receiver<T>, wait: Duration) -> Result<T, RecvTimeoutError> {
    let deadline = Deadline::after(wait);
    loop {
        match receiver.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) if !deadline.is_over() => {}
            other => return other,
        }
    }
}
