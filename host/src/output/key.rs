//! A message's key in the ledger.

use sha2::{Digest, Sha256};

/// What a message is known by.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// The id that the queue first gave it.
    Message(&'a str),
    /// The producer's own event id.
    Event(&'a str),
}

/// A table's full name, as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// Its schema.
    pub schema: String,
    /// Its own name.
    pub name: String,
}

/// A digest over the target table and the message's identity, so that two
/// pipelines that share a database cannot collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) [u8; 32]);

impl Key {
    /// The key of a message that goes to `table`.
    pub fn new(table: &TableName, identity: Identity<'_>) -> Self {
        let (kind, id) = match identity {
            Identity::Message(id) => ("message", id),
            Identity::Event(id) => ("event", id),
        };
        // Each part is preceded by its length, so that no two lists of parts
        // give the same bytes.
        let parts = ["etl-host ledger 1", &table.schema, &table.name, kind, id];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(schema: &str, name: &str, identity: Identity<'_>) -> Key {
        let table = TableName {
            schema: schema.into(),
            name: name.into(),
        };
        Key::new(&table, identity)
    }

    #[test]
    fn keys_differ_by_table_by_kind_and_by_id() {
        let keys = [
            key("public", "logins", Identity::Message("1")),
            key("public", "logins", Identity::Message("2")),
            key("public", "logins", Identity::Event("1")),
            key("public", "login", Identity::Message("s1")),
            key("publicl", "ogins", Identity::Message("1")),
        ];
        for (i, one) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|other| one != other));
        }
        let again = key("public", "logins", Identity::Message("1"));
        assert!(keys[0] == again);
    }
}
