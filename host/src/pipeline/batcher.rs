//! Fanning several receives into one batch.
//!
//! A batch is what has come in while the workers were busy: alone when idle,
//! so that nothing waits, and full under load, so that a statement carries
//! many. No timer is needed. Of a FIFO queue's groups, each is with one worker
//! at a time, in the order of receiving. The intake's budget bounds what waits.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::queue::Delivery;

/// Gives batches to workers.
#[derive(Clone)]
pub(super) struct Batcher {
    shared: Arc<Shared>,
    messages_max: usize,
}

/// Where deliveries come in. The batcher ends once the last one is dropped.
pub(super) struct Arrivals {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Received, and not yet given to a worker.
    waiting: VecDeque<Delivery>,
    /// Groups that a worker has.
    busy: HashSet<String>,
    arrivals: usize,
}

/// What a worker is given. Dropping its groups frees them for the next one.
pub(super) struct Batch {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) groups: BusyGroups,
}

/// Groups that are with one worker.
pub(super) struct BusyGroups {
    names: HashSet<String>,
    shared: Arc<Shared>,
}

impl Batcher {
    /// A batcher, and where deliveries come in.
    pub(super) fn new(messages_max: usize) -> (Arrivals, Self) {
        let shared: Arc<Shared> = Arc::default();
        let batcher = Self {
            shared: Arc::clone(&shared),
            messages_max: messages_max.max(1),
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
            if let Some(batch) = self.take() {
                return batch;
            }
            changed.await;
        }
    }

    /// Takes back what waits of a group: an earlier message of it is stuck.
    pub(super) fn withdraw(&self, group: &str) -> Vec<Delivery> {
        let mut state = self.shared.lock();
        let all = std::mem::take(&mut state.waiting);
        let (withdrawn, left): (Vec<Delivery>, Vec<Delivery>) = all
            .into_iter()
            .partition(|delivery| self::group(delivery) == Some(group));
        state.waiting = left.into();
        withdrawn
    }

    /// Takes what no other worker's groups hold back, in order.
    fn take(&self) -> Option<Batch> {
        let mut state = self.shared.lock();
        let State {
            waiting,
            busy,
            arrivals,
        } = &mut *state;
        let mut names = HashSet::new();
        let mut deliveries = Vec::new();
        let mut left = VecDeque::new();
        while deliveries.len() < self.messages_max
            && let Some(delivery) = waiting.pop_front()
        {
            match group(&delivery) {
                Some(group) if busy.contains(group) => left.push_back(delivery),
                group => {
                    names.extend(group.map(str::to_owned));
                    deliveries.push(delivery);
                }
            }
        }
        left.append(waiting);
        *waiting = left;
        let ended = *arrivals == 0 && waiting.is_empty();
        if deliveries.is_empty() && !ended {
            return None;
        }
        busy.extend(names.iter().cloned());
        Some(Batch {
            deliveries,
            groups: BusyGroups {
                names,
                shared: Arc::clone(&self.shared),
            },
        })
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

    /// Lets deliveries in.
    pub(super) fn push(&self, deliveries: Vec<Delivery>) {
        self.shared.lock().waiting.extend(deliveries);
        self.shared.changed.notify_waiters();
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

impl Drop for BusyGroups {
    fn drop(&mut self) {
        if self.names.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        state.busy.retain(|name| !self.names.contains(name));
        drop(state);
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
