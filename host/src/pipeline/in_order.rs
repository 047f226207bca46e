//! Finishing a batch of a FIFO queue: order is kept within each group.
//!
//! A message that fails stops the later ones of its group and no others. They
//! go back to the queue, which gives them out again once the failing one is
//! gone or given up.

use std::collections::HashSet;

use super::batcher::Batcher;
use super::commit::{Commit, Stop, refused};
use super::settle::Settler;
use super::worker::Item;
use crate::output::{Class, DatabaseError};
use crate::queue::Lease;
use crate::verdict::Verdict;

/// Finishes a batch in the order of receiving.
pub(super) async fn finish(
    batch: Vec<Item>,
    batcher: &Batcher,
    commit: &mut Commit,
    settler: &Settler,
) {
    let batch = match whole(batch, batcher, commit, settler).await {
        Whole::Done => return,
        Whole::Apart(batch) => batch,
    };
    let mut stored_any = false;
    for group in groups(batch) {
        stored_any |= finish_group(group, stored_any, batcher, commit, settler).await;
    }
}

enum Whole {
    /// The batch is finished.
    Done,
    /// Something in it fails: it is to be finished message by message.
    Apart(Vec<Item>),
}

/// What nearly every batch is: all good, one statement.
async fn whole(
    batch: Vec<Item>,
    batcher: &Batcher,
    commit: &mut Commit,
    settler: &Settler,
) -> Whole {
    let mut keys = HashSet::new();
    let good = |item: &Item| !matches!(item.verdict, Verdict::Reject(_));
    if !batch.iter().all(|item| good(item) && keys.insert(item.key)) {
        return Whole::Apart(batch);
    }
    match commit.write(&batch).await {
        Ok(proofs) => {
            for (item, proof) in batch.into_iter().zip(proofs) {
                settler.committed(item, proof);
            }
        }
        Err(Stop::Abandoned) => hand_back_all(batch, batcher, settler).await,
        Err(Stop::Refused(_)) => return Whole::Apart(batch),
    }
    Whole::Done
}

/// The groups of a batch, each in order.
fn groups(batch: Vec<Item>) -> Vec<Vec<Item>> {
    let mut groups: Vec<Vec<Item>> = Vec::new();
    for item in batch {
        let its = name(&item);
        let known = groups
            .iter_mut()
            .find(|group| group.first().map(name) == Some(its.clone()));
        match known {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    groups
}

fn name(item: &Item) -> Option<String> {
    let fifo = item.message.fifo.as_ref()?;
    Some(fifo.group.clone())
}

/// Finishes a group message by message; whether something of it was stored.
async fn finish_group(
    group: Vec<Item>,
    stored_before: bool,
    batcher: &Batcher,
    commit: &mut Commit,
    settler: &Settler,
) -> bool {
    let mut stored = false;
    let name = group.first().and_then(name).unwrap_or_default();
    let mut rest = group.into_iter();
    while let Some(item) = rest.next() {
        let ended = match finish_one(item, stored_before || stored, commit, settler).await {
            One::Stored => {
                stored = true;
                true
            }
            One::Ended => true,
            One::Stuck => false,
        };
        if !ended {
            hand_back(&[name], rest.collect(), batcher, settler).await;
            break;
        }
    }
    stored
}

/// Messages go back to the queue, and with them what waits here of any of their
/// groups. Those of a queue that is not FIFO have none.
pub(super) async fn hand_back_all(batch: Vec<Item>, batcher: &Batcher, settler: &Settler) {
    let groups: HashSet<String> = batch.iter().filter_map(name).collect();
    let groups: Vec<String> = groups.into_iter().collect();
    hand_back(&groups, batch, batcher, settler).await;
}

/// Messages go back to the queue, and with them what waits here of their
/// groups: it must not overtake them.
async fn hand_back(groups: &[String], batch: Vec<Item>, batcher: &Batcher, settler: &Settler) {
    let mut leases: Vec<Lease> = batch.into_iter().map(|item| item.lease).collect();
    for group in groups {
        let waiting = batcher.withdraw(group).into_iter();
        leases.extend(waiting.map(|delivery| delivery.lease));
    }
    settler.release(leases).await;
}

enum One {
    /// Committed and deleted.
    Stored,
    /// Rejected and gone from the queue.
    Ended,
    /// Still in the queue: the later ones of its group have to wait.
    Stuck,
}

async fn finish_one(
    item: Item,
    others_stored: bool,
    commit: &mut Commit,
    settler: &Settler,
) -> One {
    if matches!(item.verdict, Verdict::Reject(_)) {
        return reject(item, commit, settler).await;
    }
    let mut tried_before = false;
    let error = loop {
        match commit.write(std::slice::from_ref(&item)).await {
            Ok(mut proofs) => {
                let Some(proof) = proofs.pop() else {
                    return One::Stuck;
                };
                settler.committed(item, proof);
                return One::Stored;
            }
            Err(Stop::Abandoned) => {
                settler.hand_back(vec![item]).await;
                return One::Stuck;
            }
            // What every record met may have been mended meanwhile.
            Err(Stop::Refused(error)) if error.class() != Class::Record && !tried_before => {
                tried_before = true;
            }
            Err(Stop::Refused(error)) => break error,
        }
    };
    if is_the_records(&error, others_stored) {
        return reject(refused(item, &error), commit, settler).await;
    }
    commit.hold_for_unclear(&error);
    settler.postpone(item).await;
    commit.queue_is_back();
    One::Stuck
}

/// A code that says nothing by itself is the record's fault where others were
/// stored without it.
fn is_the_records(error: &DatabaseError, others_stored: bool) -> bool {
    error.class() == Class::Record || others_stored
}

async fn reject(item: Item, commit: &mut Commit, settler: &Settler) -> One {
    match settler.refused(vec![item], commit).await {
        0 => One::Ended,
        _ => One::Stuck,
    }
}
