//! A worker: takes a batch, has it judged, commits it, settles each message.
//! What waits for evidence stays with it, leased, and is tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::batcher::{Batch, Batcher, Claim};
use super::brake::{Admitted, Brakes};
use super::commit::{Commit, Committal, Left};
use super::decider::{Decider, Present};
use super::in_order::{self, Behind};
use super::item::Item;
use super::settle::Settler;
use super::shadow::Shadow;
use crate::backoff::Backoff;
use crate::message::Message;
use crate::origin::Secrets;
use crate::output::{Identity, Key, Policy, TableName};
use crate::queue::{Budget, Delivery};
use crate::sandbox::Judged;
use crate::telemetry::Metrics;
use crate::verdict::{Reason, Verdict};

/// Between two prunings of the ledger.
const PRUNE_SECS: u64 = 3_600;
/// While fewer messages are in work, peers to compare with are received at the
/// quick pace.
const PEERS_FEW: usize = 20;
/// Between two receives of peers where there are few, and where there are many,
/// in seconds: in an outage of an hour some hundreds of messages come in, each
/// once, and are kept.
const PEERS_SECS_FEW: u64 = 1;
const PEERS_SECS_MANY: u64 = 60;

/// What holds for every message of a run.
pub(super) struct Rules {
    /// The target, which is part of each key.
    pub(super) table: TableName,
    /// Where a producer's event id stands, if it is asked for.
    pub(super) event_id: Option<String>,
    /// For how long the ledger remembers a message.
    pub(super) ledger_days: u32,
    /// Whether the queue keeps order within groups.
    pub(super) fifo: bool,
    /// What proves a message's origin.
    pub(super) secrets: Secrets,
}

/// One of the tasks that write.
pub(super) struct Worker {
    pub(super) batcher: Batcher,
    pub(super) present: Present,
    pub(super) shadow: Option<Shadow>,
    pub(super) brakes: Brakes,
    pub(super) commit: Commit,
    pub(super) settler: Settler,
    pub(super) rules: Arc<Rules>,
    pub(super) metrics: Metrics,
    pub(super) budget: Budget,
    /// What waits for evidence.
    pub(super) waiting: Waiting,
    /// When this worker has last pruned the ledger, if that is its duty.
    pub(super) pruned: Pruned,
}

/// Whether a worker prunes the ledger.
pub(super) enum Pruned {
    /// Another one does.
    ByAnother,
    /// It has not yet.
    NotYet,
    /// It last did then.
    At(Instant),
}

/// What waits for evidence, and behind it.
#[derive(Default)]
pub(super) struct Waiting {
    left: Left,
    /// What stands behind it in the groups of a FIFO queue.
    behind: Behind,
    /// Keeps those groups from other workers.
    claims: Vec<Claim>,
    /// Between two tries of one record.
    backoff: Backoff,
    /// When peers were last taken from what has been received.
    peers: Option<Instant>,
}

/// Why a worker goes on.
enum Woken {
    /// With more messages.
    Batch(Batch),
    /// Something was stored, or the brake is off: all that waits is tried again.
    All,
    /// One of those that wait is tried again.
    One,
    /// Another policy decides now: they are judged again.
    Outdated,
    /// A stop is asked for.
    Stop,
}

impl Worker {
    /// Works until nothing more can come.
    pub(super) async fn run(mut self) {
        loop {
            let woken = match self.waiting.left.policy() {
                None => Woken::Batch(self.batcher.next().await),
                Some(policy) => self.pause(&policy).await,
            };
            match woken {
                Woken::Batch(batch) if batch.deliveries.is_empty() => {
                    // Nothing more can come, so nothing will tell any more.
                    self.let_go().await;
                    break;
                }
                Woken::Batch(batch) => {
                    let deliveries = self.with_origins(batch.deliveries).await;
                    let judged = self.judge(deliveries).await;
                    self.admitted(judged).await;
                    self.waiting.claims.push(batch.claim);
                }
                Woken::All => self.finish(Vec::new()).await,
                Woken::One => {
                    self.waiting.left.some_first = true;
                    self.finish(Vec::new()).await;
                }
                Woken::Outdated => {
                    self.commit.patience.resume();
                    let waiting = std::mem::take(&mut self.waiting);
                    self.waiting.claims = waiting.claims;
                    let items = waiting.behind.in_order(waiting.left);
                    let judged = self.judge_again(items).await;
                    self.admitted(judged).await;
                }
                Woken::Stop => self.let_go().await,
            }
            let groups = self.waiting.left.items().filter_map(Item::group);
            let groups = groups.map(str::to_owned).collect();
            self.waiting.claims.retain_mut(|claim| claim.keeps(&groups));
            self.prune().await;
        }
        self.settler.rejections.end();
        self.commit.patience.close().await;
    }

    /// Finishes what may be finished; the rest is judged again later.
    async fn admitted(&mut self, mut judged: Vec<Item>) {
        loop {
            let Admitted { items, suspects } = self.brakes.admit(judged);
            self.finish(items).await;
            if suspects.is_empty() {
                break;
            }
            if !self.brakes.outlast(&mut self.settler.stop).await {
                in_order::hand_back_all(suspects, &self.batcher, &self.settler).await;
                break;
            }
            judged = self.judge_again(suspects).await;
        }
    }

    async fn judge_again(&mut self, items: Vec<Item>) -> Vec<Item> {
        self.judge(items.into_iter().map(Item::unjudged).collect())
            .await
    }

    /// Messages that wait go back to the queue.
    async fn let_go(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.commit.patience.resume();
        let items = waiting.behind.in_order(waiting.left);
        if !items.is_empty() {
            in_order::hand_back_all(items, &self.batcher, &self.settler).await;
        }
    }

    /// Waits, told, for what may tell whose fault it is.
    async fn pause(&mut self, policy: &Arc<Policy>) -> Woken {
        let mut stop = self.settler.stop.clone();
        if stop.is_requested() {
            return Woken::Stop;
        }
        if !self.present.is_of(policy) {
            return Woken::Outdated;
        }
        if self.commit.brake.until(policy).is_some() {
            return match self.commit.brake.outlast(&mut stop).await {
                true => Woken::All,
                false => Woken::Stop,
            };
        }
        let few = self.budget.in_work() < PEERS_FEW;
        let pace = Duration::from_secs(if few { PEERS_SECS_FEW } else { PEERS_SECS_MANY });
        if let Some(error) = self.waiting.left.error() {
            self.commit.patience.tell(error, pace);
        }
        let peers_due = match self.waiting.peers {
            Some(then) if !few => then + pace,
            _ => Instant::now(),
        };
        let (history, seen) = (self.commit.history.clone(), self.waiting.left.seen());
        let peers = async {
            sleep_until(peers_due).await;
            self.batcher.next().await
        };
        let woken = tokio::select! {
            biased;
            () = stop.requested() => Woken::Stop,
            () = self.present.no_longer_of(policy) => Woken::Outdated,
            () = history.stored_since(policy, seen) => Woken::All,
            batch = peers => Woken::Batch(batch),
            () = self.waiting.backoff.wait() => Woken::One,
        };
        if matches!(woken, Woken::Batch(_)) {
            self.waiting.peers = Some(Instant::now());
        }
        woken
    }

    /// Finishes messages, and what waits, as far as can be told.
    async fn finish(&mut self, items: Vec<Item>) {
        let waiting = &mut self.waiting;
        let before = waiting.left.items().count();
        let left = std::mem::take(&mut waiting.left);
        if self.rules.fifo {
            let (batcher, settler) = (&self.batcher, &self.settler);
            waiting.left = waiting
                .behind
                .finish(left, items, batcher, &mut self.commit, settler)
                .await;
        } else {
            self.waiting.left = self.finish_batch(left, items).await;
        }
        let waiting = &mut self.waiting;
        if waiting.left.items().count() < before || waiting.left.is_empty() {
            waiting.backoff.reset();
        }
    }

    async fn finish_batch(&mut self, left: Left, batch: Vec<Item>) -> Left {
        let (rejected, accepted): (Vec<Item>, Vec<Item>) =
            batch.into_iter().partition(Item::is_rejected);
        let Committal {
            committed,
            refused,
            abandoned,
            left,
        } = self.commit.commit(left, accepted).await;
        for (item, proof) in committed {
            self.settler.committed(item, proof);
        }
        let rejected = rejected.into_iter().chain(refused).collect();
        self.settler
            .reject(rejected, &mut self.commit.patience)
            .await;
        self.settler.hand_back(abandoned).await;
        left
    }

    /// Gives each message its verdict and its key.
    async fn judge(&self, deliveries: Vec<Delivery>) -> Vec<Item> {
        let mut leases = Vec::with_capacity(deliveries.len());
        let mut messages = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            leases.push((delivery.lease, delivery.receive_count));
            messages.push(delivery.message);
        }
        let Decider { judge, policy } = self.present.decider();
        let judged = judge.judge(messages).await;
        if !judged.messages.is_empty() {
            self.metrics.judged(judged.took);
            if let Some(shadow) = &self.shadow {
                shadow.show(&judged, &policy);
            }
        }
        let Judged {
            messages, verdicts, ..
        } = judged;
        messages
            .into_iter()
            .zip(verdicts)
            .zip(leases)
            .map(|((message, verdict), (lease, receive_count))| {
                let (key, verdict) = self.keyed(&message, verdict);
                Item {
                    message,
                    lease,
                    receive_count,
                    key,
                    policy: Arc::clone(&policy),
                    verdict,
                }
            })
            .collect()
    }

    fn keyed(&self, message: &Message, verdict: Verdict) -> (Key, Verdict) {
        let by_message = Identity::Message(&message.origin_id);
        let Some(pointer) = &self.rules.event_id else {
            return (Key::new(&self.rules.table, by_message), verdict);
        };
        match message.event_id(pointer) {
            Some(id) => (Key::new(&self.rules.table, Identity::Event(&id)), verdict),
            None => (
                Key::new(&self.rules.table, by_message),
                Verdict::Reject(Reason::EventId.into()),
            ),
        }
    }

    /// Removes old ledger entries now and then; one worker does it for all.
    async fn prune(&mut self) {
        let due = match self.pruned {
            Pruned::ByAnother => false,
            Pruned::NotYet => true,
            Pruned::At(then) => then.elapsed() >= Duration::from_secs(PRUNE_SECS),
        };
        if due {
            self.pruned = Pruned::At(Instant::now());
            self.commit.patience.prune(self.rules.ledger_days).await;
        }
    }
}
