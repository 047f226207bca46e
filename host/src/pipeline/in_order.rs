//! Finishing a batch of a FIFO queue: order is kept within each group.
//!
//! The heads of the groups are committed together and compared with each other.
//! A message that waits for evidence holds the later ones of its group, here and
//! leased, and no others. One that is rejected and stays in the queue stops its
//! group: the later ones go back to the queue, which gives them out again once it
//! is gone or given up.

use std::collections::{HashMap, HashSet, VecDeque};

use super::batcher::Batcher;
use super::commit::{Commit, Committal, Left};
use super::item::Item;
use super::reject::groups;
use super::settle::Settler;
use crate::queue::Lease;

/// What stands behind the heads of groups, each group in order.
#[derive(Default)]
pub(super) struct Behind(HashMap<String, VecDeque<Item>>);

impl Behind {
    /// Finishes a batch in the order of receiving, with what was left of
    /// earlier ones; gives what is left.
    pub(super) async fn finish(
        &mut self,
        left: Left,
        batch: Vec<Item>,
        batcher: &Batcher,
        commit: &mut Commit,
        settler: &Settler,
    ) -> Left {
        let batch = match whole(batch, commit).await {
            Ok(done) => {
                self.settle(done, batcher, commit, settler).await;
                Vec::new()
            }
            Err(batch) => batch,
        };
        for item in batch {
            let group = item.group().unwrap_or_default().to_owned();
            self.0.entry(group).or_default().push_back(item);
        }
        let mut left = left;
        loop {
            let heads = self.heads(&left);
            let more = !heads.is_empty();
            let (rejected, accepted): (Vec<Item>, Vec<Item>) =
                heads.into_iter().partition(Item::is_rejected);
            let stuck = settler.reject(rejected, &mut commit.patience).await;
            self.hand_back(&stuck, Vec::new(), batcher, settler).await;
            let mut done = commit.commit(left, accepted).await;
            left = std::mem::take(&mut done.left);
            let moved = self.settle(done, batcher, commit, settler).await;
            if !(more || moved) {
                return left;
            }
        }
    }

    /// Settles what is decided. Whether something was.
    async fn settle(
        &mut self,
        done: Committal,
        batcher: &Batcher,
        commit: &mut Commit,
        settler: &Settler,
    ) -> bool {
        let moved = !(done.committed.is_empty() && done.refused.is_empty());
        for (item, proof) in done.committed {
            settler.committed(item, proof);
        }
        let stuck = settler.reject(done.refused, &mut commit.patience).await;
        self.hand_back(&stuck, Vec::new(), batcher, settler).await;
        let stuck = groups(&done.abandoned);
        self.hand_back(&stuck, done.abandoned, batcher, settler)
            .await;
        moved
    }

    /// The first of each group that does not wait.
    fn heads(&mut self, left: &Left) -> Vec<Item> {
        let waiting: HashSet<&str> = left.items().filter_map(Item::group).collect();
        let free = self
            .0
            .iter_mut()
            .filter(|(group, _)| !waiting.contains(group.as_str()));
        let heads = free.filter_map(|(_, behind)| behind.pop_front()).collect();
        self.0.retain(|_, behind| !behind.is_empty());
        heads
    }

    /// Messages go back to the queue, and with them what stands or waits behind
    /// them in their groups: it must not overtake them.
    async fn hand_back(
        &mut self,
        groups: &[String],
        batch: Vec<Item>,
        batcher: &Batcher,
        settler: &Settler,
    ) {
        let behind = groups.iter().filter_map(|group| self.0.remove(group));
        let items = batch.into_iter().chain(behind.flatten());
        let leases = items.map(|item| item.lease).collect();
        hand_back(groups, leases, batcher, settler).await;
    }

    /// All of them, each group in order, its head first.
    pub(super) fn in_order(self, left: Left) -> Vec<Item> {
        let mut items = left.into_items();
        items.extend(self.0.into_values().flatten());
        items
    }
}

/// What nearly every batch is: all good, one statement.
async fn whole(batch: Vec<Item>, commit: &mut Commit) -> Result<Committal, Vec<Item>> {
    let mut keys = HashSet::new();
    let good = |item: &Item| !item.is_rejected() && keys.insert(item.key);
    match batch.iter().all(good) {
        true => commit.whole(batch).await,
        false => Err(batch),
    }
}

/// Messages go back to the queue, and with them what waits here of any of their
/// groups. Those of a queue that is not FIFO have none.
pub(super) async fn hand_back_all(batch: Vec<Item>, batcher: &Batcher, settler: &Settler) {
    let groups: HashSet<String> = groups(&batch).into_iter().collect();
    let groups: Vec<String> = groups.into_iter().collect();
    let leases = batch.into_iter().map(|item| item.lease).collect();
    hand_back(&groups, leases, batcher, settler).await;
}

async fn hand_back(
    groups: &[String],
    mut leases: Vec<Lease>,
    batcher: &Batcher,
    settler: &Settler,
) {
    for group in groups {
        let waiting = batcher.withdraw(group).into_iter();
        leases.extend(waiting.map(|delivery| delivery.lease));
    }
    if !leases.is_empty() {
        settler.release(leases).await;
    }
}
