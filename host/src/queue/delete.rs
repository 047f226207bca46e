//! Deleting: only with a proof of commit, in batches of ten.

use std::time::Duration;

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::client::Queue;
use super::error::QueueError;
use super::lease::{BATCH_ENTRIES_MAX, Lease, Receipt};
use crate::backoff::Backoff;

/// How long an incomplete batch waits for more.
const LINGER_MS: u64 = 20;
/// Delete calls at a time.
const DELETERS_MAX: usize = 16;
/// Tries beyond a lease's end: the handle may work for as long as nobody else
/// has received the message, and at shutdown one try is always made.
const TRIES_AFTER_LEASE_MAX: u32 = 1;

/// Where deletions are asked for. `P` is the proof of commit, which another
/// module makes: without one a message cannot be deleted.
pub struct Deletions<P> {
    receipts: mpsc::UnboundedSender<Receipt>,
    proof: std::marker::PhantomData<fn(P)>,
}

impl<P> Clone for Deletions<P> {
    fn clone(&self) -> Self {
        Self {
            receipts: self.receipts.clone(),
            proof: std::marker::PhantomData,
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
    queue: Queue,
    receipts: mpsc::UnboundedReceiver<Receipt>,
}

impl Deleter {
    /// A deleter, and where to ask it.
    pub fn new<P>(queue: Queue) -> (Self, Deletions<P>) {
        let (sender, receipts) = mpsc::unbounded_channel();
        let deletions = Deletions {
            receipts: sender,
            proof: std::marker::PhantomData,
        };
        (Self { queue, receipts }, deletions)
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
            let queue = self.queue.clone();
            calls.spawn(async move { delete_batch(&queue, batch).await });
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

/// Deletes up to ten messages; gives how many were given up.
async fn delete_batch(queue: &Queue, mut batch: Vec<Receipt>) -> u64 {
    let mut given_up = 0;
    let mut backoff = Backoff::default();
    let mut tries_after_lease = 0;
    loop {
        if let Ok(failures) = queue.delete(&batch).await {
            let mut kept = Vec::new();
            for (position, receipt) in batch.into_iter().enumerate() {
                match failures.iter().find(|failure| failure.position == position) {
                    None => drop(receipt.permit),
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

struct Failure {
    position: usize,
    refused: bool,
}

impl Queue {
    async fn delete(&self, batch: &[Receipt]) -> Result<Vec<Failure>, QueueError> {
        let mut call = self.client.delete_message_batch().queue_url(&self.url);
        for (position, receipt) in batch.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(&receipt.handle)
                .build()
                .map_err(|_| QueueError::incomplete("a receipt handle"))?;
            call = call.entries(entry);
        }
        let answer = call.send().await?;
        let failures = answer.failed.iter().filter_map(|failed| {
            Some(Failure {
                position: failed.id.parse().ok()?,
                refused: failed.sender_fault,
            })
        });
        Ok(failures.collect())
    }
}
