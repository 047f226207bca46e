//! How many receives are open at a time: as many as it takes.
//!
//! Ten messages a call is what SQS gives, so what comes in is the open receives
//! times ten by the queue's latency, whatever that is. A receive that comes
//! back full while the workers are short of work asks for one more, and so
//! their number doubles with each round trip until the workers have enough, or
//! until receives take longer than they did when few were open: then they wait
//! for this host's processor or for an endpoint that is overloaded, and fewer
//! do as well. So their number follows the distance of the queue, not its load.
//! One that comes back empty, or fails, halves their number: an idle host polls
//! with two, the second for the case that the first one hangs.
//!
//! Where all receives have been slower than the quickest for a while, either the
//! queue is farther away now or the receives themselves overload it. The number
//! goes down to two for a few receives, which tells (as BBR's ProbeRTT does).

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
/// For how long the quickest is remembered without another one like it, in
/// seconds; then it is measured again.
const QUICKEST_SECS: u64 = 10;
/// Receives beside at most one other, of which the quickest is the measure.
const MEASURED_RECEIVES: u32 = 4;

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

/// The shortest time of a full receive, as far as load does not lengthen it.
struct Quickest {
    /// What others are compared with.
    known: Duration,
    /// When a receive was last about as quick.
    confirmed: Instant,
    /// The shortest so far, and how many receives are still to be measured.
    measuring: Option<(Duration, u32)>,
}

/// Leave to receive, until it is dropped.
pub(super) struct ReceivePermit {
    shared: Arc<Shared>,
    /// Whether at most one other receive was open when this one began.
    alone: bool,
}

/// How long a full receive took, beside the quickest.
enum Pace {
    Quick,
    Fair,
    Slow,
    /// Too much is open to tell.
    Measured,
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
            alone: state.open <= OPEN_MIN,
        })
    }
}

impl ReceivePermit {
    /// It has brought so many messages in this time, and so many wait for a
    /// worker now.
    pub(super) fn brought(&self, messages: usize, took: Duration, waiting: usize) {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        state.limit = match messages {
            0 => state.limit / 2,
            FULL_MESSAGES.. => match state.quickest.pace(took, self.alone) {
                Pace::Measured => OPEN_MIN,
                _ if waiting > 2 * self.shared.enough => state.limit - 1,
                Pace::Quick if waiting < self.shared.enough => state.limit + 1,
                Pace::Slow => state.limit - 1,
                _ => state.limit,
            },
            _ => state.limit,
        };
        self.shared.bound(state);
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
            known: Duration::MAX,
            confirmed: Instant::now(),
            measuring: None,
        }
    }

    /// Compares a receive with the quickest. `alone` is true where at most one
    /// other was open when it began.
    fn pace(&mut self, took: Duration, alone: bool) -> Pace {
        if let Some((shortest, left)) = &mut self.measuring {
            if !alone {
                return Pace::Measured;
            }
            *shortest = took.min(*shortest);
            *left -= 1;
            if *left > 0 {
                return Pace::Measured;
            }
            self.known = *shortest;
            self.confirmed = Instant::now();
            self.measuring = None;
        }
        if took <= self.known.saturating_add(self.known / 4) {
            self.known = self.known.min(took);
            self.confirmed = Instant::now();
        } else if self.confirmed.elapsed() >= Duration::from_secs(QUICKEST_SECS) {
            self.measuring = Some((Duration::MAX, MEASURED_RECEIVES));
            return Pace::Measured;
        }
        let quick = self.known.saturating_mul(2) + Duration::from_millis(SLOWER_MS);
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
    }

    /// Receives for so long from an endpoint with this latency that answers so
    /// many calls a second, one after the other. The most that were open in the
    /// last ten seconds, and how many calls were answered in them.
    async fn receive_for(secs: u64, latency: Duration, calls_a_second: u32) -> (usize, usize) {
        let receives = ReceiveConcurrency::new(128, ENOUGH);
        let free_at = Arc::new(Mutex::new(Instant::now()));
        let last = Instant::now() + Duration::from_secs(secs - 10);
        let seen = Arc::new(Mutex::new((0, 0)));
        for _ in 0..128 {
            let (receives, free_at, seen) =
                (receives.clone(), Arc::clone(&free_at), Arc::clone(&seen));
            tokio::spawn(async move {
                loop {
                    let permit = receives.open().await;
                    let began = Instant::now();
                    let done = {
                        let mut free_at = free_at.lock().expect("sound");
                        *free_at = (*free_at).max(began) + Duration::from_secs(1) / calls_a_second;
                        *free_at + latency
                    };
                    tokio::time::sleep_until(done).await;
                    if began >= last {
                        let open = receives.shared.lock().open;
                        let mut seen = seen.lock().expect("sound");
                        *seen = (open.max(seen.0), seen.1 + 1);
                    }
                    permit.brought(10, began.elapsed(), 0);
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(secs)).await;
        *seen.lock().expect("sound")
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_takes_twenty_calls_a_second_is_not_asked_by_all() {
        let (open, answered) = receive_for(300, 5 * MS, 20).await;
        assert!(open <= 12, "{open} open");
        assert!(answered >= 190, "{answered} in 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_distant_endpoint_is_asked_by_all() {
        let (open, answered) = receive_for(120, 100 * MS, 100_000).await;
        assert_eq!(open, 128);
        assert!(answered >= 12_000, "{answered} in 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_becomes_slower_is_asked_by_as_many_after_a_while() {
        let receives = ReceiveConcurrency::new(50, ENOUGH);
        while slow_round(&receives, 10, 5 * MS, 0) < 50 {}
        tokio::time::advance(Duration::from_secs(QUICKEST_SECS)).await;
        // Down to two, which are measured, and up again.
        for expected in [2, 2, 4, 8, 16, 32, 50] {
            assert_eq!(slow_round(&receives, 10, 50 * MS, 0), expected);
        }
    }

    #[tokio::test]
    async fn sporadic_failures_leave_the_number_as_it_is() {
        let receives = ReceiveConcurrency::new(128, ENOUGH);
        while round(&receives, 10, 0) < 128 {}
        let mut open_in_all = 0;
        for call in 0..10_000 {
            let open = open_all(&receives);
            open_in_all += open.len();
            for (number, permit) in open.into_iter().enumerate() {
                match (call * 31 + number) % 100 {
                    0 => permit.failed(),
                    _ => permit.brought(10, MS, 0),
                }
            }
        }
        assert!(
            open_in_all / 10_000 >= 96,
            "{} of 128",
            open_in_all / 10_000
        );
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
