//! Committing a batch: again where the moment is at fault, in halves where a
//! record is, and on hold where the environment is.

use tokio::time::Instant;

use super::batcher::{Batch, Batcher};
use super::hold::{Hold, Holder, Trouble};
use super::worker::Item;
use crate::admin::{Metrics, Stage};
use crate::backoff::Backoff;
use crate::event::Event;
use crate::output::{Class, Committed, DatabaseError, Decision, Entry, Key, Store};
use crate::queue::QueueError;
use crate::row::Value;
use crate::shutdown::Shutdown;
use crate::verdict::{Reason, Rejection, Verdict};

/// The rows of one statement, in bytes; more are split into several.
const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// A worker's way into the database, and what it does when that fails.
pub(super) struct Commit {
    holder: Holder,
    store: Box<dyn Store>,
    hold: Hold,
    metrics: Metrics,
    shutdown: Shutdown,
    company: Backoff,
}

/// What became of a batch.
#[derive(Default)]
pub(super) struct Committal {
    /// Committed, each with its proof.
    pub(super) committed: Vec<(Item, Committed)>,
    /// Refused by the database; the verdict says why.
    pub(super) refused: Vec<Item>,
    /// Not committed, because a stop is asked for while the database is away.
    pub(super) abandoned: Vec<Item>,
    /// Failed with a code that may be a record's or the environment's, and
    /// nothing else was there to compare with.
    pub(super) unclear: Vec<Item>,
}

/// Why a statement was not carried through.
pub(super) enum Stop {
    /// A stop is asked for.
    Shutdown,
    /// The statement itself is refused.
    Refused(DatabaseError),
}

impl Commit {
    pub(super) fn new(
        worker: usize,
        store: Box<dyn Store>,
        hold: Hold,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            holder: Holder::Worker(worker),
            store,
            hold,
            metrics,
            shutdown,
            company: Backoff::default(),
        }
    }

    /// Says goodbye to the database.
    pub(super) async fn close(self) {
        self.store.close().await;
    }

    /// Removes old ledger entries; not being able to is worth a line.
    pub(super) async fn prune(&mut self, days: u32) {
        if let Err(error) = self.store.prune(days).await {
            Event::PruneFailed(error.to_string()).log();
        }
    }

    /// Commits a batch in which no key stands twice. A bad record costs about
    /// log₂ n statements more; the others are stored.
    pub(super) async fn commit(&mut self, batch: Vec<Item>) -> Committal {
        let mut done = Committal::default();
        let mut unclear = Vec::new();
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            if part.len() > 1 && bytes(&part) > STATEMENT_BYTES_MAX {
                halve(part, &mut parts);
                continue;
            }
            match self.write(&part).await {
                Ok(proofs) => done.committed.extend(part.into_iter().zip(proofs)),
                Err(Stop::Shutdown) => done.abandoned.extend(part),
                Err(Stop::Refused(_)) if part.len() > 1 => halve(part, &mut parts),
                Err(Stop::Refused(error)) => {
                    let Some(item) = part.pop() else { continue };
                    match error.class() {
                        Class::Record => done.refused.push(refused(item, &error)),
                        _ => unclear.push((item, error)),
                    }
                }
            }
        }
        self.tell_unclear(unclear, &mut done);
        done
    }

    /// A code that says nothing by itself is the record's fault where the rest
    /// of the batch was stored without it, else perhaps everybody's.
    fn tell_unclear(&mut self, unclear: Vec<(Item, DatabaseError)>, done: &mut Committal) {
        let Some((_, error)) = unclear.first() else {
            return;
        };
        if done.committed.is_empty() {
            self.hold_for_unclear(error);
            done.unclear = unclear.into_iter().map(|(item, _)| item).collect();
        } else {
            self.company.reset();
            self.hold.leave(self.holder);
            let refusals = unclear
                .into_iter()
                .map(|(item, error)| refused(item, &error));
            done.refused.extend(refusals);
        }
    }

    /// Every record meets this error, as far as can be told.
    pub(super) fn hold_for_unclear(&self, error: &DatabaseError) {
        let cause = format!("every record meets {error}");
        self.hold.enter(self.holder, Trouble::Database, &cause);
    }

    /// Waits a while, and then takes what else has come in: one more receive's
    /// worth tells a poisonous record from a broken database.
    pub(super) async fn company(&mut self, batcher: &Batcher) -> Option<Batch> {
        self.hold.leave(self.holder);
        tokio::select! {
            () = self.company.wait() => None,
            batch = batcher.next() => Some(batch),
        }
    }

    /// Writes a batch as one statement, again and again until the server has
    /// said yes or no to it. Gives the proofs in the order of the batch.
    pub(super) async fn write(&mut self, batch: &[Item]) -> Result<Vec<Committed>, Stop> {
        let mut entries: Vec<Entry<'_>> = batch.iter().enumerate().map(entry).collect();
        entries.sort_by_key(|entry| entry.key);
        let places: Vec<usize> = entries.iter().map(|entry| entry.place).collect();
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            match self.store.write(&entries).await {
                Ok(proofs) => {
                    let sent_ms = batch.iter().map(|item| item.message.sent_ms);
                    self.metrics.committed(sent_ms, began.elapsed());
                    self.hold.leave(self.holder);
                    let mut placed: Vec<_> = places.into_iter().zip(proofs).collect();
                    placed.sort_by_key(|(place, _)| *place);
                    return Ok(placed.into_iter().map(|(_, proof)| proof).collect());
                }
                Err(error) => self.outlast(error, &mut backoff).await?,
            }
        }
    }

    /// Asks the ledger which keys are settled for good, just as insistently.
    pub(super) async fn settled(&mut self, keys: &[Key]) -> Result<Vec<Option<Committed>>, Stop> {
        let mut backoff = Backoff::default();
        loop {
            match self.store.settled(keys).await {
                Ok(proofs) => {
                    self.hold.leave(self.holder);
                    return Ok(proofs);
                }
                Err(error) => self.outlast(error, &mut backoff).await?,
            }
        }
    }

    /// Waits for a moment or an environment to pass. While the database is
    /// away this is held, and receiving pauses.
    async fn outlast(&mut self, error: DatabaseError, backoff: &mut Backoff) -> Result<(), Stop> {
        match error.class() {
            Class::Record | Class::Unclear => return Err(Stop::Refused(error)),
            Class::Retry => {}
            Class::Held if self.shutdown.is_requested() => return Err(Stop::Shutdown),
            Class::Held => self.hold.enter(self.holder, Trouble::Database, &error),
        }
        self.metrics.retried(Stage::Commit);
        self.wait(backoff).await;
        Ok(())
    }

    /// Waits for the dead-letter queue to come back; a stop ends the waiting.
    pub(super) async fn outlast_queue(
        &mut self,
        error: &QueueError,
        backoff: &mut Backoff,
    ) -> Result<(), Stop> {
        if self.shutdown.is_requested() {
            return Err(Stop::Shutdown);
        }
        self.hold
            .enter(self.holder, Trouble::DeadLetterQueue, error);
        self.metrics.retried(Stage::DeadLetter);
        self.wait(backoff).await;
        Ok(())
    }

    /// The dead-letter queue has answered.
    pub(super) fn queue_is_back(&self) {
        self.hold.leave(self.holder);
    }

    async fn wait(&mut self, backoff: &mut Backoff) {
        if self.shutdown.is_requested() {
            return backoff.wait().await;
        }
        tokio::select! {
            () = self.shutdown.requested() => {}
            () = backoff.wait() => {}
        }
    }
}

fn halve(mut part: Vec<Item>, parts: &mut Vec<Vec<Item>>) {
    let second = part.split_off(part.len() / 2);
    // The first half is taken first, so that the order is kept.
    parts.push(second);
    parts.push(part);
}

fn bytes(part: &[Item]) -> usize {
    let of = |item: &Item| match &item.verdict {
        Verdict::Rows(rows) => rows.iter().flatten().map(Value::bytes).sum(),
        _ => 0,
    };
    part.iter().map(of).sum()
}

/// What the ledger and the table are to take of a message.
fn entry((place, item): (usize, &Item)) -> Entry<'_> {
    Entry {
        key: item.key,
        message_id: &item.message.origin_id,
        place,
        decision: match &item.verdict {
            Verdict::Rows(rows) => Decision::Store(rows),
            Verdict::Skip => Decision::Skip,
            Verdict::Reject(rejection) => Decision::Reject(rejection),
        },
    }
}

/// The message, with the database's refusal as its verdict.
pub(super) fn refused(mut item: Item, error: &DatabaseError) -> Item {
    item.verdict = Verdict::Reject(Rejection {
        reason: Reason::Database(error.sqlstate().unwrap_or("none").to_owned()),
        field: error.column().map(str::to_owned),
    });
    item
}
