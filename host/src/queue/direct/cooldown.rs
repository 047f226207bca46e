//! When direct calls are not made.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long the SDK makes all calls after one that was not plain: long enough
/// that a queue in trouble is not asked twice for each call.
const REST_SECS: u64 = 10;

/// Until when it lasts.
#[derive(Debug, Default)]
pub(super) struct Cooldown(Mutex<Until>);

#[derive(Clone, Copy, Debug, Default)]
enum Until {
    #[default]
    Over,
    At(Instant),
    Ever,
}

impl Cooldown {
    /// It lasts for a while from now on.
    pub(super) fn begin(&self) {
        let mut until = self.until();
        if !matches!(*until, Until::Ever) {
            *until = Until::At(Instant::now() + Duration::from_secs(REST_SECS));
        }
    }

    /// It is not used again: this server's answers are not what is expected,
    /// and one that cannot be read has hidden messages.
    pub(super) fn for_good(&self) {
        *self.until() = Until::Ever;
    }

    /// Whether it goes on.
    pub(super) fn goes_on(&self) -> bool {
        let mut until = self.until();
        match *until {
            Until::Over => false,
            Until::Ever => true,
            Until::At(end) if Instant::now() < end => true,
            Until::At(_) => {
                *until = Until::Over;
                false
            }
        }
    }

    fn until(&self) -> std::sync::MutexGuard<'_, Until> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cooldown_ends_unless_it_is_for_good() {
        let cooldown = Cooldown::default();
        assert!(!cooldown.goes_on());
        cooldown.begin();
        assert!(cooldown.goes_on());
        tokio::time::advance(Duration::from_secs(REST_SECS)).await;
        assert!(!cooldown.goes_on());
        cooldown.for_good();
        cooldown.begin();
        tokio::time::advance(Duration::from_secs(REST_SECS)).await;
        assert!(cooldown.goes_on());
    }
}
