//! Quarantine: a component that faults too often is not run for ever against
//! the queue.
//!
//! Every fault costs a credit, every message that does not fault earns a part
//! of one. While there is credit, a message on which the component faults is
//! rejected like any other. Without, it is kept, unjudged and leased, and the
//! host is held for a while; then the same messages are judged again, with new
//! credit. So one bad release rejects some dozens of messages and no thousands,
//! and a flood of poisonous messages, which looks the same from here, is worked
//! off in the end. A component that takes over begins with full credit, and
//! judges at once what its predecessor faulted on.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::decider::Present;
use super::hold::{Dependency, Hold, Holder};
use super::worker::Item;
use crate::output::Policy;
use crate::shutdown::Shutdown;
use crate::verdict::{Rejection, Verdict};

/// The default share of messages on which a component may fault, in percent:
/// a good one faults on none, a poisonous producer seldom sends more.
pub const FAULTS_PERCENT_DEFAULT: u8 = 5;
/// The default window, in messages, over which that share is allowed at once:
/// with 5 % of it, 50 messages are rejected before the component is suspected.
pub const FAULTS_WINDOW_MESSAGES_DEFAULT: u32 = 1_000;
/// The first quarantine, in seconds; each one after it lasts twice as long.
const QUARANTINE_SECS_FIRST: u64 = 60;
/// The longest one, in seconds.
const QUARANTINE_SECS_MAX: u64 = 3_600;

/// How often a component may fault.
#[derive(Clone, Copy, Debug)]
pub struct FaultLimits {
    /// Percent of the messages; 100 means that no quarantine is wanted.
    pub percent_max: u8,
    /// The messages over which that is allowed at once.
    pub window_messages: u32,
}

/// The quarantine of a run's component. Clones share it.
#[derive(Clone)]
pub(super) struct Quarantine {
    limits: FaultLimits,
    present: Present,
    hold: Hold,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Whose credit it is.
    policy: Arc<Policy>,
    /// In hundredths of a fault.
    credit: u64,
    /// The end of the present quarantine.
    until: Option<Instant>,
    /// How long the next one lasts.
    next: Duration,
}

/// What became of a judged batch.
pub(super) struct Admitted {
    /// They go on to their fate.
    pub(super) items: Vec<Item>,
    /// They are to be judged again once the quarantine is over.
    pub(super) suspects: Vec<Item>,
}

/// A fault, in the state's unit; a message earns as many of these as there are
/// percent allowed.
const FAULT_COST: u64 = 100;

impl Quarantine {
    pub(super) fn new(limits: FaultLimits, present: Present, hold: Hold) -> Self {
        let state = State::new(present.decider().policy, limits);
        Self {
            limits,
            present,
            hold,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Sorts out the messages on which the component faults once too often,
    /// and of a FIFO queue those that must not overtake them.
    pub(super) fn admit(&self, judged: Vec<Item>) -> Admitted {
        let mut admitted = Admitted {
            items: Vec::with_capacity(judged.len()),
            suspects: Vec::new(),
        };
        if self.limits.percent_max >= 100 {
            admitted.items = judged;
            return admitted;
        }
        let mut state = self.lock();
        self.renew(&mut state);
        // What another policy has judged is neither charged nor earned here.
        let outdated = judged
            .first()
            .is_some_and(|item| !Arc::ptr_eq(&item.policy, &state.policy));
        let mut held_groups = HashSet::new();
        for item in judged {
            let group = item.message.fifo.as_ref().map(|fifo| fifo.group.clone());
            let overtakes = group
                .as_ref()
                .is_some_and(|name| held_groups.contains(name));
            let goes_on = match outdated {
                true => !is_fault(&item),
                false => state.pays(is_fault(&item), self.limits),
            };
            if goes_on && !overtakes {
                admitted.items.push(item);
            } else {
                held_groups.extend(group);
                admitted.suspects.push(item);
            }
        }
        if !admitted.suspects.is_empty() && !outdated {
            self.begin(&mut state);
        }
        admitted
    }

    fn begin(&self, state: &mut State) {
        if state.until.is_some() {
            return;
        }
        state.until = Some(Instant::now() + state.next);
        let cause = format!(
            "it faults on more than {} % of the messages; they are judged again in {} s",
            self.limits.percent_max,
            state.next.as_secs()
        );
        state.next = (state.next * 2).min(Duration::from_secs(QUARANTINE_SECS_MAX));
        self.hold
            .enter(Holder::Component, Dependency::Component, &cause, None);
    }

    /// Waits for the end of the quarantine. False where a stop comes first.
    pub(super) async fn outlast(&self, stop: &mut Shutdown) -> bool {
        loop {
            let (until, policy) = {
                let mut state = self.lock();
                self.renew(&mut state);
                (state.until, Arc::clone(&state.policy))
            };
            let Some(until) = until else {
                return !stop.is_requested();
            };
            tokio::select! {
                () = stop.requested() => return false,
                () = sleep_until(until) => self.lift_at(until),
                () = self.present.no_longer_of(&policy) => {}
            }
        }
    }

    /// Forgets what the component did that decides no longer.
    fn renew(&self, state: &mut State) {
        if self.present.is_of(&state.policy) {
            return;
        }
        if state.until.is_some() {
            self.hold.leave(Holder::Component);
        }
        *state = State::new(self.present.decider().policy, self.limits);
    }

    fn lift_at(&self, until: Instant) {
        let mut state = self.lock();
        if state.until == Some(until) {
            state.until = None;
            state.credit = self.limits.credit_max();
            self.hold.leave(Holder::Component);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultLimits {
    /// The credit of a whole window; a single fault is always allowed.
    fn credit_max(self) -> u64 {
        let window = u64::from(self.window_messages) * u64::from(self.percent_max);
        window.max(FAULT_COST)
    }
}

impl State {
    fn new(policy: Arc<Policy>, limits: FaultLimits) -> Self {
        Self {
            policy,
            credit: limits.credit_max(),
            until: None,
            next: Duration::from_secs(QUARANTINE_SECS_FIRST),
        }
    }

    /// Whether a message goes on: the component does not fault on it, or there
    /// is credit.
    fn pays(&mut self, fault: bool, limits: FaultLimits) -> bool {
        if !fault {
            let earned = self.credit + u64::from(limits.percent_max);
            self.credit = earned.min(limits.credit_max());
            return true;
        }
        let left = self.credit.checked_sub(FAULT_COST);
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }
}

fn is_fault(item: &Item) -> bool {
    matches!(&item.verdict, Verdict::Reject(Rejection { reason, .. }) if reason.is_fault())
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::message::Message;
    use crate::pipeline::decider::{Decider, Successor, decider};
    use crate::sandbox::{Judge, Judged, Judging};
    use crate::shutdown::shutdown;
    use crate::telemetry::Telemetry;

    const LIMITS: FaultLimits = FaultLimits {
        percent_max: 10,
        window_messages: 50,
    };

    fn quarantine(limits: FaultLimits) -> Quarantine {
        replaceable(limits).0
    }

    fn replaceable(limits: FaultLimits) -> (Quarantine, Successor) {
        let telemetry = Telemetry::new(Duration::from_secs(30));
        let (successor, present) = decider(numbered(0));
        let hold = Hold::new(&telemetry);
        (Quarantine::new(limits, present, hold), successor)
    }

    fn numbered(number: u8) -> Decider {
        Decider::simulated(number, Arc::new(NoJudge))
    }

    struct NoJudge;

    impl Judge for NoJudge {
        fn judge(&self, messages: Vec<Message>) -> Judging<'_> {
            Box::pin(async move {
                Judged {
                    messages,
                    ..Judged::default()
                }
            })
        }
    }

    /// Which of these messages go on; true is a fault.
    fn paid(limits: FaultLimits, faults: impl IntoIterator<Item = bool>) -> Vec<bool> {
        let quarantine = quarantine(limits);
        let mut state = quarantine.lock();
        let pays = faults.into_iter().map(|fault| state.pays(fault, limits));
        pays.collect()
    }

    #[test]
    fn faults_go_on_until_the_windows_share_is_spent() {
        let paid = paid(LIMITS, [true; 8]);
        assert_eq!(paid, [true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn a_share_within_the_limit_goes_on_for_ever() {
        let one_in_eleven = (0..10_000).map(|n| n % 11 == 0);
        assert!(paid(LIMITS, one_in_eleven).iter().all(|paid| *paid));
        let one_in_nine = (0..10_000).map(|n| n % 9 == 0);
        assert!(!paid(LIMITS, one_in_nine).iter().all(|paid| *paid));
    }

    #[test]
    fn good_messages_earn_no_more_than_a_window() {
        let messages = [false; 1_000].into_iter().chain([true; 6]);
        let paid = paid(LIMITS, messages);
        assert_eq!(paid[1_000..], [true, true, true, true, true, false]);
    }

    #[test]
    fn where_no_fault_is_allowed_the_second_one_is_too_many() {
        let none = FaultLimits {
            percent_max: 0,
            window_messages: 50,
        };
        assert_eq!(paid(none, [true, false, true]), [true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_quarantine_lasts_longer_and_ends_with_new_credit() {
        let quarantine = quarantine(LIMITS);
        let (_switch, mut stop) = shutdown();
        for secs in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            {
                let mut state = quarantine.lock();
                while state.pays(true, LIMITS) {}
                quarantine.begin(&mut state);
            }
            let began = Instant::now();
            assert!(quarantine.outlast(&mut stop).await);
            assert_eq!(began.elapsed().as_secs(), secs);
            assert_eq!(quarantine.lock().credit, LIMITS.credit_max());
            quarantine.hold.released().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_ends_the_quarantine_and_begins_with_new_credit() {
        let (quarantine, successor) = replaceable(LIMITS);
        let (_switch, mut stop) = shutdown();
        {
            let mut state = quarantine.lock();
            while state.pays(true, LIMITS) {}
            quarantine.begin(&mut state);
        }
        let began = Instant::now();
        let taking_over = async {
            sleep(Duration::from_secs(7)).await;
            successor.takes_over(numbered(1));
        };
        let (lifted, ()) = tokio::join!(quarantine.outlast(&mut stop), taking_over);
        assert!(lifted);
        assert_eq!(began.elapsed().as_secs(), 7);
        quarantine.hold.released().await;
        let state = quarantine.lock();
        assert_eq!(state.credit, LIMITS.credit_max());
        assert_eq!(state.next.as_secs(), QUARANTINE_SECS_FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_waiting() {
        let quarantine = quarantine(LIMITS);
        let (switch, mut stop) = shutdown();
        quarantine.begin(&mut quarantine.lock());
        switch.stop();
        assert!(!quarantine.outlast(&mut stop).await);
    }
}
