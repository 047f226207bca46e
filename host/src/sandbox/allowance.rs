//! The time that a call into a guest may take: processor time of the thread
//! that judges, and wall-clock time far beyond that as the last resort.
//!
//! ```text
//! call ── FIRST_LOOK_MS ──▶ first look ── what is left ──▶ next look … over
//!         (most calls end)   (baseline)                     (processor time)
//! ```
//!
//! The clock of processor time is a system call, so a call that ends within
//! milliseconds never reads the clock. The first look takes the baseline. What
//! was used before the first look is not counted: on a quiet machine that is
//! about [`FIRST_LOOK_MS`], and on a loaded one nobody can say.

use std::time::{Duration, Instant};

use super::clock::thread_time;
use super::ticker::ticks;

/// When a call is looked at for the first time, in milliseconds of wall-clock
/// time: some hundred times what an honest batch takes.
pub(super) const FIRST_LOOK_MS: u64 = 10;
/// How many times its processor time a call may take in wall-clock time. A
/// thread that shares each core with 60 others still has all its time; a guest
/// cannot wait, so only a stalled machine comes near to the limit.
pub(super) const WALL_PER_PROCESSOR_TIME: u64 = 60;

/// What is left of the time of a call.
#[derive(Debug)]
pub(super) struct Allowance {
    processor_max: Duration,
    /// The thread's clock at the first look.
    baseline: Option<Duration>,
    /// No more than what is left can have been used before then.
    next_look: Instant,
    /// Ticks until the next look, and until the last resort. Ticks rather than
    /// an instant: a process that is stopped does not tick.
    ticks_given: u64,
    ticks_left: u64,
}

impl Allowance {
    /// So many milliseconds of processor time, from now on, on this thread.
    pub(super) fn new(ms_max: u64) -> Self {
        let first_look_ms = ms_max.min(FIRST_LOOK_MS);
        Self {
            processor_max: Duration::from_millis(ms_max),
            baseline: None,
            next_look: Instant::now() + Duration::from_millis(first_look_ms),
            ticks_given: ticks(first_look_ms),
            ticks_left: ticks(ms_max).saturating_mul(WALL_PER_PROCESSOR_TIME),
        }
    }

    /// The ticks until the first look.
    pub(super) fn first_ticks(&self) -> u64 {
        self.ticks_given
    }

    /// Looks at the clock, once the given ticks are over. The ticks until the
    /// next look; none where the time is over.
    pub(super) fn more_ticks(&mut self) -> Option<u64> {
        self.ticks_left = self.ticks_left.saturating_sub(self.ticks_given);
        let left = self.look()?;
        let until_spent = ticks(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        self.ticks_given = until_spent.min(self.ticks_left);
        (self.ticks_given > 0).then_some(self.ticks_given)
    }

    /// Whether the time is over, for work that the host does on the guest's
    /// behalf: an epoch interrupts the guest's own code only.
    pub(super) fn is_over(&mut self) -> bool {
        Instant::now() >= self.next_look && self.look().is_none()
    }

    /// The processor time that is left.
    fn look(&mut self) -> Option<Duration> {
        let now = thread_time();
        let baseline = *self.baseline.get_or_insert(now);
        let used = now.saturating_sub(baseline);
        let left = self.processor_max.checked_sub(used)?;
        self.next_look = Instant::now() + left;
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses so much processor time.
    fn work(time: Duration) {
        let end = thread_time() + time;
        while thread_time() < end {}
    }

    #[test]
    fn waiting_takes_nothing_of_the_time_and_working_takes_all_of_it() {
        const MS_MAX: u64 = 50;
        let mut allowance = Allowance::new(MS_MAX);
        let began = Instant::now();
        // The thread waits for three times what it has.
        while began.elapsed() < Duration::from_millis(3 * MS_MAX) {
            std::thread::park_timeout(Duration::from_millis(MS_MAX));
            assert!(!allowance.is_over());
            assert!(allowance.more_ticks().is_some());
        }
        work(Duration::from_millis(MS_MAX));
        assert!(allowance.is_over());
        assert_eq!(allowance.more_ticks(), None);
    }

    #[test]
    fn who_has_no_time_is_over_at_once() {
        assert!(Allowance::new(0).is_over());
        assert_eq!(Allowance::new(0).more_ticks(), None);
    }

    #[test]
    fn a_thread_that_gets_no_processor_ends_at_the_last_resort() {
        let mut allowance = Allowance::new(1_000);
        let wall_ticks = ticks(1_000) * WALL_PER_PROCESSOR_TIME;
        let mut seen = allowance.first_ticks();
        // No processor time to speak of is used between the looks.
        while let Some(more) = allowance.more_ticks() {
            seen += more;
            assert!(seen <= wall_ticks);
        }
        assert_eq!(seen, wall_ticks);
    }
}
