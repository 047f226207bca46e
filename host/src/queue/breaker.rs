//! The breaker: while one kind of call fails, one probing call at a time.
//!
//! Many tasks make the same kind of call. Each kind has one breaker, which the
//! tasks share, so that a queue that is away is not asked by each of them. A
//! few failures in a row open it; then one task probes at a time, at most once
//! a second, and the first success closes it for all. A single failure among
//! successes opens nothing.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::Rng;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::error::QueueError;
use super::event::{Observer, Operation, QueueEvent};

/// Failures in a row, over all tasks, that open the breaker. With one failure
/// in a hundred calls a million calls pass before three are in a row.
const FAILURES_OPEN: u32 = 3;
/// The first wait before a probe, in milliseconds; it doubles.
const PROBE_MS_FIRST: u64 = 250;
/// The wait between probes in the steady state: one call a second at most.
const PROBE_MS_MAX: u64 = 1_000;
/// The same where waiting alone mends nothing (a queue that does not exist, a
/// permission that is missing): an operator's change is noticed in 10 s.
const PROBE_MS_MAX_REFUSED: u64 = 10_000;
/// Waits are longer by up to this share, so that hosts do not probe together.
const JITTER: u64 = 4;
/// A breaker that opens again sooner than this after its end goes on with the
/// waits that it had: a queue that answers now and then is still in trouble.
const CALM_SECS: u64 = 10;

/// Told of the error while the breaker is open, and of none once it closes.
pub type OnChange = Box<dyn Fn(Option<&QueueError>) + Send + Sync>;

/// One kind of call to one queue. Clones share it.
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    on_change: OnChange,
}

/// The breakers of a source queue. Receives, deletes and changes of visibility
/// go on while one of the others fails. Clones share them.
#[derive(Clone)]
pub struct Breakers {
    /// Of receives.
    pub receive: Breaker,
    /// Of deletes.
    pub delete: Breaker,
    /// Of extensions and hand-backs.
    pub change_visibility: Breaker,
}

impl Breakers {
    /// Breakers that tell an observer of trouble.
    pub(super) fn observed(observer: &Observer) -> Self {
        let breaker = |operation| {
            let observer = Arc::clone(observer);
            Breaker::new(Box::new(move |error| {
                observer(QueueEvent::Failing(operation, error));
            }))
        };
        Self {
            receive: breaker(Operation::Receive),
            delete: breaker(Operation::Delete),
            change_visibility: breaker(Operation::ChangeVisibility),
        }
    }
}

impl Default for Breakers {
    /// Breakers that tell nobody.
    fn default() -> Self {
        let nobody: Observer = Arc::new(|_| {});
        Self::observed(&nobody)
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breakers")
    }
}

#[derive(Default)]
struct State {
    /// Failures since the last success.
    failures: u32,
    /// Waits so far, which decide about the next one.
    waits: u32,
    open: Option<Open>,
    closed_at: Option<Instant>,
}

struct Open {
    error: QueueError,
    probe_at: Instant,
    probing: bool,
}

/// Leave to make one call, whose outcome is told to the breaker.
pub struct Pass {
    shared: Arc<Shared>,
    probe: bool,
    told: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(on_change: OnChange) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changed: Notify::new(),
                on_change,
            }),
        }
    }

    /// Waits until a call may be made: at once where the breaker is closed.
    pub async fn pass(&self) -> Pass {
        loop {
            let changed = self.shared.changed.notified();
            let wait = match self.try_pass() {
                Ok(pass) => return pass,
                Err((_, wait)) => wait,
            };
            tokio::select! {
                () = changed => {}
                () = wait_until(wait) => {}
            }
        }
    }

    /// Leave for a call, or the last error while no call may be made.
    ///
    /// # Errors
    /// The breaker is open, and no probe is due.
    pub fn pass_now(&self) -> Result<Pass, QueueError> {
        self.try_pass().map_err(|(error, _)| error)
    }

    /// Whether calls of this kind fail, as far as is known.
    pub fn is_open(&self) -> bool {
        self.shared.lock().open.is_some()
    }

    /// There is nothing to call for any more, so no probe would find the end
    /// of the trouble: it is over as far as anybody is concerned.
    pub fn not_needed(&self) {
        let mut state = self.shared.lock();
        if state.failures > 0 || state.open.is_some() {
            self.shared.closes(&mut state);
        }
    }

    fn try_pass(&self) -> Result<Pass, (QueueError, Option<Instant>)> {
        let mut state = self.shared.lock();
        let probe = match &mut state.open {
            None => false,
            Some(open) if open.probing => return Err((open.error.clone(), None)),
            Some(open) if Instant::now() < open.probe_at => {
                return Err((open.error.clone(), Some(open.probe_at)));
            }
            Some(open) => {
                open.probing = true;
                true
            }
        };
        Ok(Pass {
            shared: Arc::clone(&self.shared),
            probe,
            told: false,
        })
    }
}

async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl Pass {
    /// Whether this is the one call that is made while others fail.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// The queue has answered.
    pub fn succeeded(mut self) {
        self.told = true;
        let mut state = self.shared.lock();
        state.failures = 0;
        // A call that began before the trouble is no sign of its end.
        if state.open.is_some() && self.probe {
            self.shared.closes(&mut state);
        }
    }

    /// The queue failed or refused the call. `lasted` is true where the call
    /// itself took as long as an outage: then one failure is enough.
    pub fn failed(mut self, error: &QueueError, lasted: bool) {
        self.told = true;
        let mut state = self.shared.lock();
        state.failures = state.failures.saturating_add(1);
        let opens = lasted || !error.may_pass() || state.failures >= FAILURES_OPEN;
        if state.open.is_some() && !self.probe {
            return;
        }
        if opens || self.probe {
            self.shared.opens(&mut state, error);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe && !self.told {
            if let Some(open) = &mut self.shared.lock().open {
                open.probing = false;
            }
            self.shared.changed.notify_waiters();
        }
    }
}

impl Shared {
    fn opens(&self, state: &mut State, error: &QueueError) {
        let now = Instant::now();
        let calm = Duration::from_secs(CALM_SECS);
        if state.open.is_none() && state.closed_at.is_none_or(|at| now - at >= calm) {
            state.waits = 0;
        }
        let most = match error.may_pass() {
            true => PROBE_MS_MAX,
            false => PROBE_MS_MAX_REFUSED,
        };
        let wait = (PROBE_MS_FIRST << state.waits.min(16)).min(most);
        state.waits = state.waits.saturating_add(1);
        let wait = rand::rng().random_range(wait..=wait + wait / JITTER);
        state.open = Some(Open {
            error: error.clone(),
            probe_at: now + Duration::from_millis(wait),
            probing: false,
        });
        (self.on_change)(Some(error));
        self.changed.notify_waiters();
    }

    fn closes(&self, state: &mut State) {
        state.failures = 0;
        if state.open.take().is_some() {
            state.closed_at = Some(Instant::now());
            (self.on_change)(None);
        }
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio::time::{advance, sleep};

    use super::*;

    fn breaker() -> (Breaker, Arc<AtomicBool>) {
        let open = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&open);
        let on_change: OnChange = Box::new(move |error| {
            told.store(error.is_some(), Ordering::Relaxed);
        });
        (Breaker::new(on_change), open)
    }

    fn away() -> QueueError {
        QueueError::refused("anything")
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_tasks_probe_a_dead_queue_once_a_second_and_all_go_on_with_its_first_answer()
    {
        let (breaker, open) = breaker();
        let dead = Arc::new(AtomicBool::new(true));
        let (calls, good) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..128 {
            let (breaker, dead) = (breaker.clone(), Arc::clone(&dead));
            let (calls, good) = (Arc::clone(&calls), Arc::clone(&good));
            tokio::spawn(async move {
                loop {
                    let pass = breaker.pass().await;
                    sleep(Duration::from_millis(5)).await;
                    calls.fetch_add(1, Ordering::Relaxed);
                    match dead.load(Ordering::Relaxed) {
                        true => pass.failed(&away(), false),
                        false => {
                            good.fetch_add(1, Ordering::Relaxed);
                            pass.succeeded();
                        }
                    }
                }
            });
        }
        sleep(Duration::from_secs(5)).await;
        // What was under way, and a few probes.
        let at_first = calls.swap(0, Ordering::Relaxed);
        assert!((128..128 + 8).contains(&at_first), "{at_first}");
        assert!(open.load(Ordering::Relaxed));
        sleep(Duration::from_secs(60)).await;
        let steady = calls.swap(0, Ordering::Relaxed);
        assert!((45..=60).contains(&steady), "{steady} in a minute");
        dead.store(false, Ordering::Relaxed);
        sleep(Duration::from_millis(1_260)).await;
        assert!(!open.load(Ordering::Relaxed));
        let before = good.load(Ordering::Relaxed);
        sleep(Duration::from_millis(100)).await;
        assert!(
            good.load(Ordering::Relaxed) - before >= 128 * 15,
            "all go on"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn sporadic_failures_open_nothing_and_a_refusal_opens_at_once() {
        let (breaker, open) = breaker();
        for call in 0..10_000 {
            let pass = breaker.pass().await;
            match call % 100 {
                0 => pass.failed(&away(), false),
                _ => pass.succeeded(),
            }
            assert!(!breaker.is_open());
        }
        let refused = QueueError::configuration("no such queue".into());
        breaker.pass().await.failed(&refused, false);
        assert!(breaker.is_open() && open.load(Ordering::Relaxed));
        assert_eq!(breaker.pass_now().err(), Some(refused));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_probed_seldom_and_never_less_than_each_twelve_seconds() {
        let (breaker, _) = breaker();
        let refused = QueueError::configuration("no such queue".into());
        let began = Instant::now();
        let mut probes = 0;
        while began.elapsed() < Duration::from_secs(300) {
            let before = Instant::now();
            let pass = breaker.pass().await;
            assert!(before.elapsed() <= Duration::from_millis(12_501));
            pass.failed(&refused, false);
            probes += 1;
        }
        assert!((20..=45).contains(&probes), "{probes} in five minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_answers_now_and_then_is_still_asked_seldom() {
        let (breaker, _) = breaker();
        let began = Instant::now();
        let (mut calls, mut failing) = (0_u32, 0);
        while began.elapsed() < Duration::from_secs(120) {
            let pass = breaker.pass().await;
            calls += 1;
            sleep(Duration::from_millis(1)).await;
            match calls % 5 {
                0 => pass.succeeded(),
                _ => {
                    failing += 1;
                    pass.failed(&away(), false);
                }
            }
        }
        assert!(failing <= 120 * 4, "{failing} in two minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_its_place_to_another_task() {
        let (breaker, _) = breaker();
        breaker.pass().await.failed(&away(), true);
        let probe = breaker.pass().await;
        assert!(probe.is_probe() && breaker.pass_now().is_err());
        drop(probe);
        assert!(breaker.pass_now().is_ok_and(|pass| pass.is_probe()));
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_nobody_needs_to_end_is_over() {
        let (breaker, open) = breaker();
        breaker.pass().await.failed(&away(), true);
        assert!(open.load(Ordering::Relaxed));
        advance(Duration::from_secs(1)).await;
        breaker.not_needed();
        assert!(!open.load(Ordering::Relaxed) && !breaker.is_open());
    }
}
