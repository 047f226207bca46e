//! Replaying dead letters: another component judges them, and what it accepts
//! goes back to where it came from, if that is asked for.
//!
//! What it keeps: a message is in the dead-letter queue, or in the other one,
//! or in both, and never in neither. All that stays in the dead-letter queue is
//! kept hidden until the end, so that each message is met once, and is visible
//! again after it. Of PostgreSQL only the secrets are asked, if at all.

mod args;
mod report;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::exit::{Ends, Failure, Kind, failure};
use crate::message::Message;
use crate::origin::{Claim, Secrets};
use crate::output::{Database, DatabaseError, FoundSecrets, secrets};
use crate::queue::{
    Budget, Deleter, Deletions, Delivery, Lease, Leases, Observer, QueueError, QueueEvent,
    QueueSettings, RECEIVE_MESSAGES_MAX, Redrive, Return, Returned, Returning,
};
use crate::sandbox::{Conditions, Judge, Sandbox, SandboxThreads};
use crate::shutdown::{Shutdown, shutdown};
use crate::verdict::{Reason, Verdict};

pub use args::ReplayArgs;
pub use report::Report;

/// For how long handing back is tried, in seconds.
const HAND_BACK_SECS_MAX: u64 = 10;
/// Receives in a row that bring nothing but what is in hand already.
const NOTHING_NEW_MAX: u32 = 3;

/// A replay of dead letters.
pub struct Replay {
    /// The component that judges them.
    pub component: PathBuf,
    /// How it is run.
    pub conditions: Conditions,
    /// The queue that they came from, and where they are.
    pub queue: QueueSettings,
    /// Where the secrets are, under which origins are signed anew. Without it
    /// each message goes back with the origin that it came with.
    pub database: Option<Database>,
    /// Where a producer's own event id stands in a body that has to have one.
    pub event_id: Option<String>,
    /// What is done with them.
    pub mode: Mode,
    /// About how many are received at most.
    pub messages_max: usize,
}

/// What is done with messages that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They stay.
    Look,
    /// What the component accepts is sent back.
    SendAccepted,
    /// All that can be sent is sent back.
    SendAll,
}

impl Replay {
    /// Replays until the dead-letter queue has nothing more to give, or a stop
    /// is asked for.
    ///
    /// # Errors
    /// The component does not load, or a queue cannot be used (78), or reached
    /// (69). What fails later is told in the report.
    pub async fn run(self, stop: Shutdown) -> Result<Report, Failure> {
        let sandbox = Sandbox::load(&self.component, &self.conditions, 1);
        let sandbox = sandbox.ends_as(Kind::Configuration)?;
        let component = sandbox.label();
        let judge = SandboxThreads::start(Arc::new(sandbox), 1)
            .context("start a thread for the component")
            .ends_as(Kind::Internal)?;
        let FoundSecrets { secrets, warning } = self.secrets().await;
        let redrive = Redrive::find(&self.queue, secrets).await;
        let mut redrive = redrive.map_err(|error| self.unusable(&error))?;
        redrive.warnings.extend(warning);
        let report = Report::new(component, &redrive, self.mode);
        Ok(Replaying::begin(self, judge, redrive, report, stop)
            .end()
            .await)
    }

    /// The secrets, where they are to be had: a replay goes on without them,
    /// because dead letters mostly carry their proofs already.
    async fn secrets(&self) -> FoundSecrets {
        let Some(database) = self.database.as_ref().filter(|_| self.mode != Mode::Look) else {
            return FoundSecrets::default();
        };
        let unread = |error: DatabaseError| FoundSecrets {
            secrets: Secrets::default(),
            warning: Some(format!(
                "the secrets of {} cannot be read: {error}; what comes without a proof goes back \
                 without one, as a new message",
                database.place()
            )),
        };
        let session = match database.connect().await {
            Ok(session) => session,
            Err(error) => return unread(error),
        };
        let found = secrets(&session).await;
        session.close().await;
        found.unwrap_or_else(unread)
    }

    fn unusable(&self, error: &QueueError) -> Failure {
        let kind = match error.may_pass() {
            true => Kind::Unavailable,
            false => Kind::Configuration,
        };
        failure(kind, format!("use queue {}: {error}", self.queue.url))
    }
}

/// A replay at work.
struct Replaying {
    event_id: Option<String>,
    mode: Mode,
    messages_max: usize,
    judge: SandboxThreads,
    redrive: Redrive,
    leases: Leases,
    budget: Budget,
    stop: Shutdown,
    /// What has gone back: what comes again in the same run was rejected by
    /// somebody else, and would go round for ever.
    gone_back: HashSet<Known>,
    /// The groups of a FIFO queue of which something stays.
    staying: HashSet<String>,
    report: Report,
}

/// What a message is known by in one run: its first id, and the digest of its
/// body where it only claims that id.
type Known = (String, Option<[u8; 32]>);

/// A message with its verdict, and the lease that keeps it.
struct Judged {
    message: Message,
    /// The origin that it claims, where nobody here can check it.
    claim: Option<Claim>,
    lease: Lease,
    accepted: bool,
}

impl Replaying {
    fn begin(
        replay: Replay,
        judge: SandboxThreads,
        redrive: Redrive,
        report: Report,
        stop: Shutdown,
    ) -> Self {
        // What is in hand, and room for the receive that goes over it. Bodies
        // are dropped as soon as they are judged, so bytes are no concern.
        let messages = replay.messages_max + 2 * RECEIVE_MESSAGES_MAX;
        Self {
            event_id: replay.event_id,
            mode: replay.mode,
            messages_max: replay.messages_max,
            judge,
            leases: Leases::new(redrive.from.timing, Arc::new(|_| {})),
            budget: Budget::new(messages, usize::MAX),
            redrive,
            stop,
            gone_back: HashSet::new(),
            staying: HashSet::new(),
            report,
        }
    }

    /// Works to the end: what was sent is deleted, and all else handed back.
    async fn end(mut self) -> Report {
        let from = self.redrive.from.clone();
        let keeping = tokio::spawn(self.leases.clone().keep(from.clone()));
        let deleted = Arc::new(AtomicU64::new(0));
        let (deleter, deletions) = Deleter::new(from.clone(), counting(&deleted));
        // Nobody asks for its end: it tries for as long as the leases last.
        let (_switch, over) = shutdown();
        let deleting = tokio::spawn(deleter.run(over));
        self.report.trouble = self.walk(&deletions).await.err();
        drop(deletions);
        // A deletion that broke shows as one that was not made.
        let _ = deleting.await;
        self.report.deleted = deleted.load(Ordering::SeqCst);
        if let Ok(backlog) = from.backlog().await {
            self.report.not_looked_at = backlog.visible;
        }
        keeping.abort();
        let time = Duration::from_secs(HAND_BACK_SECS_MAX);
        let released = from.hand_back(self.leases.unfinished(), time).await;
        self.report.handed_back = released.done() as u64;
        self.report.hidden = released.failed as u64;
        self.report
    }

    /// Receives, judges and sends, until nothing more comes.
    async fn walk(&mut self, deletions: &Deletions<Returned>) -> Result<(), QueueError> {
        let mut nothing_new = 0;
        while !self.stop.is_requested() && self.report.received < self.messages_max as u64 {
            let room = self.budget.reserve().await;
            // Each receive is a try of its own; the SDK names its own retries.
            let attempt = format!("{:032x}", rand::random::<u128>());
            let received = self.redrive.from.receive(
                &self.leases,
                room,
                &attempt,
                self.redrive.from.timing.poll,
            );
            let deliveries = received.await?;
            self.report.unusable += deliveries.unusable as u64;
            if deliveries.new.is_empty() {
                nothing_new += 1;
                if deliveries.known == 0 || nothing_new == NOTHING_NEW_MAX {
                    break;
                }
                continue;
            }
            nothing_new = 0;
            self.report.received += deliveries.new.len() as u64;
            let judged = self.judge(deliveries.new).await;
            self.settle(judged, deletions).await?;
        }
        Ok(())
    }

    async fn judge(&mut self, deliveries: Vec<Delivery>) -> Vec<Judged> {
        let (messages, leases): (Vec<Message>, Vec<(Lease, Option<Claim>)>) = deliveries
            .into_iter()
            .map(|mut delivery| {
                // The component is to see what it would see in a run.
                if let Some(claim) = &delivery.claim {
                    delivery.message.accept(claim);
                }
                (delivery.message, (delivery.lease, delivery.claim))
            })
            .unzip();
        let judged = self.judge.judge(messages).await;
        let mut verdicts = judged.messages.into_iter().zip(judged.verdicts);
        let mut settled = Vec::new();
        for (lease, claim) in leases {
            let Some((message, verdict)) = verdicts.next() else {
                // The thread is gone: what it leaves unjudged stays.
                lease.leave();
                continue;
            };
            let verdict = self.with_identity(&message, verdict);
            self.report.judged(&verdict);
            settled.push(Judged {
                message,
                claim,
                lease,
                accepted: !matches!(verdict, Verdict::Reject(_)),
            });
        }
        settled
    }

    /// The verdict on a message, unless a run would find it to have no identity.
    fn with_identity(&self, message: &Message, verdict: Verdict) -> Verdict {
        let has_one = |pointer: &String| message.event_id(pointer).is_some();
        match self.event_id.as_ref().is_none_or(has_one) {
            true => verdict,
            false => Verdict::Reject(Reason::EventId.into()),
        }
    }

    /// Sends back what is to go, and keeps the rest.
    async fn settle(
        &mut self,
        judged: Vec<Judged>,
        deletions: &Deletions<Returned>,
    ) -> Result<(), QueueError> {
        let mut going = Vec::new();
        for judged in judged {
            match self.goes(&judged) {
                true => going.push(judged),
                false => {
                    self.staying
                        .extend(judged.message.group().map(str::to_owned));
                    judged.lease.leave();
                }
            }
        }
        self.report.sendable += going.len() as u64;
        if self.mode == Mode::Look {
            going.into_iter().for_each(|judged| judged.lease.leave());
            return Ok(());
        }
        let messages: Vec<Returning<'_>> = going.iter().map(Judged::returning).collect();
        let returns = match self.redrive.to.send(&messages).await {
            Ok(returns) => returns,
            Err(error) => {
                // Perhaps some are there; here they are for sure.
                self.report.unsent += going.len() as u64;
                going.into_iter().for_each(|judged| judged.lease.leave());
                return Err(error);
            }
        };
        for (judged, returned) in going.into_iter().zip(returns) {
            let Judged { message, lease, .. } = judged;
            match returned {
                Return::Accepted(proof) => {
                    self.report.sent += 1;
                    deletions.delete(lease, proof);
                    continue;
                }
                Return::Unfit => self.report.unfit += 1,
                Return::Failed => self.report.unsent += 1,
            }
            self.staying.extend(message.group().map(str::to_owned));
            lease.leave();
        }
        Ok(())
    }

    /// Whether a message is to go back.
    fn goes(&mut self, judged: &Judged) -> bool {
        let Judged {
            message, accepted, ..
        } = judged;
        let known = judged.known();
        if self.gone_back.contains(&known) {
            self.report.came_again += 1;
            return false;
        }
        if !accepted && self.mode != Mode::SendAll {
            return false;
        }
        if !self.redrive.to.takes(judged.returning()) {
            self.report.unfit += 1;
            return false;
        }
        let in_order = self.redrive.to.fifo;
        if in_order
            && message
                .group()
                .is_some_and(|group| self.staying.contains(group))
        {
            self.report.behind += 1;
            return false;
        }
        self.gone_back.insert(known)
    }
}

impl Judged {
    fn known(&self) -> Known {
        let digest = || Sha256::digest(&self.message.body).into();
        let body = self.claim.as_ref().map(|_| digest());
        (self.message.origin_id.clone(), body)
    }

    fn returning(&self) -> Returning<'_> {
        Returning {
            message: &self.message,
            claim: self.claim.as_ref(),
        }
    }
}

/// Counts what is deleted.
fn counting(deleted: &Arc<AtomicU64>) -> Observer {
    let deleted = Arc::clone(deleted);
    Arc::new(move |told| {
        if let QueueEvent::Deleted { .. } = told {
            deleted.fetch_add(1, Ordering::SeqCst);
        }
    })
}
