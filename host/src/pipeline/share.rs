//! A share of messages that may go wrong, over the last so many of them.

use std::collections::VecDeque;

/// Messages that are looked at before a share is judged again, once it has been
/// exceeded: a small credit.
const TRIAL_MESSAGES: u64 = 20;

/// What share is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// In percent; 100 means that all may go wrong.
    pub(super) percent_max: u8,
    /// The messages that it is a share of: the last so many.
    pub(super) window_messages: u64,
    /// From how many on.
    pub(super) judged_from: u64,
    /// Whether what the whole window allows may go wrong at once.
    pub(super) at_once: bool,
}

/// What has gone wrong lately.
#[derive(Debug, Default)]
pub(super) struct Tally {
    seen: u64,
    /// The numbers of those in the window that went wrong.
    bad: VecDeque<u64>,
    /// Whether the share has been exceeded before.
    on_trial: bool,
}

impl Share {
    /// Whether all may go wrong.
    pub(super) fn is_off(self) -> bool {
        self.percent_max >= 100
    }

    /// Whether so many bad ones of so many are too many; a single one never is.
    fn is_exceeded(self, bad: u64, seen: u64) -> bool {
        let of = match self.at_once {
            true => self.window_messages,
            false => seen,
        };
        bad > 1 && bad.saturating_mul(100) > of.saturating_mul(self.percent_max.into())
    }
}

impl Tally {
    /// Messages went well.
    pub(super) fn good(&mut self, messages: usize, share: Share) {
        self.seen = self.seen.saturating_add(messages as u64);
        self.forget(share);
        if self.seen >= share.window_messages {
            self.on_trial = false;
        }
    }

    /// Takes one that went wrong, unless that is one too many.
    pub(super) fn takes_bad(&mut self, share: Share) -> bool {
        let seen = self.seen.saturating_add(1);
        self.forget(share);
        let within = seen.min(share.window_messages);
        let judged_from = match self.on_trial {
            true => share.judged_from.min(TRIAL_MESSAGES),
            false => share.judged_from,
        };
        let judged = within >= judged_from.min(share.window_messages);
        if judged && share.is_exceeded(self.bad.len() as u64 + 1, within) {
            return false;
        }
        self.seen = seen;
        self.bad.push_back(seen);
        true
    }

    /// Begins anew, on trial.
    pub(super) fn on_trial() -> Self {
        Self {
            on_trial: true,
            ..Self::default()
        }
    }

    /// Whether it has been exceeded, and not gone well for a window since.
    pub(super) fn is_on_trial(&self) -> bool {
        self.on_trial
    }

    /// Drops what the window has passed.
    fn forget(&mut self, share: Share) {
        let oldest = (self.seen + 1).saturating_sub(share.window_messages);
        while self.bad.front().is_some_and(|number| *number <= oldest) {
            self.bad.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULTS: Share = Share {
        percent_max: 10,
        window_messages: 50,
        judged_from: 0,
        at_once: true,
    };
    const REFUSED: Share = Share {
        percent_max: 50,
        window_messages: 100,
        judged_from: 20,
        at_once: false,
    };
    const REJECTED: Share = Share {
        percent_max: 90,
        window_messages: 200,
        judged_from: 200,
        at_once: false,
    };

    /// Which of these messages go on; true is a bad one.
    fn taken_by(tally: &mut Tally, share: Share, bad: impl IntoIterator<Item = bool>) -> Vec<bool> {
        let taken = bad.into_iter().map(|bad| match bad {
            true => tally.takes_bad(share),
            false => {
                tally.good(1, share);
                true
            }
        });
        taken.collect()
    }

    fn taken(share: Share, bad: impl IntoIterator<Item = bool>) -> Vec<bool> {
        taken_by(&mut Tally::default(), share, bad)
    }

    fn first_too_many(share: Share, bad: impl IntoIterator<Item = bool>) -> Option<usize> {
        taken(share, bad).iter().position(|taken| !taken)
    }

    #[test]
    fn faults_go_on_until_the_windows_share_is_spent() {
        let taken = taken(FAULTS, [true; 8]);
        assert_eq!(taken, [true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn a_share_within_the_limit_goes_on_for_ever() {
        let one_in = |n: usize| (1..10_000_usize).map(move |number| number % n == 0);
        assert_eq!(first_too_many(FAULTS, one_in(11)), None);
        assert!(first_too_many(FAULTS, one_in(9)).is_some());
        for n in [2, 3, 10] {
            assert_eq!(first_too_many(REFUSED, one_in(n)), None, "one in {n}");
        }
        let nine_in_ten = (0..10_000).map(|number| number % 10 != 0);
        assert_eq!(first_too_many(REJECTED, nine_in_ten), None);
    }

    #[test]
    fn good_messages_earn_no_more_than_a_window() {
        let messages = [false; 1_000].into_iter().chain([true; 6]);
        let taken = taken(FAULTS, messages);
        assert_eq!(taken[1_000..], [true, true, true, true, true, false]);
    }

    #[test]
    fn where_no_fault_is_allowed_the_second_one_is_too_many() {
        let none = Share {
            percent_max: 0,
            ..FAULTS
        };
        assert_eq!(taken(none, [true, false, true]), [true, true, false]);
    }

    #[test]
    fn more_refused_than_stored_are_too_many_from_twenty_on() {
        assert_eq!(first_too_many(REFUSED, [true; 30]), Some(19));
        let two_of_three = (0..300).map(|number| number % 3 != 0);
        let at = first_too_many(REFUSED, two_of_three).expect("too many");
        assert!(at < 25, "not before {at}");
        // After good ones it takes more of them than the good ones in a window.
        let later = [false; 500].into_iter().chain([true; 60]);
        assert_eq!(first_too_many(REFUSED, later), Some(550));
    }

    #[test]
    fn nearly_all_rejected_are_too_many_from_two_hundred_on() {
        for few in [60, 150, 199] {
            assert_eq!(first_too_many(REJECTED, vec![true; few]), None, "{few}");
        }
        assert_eq!(first_too_many(REJECTED, [true; 300]), Some(199));
        let sixty = [[false; 400].as_slice(), &[true; 60], &[false; 400]].concat();
        assert_eq!(first_too_many(REJECTED, sixty), None);
    }

    #[test]
    fn on_trial_it_is_judged_after_twenty() {
        for share in [REFUSED, REJECTED] {
            let mut tally = Tally::on_trial();
            let taken = taken_by(&mut tally, share, [true; 30]);
            let first = taken.iter().position(|taken| !taken);
            assert_eq!(first, Some(19));
        }
        // A window that goes well ends the trial.
        let mut tally = Tally::on_trial();
        tally.good(400, REJECTED);
        assert_eq!(taken_by(&mut tally, REJECTED, [true; 150]), [true; 150]);
    }

    #[test]
    fn its_memory_is_no_larger_than_the_window() {
        let mut tally = Tally::default();
        let all = Share {
            percent_max: 99,
            ..REFUSED
        };
        for number in 0..100_000 {
            match number % 50 {
                0 => tally.good(1, all),
                _ => drop(tally.takes_bad(all)),
            }
        }
        assert!(tally.bad.len() <= 100);
    }
}
