//! Patience with a service: the same statement or call again, held meanwhile.
//!
//! It decides what the SQLSTATE alone decides (see `attribution`): an unknown
//! outcome and a moment are tried again, a refusal is given back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attribution::{TRANSIENT_SECS, TRANSIENT_TRIES};
use super::decider::Present;
use super::hold::{Dependency, Hold, Holder};
use super::item::Item;
use crate::backoff::Backoff;
use crate::event::Event;
use crate::origin::SecretRing;
use crate::output::{Class, Committed, DatabaseError, Entry, Key, Policy, Store};
use crate::queue::QueueError;
use crate::shutdown::Shutdown;
use crate::telemetry::{Metrics, Stage};

/// A worker's way into the database, and what it does when that fails.
pub(super) struct Patience {
    pub(super) holder: Holder,
    pub(super) store: Box<dyn Store>,
    pub(super) hold: Hold,
    pub(super) metrics: Metrics,
    pub(super) present: Present,
    pub(super) shutdown: Shutdown,
}

/// Why a statement was not carried through.
pub(super) enum Stop {
    /// A stop is asked for, or another policy decides now: the messages go
    /// back to the queue, to be judged anew.
    Abandoned,
    /// The statement itself is refused.
    Refused(DatabaseError),
}

/// How often a statement is tried while nothing speaks against its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tries {
    /// For as long as a moment may last.
    Patient,
    /// Once, and once more where its outcome is unknown: its records have been
    /// tried patiently before.
    Few,
}

impl Tries {
    fn are_over(self, failed: u32, took: Duration) -> bool {
        match self {
            Self::Patient => {
                failed >= TRANSIENT_TRIES && took >= Duration::from_secs(TRANSIENT_SECS)
            }
            Self::Few => true,
        }
    }
}

impl Patience {
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

    /// Writes a batch of one policy, in which no key stands twice, as one
    /// statement, until the server has said yes or no to it. Gives the proofs in
    /// the order of the batch.
    pub(super) async fn write(
        &mut self,
        batch: &[Item],
        tries: Tries,
    ) -> Result<Vec<Committed>, Stop> {
        let Some(policy) = batch.first().map(|item| Arc::clone(&item.policy)) else {
            return Ok(Vec::new());
        };
        let entries = batch.iter().enumerate();
        let mut entries: Vec<Entry<'_>> = entries.map(|(place, item)| item.entry(place)).collect();
        entries.sort_by_key(|entry| entry.key);
        let mut backoff = Backoff::default();
        let first = Instant::now();
        let (mut failed, mut held) = (0, false);
        loop {
            let began = Instant::now();
            let error = match self.store.write(&policy, &entries).await {
                Ok(proofs) => {
                    let sent_ms = batch.iter().map(|item| item.message.sent_ms);
                    self.metrics.committed(sent_ms, began.elapsed());
                    if held {
                        self.resume();
                    }
                    let places = entries.iter().map(|entry| entry.place);
                    let mut placed: Vec<_> = places.zip(proofs).collect();
                    placed.sort_by_key(|(place, _)| *place);
                    return Ok(placed.into_iter().map(|(_, proof)| proof).collect());
                }
                Err(error) => error,
            };
            failed += 1;
            let over = tries.are_over(failed, first.elapsed());
            match error.class() {
                Class::Refused => return Err(Stop::Refused(error)),
                Class::Moment if over => return Err(Stop::Refused(error)),
                Class::Moment => {}
                Class::Unknown => {
                    held = true;
                    self.held(Dependency::Database, &error, error.sqlstate(), &policy)?;
                    // Where the server answers others, it is these records that
                    // it does not answer.
                    if over && failed > 1 && self.probe(&policy).await.is_ok() {
                        return Err(Stop::Refused(error));
                    }
                }
            }
            self.metrics.retried(Stage::Commit);
            self.wait(&policy, &mut backoff).await;
        }
    }

    /// Runs the statement of a policy without rows: what it meets, all meet.
    pub(super) async fn probe(&mut self, policy: &Policy) -> Result<(), DatabaseError> {
        self.store.write(policy, &[]).await.map(drop)
    }

    /// Asks the ledger which claims to an origin it bears out, just as
    /// insistently.
    pub(super) async fn vouched(&mut self, claims: &[(Key, &str)]) -> Result<Vec<bool>, Stop> {
        let mut backoff = Backoff::default();
        loop {
            match self.store.vouched(claims).await {
                Ok(vouched) => {
                    self.resume();
                    return Ok(vouched);
                }
                Err(error) => self.outlast(error, &mut backoff).await?,
            }
        }
    }

    /// Reads the secrets beside the ledger anew, just as insistently.
    pub(super) async fn secrets(&mut self) -> Result<Option<SecretRing>, Stop> {
        let mut backoff = Backoff::default();
        loop {
            match self.store.secrets().await {
                Ok(secrets) => {
                    self.resume();
                    return Ok(secrets);
                }
                Err(error) => self.outlast(error, &mut backoff).await?,
            }
        }
    }

    /// Waits for a question to be answered. What refuses it is given back.
    async fn outlast(&mut self, error: DatabaseError, backoff: &mut Backoff) -> Result<(), Stop> {
        let policy = self.present.decider().policy;
        match error.class() {
            Class::Refused => return Err(Stop::Refused(error)),
            Class::Moment => {}
            Class::Unknown => {
                self.held(Dependency::Database, &error, error.sqlstate(), &policy)?;
            }
        }
        self.metrics.retried(Stage::Commit);
        self.wait(&policy, backoff).await;
        Ok(())
    }

    /// Waits for the ledger to take rejected entries.
    pub(super) async fn outlast_ledger(
        &mut self,
        error: &DatabaseError,
        policy: &Arc<Policy>,
        backoff: &mut Backoff,
    ) -> Result<(), Stop> {
        let cause = format!(
            "the ledger does not take the entries of rejected messages, which therefore stay in \
             the queue: {error}"
        );
        self.held(Dependency::Database, &cause, error.sqlstate(), policy)?;
        self.metrics.retried(Stage::Commit);
        self.wait(policy, backoff).await;
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

    /// Every record meets this error, as far as can be told; peers are received
    /// so slowly.
    pub(super) fn tell(&self, error: &DatabaseError, peers_every: Duration) {
        let cause = format!(
            "every record meets {error}; it looks like the table, a grant or a trigger, not like \
             one record"
        );
        self.hold.enter_for_peers(
            self.holder,
            peers_every,
            Dependency::Database,
            &cause,
            error.sqlstate(),
        );
    }

    /// Whatever held this worker is over.
    pub(super) fn resume(&self) {
        self.hold.leave(self.holder);
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

    /// Waits for the next try; a stop and another policy end the waiting.
    pub(super) async fn wait(&mut self, policy: &Arc<Policy>, backoff: &mut Backoff) {
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
