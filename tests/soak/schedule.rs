//! When something random is due: so many times a minute on average, each time
//! independent of the last.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

pub struct Schedule {
    mean_secs: f64,
    next: Option<Instant>,
}

impl Schedule {
    pub fn new(per_minute: f64) -> Schedule {
        Schedule {
            mean_secs: 60.0 / per_minute.max(f64::MIN_POSITIVE),
            next: None,
        }
    }

    /// Whether it is due now; if so, the next time is drawn.
    pub fn is_due(&mut self, rng: &mut StdRng) -> bool {
        let now = Instant::now();
        let due = self.next.is_some_and(|next| now >= next);
        if due || self.next.is_none() {
            let wait = -rng.random::<f64>().max(f64::MIN_POSITIVE).ln() * self.mean_secs;
            // Hours would be for ever, and more than an `Instant` may hold.
            self.next = Some(now + Duration::from_secs_f64(wait.min(86_400.0)));
        }
        due
    }
}
