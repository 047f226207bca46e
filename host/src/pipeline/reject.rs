//! Rejecting: the ledger entry first, the copy second, the deletion third.
//!
//! One way, in this order, by type: only what is entered is copied, and only
//! what is copied is deleted. A crash after the first step leaves a message that
//! is judged again, because a `rejected` entry makes no duplicate. Where the
//! ledger refuses the entries no record is at fault: held, and nothing is copied.

use std::sync::Arc;

use super::attribution::HANDFUL;
use super::item::Item;
use super::patience::{Patience, Stop, Tries};
use super::settle::Settler;
use crate::backoff::Backoff;
use crate::event::Event;
use crate::message::Message;
use crate::output::{Committed, DatabaseError, Policy};
use crate::queue::{DeadLetterQueue, QueueError, RECEIVE_MESSAGES_MAX, Sent};
use crate::sandbox::Digest;
use crate::verdict::Rejection;

/// Messages of one copying: as many as one call takes.
const COPIES_AT_A_TIME: usize = RECEIVE_MESSAGES_MAX;

/// A message of which the ledger says that it is rejected.
struct Entered {
    item: Item,
    proof: Committed,
}

/// A message that the dead-letter queue has, too.
struct Copied(Entered);

/// What became of the entries.
#[derive(Default)]
struct Entering {
    entered: Vec<Entered>,
    /// The ledger does not take them, and why.
    refused: Vec<Item>,
    error: Option<DatabaseError>,
    /// A stop is asked for, or another policy decides.
    abandoned: Vec<Item>,
}

/// What became of the copies.
#[derive(Default)]
struct Copying {
    copied: Vec<Copied>,
    /// The queue cannot take them.
    unfit: Vec<Item>,
    /// It took nothing until a stop.
    abandoned: Vec<Item>,
}

impl Settler {
    /// Rejects messages of one policy: entered into the ledger, copied to the
    /// dead-letter queue, deleted; or kept hidden where there is none.
    ///
    /// Gives the FIFO groups of those that are still in the source queue.
    pub(super) async fn reject(&self, items: Vec<Item>, patience: &mut Patience) -> Vec<String> {
        let Some(policy) = items.first().map(|item| Arc::clone(&item.policy)) else {
            return Vec::new();
        };
        let mut groups = Vec::new();
        let mut backoff = Backoff::default();
        let (mut open, mut held) = (items, false);
        while !open.is_empty() {
            let entering = enter(open, patience).await;
            if !entering.entered.is_empty() {
                backoff.reset();
                if std::mem::take(&mut held) {
                    patience.resume();
                }
            }
            groups.extend(self.bury(entering.entered, patience).await);
            groups.extend(self.give_back(entering.abandoned).await);
            open = entering.refused;
            let Some(error) = entering.error.filter(|_| !open.is_empty()) else {
                break;
            };
            held = true;
            if patience
                .outlast_ledger(&error, &policy, &mut backoff)
                .await
                .is_err()
            {
                groups.extend(self.give_back(std::mem::take(&mut open)).await);
            }
        }
        groups
    }

    /// Copies and deletes what is entered; what was settled before is only
    /// deleted: another component may have accepted it.
    async fn bury(&self, entered: Vec<Entered>, patience: &mut Patience) -> Vec<String> {
        let (settled, new): (Vec<_>, Vec<_>) = entered
            .into_iter()
            .partition(|entered| entered.proof.duplicate);
        for Entered { item, proof } in settled {
            self.committed(item, proof);
        }
        let Some(dead_letter_queue) = &self.dead_letter_queue else {
            return self.keep(items_of(new)).await;
        };
        let copying = self.copy(dead_letter_queue, new, patience).await;
        for Copied(Entered { item, proof }) in copying.copied {
            self.log(&item, true);
            self.committed(item, proof);
        }
        let mut groups = self.keep(copying.unfit).await;
        groups.extend(self.give_back(copying.abandoned).await);
        groups
    }

    /// The rest goes back where a stop is asked for while the queue takes
    /// nothing: what a lost answer has copied of it will be there twice, but
    /// never lost.
    async fn copy(
        &self,
        dead_letter_queue: &DeadLetterQueue,
        entered: Vec<Entered>,
        patience: &mut Patience,
    ) -> Copying {
        let mut done = Copying::default();
        let Some(policy) = entered.first().map(|first| Arc::clone(&first.item.policy)) else {
            return done;
        };
        let mut backoff = Backoff::default();
        let (mut open, mut held) = (entered, false);
        while !open.is_empty() {
            // One call's worth at a time: what is ours now is copied now.
            let later = open.split_off(open.len().min(COPIES_AT_A_TIME));
            let now = still_ours(open);
            let tried = now.len();
            let (sent, error) = match send(dead_letter_queue, &now, &policy).await {
                Ok(sent) => (sent, QueueError::refused("a message")),
                Err(error) => (vec![Sent::Failed; tried], error),
            };
            open = Vec::new();
            for (entered, sent) in now.into_iter().zip(sent) {
                match sent {
                    Sent::Accepted => done.copied.push(Copied(entered)),
                    Sent::Failed => open.push(entered),
                    Sent::Unfit => {
                        let message_id = &entered.item.message.origin_id;
                        Event::DeadLetterUnfit { message_id }.log();
                        done.unfit.push(entered.item);
                    }
                }
            }
            let takes_nothing = tried > 0 && open.len() == tried;
            open.extend(later);
            if !takes_nothing {
                if std::mem::take(&mut held) {
                    patience.resume();
                }
                backoff.reset();
                continue;
            }
            held = true;
            if patience
                .outlast_queue(&error, &policy, &mut backoff)
                .await
                .is_err()
            {
                done.abandoned = items_of(std::mem::take(&mut open));
            }
        }
        done
    }

    /// Messages go back to the queue; gives their groups.
    async fn give_back(&self, items: Vec<Item>) -> Vec<String> {
        let groups = groups(&items);
        self.hand_back(items).await;
        groups
    }
}

/// Enters rejections into the ledger: together, and where that is refused one
/// by one, up to a handful that are refused.
async fn enter(items: Vec<Item>, patience: &mut Patience) -> Entering {
    let mut done = Entering::default();
    match patience.write(&items, Tries::Patient).await {
        Ok(proofs) => {
            let entered = items.into_iter().zip(proofs);
            done.entered = entered
                .map(|(item, proof)| Entered { item, proof })
                .collect();
            return done;
        }
        Err(Stop::Abandoned) => {
            done.abandoned = items;
            return done;
        }
        Err(Stop::Refused(error)) => done.error = Some(error),
    }
    let alone = items.len() == 1;
    for item in items {
        if alone || done.refused.len() >= HANDFUL {
            done.refused.push(item);
            continue;
        }
        match patience
            .write(std::slice::from_ref(&item), Tries::Few)
            .await
        {
            Ok(proofs) => {
                let proof = proofs.into_iter().next();
                done.entered
                    .extend(proof.map(|proof| Entered { item, proof }));
            }
            Err(Stop::Abandoned) => done.abandoned.push(item),
            Err(Stop::Refused(error)) => {
                done.error = Some(error);
                done.refused.push(item);
            }
        }
    }
    // What is not tried now goes first the next time.
    done.refused.reverse();
    done
}

/// Lets go of messages whose leases are over, because this host was
/// suspended or could not extend them: they come back, if nobody has taken
/// them yet, and each copy that is made nevertheless is one too many.
fn still_ours(mut entered: Vec<Entered>) -> Vec<Entered> {
    let in_all = entered.len();
    entered.retain_mut(|entered| !entered.item.lease.ends_if_over());
    if entered.len() < in_all {
        Event::LeasesOver(in_all - entered.len()).log();
    }
    entered
}

/// Copies messages, each at most once; says of each what became of it.
async fn send(
    dead_letter_queue: &DeadLetterQueue,
    entered: &[Entered],
    policy: &Policy,
) -> Result<Vec<Sent>, QueueError> {
    let rejected: Vec<(&Message, &Rejection)> = entered
        .iter()
        .filter_map(|entered| Some((&entered.item.message, entered.item.rejection()?)))
        .collect();
    let policy = Digest(policy.digest()).to_string();
    dead_letter_queue.send(&rejected, &policy).await
}

fn items_of(entered: Vec<Entered>) -> Vec<Item> {
    entered.into_iter().map(|entered| entered.item).collect()
}

pub(super) fn groups(items: &[Item]) -> Vec<String> {
    let groups = items.iter().filter_map(Item::group);
    groups.map(str::to_owned).collect()
}
