//! Committing a batch: again where the moment is at fault, in halves where a
//! record is, and on hold where the environment is.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::batcher::{Batch, Batcher};
use super::decider::Present;
use super::hold::{Dependency, Hold, Holder};
use super::worker::Item;
use crate::backoff::Backoff;
use crate::event::Event;
use crate::origin::SecretRing;
use crate::output::{Class, Committed, DatabaseError, Decision, Entry, Key, Policy, Store};
use crate::queue::QueueError;
use crate::row::Value;
use crate::shutdown::Shutdown;
use crate::telemetry::{Metrics, Stage};
use crate::verdict::{Reason, Rejection, Verdict};

/// The rows of one statement, in bytes; more are split into several.
const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// A worker's way into the database, and what it does when that fails.
pub(super) struct Commit {
    holder: Holder,
    store: Box<dyn Store>,
    hold: Hold,
    metrics: Metrics,
    present: Present,
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
    /// Not committed, because a stop is asked for, or another policy decides,
    /// while the database is away.
    pub(super) abandoned: Vec<Item>,
    /// Failed with a code that may be a record's or the environment's, and
    /// nothing else was there to compare with.
    pub(super) unclear: Vec<Item>,
}

/// Why a statement was not carried through.
pub(super) enum Stop {
    /// A stop is asked for, or another policy decides now: the messages go
    /// back to the queue, to be judged anew.
    Abandoned,
    /// The statement itself is refused.
    Refused(DatabaseError),
}

impl Commit {
    pub(super) fn new(
        worker: usize,
        store: Box<dyn Store>,
        hold: Hold,
        metrics: Metrics,
        present: Present,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            holder: Holder::Worker(worker),
            store,
            hold,
            metrics,
            present,
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

    /// Commits a batch of one policy in which no key stands twice. A bad record costs at most
    /// about log₂ n + 1 statements more; the others are stored, in order.
    pub(super) async fn commit(&mut self, batch: Vec<Item>) -> Committal {
        let mut done = Committal::default();
        let mut unclear = Vec::new();
        let mut search = Search::over(&batch);
        let mut rest = batch;
        while !rest.is_empty() {
            let next = fitting(&rest, search.next(rest.len()));
            match self.write(&rest[..next]).await {
                Ok(proofs) => {
                    search.stored(next);
                    done.committed.extend(rest.drain(..next).zip(proofs));
                }
                Err(Stop::Abandoned) => done.abandoned.append(&mut rest),
                Err(Stop::Refused(error)) => {
                    search.refused(next);
                    if next > 1 {
                        continue;
                    }
                    let item = rest.remove(0);
                    match error.class() {
                        Class::Record => done.refused.push(refused(item, &error)),
                        _ => unclear.push((item, error)),
                    }
                }
            }
        }
        self.tell_unclear(unclear, &mut done).await;
        done
    }

    /// A code that says nothing by itself is the record's fault where the rest
    /// of the batch was stored without it, else perhaps everybody's. Each is
    /// tried once more before it is charged: what every record met may have
    /// been mended while the batch was being written.
    async fn tell_unclear(&mut self, unclear: Vec<(Item, DatabaseError)>, done: &mut Committal) {
        let Some((_, error)) = unclear.first() else {
            return;
        };
        if done.committed.is_empty() {
            self.hold_for_unclear(error);
            done.unclear = unclear.into_iter().map(|(item, _)| item).collect();
            return;
        }
        self.company.reset();
        self.hold.leave(self.holder);
        for (item, _) in unclear {
            match self.write(std::slice::from_ref(&item)).await {
                Ok(proofs) => done.committed.extend([item].into_iter().zip(proofs)),
                Err(Stop::Abandoned) => done.abandoned.push(item),
                Err(Stop::Refused(error)) => done.refused.push(refused(item, &error)),
            }
        }
    }

    /// Every record meets this error, as far as can be told.
    pub(super) fn hold_for_unclear(&self, error: &DatabaseError) {
        let cause = format!("every record meets {error}");
        let sqlstate = error.sqlstate();
        self.hold
            .enter(self.holder, Dependency::Database, &cause, sqlstate);
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

    /// Writes a batch of one policy as one statement, again and again until the server has
    /// said yes or no to it. Gives the proofs in the order of the batch.
    pub(super) async fn write(&mut self, batch: &[Item]) -> Result<Vec<Committed>, Stop> {
        let Some(policy) = batch.first().map(|item| Arc::clone(&item.policy)) else {
            return Ok(Vec::new());
        };
        let mut entries: Vec<Entry<'_>> = batch.iter().enumerate().map(entry).collect();
        entries.sort_by_key(|entry| entry.key);
        let places: Vec<usize> = entries.iter().map(|entry| entry.place).collect();
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            match self.store.write(&policy, &entries).await {
                Ok(proofs) => {
                    let sent_ms = batch.iter().map(|item| item.message.sent_ms);
                    self.metrics.committed(sent_ms, began.elapsed());
                    self.hold.leave(self.holder);
                    let mut placed: Vec<_> = places.into_iter().zip(proofs).collect();
                    placed.sort_by_key(|(place, _)| *place);
                    return Ok(placed.into_iter().map(|(_, proof)| proof).collect());
                }
                Err(error) => self.outlast(error, &policy, &mut backoff).await?,
            }
        }
    }

    /// Asks the ledger which messages of a batch are settled for good, just as
    /// insistently.
    pub(super) async fn settled(&mut self, batch: &[Item]) -> Result<Vec<Option<Committed>>, Stop> {
        let Some(policy) = batch.first().map(|item| Arc::clone(&item.policy)) else {
            return Ok(Vec::new());
        };
        let keys: Vec<Key> = batch.iter().map(|item| item.key).collect();
        let mut backoff = Backoff::default();
        loop {
            match self.store.settled(&keys).await {
                Ok(proofs) => {
                    self.hold.leave(self.holder);
                    return Ok(proofs);
                }
                Err(error) => self.outlast(error, &policy, &mut backoff).await?,
            }
        }
    }

    /// Asks the ledger which claims to an origin it bears out, just as
    /// insistently.
    pub(super) async fn vouched(&mut self, claims: &[(Key, &str)]) -> Result<Vec<bool>, Stop> {
        let policy = self.present.decider().policy;
        let mut backoff = Backoff::default();
        loop {
            match self.store.vouched(claims).await {
                Ok(vouched) => {
                    self.hold.leave(self.holder);
                    return Ok(vouched);
                }
                Err(error) => self.outlast(error, &policy, &mut backoff).await?,
            }
        }
    }

    /// Reads the secrets beside the ledger anew, just as insistently.
    pub(super) async fn secrets(&mut self) -> Result<Option<SecretRing>, Stop> {
        let policy = self.present.decider().policy;
        let mut backoff = Backoff::default();
        loop {
            match self.store.secrets().await {
                Ok(secrets) => {
                    self.hold.leave(self.holder);
                    return Ok(secrets);
                }
                Err(error) => self.outlast(error, &policy, &mut backoff).await?,
            }
        }
    }

    /// Waits for a moment or an environment to pass. While the database is
    /// away this is held, and receiving pauses.
    async fn outlast(
        &mut self,
        error: DatabaseError,
        policy: &Arc<Policy>,
        backoff: &mut Backoff,
    ) -> Result<(), Stop> {
        match error.class() {
            Class::Record | Class::Unclear => return Err(Stop::Refused(error)),
            Class::Retry => {}
            Class::Held => self.held(Dependency::Database, &error, error.sqlstate(), policy)?,
        }
        self.metrics.retried(Stage::Commit);
        self.wait(policy, backoff).await;
        Ok(())
    }

    /// Holds, unless there is no point in it: at a stop, and where another
    /// policy decides now, with which the same messages may fare better.
    fn held(
        &self,
        dependency: Dependency,
        cause: &dyn fmt::Display,
        sqlstate: Option<&str>,
        policy: &Arc<Policy>,
    ) -> Result<(), Stop> {
        let outdated = !self.present.is_of(policy);
        if outdated {
            self.hold.leave(self.holder);
        }
        if outdated || self.shutdown.is_requested() {
            return Err(Stop::Abandoned);
        }
        self.hold.enter(self.holder, dependency, cause, sqlstate);
        Ok(())
    }

    /// Waits for the dead-letter queue to come back; a stop ends the waiting,
    /// and so does another policy.
    pub(super) async fn outlast_queue(
        &mut self,
        error: &QueueError,
        policy: &Arc<Policy>,
        backoff: &mut Backoff,
    ) -> Result<(), Stop> {
        self.held(Dependency::DeadLetterQueue, error, None, policy)?;
        self.metrics.retried(Stage::DeadLetter);
        self.wait(policy, backoff).await;
        Ok(())
    }

    /// The dead-letter queue has answered.
    pub(super) fn queue_is_back(&self) {
        self.hold.leave(self.holder);
    }

    async fn wait(&mut self, policy: &Arc<Policy>, backoff: &mut Backoff) {
        if self.shutdown.is_requested() || !self.present.is_of(policy) {
            return backoff.wait().await;
        }
        tokio::select! {
            () = self.shutdown.requested() => {}
            () = self.present.no_longer_of(policy) => {}
            () = backoff.wait() => {}
        }
    }
}

/// How many records the next statement takes, while some of them are refused.
///
/// Of a refused statement's records the first half is tried next: where it is
/// stored, the bad one is in the other half, which need not be tried as a whole.
/// Past the first bad record the statements are half as long, and twice as long
/// again whenever one is stored: many bad records cost about one statement each.
struct Search {
    /// So many records at the front hold a bad one.
    suspects: usize,
    /// Records to try at once where nothing is known of them.
    unknown_max: usize,
}

impl Search {
    fn over(batch: &[Item]) -> Self {
        Self {
            suspects: 0,
            unknown_max: batch.len(),
        }
    }

    /// Of so many records that are left, how many to try; at least one.
    fn next(&self, left: usize) -> usize {
        match self.suspects {
            0 => self.unknown_max.min(left),
            1 => 1,
            suspects => suspects / 2,
        }
    }

    fn stored(&mut self, records: usize) {
        if self.suspects == 0 {
            // Statements that are short for their bytes may be many.
            self.unknown_max = self.unknown_max.saturating_mul(2);
        }
        self.suspects = self.suspects.saturating_sub(records);
    }

    fn refused(&mut self, records: usize) {
        if self.suspects == 0 {
            self.unknown_max = (records / 2).max(1);
        }
        // A single one is found out: nothing is known of those behind it.
        self.suspects = if records > 1 { records } else { 0 };
    }
}

/// As many of the first `next` records as fit into a statement; at least one.
fn fitting(records: &[Item], next: usize) -> usize {
    let mut room = STATEMENT_BYTES_MAX;
    let fits = |item: &&Item| {
        let left = room.checked_sub(bytes(item));
        room = left.unwrap_or(0);
        left.is_some()
    };
    records[..next].iter().take_while(fits).count().max(1)
}

fn bytes(item: &Item) -> usize {
    match &item.verdict {
        Verdict::Rows(rows) => rows.iter().flatten().map(Value::bytes).sum(),
        _ => 0,
    }
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
        field: error.named().map(str::to_owned),
    });
    item
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// How many statements it takes until each record is stored, or refused
    /// alone.
    fn statements(records: usize, bad: &BTreeSet<usize>) -> usize {
        let mut search = Search {
            suspects: 0,
            unknown_max: records,
        };
        let (mut at, mut statements) = (0, 0);
        while at < records {
            let next = search.next(records - at);
            assert!((1..=records - at).contains(&next));
            statements += 1;
            if bad.range(at..at + next).next().is_none() {
                search.stored(next);
                at += next;
            } else {
                search.refused(next);
                at += usize::from(next == 1);
            }
        }
        statements
    }

    fn log2(records: usize) -> usize {
        records.next_power_of_two().ilog2() as usize
    }

    #[test]
    fn a_good_batch_is_one_statement() {
        assert_eq!(statements(500, &BTreeSet::new()), 1);
    }

    #[test]
    fn a_batch_of_bad_records_costs_about_one_statement_each() {
        let few = log2(500).pow(2);
        assert!(statements(500, &(0..500).collect()) <= 500 + few);
    }

    proptest! {
        /// Beside the statements that find all that is between them good: at
        /// most five were counted, over every one or two of 256 records.
        #[test]
        fn a_bad_record_costs_log2_and_one_statements(
            records in 1..600_usize,
            bad in prop::collection::btree_set(0..600_usize, 0..20),
        ) {
            let bad: BTreeSet<usize> = bad.range(..records).copied().collect();
            let allowed = 8 + bad.len() * (log2(records) + 1);
            let statements = statements(records, &bad);
            prop_assert!(statements <= allowed, "{statements} of {allowed}");
        }
    }
}
