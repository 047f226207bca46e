//! The queue's clock: real time, which a test can put forward, so that hours
//! of visibility pass in no time. It never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Time since the queue's start.
pub type Moment = Duration;

#[derive(Clone)]
pub struct Clock {
    start: Instant,
    unix_ms_at_start: u64,
    ahead_ms: Arc<AtomicU64>,
}

impl Clock {
    pub fn start() -> Clock {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let unix = unix.expect("the clock is past 1970");
        Clock {
            start: Instant::now(),
            unix_ms_at_start: millis(unix),
            ahead_ms: Arc::default(),
        }
    }

    pub fn now(&self) -> Moment {
        self.start.elapsed() + Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }

    pub fn unix_ms(&self) -> u64 {
        self.unix_ms_at_start + millis(self.now())
    }

    pub fn put_forward(&self, by: Duration) {
        self.ahead_ms.fetch_add(millis(by), Ordering::SeqCst);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
