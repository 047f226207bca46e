//! What a pipeline asks of a database, whichever connection it has at the time.

use std::future::Future;
use std::pin::Pin;

use super::error::DatabaseError;
use super::key::Key;
use super::write::{Committed, Entry, Policy};
use crate::origin::SecretRing;

/// The answer of a store, on its way.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, DatabaseError>> + Send + 'a>>;

/// One worker's way into the ledger and the target table. It connects when it
/// has to; an error without an answer leaves open whether a batch is committed,
/// and the same batch again gives the same rows.
pub trait Store: Send + Sync {
    /// Commits a batch that one policy has judged: all of it, or nothing.
    /// Gives, for each entry, the proof. No key stands twice in a batch, and
    /// entries are sorted by key, so that two hosts with the same messages wait
    /// for each other instead of deadlocking. A `Reject` entry of a key that is
    /// settled for good changes nothing, and its proof says `duplicate`. No
    /// entries at all: nothing is written, and what every batch of this policy
    /// would meet (no table, column or permission) is met.
    fn write<'a>(
        &'a mut self,
        policy: &'a Policy,
        entries: &'a [Entry<'a>],
    ) -> Reply<'a, Vec<Committed>>;

    /// Looks up of which claims, each a key and an origin's id, the ledger holds
    /// the rejection.
    fn vouched<'a>(&'a mut self, claims: &'a [(Key, &'a str)]) -> Reply<'a, Vec<bool>>;

    /// The secrets beside the ledger; None where they may not be read.
    fn secrets(&mut self) -> Reply<'_, Option<SecretRing>>;

    /// How many messages the ledger has as rejected.
    fn rejected(&mut self) -> Reply<'_, u64>;

    /// Removes ledger entries older than `days`, a bounded number of them;
    /// gives how many.
    fn prune(&mut self, days: u32) -> Reply<'_, u64>;

    /// Says goodbye to the database.
    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
