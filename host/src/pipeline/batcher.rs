//! Fanning several receives into one batch.
//!
//! A batch is what has come in while another one was at work: alone when idle,
//! so that nothing waits, and full under load, so that a statement carries
//! many (one of 10 costs PostgreSQL three times as much a message as one of
//! 200). A further worker begins beside it with a full batch, or with what has
//! waited for [`LINGER_MS`]. Of a FIFO queue's groups, each is with one worker
//! at a time, in the order of receiving. The intake's budget bounds what waits.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::queue::Delivery;

/// How long a message waits at most for a batch that is at work, before
/// another worker takes it: four times a slow commit.
const LINGER_MS: u64 = 20;

/// Gives batches to workers.
#[derive(Clone)]
pub(super) struct Batcher {
    shared: Arc<Shared>,
}

/// Where deliveries come in. The batcher ends once the last one is dropped.
pub(super) struct Arrivals {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    /// Fewer wait than before.
    fewer: Notify,
    messages_max: usize,
}

#[derive(Default)]
struct State {
    /// Received, and not yet given to a worker.
    waiting: VecDeque<Delivery>,
    /// Since when something of it has waited.
    since: Option<Instant>,
    /// Groups that a worker has.
    busy: HashSet<String>,
    /// Batches that are with workers.
    at_work: usize,
    arrivals: usize,
    /// Nothing more is given out.
    closed: bool,
}

/// What a worker is given. Dropping its claim makes way for the next one.
pub(super) struct Batch {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) claim: Claim,
}

/// A batch that is at work, and its groups.
pub(super) struct Claim {
    groups: HashSet<String>,
    shared: Arc<Shared>,
}

/// What there is for a worker.
enum Next {
    Batch(Batch),
    /// Nothing before this moment, unless something changes.
    Later(Option<Instant>),
}

impl Batcher {
    /// A batcher, and where deliveries come in.
    pub(super) fn new(messages_max: usize) -> (Arrivals, Self) {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Notify::new(),
            fewer: Notify::new(),
            messages_max: messages_max.max(1),
        });
        let batcher = Self {
            shared: Arc::clone(&shared),
        };
        (Arrivals::new(shared), batcher)
    }

    /// The next batch; empty once nothing more can come. Safe to cancel.
    pub(super) async fn next(&self) -> Batch {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change is missed.
            changed.as_mut().enable();
            match self.take(Instant::now()) {
                Next::Batch(batch) => return batch,
                Next::Later(None) => changed.await,
                Next::Later(Some(then)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(then) => {}
                },
            }
        }
    }

    /// Gives out nothing more: takes back what waits, and whatever comes in
    /// later is left to the end of the run.
    pub(super) fn close(&self) -> Vec<Delivery> {
        let mut state = self.shared.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        state.waits_since(Instant::now());
        drop(state);
        self.shared.fewer.notify_waiters();
        self.shared.changed.notify_waiters();
        waiting.into()
    }

    /// Takes back what waits of a group: an earlier message of it is stuck.
    pub(super) fn withdraw(&self, group: &str) -> Vec<Delivery> {
        let mut state = self.shared.lock();
        let all = std::mem::take(&mut state.waiting);
        let (withdrawn, left): (Vec<Delivery>, Vec<Delivery>) = all
            .into_iter()
            .partition(|delivery| self::group(delivery) == Some(group));
        state.waiting = left.into();
        state.waits_since(Instant::now());
        self.shared.fewer.notify_waiters();
        withdrawn
    }

    /// Takes what no other worker's groups hold back, in order.
    fn take(&self, now: Instant) -> Next {
        let mut state = self.shared.lock();
        if let Some(later) = state.later(now, self.shared.messages_max) {
            return Next::Later(Some(later));
        }
        let State { waiting, busy, .. } = &mut *state;
        let mut groups = HashSet::new();
        let mut deliveries = Vec::new();
        let mut left = VecDeque::new();
        while deliveries.len() < self.shared.messages_max
            && let Some(delivery) = waiting.pop_front()
        {
            match group(&delivery) {
                Some(group) if busy.contains(group) => left.push_back(delivery),
                group => {
                    groups.extend(group.map(str::to_owned));
                    deliveries.push(delivery);
                }
            }
        }
        if !left.is_empty() {
            left.append(waiting);
            *waiting = left;
        }
        let ended = state.arrivals == 0 && state.waiting.is_empty();
        if deliveries.is_empty() && !ended {
            // All that waits is held back by groups: their end is a change.
            return Next::Later(None);
        }
        self.shared.fewer.notify_waiters();
        state.since = None;
        state.waits_since(now);
        state.busy.extend(groups.iter().cloned());
        state.at_work += 1;
        Next::Batch(Batch {
            deliveries,
            claim: Claim {
                groups,
                shared: Arc::clone(&self.shared),
            },
        })
    }
}

impl State {
    /// Keeps the moment up to date.
    fn waits_since(&mut self, now: Instant) {
        match self.waiting.is_empty() {
            true => self.since = None,
            false => drop(self.since.get_or_insert(now)),
        }
    }

    /// The moment before which no batch is taken: it would be a small one beside
    /// one that is at work.
    fn later(&self, now: Instant, messages_max: usize) -> Option<Instant> {
        let small = self.at_work > 0 && self.waiting.len() < messages_max && self.arrivals > 0;
        let then = self.since? + Duration::from_millis(LINGER_MS);
        (small && now < then).then_some(then)
    }
}

fn group(delivery: &Delivery) -> Option<&str> {
    let fifo = delivery.message.fifo.as_ref()?;
    Some(&fifo.group)
}

impl Arrivals {
    fn new(shared: Arc<Shared>) -> Self {
        shared.lock().arrivals += 1;
        Self { shared }
    }

    /// Waits while more than two full batches wait for a worker: what is
    /// received beyond that only waits for longer, hidden from other hosts.
    pub(super) async fn wanted(&self) {
        loop {
            let fewer = self.shared.fewer.notified();
            tokio::pin!(fewer);
            // Registered before the look, so that no change is missed.
            fewer.as_mut().enable();
            if self.shared.lock().waiting.len() <= 2 * self.shared.messages_max {
                return;
            }
            fewer.await;
        }
    }

    /// Lets deliveries in; gives how many wait now.
    pub(super) fn push(&self, deliveries: Vec<Delivery>) -> usize {
        if deliveries.is_empty() {
            return self.shared.lock().waiting.len();
        }
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            deliveries.into_iter().for_each(|late| late.lease.leave());
            return 0;
        }
        let before = state.waiting.len();
        state.waiting.extend(deliveries);
        state.waits_since(Instant::now());
        let waiting = state.waiting.len();
        // Whoever waits knows by when it may take what has come in before.
        let full = before < self.shared.messages_max && waiting >= self.shared.messages_max;
        let tells = before == 0 || full || state.at_work == 0 || !state.busy.is_empty();
        drop(state);
        if tells {
            self.shared.changed.notify_waiters();
        }
        waiting
    }
}

impl Clone for Arrivals {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.shared.lock().arrivals -= 1;
        self.shared.changed.notify_waiters();
    }
}

impl Claim {
    /// Gives up all groups but these. Whether one is left.
    pub(super) fn keeps(&mut self, groups: &HashSet<String>) -> bool {
        let (kept, over): (HashSet<_>, HashSet<_>) = std::mem::take(&mut self.groups)
            .into_iter()
            .partition(|group| groups.contains(group));
        self.groups = kept;
        if !over.is_empty() {
            let mut state = self.shared.lock();
            state.busy.retain(|group| !over.contains(group));
            drop(state);
            self.shared.changed.notify_waiters();
        }
        !self.groups.is_empty()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.at_work -= 1;
        if !self.groups.is_empty() {
            state.busy.retain(|name| !self.groups.contains(name));
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const FULL: usize = 5;

    fn deliveries(messages: usize) -> Vec<Delivery> {
        (0..messages)
            .map(|n| Delivery::simulated(&n.to_string()))
            .collect()
    }

    /// How many messages a worker is given within so many milliseconds.
    async fn given(batcher: &Batcher, ms: u64) -> Option<(usize, Claim)> {
        let batch = timeout(Duration::from_millis(ms), batcher.next()).await;
        let batch = batch.ok()?;
        Some((batch.deliveries.len(), batch.claim))
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_worker_takes_at_once_what_there_is() {
        let (arrivals, batcher) = Batcher::new(FULL);
        arrivals.push(deliveries(1));
        assert_eq!(given(&batcher, 1).await.map(|(batch, _)| batch), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_batch_waits_for_the_one_that_is_at_work() {
        let (arrivals, batcher) = Batcher::new(FULL);
        arrivals.push(deliveries(1));
        let (_, claim) = given(&batcher, 1).await.expect("a batch");
        arrivals.push(deliveries(2));
        assert!(given(&batcher, 1).await.is_none());
        arrivals.push(deliveries(1));
        let next = tokio::spawn(async move { batcher.next().await.deliveries.len() });
        tokio::task::yield_now().await;
        drop(claim);
        let next = timeout(Duration::from_millis(1), next).await;
        assert_eq!(next.expect("at once").expect("a batch"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_waits_for_nobody() {
        let (arrivals, batcher) = Batcher::new(FULL);
        arrivals.push(deliveries(1));
        let _at_work = given(&batcher, 1).await.expect("a batch");
        let next = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.next().await.deliveries.len() }
        });
        tokio::task::yield_now().await;
        arrivals.push(deliveries(FULL - 1));
        arrivals.push(deliveries(2));
        let next = timeout(Duration::from_millis(1), next).await;
        assert_eq!(next.expect("at once").expect("a batch"), FULL);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_longer_than_the_bound() {
        let (arrivals, batcher) = Batcher::new(FULL);
        arrivals.push(deliveries(1));
        let _at_work = given(&batcher, 1).await.expect("a batch");
        arrivals.push(deliveries(1));
        let began = Instant::now();
        let batch = given(&batcher, 10 * LINGER_MS).await;
        assert_eq!(batch.map(|(batch, _)| batch), Some(1));
        // The clock counts whole milliseconds.
        assert!(began.elapsed() <= Duration::from_millis(LINGER_MS + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_wanted_where_two_full_batches_wait() {
        let (arrivals, batcher) = Batcher::new(FULL);
        let wanted = || timeout(Duration::from_millis(1), arrivals.wanted());
        arrivals.push(deliveries(2 * FULL));
        assert!(wanted().await.is_ok());
        arrivals.push(deliveries(1));
        assert!(wanted().await.is_err());
        let (_, took) = tokio::join!(wanted(), given(&batcher, 1));
        assert_eq!(took.map(|(batch, _)| batch), Some(FULL));
        assert!(wanted().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_at_the_end_waits_for_nobody() {
        let (arrivals, batcher) = Batcher::new(FULL);
        arrivals.push(deliveries(1));
        let _at_work = given(&batcher, 1).await.expect("a batch");
        arrivals.push(deliveries(1));
        drop(arrivals);
        assert_eq!(given(&batcher, 1).await.map(|(batch, _)| batch), Some(1));
        assert_eq!(given(&batcher, 1).await.map(|(batch, _)| batch), Some(0));
    }
}
