//! The output: PostgreSQL, with the ledger and the target table.
//!
//! It alone knows the database driver. What it keeps: a message's rows and its
//! ledger entry are committed by one statement or not at all; only what is
//! committed gives a `Committed`, which a deletion asks for. Nothing of a
//! server's error is shown but its SQLSTATE and the names of tables, columns
//! and constraints, because its text may quote a row.

mod bounded;
mod cancel;
mod connect;
mod durability;
mod error;
mod fit;
mod key;
mod ledger;
mod pooler;
mod privileges;
mod secret;
mod session;
mod settings;
mod store;
mod table;
mod tls;
mod wire;
mod write;

pub use durability::dangers;
pub use error::{Class, DatabaseError};
pub use fit::fit;
pub use key::{Identity, Key, TableName};
pub use ledger::{FoundLedger, Ledger, LedgerFault, PRUNED_ROWS_MAX};
pub use privileges::missing_grants;
pub use secret::{FoundSecrets, secrets};
pub use session::{Database, STATEMENT_SECS_DEFAULT, Session};
pub use settings::Settings;
pub use store::{Reply, Store};
pub use table::{Table, is_table_name};
pub use write::{Committed, Decision, Entry, Policy, Writer};
