//! A message with everything that has been found out about it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::message::Message;
use crate::output::{DatabaseError, Decision, Entry, Key, Policy};
use crate::queue::{Delivery, Lease};
use crate::row::Value;
use crate::verdict::{Reason, Rejection, Verdict};

/// A judged message.
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
    pub(super) fn unjudged(self) -> Delivery {
        Delivery {
            message: self.message,
            lease: self.lease,
            receive_count: self.receive_count,
            // Settled before it was judged.
            claim: None,
        }
    }

    /// What the ledger and the table are to take of it.
    pub(super) fn entry(&self, place: usize) -> Entry<'_> {
        Entry {
            key: self.key,
            message_id: &self.message.origin_id,
            place,
            decision: match &self.verdict {
                Verdict::Rows(rows) => Decision::Store(rows),
                Verdict::Skip => Decision::Skip,
                Verdict::Reject(rejection) => Decision::Reject(rejection),
            },
        }
    }

    /// The bytes of its rows.
    pub(super) fn bytes(&self) -> usize {
        match &self.verdict {
            Verdict::Rows(rows) => rows.iter().flatten().map(Value::bytes).sum(),
            _ => 0,
        }
    }

    pub(super) fn has_rows(&self) -> bool {
        matches!(self.verdict, Verdict::Rows(_))
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.rejection().is_some()
    }

    pub(super) fn rejection(&self) -> Option<&Rejection> {
        match &self.verdict {
            Verdict::Reject(rejection) => Some(rejection),
            _ => None,
        }
    }

    /// Whether the component faulted on it.
    pub(super) fn is_fault(&self) -> bool {
        self.rejection()
            .is_some_and(|rejection| rejection.reason.is_fault())
    }

    /// The group of a FIFO queue that it belongs to.
    pub(super) fn group(&self) -> Option<&str> {
        let fifo = self.message.fifo.as_ref()?;
        Some(&fifo.group)
    }

    /// The message, with the database's refusal as its verdict.
    pub(super) fn refused(mut self, error: &DatabaseError) -> Self {
        self.verdict = Verdict::Reject(Rejection {
            reason: Reason::Database(error.sqlstate().unwrap_or("none").to_owned()),
            field: error.named().map(str::to_owned),
        });
        self
    }
}

/// Splits off what has the key of an earlier one: once that is committed, the
/// later one is found to be a duplicate.
pub(super) fn each_key_once(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let mut keys = HashSet::new();
    items.into_iter().partition(|item| keys.insert(item.key))
}
