//! Health: whether the host is alive, and whether it is ready.
//!
//! Alive is a question to the pollers: the time that one has spent in receives
//! since its last receive completed. What it spends waiting on purpose (held,
//! no room, backing off) does not count, and a poller that hangs is not hidden
//! by others that pause or work. Ready is a question to the parts. Neither
//! asks anything over the network: a probe costs a lock and a few lines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::causes::{Cause, Holder, Receiving, Standing, StandingCauses};
use super::labels::Dependency;

/// Receives in a row that may come to nothing: more than the SDK's own three
/// tries of one call, so that a single lost answer is no death.
const SILENT_RECEIVES_MAX: u32 = 4;
/// The least time of silence that counts as death, in seconds: short polls
/// must not make a slow minute of the queue a reason to be restarted.
const SILENCE_SECS_MIN: u64 = 60;
/// Causes that are shown on one line.
const CAUSES_SHOWN_MAX: usize = 8;

/// The lines of a readiness report, and what each is about.
const LINES: [(&str, &[Dependency]); 3] = [
    ("queue", &[Dependency::Queue, Dependency::DeadLetterQueue]),
    ("database", &[Dependency::Database]),
    ("component", &[Dependency::Component]),
];

/// Why a poller does not receive, although it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Others receive as much as there is to do.
    NotNeeded,
    /// The environment is at fault, and receiving waits until it is mended.
    Held,
    /// As many messages are in work as may be.
    NoRoom,
    /// The queue answered with an error, and the next try is not due.
    BackingOff,
}

impl Pause {
    fn words(self) -> &'static str {
        match self {
            Self::NotNeeded => "others receive enough",
            Self::Held => "held",
            Self::NoRoom => "as much is in work as may be",
            Self::BackingOff => "the queue answers with errors",
        }
    }
}

/// The answer to a probe: whether all is well, and what to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// 200 or 503.
    pub well: bool,
    /// Lines of text that end with a line break: names of parts, codes, causes
    /// and times.
    pub text: String,
}

/// The health of the host. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    silence_max: Duration,
    state: Arc<Mutex<State>>,
    causes: StandingCauses,
}

#[derive(Debug, Default)]
struct State {
    pollers: BTreeMap<u64, Clock>,
    next_poller: u64,
}

/// What a poller has been doing since its last completed receive.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// When that was, moved on by every pause since.
    since: Instant,
    paused: Option<(Pause, Instant)>,
}

impl Health {
    /// The health of a host whose readiness these causes decide.
    ///
    /// `receive_max` is the longest that one try of a receive may take, its
    /// poll and its time-out together; a poller is dead after four of them, but
    /// not before a minute.
    pub fn new(receive_max: Duration, causes: StandingCauses) -> Self {
        Self {
            silence_max: (receive_max * SILENT_RECEIVES_MAX)
                .max(Duration::from_secs(SILENCE_SECS_MIN)),
            state: Arc::default(),
            causes,
        }
    }

    /// A poller starts; its clock runs from now on. Drop it where the poller
    /// ends: one that ends on purpose is not dead.
    pub fn poller(&self) -> Poller {
        let mut state = self.lock();
        let number = state.next_poller;
        state.next_poller += 1;
        let clock = Clock {
            since: Instant::now(),
            paused: None,
        };
        state.pollers.insert(number, clock);
        drop(state);
        Poller {
            number,
            health: self.clone(),
        }
    }

    /// The start has found a dependency.
    pub fn started(&self, dependency: Dependency) {
        self.causes.leave(Holder::Start(dependency));
    }

    /// The start waits for a dependency. `words` are codes and causes, as in
    /// the log; never of what a message or a row holds.
    pub fn waits_for(&self, dependency: Dependency, words: &str) {
        let cause = Cause::new(dependency, &words).with_receiving(Receiving::GoesOn);
        self.causes.enter(Holder::Start(dependency), cause);
    }

    /// A stop is asked for: from now on the host is not ready, and as alive as
    /// it was, so that nobody kills it while it drains.
    pub fn stopping(&self) {
        self.causes.stopping();
    }

    /// Whether every poller lives.
    pub fn liveness(&self) -> Report {
        self.liveness_at(Instant::now())
    }

    /// Whether every part works, with the reason for each that does not.
    pub fn readiness(&self) -> Report {
        self.readiness_at(Instant::now())
    }

    fn liveness_at(&self, now: Instant) -> Report {
        let state = self.lock();
        let text = match self.silence(&state, now) {
            Some(silence) => format!("not alive: {silence}\n"),
            None => match state.pause() {
                Some(pause) => format!("alive; receiving pauses: {}\n", pause.words()),
                None => "alive\n".to_owned(),
            },
        };
        Report {
            well: self.silence(&state, now).is_none(),
            text,
        }
    }

    fn readiness_at(&self, now: Instant) -> Report {
        let silence = self.silence(&self.lock(), now);
        let Standing { stopping, words } = self.causes.standing();
        let well = words.is_empty() && silence.is_none() && !stopping;
        let mut text = match (well, stopping) {
            (true, _) => "ready\n".to_owned(),
            (false, true) => "not ready: stopping\n".to_owned(),
            (false, false) => "not ready\n".to_owned(),
        };
        for (line, dependencies) in LINES {
            let mut reasons: Vec<&str> = Vec::new();
            for (dependency, words) in &words {
                if dependencies.contains(dependency) && !reasons.contains(&words.as_str()) {
                    reasons.push(words);
                }
            }
            // A dead poller is the queue's fault until someone finds out more.
            if reasons.is_empty() && dependencies.contains(&Dependency::Queue) {
                reasons.extend(silence.as_deref());
            }
            reasons.truncate(CAUSES_SHOWN_MAX);
            text.push_str(&match reasons.is_empty() {
                true => format!("{line}: ready\n"),
                false => format!("{line}: not ready: {}\n", reasons.join("; ")),
            });
        }
        Report { well, text }
    }

    /// What is to be said of the poller that has been silent for longest, where
    /// that is too long.
    fn silence(&self, state: &State, now: Instant) -> Option<String> {
        let silences = state.pollers.values().map(|clock| clock.silence(now));
        let silence = silences.max()?;
        (silence > self.silence_max)
            .then(|| format!("no receive has completed for {} s", silence.as_secs()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Why nothing is received, where every poller pauses: what keeps those
    /// back that are needed.
    fn pause(&self) -> Option<Pause> {
        let pauses = self.pollers.values().map(|clock| clock.paused);
        let pauses: Option<Vec<Pause>> = pauses.map(|pause| Some(pause?.0)).collect();
        let pauses = pauses?;
        let needed = pauses.iter().find(|pause| **pause != Pause::NotNeeded);
        needed.or(pauses.first()).copied()
    }
}

impl Clock {
    fn silence(&self, now: Instant) -> Duration {
        let until = self.paused.map_or(now, |(_, since)| since);
        until.saturating_duration_since(self.since)
    }
}

/// One of the tasks that receive, as health sees it.
#[derive(Debug)]
pub struct Poller {
    number: u64,
    health: Health,
}

impl Poller {
    /// A receive has completed, with messages or without.
    pub fn received(&self) {
        self.received_at(Instant::now());
    }

    /// From now on nothing is received, on purpose. Where the poller pauses
    /// already, only the reason changes.
    pub fn pausing(&self, pause: Pause) {
        self.pausing_at(pause, Instant::now());
    }

    /// The pause, if there was one, is over. This is no completed receive: the
    /// clock goes on where it stood, so that a poller that pauses between
    /// receives that never answer is found out all the same.
    pub fn resumed(&self) {
        self.resumed_at(Instant::now());
    }

    fn received_at(&self, now: Instant) {
        self.clock(|clock| {
            *clock = Clock {
                since: now,
                paused: None,
            }
        });
    }

    fn pausing_at(&self, pause: Pause, now: Instant) {
        self.clock(|clock| {
            let since = clock.paused.map_or(now, |(_, since)| since);
            clock.paused = Some((pause, since));
        });
    }

    fn resumed_at(&self, now: Instant) {
        self.clock(|clock| {
            if let Some((_, since)) = clock.paused.take() {
                clock.since += now.saturating_duration_since(since);
            }
        });
    }

    fn clock(&self, change: impl FnOnce(&mut Clock)) {
        if let Some(clock) = self.health.lock().pollers.get_mut(&self.number) {
            change(clock);
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.health.lock().pollers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    const RECEIVE: Duration = Duration::from_secs(30);
    /// Four receives of 30 s.
    const BOUND: Duration = Duration::from_secs(120);
    const SECOND: Duration = Duration::from_secs(1);

    fn starting() -> Health {
        Health::new(RECEIVE, StandingCauses::new(Metrics::default()))
    }

    fn all_ready() -> Health {
        let health = starting();
        for dependency in Dependency::STARTED {
            health.started(dependency);
        }
        health
    }

    #[test]
    fn a_dead_poller_is_not_alive() {
        let health = all_ready();
        let poller = health.poller();
        let start = Instant::now();
        poller.received_at(start);
        assert!(health.liveness_at(start + BOUND).well);
        let dead = health.liveness_at(start + BOUND + SECOND);
        assert!(!dead.well);
        assert_eq!(dead.text, "not alive: no receive has completed for 121 s\n");
        let unready = health.readiness_at(start + BOUND + SECOND);
        assert!(!unready.well);
        assert!(
            unready
                .text
                .contains("queue: not ready: no receive has completed for 121 s\n")
        );
    }

    #[test]
    fn a_poller_whose_first_receive_never_completes_is_not_alive() {
        let health = all_ready();
        let _poller = health.poller();
        assert!(health.liveness().well);
        assert!(!health.liveness_at(Instant::now() + BOUND + SECOND).well);
    }

    #[test]
    fn an_empty_receive_is_a_sign_of_life() {
        let health = all_ready();
        let poller = health.poller();
        let later = Instant::now() + BOUND;
        poller.received_at(later);
        assert!(health.liveness_at(later + BOUND).well);
    }

    #[test]
    fn a_dead_poller_is_not_hidden_by_others() {
        let health = all_ready();
        let (_dead, working, paused) = (health.poller(), health.poller(), health.poller());
        let start = Instant::now();
        paused.pausing_at(Pause::NoRoom, start);
        let later = start + BOUND + SECOND;
        working.received_at(later);
        assert!(!health.liveness_at(later).well);
    }

    #[test]
    fn pollers_that_are_not_needed_do_not_hide_what_keeps_the_others_back() {
        let health = all_ready();
        let (spare, needed) = (health.poller(), health.poller());
        let start = Instant::now();
        spare.pausing_at(Pause::NotNeeded, start);
        assert_eq!(health.liveness_at(start).text, "alive\n");
        needed.pausing_at(Pause::NoRoom, start);
        assert_eq!(
            health.liveness_at(start).text,
            "alive; receiving pauses: as much is in work as may be\n"
        );
    }

    #[test]
    fn a_held_pipeline_is_alive_and_not_ready() {
        let health = all_ready();
        let poller = health.poller();
        let start = Instant::now();
        poller.pausing_at(Pause::Held, start);
        health.waits_for(Dependency::Database, "SQLSTATE 57P03");
        let much_later = start + 100 * BOUND;
        let alive = health.liveness_at(much_later);
        assert!(alive.well);
        assert_eq!(alive.text, "alive; receiving pauses: held\n");
        let unready = health.readiness_at(much_later);
        assert!(!unready.well);
        assert_eq!(
            unready.text,
            "not ready\nqueue: ready\ndatabase: not ready: SQLSTATE 57P03\ncomponent: ready\n"
        );
        poller.resumed_at(much_later);
        health.started(Dependency::Database);
        assert!(health.readiness_at(much_later).well);
        assert!(!health.liveness_at(much_later + BOUND + SECOND).well);
    }

    #[test]
    fn pauses_between_receives_that_never_answer_hide_nothing() {
        let health = all_ready();
        let poller = health.poller();
        let mut now = Instant::now();
        poller.received_at(now);
        for _ in 0..5 {
            now += RECEIVE;
            poller.pausing_at(Pause::BackingOff, now);
            now += RECEIVE;
            poller.pausing_at(Pause::NoRoom, now);
            poller.resumed_at(now);
        }
        assert_eq!(
            health.liveness_at(now).text,
            "not alive: no receive has completed for 150 s\n"
        );
    }

    #[test]
    fn a_queue_that_answers_with_errors_is_no_dead_poller() {
        let health = all_ready();
        let poller = health.poller();
        let mut now = Instant::now();
        for _ in 0..100 {
            now += Duration::from_millis(20);
            poller.pausing_at(Pause::BackingOff, now);
            now += 15 * SECOND;
            poller.resumed_at(now);
        }
        assert!(health.liveness_at(now).well);
    }

    #[test]
    fn short_polls_leave_a_minute() {
        let health = Health::new(SECOND, StandingCauses::new(Metrics::default()));
        let _poller = health.poller();
        let start = Instant::now();
        assert!(health.liveness_at(start + 59 * SECOND).well);
        assert!(!health.liveness_at(start + 61 * SECOND).well);
    }

    #[test]
    fn a_start_is_alive_and_not_ready() {
        let health = starting();
        assert!(health.liveness_at(Instant::now() + 100 * BOUND).well);
        assert_eq!(
            health.readiness().text,
            "not ready\nqueue: not ready: starting\ndatabase: not ready: starting\n\
             component: not ready: starting\n"
        );
    }

    #[test]
    fn a_drain_is_alive_and_not_ready() {
        let health = all_ready();
        let poller = health.poller();
        assert!(health.readiness().well);
        health.stopping();
        drop(poller);
        let later = Instant::now() + 100 * BOUND;
        assert!(health.liveness_at(later).well);
        let report = health.readiness_at(later);
        assert!(!report.well);
        assert!(
            report
                .text
                .starts_with("not ready: stopping\nqueue: ready\n")
        );
    }
}
