//! The time that the guard may take for one message.
//!
//! What a search costs follows from body and rows together, and whoever writes
//! them can make the most of it. So every loop that could take long says what
//! the loop is about to do, in units, and the clock is read every so many units:
//! an honest message ends before the first look.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use super::Stop;
use crate::sandbox::clock::thread_time;

/// Units of work between two looks at the clock. A unit is about a nanosecond
/// of a release build, so that is a quarter of a millisecond, and a look costs
/// about a thousandth of it.
const UNITS_PER_LOOK: usize = 1 << 18;

/// What is left for a message.
pub(super) struct Budget {
    max: Duration,
    /// Units until the next look.
    units: Cell<usize>,
    /// The thread's clock at the first look.
    began: Cell<Option<Duration>>,
}

impl Budget {
    /// So much processor time for each message.
    pub(super) fn new(max: Duration) -> Self {
        Self {
            max,
            units: Cell::new(UNITS_PER_LOOK),
            began: Cell::new(None),
        }
    }

    /// Begins with the next message.
    pub(super) fn renew(&self) {
        self.units.set(UNITS_PER_LOOK);
        self.began.set(None);
    }

    /// Takes units for work that is about to be done. It stops the search where
    /// the time is over.
    #[inline]
    pub(super) fn spend(&self, units: usize) -> ControlFlow<Stop> {
        match self.units.get().checked_sub(units) {
            Some(left) => {
                self.units.set(left);
                ControlFlow::Continue(())
            }
            None => self.look(),
        }
    }

    #[cold]
    fn look(&self) -> ControlFlow<Stop> {
        let now = thread_time();
        let began = self.began.get().unwrap_or(now);
        self.began.set(Some(began));
        match now.saturating_sub(began) >= self.max {
            // Whatever comes after it looks again.
            true => {
                self.units.set(0);
                ControlFlow::Break(Stop::Spent)
            }
            false => {
                self.units.set(UNITS_PER_LOOK);
                ControlFlow::Continue(())
            }
        }
    }
}

#[cfg(test)]
impl Default for Budget {
    /// For tests of the searches: no end.
    fn default() -> Self {
        Self::new(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_with_the_time_and_begins_anew_for_the_next_message() {
        let budget = Budget::new(Duration::from_millis(5));
        for _ in 0..2 {
            budget.renew();
            let mut units = 0;
            while budget.spend(1).is_continue() {
                units += 1;
            }
            assert!(units >= UNITS_PER_LOOK);
            assert_eq!(budget.spend(1), ControlFlow::Break(Stop::Spent));
        }
    }

    #[test]
    fn little_work_reads_no_clock() {
        let budget = Budget::new(Duration::ZERO);
        assert!(budget.spend(UNITS_PER_LOOK).is_continue());
        assert_eq!(budget.began.get(), None);
        assert_eq!(budget.spend(1), ControlFlow::Break(Stop::Spent));
    }
}
