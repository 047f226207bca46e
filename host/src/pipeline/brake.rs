//! Brakes: nothing is rejected without end, whoever is at fault.
//!
//! Three shares are looked at, by one mechanism: what the component faults on,
//! what it rejects, and what the database refuses. Within its share a bad
//! message is rejected, for ever; beyond, it is kept, leased, and the host is
//! held for a while. Then the same messages are judged, or tried, again, with a
//! small new credit, so that a flood of bad ones is worked off slowly. So one bad
//! release, or a wrong policy on the queue, rejects some dozens of messages and
//! no thousands. A component that takes over begins with full credit, and judges
//! at once what its predecessor failed on.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::decider::Present;
use super::hold::{Dependency, Hold, Holder};
use super::item::Item;
use super::share::{Share, Tally};
use crate::output::Policy;
use crate::shutdown::Shutdown;

/// The default share of messages on which a component may fault, in percent:
/// a good one faults on none, a poisonous producer seldom sends more.
pub const FAULTS_PERCENT_DEFAULT: u8 = 5;
/// The default window, in messages, over which that share is allowed at once:
/// with 5 % of it, 50 messages are rejected before the component is suspected.
pub const FAULTS_WINDOW_MESSAGES_DEFAULT: u32 = 1_000;
/// The default share of messages that a component may reject, in percent: where
/// it is more, it is hardly the policy for this queue.
pub const REJECTED_PERCENT_DEFAULT: u8 = 90;
/// The messages of which that is a share: sixty bad ones in a row are a
/// producer's hiccup.
const REJECTED_WINDOW_MESSAGES: u64 = 200;
/// The default share of messages that the database may refuse, in percent, of
/// those that it stores or refuses: more refused than stored is no exception.
pub const REFUSED_PERCENT_DEFAULT: u8 = 50;
/// The messages of which that is a share, and from how many on.
const REFUSED_WINDOW_MESSAGES: u64 = 100;
const REFUSED_JUDGED_FROM: u64 = 20;
/// The first time held, in seconds; each one after it lasts twice as long.
const HELD_SECS_FIRST: u64 = 60;
/// The longest one, in seconds.
const HELD_SECS_MAX: u64 = 3_600;

/// Which shares of the messages may go wrong; 100 percent means no brake.
#[derive(Clone, Copy, Debug)]
pub struct BrakeLimits {
    /// Percent of the messages on which the component may fault.
    pub faults_percent_max: u8,
    /// The messages over which that is allowed at once.
    pub faults_window_messages: u32,
    /// Percent of the messages that the component may reject.
    pub rejected_percent_max: u8,
    /// Percent of the records that the database may refuse.
    pub refused_percent_max: u8,
}

impl Default for BrakeLimits {
    fn default() -> Self {
        Self {
            faults_percent_max: FAULTS_PERCENT_DEFAULT,
            faults_window_messages: FAULTS_WINDOW_MESSAGES_DEFAULT,
            rejected_percent_max: REJECTED_PERCENT_DEFAULT,
            refused_percent_max: REFUSED_PERCENT_DEFAULT,
        }
    }
}

/// What a brake looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// The component faults.
    Faults,
    /// The component rejects.
    Rejected,
    /// The database refuses.
    Refused,
}

/// One brake of a run. Clones share it.
#[derive(Clone)]
pub(super) struct Brake {
    bad: Bad,
    share: Share,
    present: Present,
    hold: Hold,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Whose tally it is.
    policy: Arc<Policy>,
    tally: Tally,
    /// The end of the present time held.
    until: Option<Instant>,
    /// How long the next one lasts.
    next: Duration,
}

/// The brakes of a run. Clones share them.
#[derive(Clone)]
pub(super) struct Brakes {
    faults: Brake,
    rejected: Brake,
    /// The database's.
    pub(super) refused: Brake,
}

/// What became of a judged batch.
pub(super) struct Admitted {
    /// They go on to their fate.
    pub(super) items: Vec<Item>,
    /// They are to be judged again once the time held is over.
    pub(super) suspects: Vec<Item>,
}

impl Brakes {
    pub(super) fn new(limits: BrakeLimits, present: &Present, hold: &Hold) -> Self {
        let brake = |bad, share| Brake::new(bad, share, present.clone(), hold.clone());
        Self {
            faults: brake(
                Bad::Faults,
                Share {
                    percent_max: limits.faults_percent_max,
                    window_messages: limits.faults_window_messages.max(1).into(),
                    judged_from: 0,
                    at_once: true,
                },
            ),
            rejected: brake(
                Bad::Rejected,
                Share {
                    percent_max: limits.rejected_percent_max,
                    window_messages: REJECTED_WINDOW_MESSAGES,
                    judged_from: REJECTED_WINDOW_MESSAGES,
                    at_once: false,
                },
            ),
            refused: brake(
                Bad::Refused,
                Share {
                    percent_max: limits.refused_percent_max,
                    window_messages: REFUSED_WINDOW_MESSAGES,
                    judged_from: REFUSED_JUDGED_FROM,
                    at_once: false,
                },
            ),
        }
    }

    /// Sorts out the messages that the component faults on, or rejects, once
    /// too often, and of a FIFO queue those that must not overtake them.
    pub(super) fn admit(&self, judged: Vec<Item>) -> Admitted {
        let mut admitted = Admitted {
            items: Vec::with_capacity(judged.len()),
            suspects: Vec::new(),
        };
        let mut held_groups = HashSet::new();
        for item in judged {
            let group = item.group().map(str::to_owned);
            let overtakes = group
                .as_ref()
                .is_some_and(|name| held_groups.contains(name));
            if !overtakes && self.lets_pass(&item) {
                admitted.items.push(item);
            } else {
                held_groups.extend(group);
                admitted.suspects.push(item);
            }
        }
        admitted
    }

    fn lets_pass(&self, item: &Item) -> bool {
        match (item.is_fault(), item.is_rejected()) {
            (true, _) => self.faults.takes_bad(&item.policy),
            (false, true) => {
                self.faults.good(&item.policy, 1);
                self.rejected.takes_bad(&item.policy)
            }
            (false, false) => {
                self.faults.good(&item.policy, 1);
                self.rejected.good(&item.policy, 1);
                true
            }
        }
    }

    /// Waits until messages may be judged again. False where a stop comes first.
    pub(super) async fn outlast(&self, stop: &mut Shutdown) -> bool {
        self.faults.outlast(stop).await && self.rejected.outlast(stop).await
    }
}

impl Brake {
    fn new(bad: Bad, share: Share, present: Present, hold: Hold) -> Self {
        let state = State::new(present.decider().policy);
        Self {
            bad,
            share,
            present,
            hold,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Messages of a policy went well.
    pub(super) fn good(&self, policy: &Arc<Policy>, messages: usize) {
        let mut state = self.lock();
        self.renew(&mut state);
        if Arc::ptr_eq(policy, &state.policy) {
            state.tally.good(messages, self.share);
            if state.until.is_none() && !state.tally.is_on_trial() {
                state.next = Duration::from_secs(HELD_SECS_FIRST);
            }
        }
    }

    /// Whether a message that went wrong may be rejected; where it may not, the
    /// host is held. What another policy has judged is not counted here, and
    /// waits for the present one to judge it.
    pub(super) fn takes_bad(&self, policy: &Arc<Policy>) -> bool {
        if self.share.is_off() {
            return true;
        }
        let mut state = self.lock();
        self.renew(&mut state);
        if !Arc::ptr_eq(policy, &state.policy) {
            return false;
        }
        let takes = state.until.is_none() && state.tally.takes_bad(self.share);
        if !takes {
            self.begin(&mut state);
        }
        takes
    }

    /// The end of the time held, while it lasts.
    pub(super) fn until(&self, policy: &Arc<Policy>) -> Option<Instant> {
        let mut state = self.lock();
        self.renew(&mut state);
        state.until.filter(|_| Arc::ptr_eq(policy, &state.policy))
    }

    fn begin(&self, state: &mut State) {
        if state.until.is_some() {
            return;
        }
        state.until = Some(Instant::now() + state.next);
        let cause = self.words(state.next.as_secs());
        state.next = (state.next * 2).min(Duration::from_secs(HELD_SECS_MAX));
        let (holder, dependency) = match self.bad {
            Bad::Faults | Bad::Rejected => (self.holder(), Dependency::Component),
            Bad::Refused => (self.holder(), Dependency::Database),
        };
        self.hold.enter(holder, dependency, &cause, None);
    }

    fn holder(&self) -> Holder {
        match self.bad {
            Bad::Faults => Holder::Component,
            Bad::Rejected => Holder::Rejections,
            Bad::Refused => Holder::Refusals,
        }
    }

    /// What it looks like, and how to go on.
    fn words(&self, secs: u64) -> String {
        let percent = self.share.percent_max;
        match self.bad {
            Bad::Faults => format!(
                "it faults on more than {percent} % of the messages; they are judged again in \
                 {secs} s"
            ),
            Bad::Rejected => format!(
                "it rejects more than {percent} % of the last {REJECTED_WINDOW_MESSAGES} messages: \
                 the wrong policy on this queue? The rest is judged again in {secs} s, a few at a \
                 time; put the right one in its place, or raise --rejected-percent-max"
            ),
            Bad::Refused => format!(
                "it refuses more than {percent} % of the last records, while others are stored: \
                 does the table fit what is sent? The rest is tried again in {secs} s, a few at a \
                 time; mend the table, or raise --refused-percent-max"
            ),
        }
    }

    /// Waits for the end of the time held. False where a stop comes first.
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
            self.hold.leave(self.holder());
        }
        *state = State::new(self.present.decider().policy);
    }

    fn lift_at(&self, until: Instant) {
        let mut state = self.lock();
        if state.until == Some(until) {
            state.until = None;
            state.tally = Tally::on_trial();
            self.hold.leave(self.holder());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            tally: Tally::default(),
            until: None,
            next: Duration::from_secs(HELD_SECS_FIRST),
        }
    }
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

    const LIMITS: BrakeLimits = BrakeLimits {
        faults_percent_max: 10,
        faults_window_messages: 50,
        rejected_percent_max: REJECTED_PERCENT_DEFAULT,
        refused_percent_max: REFUSED_PERCENT_DEFAULT,
    };

    fn brakes() -> (Brakes, Successor) {
        let telemetry = Telemetry::new(Duration::from_secs(30));
        let (successor, present) = decider(numbered(0));
        (
            Brakes::new(LIMITS, &present, &Hold::new(&telemetry)),
            successor,
        )
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

    /// How many bad ones are taken until it is one too many.
    fn fill(brake: &Brake) -> usize {
        let policy = brake.present.decider().policy;
        (0..).take_while(|_| brake.takes_bad(&policy)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn each_time_held_lasts_longer_and_ends_with_new_credit() {
        let (brakes, _successor) = brakes();
        let (_switch, mut stop) = shutdown();
        for (brake, first, credit) in [
            (brakes.faults, 5, 5),
            (brakes.rejected, 199, 19),
            (brakes.refused, 19, 19),
        ] {
            let mut taken = first;
            for secs in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
                assert_eq!(fill(&brake), taken, "{:?}", brake.bad);
                let policy = brake.present.decider().policy;
                assert!(brake.until(&policy).is_some());
                let began = Instant::now();
                assert!(brake.outlast(&mut stop).await);
                assert_eq!(began.elapsed().as_secs(), secs);
                brake.hold.released().await;
                taken = credit;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_ends_the_time_held_and_begins_with_new_credit() {
        let (brakes, successor) = brakes();
        let (_switch, mut stop) = shutdown();
        assert_eq!(fill(&brakes.faults), 5);
        assert_eq!(fill(&brakes.rejected), 199);
        let began = Instant::now();
        let taking_over = async {
            sleep(Duration::from_secs(7)).await;
            successor.takes_over(numbered(1));
        };
        let (lifted, ()) = tokio::join!(brakes.outlast(&mut stop), taking_over);
        assert!(lifted);
        assert_eq!(began.elapsed().as_secs(), 7);
        brakes.faults.hold.released().await;
        assert_eq!(fill(&brakes.faults), 5);
        assert_eq!(fill(&brakes.rejected), 199);
        let state = brakes.faults.lock();
        assert_eq!(state.next.as_secs(), 2 * HELD_SECS_FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_waiting() {
        let (brakes, _successor) = brakes();
        let (switch, mut stop) = shutdown();
        fill(&brakes.refused);
        switch.stop();
        assert!(!brakes.refused.outlast(&mut stop).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_no_brake_has_none() {
        let telemetry = Telemetry::new(Duration::from_secs(30));
        let (_successor, present) = decider(numbered(0));
        let off = BrakeLimits {
            faults_percent_max: 100,
            rejected_percent_max: 100,
            refused_percent_max: 100,
            ..LIMITS
        };
        let brakes = Brakes::new(off, &present, &Hold::new(&telemetry));
        let policy = present.decider().policy;
        for brake in [brakes.faults, brakes.rejected, brakes.refused] {
            assert!((0..5_000).all(|_| brake.takes_bad(&policy)));
        }
    }
}
