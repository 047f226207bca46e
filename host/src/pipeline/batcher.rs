//! Fanning several receives into one batch.
//!
//! A batch is what has come in while the workers were busy: alone when idle,
//! so that nothing waits, and full under load, so that a statement carries
//! many. No timer is needed. Of a FIFO queue's groups, each is with one worker
//! at a time, in the order of receiving.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use tokio::sync::{Mutex, Notify, mpsc};

use super::Shape;
use crate::queue::Delivery;

/// Gives batches to workers.
#[derive(Clone)]
pub(super) struct Batcher {
    incoming: Arc<Mutex<Incoming>>,
    groups: Arc<Groups>,
    messages_max: usize,
}

struct Incoming {
    deliveries: mpsc::Receiver<Delivery>,
    /// Received, and not yet given to a worker.
    waiting: VecDeque<Delivery>,
    closed: bool,
}

#[derive(Default)]
struct Groups {
    busy: SyncMutex<HashSet<String>>,
    freed: Notify,
}

/// What a worker is given. Dropping it frees its groups for the next one.
pub(super) struct Batch {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) groups: BusyGroups,
}

/// Groups that are with one worker.
pub(super) struct BusyGroups {
    names: HashSet<String>,
    groups: Arc<Groups>,
}

impl Batcher {
    /// A batcher, and where deliveries go in.
    pub(super) fn new(shape: &Shape) -> (mpsc::Sender<Delivery>, Self) {
        let (sender, deliveries) = mpsc::channel(shape.messages_in_work_max.max(1));
        let batcher = Self {
            incoming: Arc::new(Mutex::new(Incoming {
                deliveries,
                waiting: VecDeque::new(),
                closed: false,
            })),
            groups: Arc::default(),
            messages_max: shape.batch_messages_max.max(1),
        };
        (sender, batcher)
    }

    /// The next batch; empty once nothing more can come. Safe to cancel.
    pub(super) async fn next(&self) -> Batch {
        let mut incoming = self.incoming.lock().await;
        loop {
            // Registered before the look, so that no release is missed.
            let freed = self.groups.freed.notified();
            incoming.drain();
            let batch = self.take(&mut incoming.waiting);
            let ended = incoming.closed && incoming.waiting.is_empty();
            if !batch.deliveries.is_empty() || ended {
                return batch;
            }
            let Incoming {
                deliveries,
                waiting,
                closed,
            } = &mut *incoming;
            tokio::select! {
                delivery = deliveries.recv(), if !*closed => match delivery {
                    Some(delivery) => waiting.push_back(delivery),
                    None => *closed = true,
                },
                () = freed => {}
            }
        }
    }

    /// Takes what no other worker's groups hold back, in order.
    fn take(&self, waiting: &mut VecDeque<Delivery>) -> Batch {
        let mut busy = lock(&self.groups.busy);
        let mut names = HashSet::new();
        let mut deliveries = Vec::new();
        let mut left = VecDeque::new();
        while let Some(delivery) = waiting.pop_front() {
            let group = delivery.message.fifo.as_ref().map(|fifo| &fifo.group);
            let held_back = group.is_some_and(|group| busy.contains(group));
            if held_back || deliveries.len() == self.messages_max {
                left.push_back(delivery);
                if deliveries.len() == self.messages_max {
                    break;
                }
            } else {
                names.extend(group.cloned());
                deliveries.push(delivery);
            }
        }
        left.append(waiting);
        *waiting = left;
        busy.extend(names.iter().cloned());
        Batch {
            deliveries,
            groups: BusyGroups {
                names,
                groups: Arc::clone(&self.groups),
            },
        }
    }
}

impl Incoming {
    /// Moves over everything that has come in.
    fn drain(&mut self) {
        loop {
            match self.deliveries.try_recv() {
                Ok(delivery) => self.waiting.push_back(delivery),
                Err(mpsc::error::TryRecvError::Empty) => return,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}

impl Drop for BusyGroups {
    fn drop(&mut self) {
        if self.names.is_empty() {
            return;
        }
        let mut busy = lock(&self.groups.busy);
        busy.retain(|name| !self.names.contains(name));
        drop(busy);
        self.groups.freed.notify_waiters();
        // A waiter that is between its look and its wait has registered.
        self.groups.freed.notify_one();
    }
}

fn lock(busy: &SyncMutex<HashSet<String>>) -> std::sync::MutexGuard<'_, HashSet<String>> {
    busy.lock().unwrap_or_else(PoisonError::into_inner)
}
