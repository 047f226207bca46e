//! What a pooler between us and PostgreSQL refuses, told from a server that is
//! away. pgbouncer gives one SQLSTATE (08P01, a broken protocol) for nearly
//! everything that it says itself, so its words decide.

use tokio_postgres::error::{DbError, SqlState};

/// What pgbouncer says of our own configuration, and what mends it.
const REFUSALS: [(&str, &str); 3] = [
    (
        "unsupported startup parameter",
        "a pooler takes no settings of a session: leave `options` out of the database URL and \
         PGOPTIONS, and give them to the role (ALTER ROLE … SET …)",
    ),
    (
        "SASL authentication failed",
        "the pooler does not take this user and password (pgbouncer: auth_file, auth_query)",
    ),
    (
        "transaction blocks not allowed",
        "`check` tries out in one what a run would create: give it a URL past the pooler",
    ),
];

/// The pooler's words and the remedy, where no waiting mends it.
pub(super) fn refusal(answer: &DbError) -> Option<String> {
    if *answer.code() != SqlState::PROTOCOL_VIOLATION {
        return None;
    }
    let words = answer.message();
    let (_, remedy) = REFUSALS
        .iter()
        .find(|(beginning, _)| words.starts_with(beginning))?;
    Some(format!("{words}: {remedy}"))
}
