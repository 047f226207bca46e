//! How many receives are open at a time: as many as it takes.
//!
//! Ten messages a call is what SQS gives, so what comes in is the open receives
//! times ten by the queue's latency, whatever that is. A receive that comes
//! back full while the workers are short of work asks for one more, and so
//! their number doubles with each round trip until the workers have enough, or
//! until receives take longer than the queue does: then this host's processor
//! is what they wait for, and fewer do as well. One that
//! comes back empty, or fails, halves their number: an idle host polls with
//! two, the second for the case that the first one hangs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::queue::RECEIVE_MESSAGES_MAX;

/// Receives that stay open where nothing comes in.
const OPEN_MIN: usize = 2;
/// A receive of so many messages is a full one: SQS looks at a part of its
/// servers at a time, and may give fewer than ten though there are more.
const FULL_MESSAGES: usize = RECEIVE_MESSAGES_MAX / 2;

/// A receive that takes twice as long as the quickest, and this much more, has
/// waited for something else than the queue.
const SLOWER_MS: u64 = 2;
/// How long the quickest is remembered, at least: a queue may become slower.
const QUICKEST_SECS: u64 = 10;

/// The receives that are open. Clones share them.
#[derive(Clone)]
pub(super) struct ReceiveConcurrency {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    max: usize,
    /// Messages that wait for a worker, from which on they have enough.
    enough: usize,
}

struct State {
    open: usize,
    limit: usize,
    quickest: Quickest,
}

/// The shortest time of a full receive, lately.
struct Quickest {
    since: Instant,
    before: Duration,
    now: Duration,
}

/// Leave to receive, until it is dropped.
pub(super) struct ReceivePermit {
    shared: Arc<Shared>,
}

/// How long a full receive took, beside the quickest.
enum Pace {
    Quick,
    Fair,
    Slow,
}

impl ReceiveConcurrency {
    /// At most `max` receives at a time, fewer where `enough` messages wait.
    pub(super) fn new(max: usize, enough: usize) -> Self {
        let state = State {
            open: 0,
            limit: OPEN_MIN.min(max),
            quickest: Quickest::new(),
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Notify::new(),
                max,
                enough,
            }),
        }
    }

    /// Waits until one more is wanted.
    pub(super) async fn open(&self) -> ReceivePermit {
        loop {
            let changed = self.shared.changed.notified();
            if let Some(poll) = self.try_open() {
                return poll;
            }
            changed.await;
        }
    }

    fn try_open(&self) -> Option<ReceivePermit> {
        let mut state = self.shared.lock();
        if state.open >= state.limit {
            return None;
        }
        state.open += 1;
        Some(ReceivePermit {
            shared: Arc::clone(&self.shared),
        })
    }
}

impl ReceivePermit {
    /// It has brought so many messages in this time, and so many wait for a
    /// worker now.
    pub(super) fn brought(&self, messages: usize, took: Duration, waiting: usize) {
        let mut state = self.shared.lock();
        state.limit = match messages {
            0 => state.limit / 2,
            FULL_MESSAGES.. => match state.quickest.pace(took) {
                _ if waiting > 2 * self.shared.enough => state.limit - 1,
                Pace::Quick if waiting < self.shared.enough => state.limit + 1,
                Pace::Slow => state.limit - 1,
                _ => state.limit,
            },
            _ => state.limit,
        };
        self.shared.bound(&mut state);
    }

    /// The queue did not answer, or not with yes.
    pub(super) fn failed(&self) {
        let mut state = self.shared.lock();
        state.limit /= 2;
        self.shared.bound(&mut state);
    }
}

impl Quickest {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            before: Duration::MAX,
            now: Duration::MAX,
        }
    }

    fn pace(&mut self, took: Duration) -> Pace {
        if self.since.elapsed() >= Duration::from_secs(QUICKEST_SECS) {
            self.since = Instant::now();
            self.before = self.now;
            self.now = took;
        }
        self.now = self.now.min(took);
        let quick = self.now.min(self.before) * 2 + Duration::from_millis(SLOWER_MS);
        match took {
            _ if took <= quick => Pace::Quick,
            _ if took <= 2 * quick => Pace::Fair,
            _ => Pace::Slow,
        }
    }
}

impl Drop for ReceivePermit {
    fn drop(&mut self) {
        self.shared.lock().open -= 1;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// Keeps the limit within its bounds, and lets in whoever it has room for.
    fn bound(&self, state: &mut State) {
        state.limit = state.limit.clamp(OPEN_MIN.min(self.max), self.max);
        if state.open < state.limit {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: usize = 500;
    const MS: Duration = Duration::from_millis(1);

    fn open_all(polls: &ReceiveConcurrency) -> Vec<ReceivePermit> {
        std::iter::from_fn(|| polls.try_open()).collect()
    }

    /// All open receives come back, each with so many; how many follow them.
    fn round(polls: &ReceiveConcurrency, messages: usize, waiting: usize) -> usize {
        slow_round(polls, messages, MS, waiting)
    }

    fn slow_round(
        polls: &ReceiveConcurrency,
        messages: usize,
        took: Duration,
        waiting: usize,
    ) -> usize {
        let open = open_all(polls);
        for poll in open {
            poll.brought(messages, took, waiting);
        }
        open_all(polls).len()
    }

    #[tokio::test]
    async fn full_receives_double_with_each_round_trip_up_to_the_most() {
        let polls = ReceiveConcurrency::new(50, ENOUGH);
        let rounds: Vec<usize> = (0..6).map(|_| round(&polls, 10, 0)).collect();
        assert_eq!(rounds, [4, 8, 16, 32, 50, 50]);
    }

    #[tokio::test]
    async fn they_do_not_grow_where_the_workers_have_enough_and_shrink_where_they_have_too_much() {
        let polls = ReceiveConcurrency::new(50, ENOUGH);
        round(&polls, 10, 0);
        assert_eq!(round(&polls, 10, ENOUGH), 4);
        assert_eq!(round(&polls, 10, 2 * ENOUGH + 1), 2);
    }

    #[tokio::test]
    async fn an_idle_or_failing_queue_is_polled_by_two() {
        let polls = ReceiveConcurrency::new(50, ENOUGH);
        while round(&polls, 10, 0) < 50 {}
        assert_eq!(round(&polls, 0, 0), 2);
        while round(&polls, 10, 0) < 50 {}
        for poll in open_all(&polls) {
            poll.failed();
        }
        assert_eq!(open_all(&polls).len(), 2);
        assert_eq!(open_all(&ReceiveConcurrency::new(1, ENOUGH)).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn they_do_not_grow_once_they_wait_for_something_else_than_the_queue() {
        let polls = ReceiveConcurrency::new(50, ENOUGH);
        assert_eq!(slow_round(&polls, 10, 20 * MS, 0), 4);
        assert_eq!(slow_round(&polls, 10, 42 * MS, 0), 8);
        assert_eq!(slow_round(&polls, 10, 43 * MS, 0), 8);
        assert_eq!(slow_round(&polls, 10, 85 * MS, 0), 2);
        assert_eq!(slow_round(&polls, 10, 20 * MS, 0), 4);
        // The queue itself has become slower.
        tokio::time::advance(Duration::from_secs(2 * QUICKEST_SECS)).await;
        slow_round(&polls, 10, 43 * MS, 0);
        tokio::time::advance(Duration::from_secs(QUICKEST_SECS)).await;
        assert_eq!(slow_round(&polls, 10, 43 * MS, 0), 8);
    }

    #[tokio::test]
    async fn whoever_waits_is_let_in_once_there_is_room() {
        let polls = ReceiveConcurrency::new(3, ENOUGH);
        let (first, _second) = (polls.open().await, polls.open().await);
        let waiting = tokio::spawn({
            let polls = polls.clone();
            async move { polls.open().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        first.brought(10, MS, 0);
        waiting.await.expect("let in");
    }
}
