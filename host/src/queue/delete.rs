//! Deleting: only with a proof of commit, in batches of ten.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::calls::BATCH_ENTRIES_MAX;
use super::client::Queue;
use super::error::QueueError;
use super::lease::{Lease, Receipt};
use super::told::{Listener, Told};
use crate::backoff::Backoff;

/// How long an incomplete batch waits for more.
const LINGER_MS: u64 = 20;
/// Delete calls at a time.
const DELETERS_MAX: usize = 16;
/// Tries beyond a lease's end: the handle may work for as long as nobody else
/// has received the message, and at shutdown one try is always made.
const TRIES_AFTER_LEASE_MAX: u32 = 1;

/// Failed calls in a row after which the deletions are in trouble.
const FAILURES_TROUBLE: u32 = 3;

/// Where deletions are asked for. `P` is the proof of commit, which another
/// module makes: without one a message cannot be deleted.
pub struct Deletions<P> {
    receipts: mpsc::UnboundedSender<Receipt>,
    proof: PhantomData<fn(P)>,
}

impl<P> Clone for Deletions<P> {
    fn clone(&self) -> Self {
        Self {
            receipts: self.receipts.clone(),
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
    worker: Arc<Calls>,
}

struct Calls {
    queue: Queue,
    listener: Listener,
    failures: AtomicU32,
}

impl Deleter {
    /// A deleter, and where to ask it.
    pub fn new<P>(queue: Queue, listener: Listener) -> (Self, Deletions<P>) {
        let (sender, receipts) = mpsc::unbounded_channel();
        let deletions = Deletions {
            receipts: sender,
            proof: PhantomData,
        };
        let worker = Arc::new(Calls {
            queue,
            listener,
            failures: AtomicU32::new(0),
        });
        (Self { receipts, worker }, deletions)
    }

    /// Runs until every `Deletions` is dropped and all is deleted, or given up
    /// because the lease is over. Gives how many were given up: their messages
    /// come back and are found to be duplicates.
    pub async fn run(mut self) -> u64 {
        let mut calls = JoinSet::new();
        let mut given_up = 0;
        while let Some(batch) = self.next_batch().await {
            while calls.len() >= DELETERS_MAX {
                given_up += joined(calls.join_next().await);
            }
            let worker = Arc::clone(&self.worker);
            calls.spawn(async move { worker.delete(batch).await });
        }
        while !calls.is_empty() {
            given_up += joined(calls.join_next().await);
        }
        given_up
    }

    async fn next_batch(&mut self) -> Option<Vec<Receipt>> {
        let mut batch = Vec::with_capacity(BATCH_ENTRIES_MAX);
        if self.receipts.recv_many(&mut batch, BATCH_ENTRIES_MAX).await == 0 {
            return None;
        }
        let linger = Instant::now() + Duration::from_millis(LINGER_MS);
        while batch.len() < BATCH_ENTRIES_MAX {
            let room = BATCH_ENTRIES_MAX - batch.len();
            match timeout_at(linger, self.receipts.recv_many(&mut batch, room)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        Some(batch)
    }
}

fn joined(joined: Option<Result<u64, tokio::task::JoinError>>) -> u64 {
    joined.map_or(0, |joined| joined.unwrap_or(1))
}

impl Calls {
    /// Deletes up to ten messages; gives how many were given up.
    async fn delete(&self, mut batch: Vec<Receipt>) -> u64 {
        let mut given_up = 0;
        let mut backoff = Backoff::default();
        let mut tries_after_lease = 0;
        loop {
            let handles: Vec<&str> = batch
                .iter()
                .map(|receipt| receipt.handle.as_str())
                .collect();
            let answer = self.queue.calls.delete(&handles).await;
            self.tell(answer.as_ref().err());
            let failed = answer.as_ref().map_or(batch.len(), Vec::len);
            if failed > 0 {
                (self.listener)(Told::DeleteFailed(failed));
            }
            if let Ok(failures) = answer {
                let mut kept = Vec::new();
                for (position, receipt) in batch.into_iter().enumerate() {
                    match failures.iter().find(|failure| failure.position == position) {
                        None => self.deleted(receipt),
                        // A handle that is refused will be refused again.
                        Some(failure) if failure.refused => given_up += 1,
                        Some(_) => kept.push(receipt),
                    }
                }
                batch = kept;
            }
            let now = Instant::now();
            if batch.iter().all(|receipt| receipt.deadline <= now) {
                tries_after_lease += 1;
            }
            if batch.is_empty() || tries_after_lease > TRIES_AFTER_LEASE_MAX {
                return given_up + batch.len() as u64;
            }
            backoff.wait().await;
        }
    }

    fn deleted(&self, receipt: Receipt) {
        let after = receipt.taken.elapsed();
        (self.listener)(Told::Deleted { after });
        drop(receipt.permit);
    }

    /// Trouble is told once it lasts, and its end at the first success.
    fn tell(&self, error: Option<&QueueError>) {
        match error {
            None => {
                if self.failures.swap(0, Ordering::Relaxed) >= FAILURES_TROUBLE {
                    (self.listener)(Told::Trouble(None));
                }
            }
            Some(error) => {
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_TROUBLE {
                    (self.listener)(Told::Trouble(Some(error)));
                }
            }
        }
    }
}
