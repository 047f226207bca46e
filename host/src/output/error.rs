//! What a database error says, and what its SQLSTATE decides (PostgreSQL
//! manual, appendix A): whether the statement was refused at all, and whether
//! only for a moment. Whose fault a refusal is, is told by comparison, not here.

use std::fmt;

use tokio_postgres::error::SqlState;

use super::connect::misconfiguration;
use super::key::TableName;
use crate::foreign::foreign_words;

/// The longest name of a server's that is shown, in characters: PostgreSQL cuts
/// identifiers at 63 bytes, a server that lies cuts nothing.
const NAME_CHARS_MAX: usize = 63;
/// The length of a SQLSTATE, in characters.
const SQLSTATE_CHARS: usize = 5;
/// Stands for a SQLSTATE that is none.
const SQLSTATE_INVALID: &str = "invalid";
/// What the host's own count of the stored rows fails with.
const CARDINALITY_VIOLATION: &str = "21000";
/// What that means: nobody else tells the operator.
const ROWS_DROPPED: &str =
    "a trigger, rule or row-level policy drops rows without an error (a trigger's RETURN NULL?)";

/// What an error says of the statement that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing: no answer, no connection, or one that ends (08, 57 but 57014),
    /// leads to a standby (25006) or could not be opened. It may have taken
    /// effect.
    Unknown,
    /// It is refused for a moment, as far as the code tells: a rollback (40), a
    /// lock or state (55), a timeout of the server's (57014).
    Moment,
    /// It is refused.
    Refused,
}

/// A database error, stripped of everything that could quote a row.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseError {
    cause: Box<Cause>,
}

#[derive(Clone, PartialEq, Eq)]
enum Cause {
    /// The server's answer.
    Answer {
        sqlstate: String,
        table: Option<String>,
        column: Option<String>,
        constraint: Option<String>,
        /// The table that the statement writes to.
        target: Option<String>,
        /// Whether the host's own count of the rows refuses the statement.
        rows_dropped: bool,
        /// The server's own words: only where no row was on its way.
        words: Option<String>,
    },
    /// The two sides do not come together (TLS, the way to authenticate), and
    /// no waiting mends it.
    Misconfigured(String),
    /// No answer, or no connection; whether the statement took effect is not
    /// known.
    NoAnswer(String),
}

impl DatabaseError {
    /// An error that a statement with rows met: its words are left out.
    pub(super) fn of_rows(error: &tokio_postgres::Error) -> Self {
        Self::new(error, false)
    }

    /// An error met while no row was on its way (connecting, reading the
    /// catalogue): its words are the operator's to read.
    pub(super) fn of_setup(error: &tokio_postgres::Error) -> Self {
        Self::new(error, true)
    }

    /// No answer within the time that is allowed.
    pub(super) fn timed_out(seconds: u64) -> Self {
        Self::no_answer(format!("no answer within {seconds} s"))
    }

    /// Nobody answers at the server's address.
    pub(super) fn of_connecting(error: &std::io::Error) -> Self {
        Self::no_answer(format!("error connecting to server: {error}"))
    }

    /// The server has sent more than it may.
    pub(super) fn of_excess(words: &str) -> Self {
        Self::no_answer(words.to_owned())
    }

    /// The files of a connection cannot be read at the moment.
    pub(super) fn of_files(error: &anyhow::Error) -> Self {
        Self::no_answer(format!("{error:#}"))
    }

    /// The same error, said to be of one server among several.
    pub(super) fn of_server(mut self, place: &str) -> Self {
        match &mut *self.cause {
            Cause::Answer { words: None, .. } => {}
            Cause::Answer {
                words: Some(words), ..
            }
            | Cause::Misconfigured(words)
            | Cause::NoAnswer(words) => *words = format!("{place}: {words}"),
        }
        self
    }

    /// The same error, met by a statement that writes to this table.
    pub(super) fn of_target(mut self, table: &TableName) -> Self {
        if let Cause::Answer { target, .. } = &mut *self.cause {
            *target = Some(format!("{}.{}", shown(&table.schema), shown(&table.name)));
        }
        self
    }

    fn no_answer(words: String) -> Self {
        Self {
            cause: Box::new(Cause::NoAnswer(foreign_words(&words))),
        }
    }

    fn new(error: &tokio_postgres::Error, with_words: bool) -> Self {
        if let Some(words) = misconfiguration(error) {
            return Self {
                cause: Box::new(Cause::Misconfigured(foreign_words(&words))),
            };
        }
        let Some(answer) = error.as_db_error() else {
            // Without a server's answer the text is the driver's and the
            // system's; its source tells "connection refused" from a TLS fault.
            let source = std::error::Error::source(error);
            return Self::no_answer(match source {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            });
        };
        Self {
            cause: Box::new(Cause::Answer {
                sqlstate: sqlstate(answer.code().code()),
                table: answer.table().map(shown),
                column: answer.column().map(shown),
                constraint: answer.constraint().map(shown),
                target: None,
                // The code of a trigger's own statement comes with its context.
                rows_dropped: !with_words
                    && answer.code().code() == CARDINALITY_VIOLATION
                    && answer.where_().is_none(),
                words: with_words.then(|| foreign_words(answer.message())),
            }),
        }
    }

    /// The SQLSTATE, where the server answered.
    pub fn sqlstate(&self) -> Option<&str> {
        match &*self.cause {
            Cause::Answer { sqlstate, .. } => Some(sqlstate),
            Cause::Misconfigured(_) | Cause::NoAnswer(_) => None,
        }
    }

    /// What the server names as at fault: the column, else the constraint, else
    /// the table. A name, cleaned and bounded; never a value.
    pub fn named(&self) -> Option<&str> {
        match &*self.cause {
            Cause::Answer {
                table,
                column,
                constraint,
                ..
            } => [column, constraint, table]
                .into_iter()
                .find_map(Option::as_deref),
            Cause::Misconfigured(_) | Cause::NoAnswer(_) => None,
        }
    }

    /// What it says of the statement that met it.
    pub fn class(&self) -> Class {
        let Cause::Answer {
            sqlstate,
            words: None,
            ..
        } = &*self.cause
        else {
            // With words it was met on the way to a connection.
            return Class::Unknown;
        };
        if *sqlstate == *SqlState::QUERY_CANCELED.code() {
            return Class::Moment;
        }
        if *sqlstate == *SqlState::READ_ONLY_SQL_TRANSACTION.code() {
            return Class::Unknown;
        }
        match sqlstate.get(..2).unwrap_or_default() {
            "08" | "57" => Class::Unknown,
            "40" | "55" => Class::Moment,
            _ => Class::Refused,
        }
    }

    /// Whether the code is one of resources or of the server itself (53, 58),
    /// or says nothing of the statement: alone it is never a record's.
    pub fn is_of_server(&self) -> bool {
        self.class() == Class::Unknown
            || self
                .sqlstate()
                .is_some_and(|code| code.starts_with("53") || code.starts_with("58"))
    }

    /// Whether the code speaks of a value (22).
    pub fn is_of_value(&self) -> bool {
        self.class() == Class::Refused && self.sqlstate().is_some_and(|code| code.starts_with("22"))
    }

    /// Whether waiting may mend it: false where the configuration is wrong
    /// (who, which database, which table, TLS), which at start-up ends the program.
    pub fn may_pass(&self) -> bool {
        let Some(sqlstate) = self.sqlstate() else {
            return !matches!(*self.cause, Cause::Misconfigured(_));
        };
        let class = sqlstate.get(..2).unwrap_or_default();
        !matches!(class, "28" | "3D" | "3F" | "42")
    }

    /// Whether the connection is of no further use.
    pub(super) fn breaks_connection(&self) -> bool {
        match self.sqlstate() {
            None => true,
            // A cancelled statement leaves the connection whole; every other
            // code of class 57 announces its end.
            Some(code) if code == SqlState::QUERY_CANCELED.code() => false,
            // After a failover the old primary may go on as a read-only
            // standby, with our session alive: only a new connection leads to
            // the new primary, and only a new session reads a changed default.
            Some(code) if code == SqlState::READ_ONLY_SQL_TRANSACTION.code() => true,
            Some(code) => code.starts_with("57") || code.starts_with("08"),
        }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sqlstate, names, target, rows_dropped, words) = match &*self.cause {
            Cause::Misconfigured(words) | Cause::NoAnswer(words) => return f.write_str(words),
            Cause::Answer {
                sqlstate,
                table,
                column,
                constraint,
                target,
                rows_dropped,
                words,
            } => {
                let names = [
                    ("table", table),
                    ("column", column),
                    ("constraint", constraint),
                ];
                (sqlstate, names, target, *rows_dropped, words)
            }
        };
        if let Some(words) = words {
            write!(f, "{words} ")?;
        }
        write!(f, "(SQLSTATE {sqlstate}")?;
        for (what, name) in names {
            if let Some(name) = name {
                write!(f, ", {what} {name}")?;
            }
        }
        if let Some(target) = target {
            write!(f, ", writing to {target}")?;
        }
        f.write_str(")")?;
        match rows_dropped {
            true => write!(f, ": {ROWS_DROPPED}"),
            false => Ok(()),
        }
    }
}

/// A name as it may be shown: whatever is neither a letter, a digit nor a plain
/// ASCII character is escaped, and what is longer than a name is cut.
fn shown(name: &str) -> String {
    let plain = |character: &char| {
        character.is_alphanumeric() || character.is_ascii_graphic() || *character == ' '
    };
    let mut text = String::new();
    for character in name.chars().take(NAME_CHARS_MAX) {
        match plain(&character) {
            true => text.push(character),
            false => text.extend(character.escape_unicode()),
        }
    }
    text
}

/// A SQLSTATE, which goes into reasons and labels: five letters and digits, or
/// it is none.
fn sqlstate(code: &str) -> String {
    let letters = code
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    match letters && code.len() == SQLSTATE_CHARS {
        true => code.to_owned(),
        false => SQLSTATE_INVALID.to_owned(),
    }
}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for DatabaseError {}

#[cfg(test)]
impl DatabaseError {
    /// The error that a simulated database gives; without a SQLSTATE, no
    /// answer at all.
    pub(crate) fn simulated(sqlstate: Option<&str>) -> Self {
        match sqlstate {
            None => Self::no_answer("simulated silence".into()),
            Some(sqlstate) => Self {
                cause: Box::new(Cause::Answer {
                    sqlstate: sqlstate.to_owned(),
                    table: None,
                    column: None,
                    constraint: None,
                    target: None,
                    rows_dropped: false,
                    words: None,
                }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: &str) -> DatabaseError {
        DatabaseError {
            cause: Box::new(Cause::Answer {
                sqlstate: code.into(),
                table: Some("logins".into()),
                column: Some("locale".into()),
                constraint: None,
                target: None,
                rows_dropped: code == CARDINALITY_VIOLATION,
                words: None,
            }),
        }
    }

    #[test]
    fn a_sqlstate_tells_an_unknown_outcome_and_a_moment_from_a_refusal() {
        for (class, codes) in [
            (Class::Unknown, &["08006", "57P01", "57P03", "25006"][..]),
            (
                Class::Moment,
                &["40001", "40P01", "55P03", "55000", "57014"],
            ),
            (
                Class::Refused,
                &[
                    "22001", "23502", "54000", "42P01", "42501", "53100", "58030", "XX000",
                    "P0001", "0A000", "21000", "25001", "428C9", "00000", "ZZZZZ",
                ],
            ),
        ] {
            for code in codes {
                assert_eq!(answered(code).class(), class, "{code}");
            }
        }
        assert_eq!(DatabaseError::timed_out(30).class(), Class::Unknown);
    }

    #[test]
    fn what_a_connection_meets_says_nothing_of_a_statement() {
        let mut error = answered("42501");
        if let Cause::Answer { words, .. } = &mut *error.cause {
            *words = Some("permission denied".into());
        }
        assert_eq!(error.class(), Class::Unknown);
        assert!(error.is_of_server());
    }

    #[test]
    fn a_code_of_the_server_is_no_code_of_a_value() {
        for code in ["53100", "58030", "57P01", "25006"] {
            assert!(answered(code).is_of_server(), "{code}");
            assert!(!answered(code).is_of_value(), "{code}");
        }
        for code in ["22003", "2200H"] {
            assert!(answered(code).is_of_value(), "{code}");
        }
        for code in ["23505", "42501", "55P03", "57014", "XX000"] {
            let error = answered(code);
            assert!(!error.is_of_server() && !error.is_of_value(), "{code}");
        }
    }

    #[test]
    fn a_connection_is_given_up_where_it_is_in_doubt_or_leads_to_a_standby() {
        assert!(DatabaseError::timed_out(30).breaks_connection());
        for code in ["57P01", "08006", "25006"] {
            assert!(answered(code).breaks_connection(), "{code}");
        }
        for code in ["22001", "40P01", "42P01", "53100", "57014"] {
            assert!(!answered(code).breaks_connection(), "{code}");
        }
    }

    #[test]
    fn an_error_of_rows_shows_codes_and_names_only() {
        assert_eq!(
            answered("22001").to_string(),
            "(SQLSTATE 22001, table logins, column locale)"
        );
    }

    #[test]
    fn an_error_names_the_table_that_was_written_to() {
        let table = TableName {
            schema: "app".into(),
            name: "lo\u{202e}gins".into(),
        };
        let words = answered("42501").of_target(&table).to_string();
        assert!(
            words.ends_with(", writing to app.lo\\u{202e}gins)"),
            "{words}"
        );
        let silent = DatabaseError::timed_out(30).of_target(&table);
        assert_eq!(silent.to_string(), "no answer within 30 s");
    }

    #[test]
    fn dropped_rows_are_said_to_be_dropped() {
        let words = answered("21000").to_string();
        for word in ["21000", "trigger", "rule", "policy", "drops rows"] {
            assert!(words.contains(word), "{words}");
        }
    }

    #[test]
    fn the_column_goes_before_the_constraint_and_the_table() {
        let mut error = answered("23502");
        assert_eq!(error.named(), Some("locale"));
        let Cause::Answer {
            column, constraint, ..
        } = &mut *error.cause
        else {
            panic!("it is an answer");
        };
        *column = None;
        *constraint = Some("of_age".into());
        assert_eq!(error.named(), Some("of_age"));
        if let Cause::Answer { constraint, .. } = &mut *error.cause {
            *constraint = None;
        }
        assert_eq!(error.named(), Some("logins"));
        assert_eq!(DatabaseError::simulated(Some("XX000")).named(), None);
        assert_eq!(DatabaseError::timed_out(30).named(), None);
    }

    #[test]
    fn a_servers_names_are_cleaned_and_cut() {
        assert_eq!(shown("größe 2_$-x"), "größe 2_$-x");
        assert_eq!(shown("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!(shown("i\u{200b}p"), "i\\u{200b}p");
        assert_eq!(shown(&"n".repeat(20_000)).len(), NAME_CHARS_MAX);
        // Escapes are the longest that a character becomes.
        assert!(shown(&"\u{10ffff}".repeat(20_000)).len() <= 10 * NAME_CHARS_MAX);
    }

    #[test]
    fn a_code_that_is_no_sqlstate_does_not_get_into_a_reason() {
        for code in ["23505", "P0001", "0A000"] {
            assert_eq!(sqlstate(code), code);
        }
        for code in ["", "2350", "235055", "2350\n", "p0001", &"A".repeat(9_000)] {
            assert_eq!(sqlstate(code), SQLSTATE_INVALID, "{code:.9}");
        }
    }
}
