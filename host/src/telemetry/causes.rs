//! The causes that stand: everything that keeps the host from being ready.
//!
//! This is the only owner of readiness. Whoever cannot go on enters a cause
//! under its own name and leaves it later; nobody can end the cause of another.
//! Readiness, the metrics of holds, the pause of receiving and the log lines
//! are all derived from this one set, so that they cannot disagree.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::labels::Dependency;
use super::metrics::Metrics;
use super::teller::{Line, Teller};
use crate::event::Event;

/// The longest words of a cause, in characters.
const WORDS_CHARS_MAX: usize = 300;

/// Who cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// The start-up, which waits for a dependency.
    Start(Dependency),
    /// The tasks that receive from the source queue.
    Receiver,
    /// The task that deletes from the source queue.
    Deleter,
    /// The task that extends leases.
    Leases,
    /// A worker, by its number.
    Worker(usize),
    /// The quarantine of the component.
    Component,
    /// The brake on the share of messages that the component rejects.
    Rejections,
    /// The brake on the share of records that the database refuses.
    Refusals,
}

/// Whether messages are received while a cause stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiving {
    /// Nothing more is received.
    Pauses,
    /// Receiving goes on: more messages help to find the fault, or the calls
    /// themselves find its end.
    GoesOn,
}

/// Why a holder cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    dependency: Dependency,
    words: String,
    sqlstate: Option<String>,
    receiving: Receiving,
}

impl Cause {
    /// A cause that pauses receiving. `words` are codes and causes, never
    /// anything of a message; they are cleaned and cut here.
    pub fn new(dependency: Dependency, words: &dyn fmt::Display) -> Self {
        Self {
            dependency,
            words: one_line(&words.to_string()),
            sqlstate: None,
            receiving: Receiving::Pauses,
        }
    }

    /// The same cause, with PostgreSQL's code.
    #[must_use]
    pub fn with_sqlstate(self, sqlstate: Option<&str>) -> Self {
        let sqlstate = sqlstate.map(str::to_owned);
        Self { sqlstate, ..self }
    }

    /// The same cause, while which receiving goes on or pauses.
    #[must_use]
    pub fn with_receiving(self, receiving: Receiving) -> Self {
        Self { receiving, ..self }
    }
}

/// The set of standing causes. Clones share it.
#[derive(Clone, Debug)]
pub struct StandingCauses {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    receiving: watch::Sender<bool>,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    causes: BTreeMap<Holder, Cause>,
    stopping: bool,
    /// Lines about receives that fail.
    receives: Teller,
    /// Lines about everything else that holds the host.
    holds: Teller,
}

/// What stands at one moment.
pub(super) struct Standing {
    /// Whether a stop was requested.
    pub(super) stopping: bool,
    /// The words of each cause, by the dependency that they are about.
    pub(super) words: Vec<(Dependency, String)>,
}

impl StandingCauses {
    /// The causes of a host that starts: nothing is found yet.
    pub(super) fn new(metrics: Metrics) -> Self {
        let starting = |dependency| {
            let cause = Cause::new(dependency, &"starting").with_receiving(Receiving::GoesOn);
            (Holder::Start(dependency), cause)
        };
        let state = State {
            causes: Dependency::STARTED.map(starting).into(),
            stopping: false,
            receives: Teller::default(),
            holds: Teller::default(),
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                receiving: watch::Sender::new(true),
                metrics,
            }),
        }
    }

    /// A holder cannot go on. Its new cause takes the place of its last one.
    pub fn enter(&self, holder: Holder, cause: Cause) {
        let mut state = self.lock();
        state.causes.insert(holder, cause);
        self.changed(&mut state);
    }

    /// A holder goes on: its own cause ends, and no other.
    pub fn leave(&self, holder: Holder) {
        let mut state = self.lock();
        if state.causes.remove(&holder).is_some() {
            self.changed(&mut state);
        }
    }

    /// A stop was requested. The host is not ready from now on.
    pub(super) fn stopping(&self) {
        self.lock().stopping = true;
    }

    /// Waits until no standing cause pauses receiving.
    pub async fn receiving(&self) {
        let mut receiving = self.shared.receiving.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = receiving.wait_for(|receiving| *receiving).await;
    }

    /// Whether a worker cannot go on.
    pub(crate) fn holds_a_worker(&self) -> bool {
        let state = self.lock();
        let mut holders = state.causes.keys();
        holders.any(|holder| matches!(holder, Holder::Worker(_) | Holder::Component))
    }

    /// Whether receiving goes on at this moment.
    #[cfg(test)]
    pub(crate) fn is_receiving(&self) -> bool {
        *self.shared.receiving.borrow()
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        let words = |(holder, cause): (&Holder, &Cause)| (cause.dependency, shown(*holder, cause));
        Standing {
            stopping: state.stopping,
            words: state.causes.iter().map(words).collect(),
        }
    }

    /// Derives everything from the set; called under its lock, so that what is
    /// derived last is true.
    fn changed(&self, state: &mut State) {
        let now = Instant::now();
        let held = state.causes.iter();
        let held = held.filter(|(holder, _)| !matches!(holder, Holder::Start(_)));
        let held = held.map(|(_, cause)| cause.dependency).collect();
        self.shared.metrics.held(held, now.into_std());
        let mut causes = state.causes.values();
        let receiving = causes.all(|cause| cause.receiving == Receiving::GoesOn);
        self.shared.receiving.send_if_modified(|before| {
            let changes = *before != receiving;
            *before = receiving;
            changes
        });
        self.tell(state, now);
    }

    /// Logs what is due, and looks again when more will be.
    fn tell(&self, state: &mut State, now: Instant) {
        let is_receiver = |holder: &Holder| *holder == Holder::Receiver;
        let receives = told(&state.causes, is_receiver);
        let holds = told(&state.causes, |holder| !is_receiver(holder));
        let lines = state.receives.look(&receives, now);
        lines.into_iter().for_each(log_receives);
        let lines = state.holds.look(&holds, now);
        lines.into_iter().for_each(log_holds);
        let due = [&mut state.receives, &mut state.holds].map(|teller| teller.next_look());
        for due in due.into_iter().flatten() {
            let causes = self.clone();
            // Without a runtime (a test of this set alone) nobody looks again.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    sleep_until(due).await;
                    causes.tell(&mut causes.lock(), due.max(Instant::now()));
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = &self.shared.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words of a cause on the line of its dependency.
fn shown(holder: Holder, cause: &Cause) -> String {
    match (holder, cause.dependency) {
        (Holder::Deleter, _) => format!("deletion: {}", cause.words),
        (Holder::Leases, _) => format!("lease extension: {}", cause.words),
        (_, Dependency::DeadLetterQueue) => format!("dead-letter queue: {}", cause.words),
        _ => cause.words.clone(),
    }
}

/// What is to be logged of those holders: words and code, each once.
fn told(
    causes: &BTreeMap<Holder, Cause>,
    whose: impl Fn(&Holder) -> bool,
) -> Vec<(String, Option<String>)> {
    let mut told: Vec<(String, Option<String>)> = Vec::new();
    for (holder, cause) in causes {
        if matches!(holder, Holder::Start(_)) || !whose(holder) {
            continue;
        }
        let words = match (holder, cause.dependency) {
            (Holder::Deleter | Holder::Leases | Holder::Receiver, _)
            | (_, Dependency::DeadLetterQueue) => shown(*holder, cause),
            (_, dependency) => format!("{}: {}", dependency.label(), cause.words),
        };
        if told.iter().all(|(known, _)| *known != words) {
            told.push((words, cause.sqlstate.clone()));
        }
    }
    told
}

fn log_receives(line: Line) {
    match line {
        Line::Stands { words, .. } => Event::ReceiveFailing(words).log(),
        Line::Ended { .. } => Event::ReceiveRecovered.log(),
    }
}

fn log_holds(line: Line) {
    match line {
        Line::Stands { words, sqlstate } => Event::Held {
            cause: &words,
            sqlstate: sqlstate.as_deref(),
        }
        .log(),
        Line::Ended { after } => Event::Resumed { after }.log(),
    }
}

/// Words stay on their line, and have an end.
fn one_line(words: &str) -> String {
    let plain = |character: char| match character.is_control() {
        true => ' ',
        false => character,
    };
    words.chars().map(plain).take(WORDS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::Health;

    const HOLDERS: [Holder; 9] = [
        Holder::Start(Dependency::Database),
        Holder::Receiver,
        Holder::Deleter,
        Holder::Leases,
        Holder::Worker(0),
        Holder::Worker(1),
        Holder::Component,
        Holder::Rejections,
        Holder::Refusals,
    ];
    const DEPENDENCIES: [Dependency; 4] = Dependency::ALL;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Enter(Holder, Dependency, Receiving),
        Leave(Holder),
    }

    /// The set under test beside what it must show: a list of who holds what.
    struct Checked {
        health: Health,
        causes: StandingCauses,
        metrics: Metrics,
        model: Vec<(Holder, Dependency, Receiving)>,
    }

    impl Checked {
        fn new() -> Self {
            let metrics = Metrics::default();
            let causes = StandingCauses::new(metrics.clone());
            for dependency in Dependency::STARTED {
                causes.leave(Holder::Start(dependency));
            }
            let health = Health::new(std::time::Duration::from_secs(30), causes.clone());
            Self {
                health,
                causes,
                metrics,
                model: Vec::new(),
            }
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Enter(holder, dependency, receiving) => {
                    let words = format!("<{holder:?}>");
                    let cause = Cause::new(dependency, &words).with_receiving(receiving);
                    self.causes.enter(holder, cause);
                    self.model.retain(|(other, ..)| *other != holder);
                    self.model.push((holder, dependency, receiving));
                }
                Step::Leave(holder) => {
                    self.causes.leave(holder);
                    self.model.retain(|(other, ..)| *other != holder);
                }
            }
            self.check(step);
        }

        fn check(&self, last: Step) {
            let readiness = self.health.readiness();
            assert_eq!(readiness.well, self.model.is_empty(), "{last:?}");
            for (line, of) in [
                (
                    "queue",
                    &[Dependency::Queue, Dependency::DeadLetterQueue][..],
                ),
                ("database", &[Dependency::Database]),
                ("component", &[Dependency::Component]),
            ] {
                let start = format!("{line}: ");
                let mut lines = readiness.text.lines();
                let shown = lines.find(|shown| shown.starts_with(&start));
                let shown = shown.expect("a line a dependency");
                let is_of =
                    |(_, dependency, _): &&(Holder, Dependency, Receiving)| of.contains(dependency);
                let standing: Vec<_> = self.model.iter().filter(is_of).collect();
                let ready = shown == format!("{line}: ready");
                assert_eq!(ready, standing.is_empty(), "{last:?}: {shown}");
                for holder in HOLDERS {
                    let stands = standing.iter().any(|(other, ..)| *other == holder);
                    let named = shown.contains(&format!("<{holder:?}>"));
                    assert_eq!(named, stands, "{last:?}: {shown}");
                }
            }
            let pauses = |cause: &(Holder, Dependency, Receiving)| cause.2 == Receiving::Pauses;
            assert_eq!(
                self.causes.is_receiving(),
                !self.model.iter().any(pauses),
                "{last:?}"
            );
            let is_hold =
                |cause: &(Holder, Dependency, Receiving)| !matches!(cause.0, Holder::Start(_));
            let held = u8::from(self.model.iter().any(is_hold));
            let exposition = self.metrics.text().expect("text");
            assert!(
                exposition.contains(&format!("\netl_host_held {held}\n")),
                "{last:?}"
            );
        }
    }

    /// Every order in which two causes can begin and end, with a cause that is
    /// entered twice and one that is left without having been entered.
    #[test]
    fn two_causes_in_any_order_keep_the_host_unready_until_both_have_ended() {
        for first in HOLDERS {
            for second in HOLDERS {
                for (one, two) in pairs() {
                    let enter = [
                        Step::Enter(first, one, Receiving::Pauses),
                        Step::Enter(second, two, Receiving::GoesOn),
                    ];
                    let leave = [Step::Leave(first), Step::Leave(second)];
                    for order in [
                        [enter[0], enter[1], leave[0], leave[1]],
                        [enter[0], enter[1], leave[1], leave[0]],
                        [enter[1], enter[0], leave[0], leave[1]],
                        [enter[1], enter[0], leave[1], leave[0]],
                        [enter[0], leave[0], enter[1], leave[1]],
                        [enter[0], leave[1], enter[1], leave[0]],
                        [enter[0], enter[0], leave[0], enter[1]],
                    ] {
                        let mut checked = Checked::new();
                        order.into_iter().for_each(|step| checked.step(step));
                    }
                }
            }
        }
    }

    fn pairs() -> impl Iterator<Item = (Dependency, Dependency)> {
        let all = DEPENDENCIES.into_iter();
        all.flat_map(|one| DEPENDENCIES.map(|two| (one, two)))
    }

    fn step() -> impl Strategy<Value = Step> {
        let holder = prop::sample::select(HOLDERS.to_vec());
        let dependency = prop::sample::select(DEPENDENCIES.to_vec());
        (holder, dependency, any::<bool>(), any::<bool>()).prop_map(
            |(holder, dependency, enters, pauses)| {
                let receiving = match pauses {
                    true => Receiving::Pauses,
                    false => Receiving::GoesOn,
                };
                match enters {
                    true => Step::Enter(holder, dependency, receiving),
                    false => Step::Leave(holder),
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn readiness_follows_the_causes_that_stand(steps in prop::collection::vec(step(), 1..40)) {
            let mut checked = Checked::new();
            steps.into_iter().for_each(|step| checked.step(step));
        }
    }

    #[test]
    fn words_stay_on_their_line_and_have_an_end() {
        let checked = Checked::new();
        let long = format!("refused\r\nqueue: ready {}", "é".repeat(10_000));
        let cause = Cause::new(Dependency::Queue, &long);
        checked.causes.enter(Holder::Receiver, cause);
        let text = checked.health.readiness().text;
        assert_eq!(text.lines().count(), 4);
        assert!(text.chars().count() < WORDS_CHARS_MAX + 100);
    }
}
