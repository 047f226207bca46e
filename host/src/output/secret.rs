//! The secrets beside the ledger, under which origins are signed.
//!
//! The server makes them: a statement that carried one would leave it in the
//! server's log, in `pg_stat_statements` and on paper. The newest signs, all
//! verify. A host that may not read them still runs, and signs nothing.

use super::error::DatabaseError;
use super::session::Session;
use crate::origin::{Secret, SecretRing, Secrets};

/// The table and its first secret. Three UUIDs hold 366 random bits of the
/// server's strong generator, of which SHA-256 makes 256 even ones.
pub(super) const DDL: &str = "\
CREATE TABLE IF NOT EXISTS etl_host.secret (
    id  text        PRIMARY KEY DEFAULT substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)
        CHECK (id ~ '^[0-9A-Za-z_-]{1,32}$'),
    key bytea       NOT NULL DEFAULT sha256(uuid_send(gen_random_uuid())
        || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        CHECK (octet_length(key) >= 32),
    at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE etl_host.secret IS
    'etl-host: what proves the origin of its dead letters; for the host alone';
REVOKE ALL ON etl_host.secret FROM PUBLIC;
INSERT INTO etl_host.secret (at) SELECT clock_timestamp()
    WHERE NOT EXISTS (SELECT FROM etl_host.secret);
";

/// What the host's role needs on it.
pub(super) const GRANT: &str = "GRANT SELECT ON etl_host.secret TO";

/// Secrets that are read at most: more than anyone rotates through while dead
/// letters are kept.
const SECRETS_MAX: i64 = 16;

/// For so long after the oldest secret was made, origins without a proof are
/// believed where the ledger holds the rejection. A dead letter of an earlier
/// version stays up to 14 days in its queue, and as long in the one that it is
/// sent back to (SQS quota).
const UNPROVED_DAYS_MAX: i64 = 28;

/// The secrets of a database, and what was found of them.
#[derive(Debug, Default)]
pub struct FoundSecrets {
    /// The secrets.
    pub secrets: Secrets,
    /// Why there are none, with the remedy.
    pub warning: Option<String>,
}

/// What stands in the way of the secrets.
struct State {
    exists: bool,
    readable: bool,
    creatable: bool,
    role: String,
}

/// Whether the server can make a secret.
pub(super) async fn supported(session: &Session) -> Result<bool, DatabaseError> {
    // gen_random_uuid() is built in from PostgreSQL 13 on.
    let sql = "SELECT current_setting('server_version_num')::int4 >= 130000";
    let rows = session.ask(sql, &[]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Whether a ledger lacks its secrets, and the host may make them.
pub(super) async fn can_be_made(session: &Session) -> Result<bool, DatabaseError> {
    let state = State::of(session).await?;
    Ok(!state.exists && state.creatable && supported(session).await?)
}

/// The secrets of a ledger that is there, read anew.
///
/// # Errors
/// The database did not answer, or not with yes.
pub async fn secrets(session: &Session) -> Result<FoundSecrets, DatabaseError> {
    let state = State::of(session).await?;
    if !state.readable {
        return Ok(FoundSecrets {
            warning: Some(state.warning()),
            ..FoundSecrets::default()
        });
    }
    let ring = read(session).await?;
    let warning = ring.secrets.is_empty().then(|| {
        "etl_host.secret is empty: dead letters are not signed; have a database administrator \
         run INSERT INTO etl_host.secret DEFAULT VALUES"
            .to_owned()
    });
    Ok(FoundSecrets {
        secrets: Secrets::new(ring),
        warning,
    })
}

/// The secrets as they are now; None where the host may not read them.
pub(super) async fn ring(session: &Session) -> Result<Option<SecretRing>, DatabaseError> {
    match State::of(session).await?.readable {
        true => read(session).await.map(Some),
        false => Ok(None),
    }
}

async fn read(session: &Session) -> Result<SecretRing, DatabaseError> {
    let sql = format!(
        "SELECT id, key, (SELECT min(at) FROM etl_host.secret) \
             > now() - {UNPROVED_DAYS_MAX} * interval '1 day' \
         FROM etl_host.secret ORDER BY at DESC, id LIMIT {SECRETS_MAX}"
    );
    let rows = session.ask(&sql, &[]).await?;
    let believes_ledger = rows.first().is_none_or(|row| row.get(2));
    let secrets = rows.iter();
    Ok(SecretRing {
        secrets: secrets
            .filter_map(|row| Secret::new(row.get(0), row.get(1)))
            .collect(),
        believes_ledger,
    })
}

impl State {
    async fn of(session: &Session) -> Result<Self, DatabaseError> {
        let rows = session
            .ask(
                "SELECT to_regclass('etl_host.secret') IS NOT NULL, \
                 coalesce(has_table_privilege(to_regclass('etl_host.secret'), 'SELECT'), false), \
                 has_schema_privilege('etl_host', 'CREATE') \
                     AND current_setting('transaction_read_only') = 'off', \
                 quote_ident(current_user)::text",
                &[],
            )
            .await?;
        let state = rows.first().map(|row| Self {
            exists: row.get(0),
            readable: row.get(1),
            creatable: row.get(2),
            role: row.get(3),
        });
        Ok(state.unwrap_or(Self {
            exists: false,
            readable: false,
            creatable: false,
            role: String::new(),
        }))
    }

    fn warning(&self) -> String {
        let role = &self.role;
        let run = match self.exists {
            true => format!("{GRANT} {role}"),
            false => {
                format!("what `etl-host ddl` prints (PostgreSQL 13 or newer), and {GRANT} {role}")
            }
        };
        format!(
            "dead letters are not signed, because the host cannot read etl_host.secret: an origin \
             counts only where the ledger holds the rejection; have a database administrator run \
             {run}"
        )
    }
}
