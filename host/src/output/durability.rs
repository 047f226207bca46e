//! Whether PostgreSQL keeps what it acknowledges. A message is deleted once its
//! commit is acknowledged, so what a crash could undo would be lost.

use tokio_postgres::types::Type;

use super::error::DatabaseError;
use super::session::Session;
use super::table::Table;

/// What endangers acknowledged commits, each with its remedy.
///
/// # Errors
/// The database did not answer, or not with yes.
pub async fn dangers(session: &Session, table: &Table) -> Result<Vec<String>, DatabaseError> {
    let target = table.quoted_name();
    let rows = session
        .ask(
            // What is configured: behind a pooler somebody else's SET may be in
            // effect, which each write undoes for itself.
            "SELECT current_setting('fsync'), \
             (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), \
             (SELECT array_agg(c.oid::regclass::text) FROM pg_class c \
              WHERE c.relpersistence = 'u' \
              AND c.oid IN ('etl_host.ledger'::regclass, to_regclass($1)))",
            &[(&target, Type::TEXT)],
        )
        .await?;
    let mut dangers = Vec::new();
    let Some(row) = rows.first() else {
        return Ok(dangers);
    };
    if row.get::<_, &str>(0) == "off" {
        dangers.push(
            "the server runs with fsync = off: a power failure may undo what it has \
             acknowledged, after the messages are deleted; set fsync = on"
                .to_owned(),
        );
    }
    if row.get::<_, &str>(1) == "off" {
        dangers.push(
            "synchronous_commit is off: a crash may undo the last commits, after their \
             messages are deleted; ALTER ROLE … SET synchronous_commit = on"
                .to_owned(),
        );
    }
    let unlogged: Option<Vec<String>> = row.get(2);
    for name in unlogged.unwrap_or_default() {
        dangers.push(format!(
            "table {name} is UNLOGGED: a crash empties it; ALTER TABLE {name} SET LOGGED"
        ));
    }
    Ok(dangers)
}
