//! The queue's clock: real time, which a test can put forward, so that hours
//! of visibility pass in no time. It never goes back.
//!
//! Leases, delays and the like run in fair time: a busy machine, on which the
//! host gets a tenth of a processor, does not end its leases ten times as soon.
//! Calls are noted, and polls wait, in wall time, as their clients do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::support::patience::Stopwatch;

/// Time since the queue's start.
pub type Moment = Duration;

#[derive(Clone)]
pub struct Clock {
    start: Instant,
    fair: Stopwatch,
    unix_ms_at_start: u64,
    ahead_ms: Arc<AtomicU64>,
}

impl Clock {
    pub fn start() -> Clock {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let unix = unix.expect("the clock is past 1970");
        Clock {
            start: Instant::now(),
            fair: Stopwatch::start(),
            unix_ms_at_start: millis(unix),
            ahead_ms: Arc::default(),
        }
    }

    /// By which leases run out.
    pub fn now(&self) -> Moment {
        self.fair.elapsed() + self.ahead()
    }

    /// By which calls come and are answered.
    pub fn wall_now(&self) -> Moment {
        self.start.elapsed() + self.ahead()
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }

    pub fn unix_ms(&self) -> u64 {
        self.unix_ms_at_start + millis(self.wall_now())
    }

    pub fn put_forward(&self, by: Duration) {
        self.ahead_ms.fetch_add(millis(by), Ordering::SeqCst);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
