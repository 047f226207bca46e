//! Deleting: only with a proof of commit, in batches of ten.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::breaker::Pass;
use super::calls::BATCH_ENTRIES_MAX;
use super::client::Queue;
use super::event::{Observer, QueueEvent};
use super::lease::{Lease, Receipt};
use super::release::Unfinished;
use crate::backoff::Backoff;
use crate::shutdown::Shutdown;

/// How long an incomplete batch waits for more.
const LINGER_MS: u64 = 20;
/// Delete calls at a time: at 20 ms a call, 64,000 messages a second.
const DELETERS_MAX: usize = 128;
/// Tries beyond a lease's end: the handle may work for as long as nobody else
/// has received the message, and at shutdown one try is always made. While the
/// deletions are in trouble tries go on: nothing is received then, so the
/// handles stay good, and only a success can tell that the trouble is over.
const TRIES_AFTER_LEASE_MAX: u32 = 1;

/// Where deletions are asked for. `P` is the proof of commit, which another
/// module makes: without one a message cannot be deleted.
pub struct Deletions<P> {
    receipts: mpsc::UnboundedSender<Receipt>,
    /// Its end tells that nobody asks any more.
    asking: watch::Sender<()>,
    proof: PhantomData<fn(P)>,
}

impl<P> Clone for Deletions<P> {
    fn clone(&self) -> Self {
        Self {
            receipts: self.receipts.clone(),
            asking: self.asking.clone(),
            proof: PhantomData,
        }
    }
}

impl<P> Deletions<P> {
    /// Has a message deleted. Both the lease and the proof are used up.
    pub fn delete(&self, lease: Lease, proof: P) {
        drop(proof);
        if let Some(receipt) = lease.end() {
            // Bounded by the intake's budget, whose permit the receipt holds.
            // Without a deleter the message comes back, as a duplicate.
            let _ = self.receipts.send(receipt);
        }
    }
}

/// Deletes what it is asked to, until nobody can ask any more.
pub struct Deleter {
    receipts: mpsc::UnboundedReceiver<Receipt>,
    /// What has come in of the next call.
    batch: Vec<Receipt>,
    worker: Arc<Calls>,
}

struct Calls {
    queue: Queue,
    observer: Observer,
    asked: watch::Receiver<()>,
}

impl Deleter {
    /// A deleter, and where to ask it.
    pub fn new<P>(queue: Queue, observer: Observer) -> (Self, Deletions<P>) {
        let (sender, receipts) = mpsc::unbounded_channel();
        let (asking, asked) = watch::channel(());
        let deletions = Deletions {
            receipts: sender,
            asking,
            proof: PhantomData,
        };
        let worker = Arc::new(Calls {
            queue,
            observer,
            asked,
        });
        let deleter = Self {
            receipts,
            batch: Vec::new(),
            worker,
        };
        (deleter, deletions)
    }

    /// Runs until every `Deletions` is dropped and all is deleted, or given up
    /// because the lease is over. Once `over` is asked for, nothing more is
    /// tried.
    pub async fn run(mut self, over: Shutdown) -> Undeleted {
        let mut calls = JoinSet::new();
        let mut undeleted = Undeleted::default();
        loop {
            let batch = tokio::select! {
                Some(joined) = calls.join_next() => {
                    undeleted.add(joined);
                    continue;
                }
                batch = self.next_batch(), if calls.len() < DELETERS_MAX => batch,
            };
            let Some(batch) = batch else { break };
            let (worker, over) = (Arc::clone(&self.worker), over.clone());
            calls.spawn(async move { worker.delete(batch, over).await });
        }
        while let Some(joined) = calls.join_next().await {
            undeleted.add(joined);
        }
        undeleted
    }

    /// The next batch; none once nobody can ask any more. Safe to cancel: what
    /// has come in is kept.
    async fn next_batch(&mut self) -> Option<Vec<Receipt>> {
        let Self {
            receipts, batch, ..
        } = self;
        if batch.is_empty() && receipts.recv_many(batch, BATCH_ENTRIES_MAX).await == 0 {
            return None;
        }
        let linger = Instant::now() + Duration::from_millis(LINGER_MS);
        while batch.len() < BATCH_ENTRIES_MAX {
            let room = BATCH_ENTRIES_MAX - batch.len();
            match timeout_at(linger, receipts.recv_many(batch, room)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        Some(std::mem::take(batch))
    }
}

/// Messages that are committed and not deleted: they come back and are found
/// to be duplicates.
#[derive(Default)]
pub struct Undeleted {
    /// How many were given up, because their leases are over.
    pub given_up: u64,
    /// What is still ours.
    unfinished: Vec<Receipt>,
}

impl Undeleted {
    /// What can still be handed back.
    pub fn unfinished(self) -> Unfinished {
        Unfinished::new(self.unfinished.into_iter().map(|receipt| receipt.handle))
    }

    fn add(&mut self, joined: Result<Undeleted, JoinError>) {
        match joined {
            Ok(more) => {
                self.given_up += more.given_up;
                self.unfinished.extend(more.unfinished);
            }
            // It broke in a task; the deleter must not go on.
            Err(broken) => {
                if let Ok(panic) = broken.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

impl Calls {
    /// Deletes up to ten messages, until `over` is asked for.
    async fn delete(&self, batch: Vec<Receipt>, mut over: Shutdown) -> Undeleted {
        let mut given_up = 0;
        let mut unfinished = batch;
        // What a call that is cut short has done shows when it is done again.
        tokio::select! {
            biased;
            () = over.requested() => {}
            end = self.try_to_delete(&mut unfinished, &mut given_up) => match end {
                End::GivenUp => given_up += unfinished.drain(..).len() as u64,
                End::StillOurs => {}
            },
        }
        Undeleted {
            given_up,
            unfinished,
        }
    }

    /// Takes out of the batch what is deleted, and what the queue refuses.
    async fn try_to_delete(&self, batch: &mut Vec<Receipt>, refused: &mut u64) -> End {
        let breaker = &self.queue.breakers.delete;
        let mut backoff = Backoff::default();
        let mut tries_after_lease = 0;
        loop {
            let Some(pass) = self.pass().await else {
                return End::StillOurs;
            };
            let began = Instant::now();
            let handles: Vec<&str> = batch
                .iter()
                .map(|receipt| receipt.handle.as_str())
                .collect();
            let answer = self.queue.calls.delete(&handles).await;
            match &answer {
                Ok(_) => pass.succeeded(),
                Err(error) => {
                    let lasts = self.queue.timing.call_lasts();
                    pass.failed(error, began.elapsed() >= lasts);
                }
            }
            let failed = answer.as_ref().map_or(batch.len(), Vec::len);
            if failed > 0 {
                (self.observer)(QueueEvent::DeleteFailed(failed));
            }
            if let Ok(failures) = answer {
                for (position, receipt) in std::mem::take(batch).into_iter().enumerate() {
                    match failures.iter().find(|failure| failure.position == position) {
                        None => self.deleted(receipt),
                        // A handle that is refused will be refused again.
                        Some(failure) if failure.refused => *refused += 1,
                        Some(_) => batch.push(receipt),
                    }
                }
            }
            let now = Instant::now();
            if batch.iter().all(|receipt| receipt.deadline <= now) {
                tries_after_lease += 1;
            }
            let goes_on = breaker.is_open() && self.is_asked();
            let has_tried = tries_after_lease > TRIES_AFTER_LEASE_MAX && !goes_on;
            if batch.is_empty() || has_tried {
                return End::GivenUp;
            }
            self.wait(&mut backoff).await;
        }
    }

    /// Waits for the next try, but for less where the last asker goes meanwhile.
    async fn wait(&self, backoff: &mut Backoff) {
        if !self.is_asked() {
            return backoff.wait().await;
        }
        let mut asked = self.asked.clone();
        tokio::select! {
            _ = asked.changed() => {}
            () = backoff.wait() => {}
        }
    }

    /// Whether somebody can still ask for deletions.
    fn is_asked(&self) -> bool {
        self.asked.has_changed().is_ok()
    }

    /// Leave for a call. None where the queue deletes nothing and nobody asks
    /// any more: at a stop what is not deleted is handed back at once.
    async fn pass(&self) -> Option<Pass> {
        let breaker = &self.queue.breakers.delete;
        let mut asked = self.asked.clone();
        loop {
            if !self.is_asked() {
                return breaker.pass_now().ok();
            }
            tokio::select! {
                _ = asked.changed() => {}
                pass = breaker.pass() => return Some(pass),
            }
        }
    }

    fn deleted(&self, receipt: Receipt) {
        let after = receipt.taken.elapsed();
        (self.observer)(QueueEvent::Deleted { after });
        drop(receipt.permit);
    }
}

/// How a series of tries ended.
enum End {
    /// All is deleted, or what is left is not ours any more.
    GivenUp,
    /// What is left can be handed back.
    StillOurs,
}
