//! Waiting between two tries: exponential, with a cap and full jitter.

use std::time::Duration;

use rand::Rng;

/// The first wait's upper bound.
const FIRST_WAIT_MS: u64 = 100;
/// No wait is longer than this.
const WAIT_MS_MAX: u64 = 15_000;

/// The waits of one series of tries.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait: between half and all of a bound that doubles each time.
    /// Half of it is fixed, so that a failing service gets at most
    /// `2000 / WAIT_MS_MAX` requests a second from each waiter in the end.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = FIRST_WAIT_MS << self.tries.min(16);
        self.tries = self.tries.saturating_add(1);
        let bound = doubled.min(WAIT_MS_MAX);
        Duration::from_millis(rand::rng().random_range(bound / 2..=bound))
    }

    /// Waits for the next try.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }

    /// Starts the series anew after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_cap() {
        let mut backoff = Backoff::default();
        let first = backoff.next_wait().as_millis() as u64;
        assert!((FIRST_WAIT_MS / 2..=FIRST_WAIT_MS).contains(&first));
        let last = (0..40).map(|_| backoff.next_wait()).last();
        let last = last.expect("forty waits").as_millis() as u64;
        assert!((WAIT_MS_MAX / 2..=WAIT_MS_MAX).contains(&last));
    }
}
