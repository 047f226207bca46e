//! A worker: takes a batch, has it judged, commits it, settles each message.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::batcher::Batcher;
use super::commit::{Commit, Committal};
use super::decider::{Decider, Present};
use super::in_order;
use super::quarantine::{Admitted, Quarantine};
use super::settle::Settler;
use super::shadow::Shadow;
use crate::message::Message;
use crate::origin::Secrets;
use crate::output::{Identity, Key, Policy, TableName};
use crate::queue::{Delivery, Lease};
use crate::sandbox::Judged;
use crate::telemetry::Metrics;
use crate::verdict::{Reason, Verdict};

/// Between two prunings of the ledger.
const PRUNE_SECS: u64 = 3_600;

/// A message with everything that has been found out about it.
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) lease: Lease,
    pub(super) receive_count: u32,
    pub(super) key: Key,
    /// Whose verdict it is.
    pub(super) policy: Arc<Policy>,
    pub(super) verdict: Verdict,
}

impl Item {
    /// The message as it came, to be judged again.
    fn unjudged(self) -> Delivery {
        Delivery {
            message: self.message,
            lease: self.lease,
            receive_count: self.receive_count,
            // Settled before it was judged.
            claim: None,
        }
    }
}

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
    pub(super) quarantine: Quarantine,
    pub(super) commit: Commit,
    pub(super) settler: Settler,
    pub(super) rules: Arc<Rules>,
    pub(super) metrics: Metrics,
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

impl Worker {
    /// Works until nothing more can come.
    pub(super) async fn run(mut self) {
        let mut carried = Vec::new();
        loop {
            // What could not be told from the environment waits for company.
            let batch = match carried.is_empty() {
                true => Some(self.batcher.next().await),
                false => self.commit.company(&self.batcher).await,
            };
            let (deliveries, claim) = match batch {
                // Nothing more can come, so nothing will tell any more.
                Some(batch) if batch.deliveries.is_empty() => {
                    self.settler.hand_back(carried).await;
                    break;
                }
                Some(batch) => (batch.deliveries, Some(batch.claim)),
                None => (Vec::new(), None),
            };
            let deliveries = self.with_origins(deliveries).await;
            let mut judged = self.judge(deliveries).await;
            loop {
                let Admitted { items, suspects } = self.quarantine.admit(judged);
                if self.rules.fifo {
                    in_order::finish(items, &self.batcher, &mut self.commit, &self.settler).await;
                } else {
                    self.outdated(&mut carried).await;
                    carried.extend(items);
                    carried = self.finish(carried).await;
                }
                if suspects.is_empty() {
                    break;
                }
                if !self.quarantine.outlast(&mut self.settler.stop).await {
                    in_order::hand_back_all(suspects, &self.batcher, &self.settler).await;
                    break;
                }
                judged = self
                    .judge(suspects.into_iter().map(Item::unjudged).collect())
                    .await;
            }
            drop(claim);
            self.prune().await;
        }
        self.commit.close().await;
    }

    /// Lets go of what another policy has judged: with the rows of the present
    /// one it would tell nothing, and it may fare better there.
    async fn outdated(&self, carried: &mut Vec<Item>) {
        let outdated = carried
            .first()
            .is_some_and(|item| !self.present.is_of(&item.policy));
        if outdated {
            self.settler.hand_back(std::mem::take(carried)).await;
        }
    }

    /// Finishes a batch; gives back what waits for company.
    async fn finish(&mut self, items: Vec<Item>) -> Vec<Item> {
        let mut unclear = Vec::new();
        let mut items = items;
        while !items.is_empty() {
            let (batch, again) = each_key_once(items);
            items = again;
            unclear.extend(self.finish_batch(batch).await);
        }
        unclear
    }

    async fn finish_batch(&mut self, batch: Vec<Item>) -> Vec<Item> {
        let (refused, accepted): (Vec<Item>, Vec<Item>) = batch
            .into_iter()
            .partition(|item| matches!(item.verdict, Verdict::Reject(_)));
        let Committal {
            committed,
            refused: refused_by_database,
            abandoned,
            unclear,
        } = self.commit.commit(accepted).await;
        for (item, proof) in committed {
            self.settler.committed(item, proof);
        }
        let refused = refused.into_iter().chain(refused_by_database).collect();
        self.settler.refused(refused, &mut self.commit).await;
        self.settler.hand_back(abandoned).await;
        unclear
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
            self.commit.prune(self.rules.ledger_days).await;
        }
    }
}

/// Splits off what has the key of an earlier one: once that is committed, the
/// later one is found to be a duplicate.
fn each_key_once(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let mut keys = HashSet::new();
    items.into_iter().partition(|item| keys.insert(item.key))
}
