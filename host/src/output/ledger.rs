//! The ledger: one row a message, and the proof that it was dealt with.

use tokio_postgres::types::Type;

use super::error::DatabaseError;
use super::key::Key;
use super::secret::{self, FoundSecrets};
use super::session::Session;

/// Rows that one pruning removes at most, so that it never holds up a batch.
pub const PRUNED_ROWS_MAX: i64 = 10_000;

/// What a database administrator would run where the host may not.
const DDL: &str = "\
CREATE SCHEMA IF NOT EXISTS etl_host;
CREATE TABLE IF NOT EXISTS etl_host.ledger (
    key        bytea       PRIMARY KEY,
    message_id text        NOT NULL,
    outcome    text        NOT NULL CHECK (outcome IN ('stored', 'skipped', 'rejected')),
    reason     text,
    field      text,
    policy     bytea       NOT NULL,
    key_id     text,
    at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE etl_host.ledger IS
    'etl-host: the fate of each message; holds no value of any record';
CREATE INDEX IF NOT EXISTS ledger_at ON etl_host.ledger USING brin (at);
";

/// What the role that the host uses needs beside it, as comments: only its
/// administrator knows its name.
const GRANTS: &str = "\
-- GRANT USAGE ON SCHEMA etl_host TO the_role;
-- GRANT SELECT, INSERT, UPDATE, DELETE ON etl_host.ledger TO the_role;
-- GRANT SELECT ON etl_host.secret TO the_role;
";

/// Held while the ledger is created, so that hosts that start together do not
/// collide in the catalogue: the first eight bytes of SHA-256("etl_host.ledger").
const CREATION_LOCK: i64 = 0x1685_2a6d_8aa6_e2f0;

/// The columns that every write relies on, with their types.
const COLUMNS: [(&str, &str); 8] = [
    ("key", "bytea"),
    ("message_id", "text"),
    ("outcome", "text"),
    ("reason", "text"),
    ("field", "text"),
    ("policy", "bytea"),
    ("key_id", "text"),
    ("at", "timestamp with time zone"),
];

/// The ledger of a database.
#[derive(Debug)]
pub struct Ledger;

/// A ledger that is what it must be.
#[derive(Debug)]
pub struct FoundLedger {
    /// What was missing, and is there now.
    pub created: Vec<&'static str>,
    /// The secrets beside it.
    pub found_secrets: FoundSecrets,
}

/// What is wrong with a ledger.
#[derive(Debug)]
pub enum LedgerFault {
    /// The database did not answer, or not with yes.
    Database(DatabaseError),
    /// It is there, and not what it must be.
    Shape(String),
}

impl From<DatabaseError> for LedgerFault {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl Ledger {
    /// The statements that create it, and the grants that its user needs.
    pub fn ddl() -> String {
        format!("{DDL}{}{GRANTS}", secret::DDL)
    }

    /// Makes sure that the ledger is there and is what it must be, with its
    /// secrets as far as the host may make or read them.
    ///
    /// # Errors
    /// It cannot be created, or lacks a column or its unique key.
    pub async fn ensure(session: &Session) -> Result<FoundLedger, LedgerFault> {
        let mut created = Vec::new();
        let mut statements = String::new();
        let existed = Self::exists(session).await?;
        if !existed {
            created.push("etl_host.ledger");
            statements.push_str(DDL);
        }
        let makes_secret = match existed {
            true => secret::can_be_made(session).await?,
            false => secret::supported(session).await?,
        };
        if makes_secret {
            created.push("etl_host.secret");
            statements.push_str(secret::DDL);
        }
        if !statements.is_empty() {
            // Sent together, so one transaction.
            let creation = format!("SELECT pg_advisory_xact_lock({CREATION_LOCK}); {statements}");
            session.execute(&creation).await?;
        }
        Self::check_columns(session).await?;
        Self::check_key(session).await?;
        Ok(FoundLedger {
            created,
            found_secrets: secret::secrets(session).await?,
        })
    }

    async fn exists(session: &Session) -> Result<bool, DatabaseError> {
        let found = session
            .ask("SELECT to_regclass('etl_host.ledger') IS NOT NULL", &[])
            .await?;
        Ok(found.first().is_some_and(|row| row.get(0)))
    }

    async fn check_columns(session: &Session) -> Result<(), LedgerFault> {
        let rows = session
            .ask(
                "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
                 WHERE attrelid = 'etl_host.ledger'::regclass AND attnum > 0 AND NOT attisdropped",
                &[],
            )
            .await?;
        let found: Vec<(String, String)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        for (name, column_type) in COLUMNS {
            let matches =
                |(found, its_type): &(String, String)| found == name && its_type == column_type;
            if !found.iter().any(matches) {
                return Err(LedgerFault::Shape(format!(
                    "etl_host.ledger has no column {name} of type {column_type}"
                )));
            }
        }
        Ok(())
    }

    /// Without its unique key the ledger would let every duplicate through.
    async fn check_key(session: &Session) -> Result<(), LedgerFault> {
        let rows = session
            .ask(
                "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a \
                 ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
                 WHERE i.indrelid = 'etl_host.ledger'::regclass AND i.indisunique \
                 AND i.indisvalid AND i.indimmediate AND i.indnkeyatts = 1 \
                 AND i.indpred IS NULL AND a.attname = 'key')",
                &[],
            )
            .await?;
        match rows.first().is_some_and(|row| row.get(0)) {
            true => Ok(()),
            false => Err(LedgerFault::Shape(
                "etl_host.ledger has no unique index on key, without which nothing keeps \
                 duplicates out: ALTER TABLE etl_host.ledger ADD PRIMARY KEY (key)"
                    .into(),
            )),
        }
    }

    /// Of which claims, each a key and an origin's id, the ledger holds the
    /// rejection.
    pub(super) async fn vouched(
        session: &Session,
        claims: &[(Key, &str)],
    ) -> Result<Vec<bool>, DatabaseError> {
        let keys: Vec<&[u8]> = claims.iter().map(|(key, _)| &key.0[..]).collect();
        let ids: Vec<&str> = claims.iter().map(|(_, id)| *id).collect();
        let rows = session
            .ask(
                "SELECT EXISTS (SELECT FROM etl_host.ledger l WHERE l.key = c.key \
                 AND l.message_id = c.id AND l.outcome = 'rejected') \
                 FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS c(key, id, n) ORDER BY n",
                &[(&keys, Type::BYTEA_ARRAY), (&ids, Type::TEXT_ARRAY)],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// How many messages are rejected, as far as is remembered.
    pub(super) async fn rejected(session: &Session) -> Result<u64, DatabaseError> {
        let rows = session
            .ask(
                "SELECT count(*) FROM etl_host.ledger WHERE outcome = 'rejected'",
                &[],
            )
            .await?;
        let rejected: i64 = rows.first().map_or(0, |row| row.get(0));
        Ok(rejected.unsigned_abs())
    }

    /// Removes entries older than `days`, at most [`PRUNED_ROWS_MAX`] of them;
    /// gives how many.
    ///
    /// # Errors
    /// The database did not answer, or not with yes.
    pub async fn prune(session: &Session, days: u32) -> Result<u64, DatabaseError> {
        let days = i64::from(days);
        let rows = session
            .ask(
                "WITH old AS (DELETE FROM etl_host.ledger WHERE ctid = ANY (ARRAY( \
                 SELECT ctid FROM etl_host.ledger \
                 WHERE at < now() - $1 * interval '1 day' LIMIT $2)) RETURNING 1) \
                 SELECT count(*) FROM old",
                &[(&days, Type::INT8), (&PRUNED_ROWS_MAX, Type::INT8)],
            )
            .await?;
        let pruned: i64 = rows.first().map_or(0, |row| row.get(0));
        Ok(pruned.unsigned_abs())
    }
}
