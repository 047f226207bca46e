//! What is decided about a message, and the closed set of reasons against one.
//!
//! A reason is a code. None has room for a value or for anybody's words, so
//! reasons may stand in logs, tables, attributes and metrics.

use std::fmt;

use crate::row::Row;

/// What the sandbox decides about one message.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Rows to write, at least one.
    Rows(Vec<Row>),
    /// Nothing to write.
    Skip,
    /// The message is refused.
    Reject(Rejection),
}

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason.
    pub reason: Reason,
    /// Where: the JSON pointer of an input field that the component declares or
    /// the operator names, or the name of a column, a constraint or a table.
    pub field: Option<String>,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            field: None,
        }
    }
}

/// The reasons, each with the one who gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The component: not the expected format.
    Malformed,
    /// The component: a kind of message that it does not know.
    Unsupported,
    /// The component: a required field is missing.
    Missing,
    /// The component: a field that it does not allow.
    Unexpected,
    /// The component: a field of another type.
    WrongType,
    /// The component: a value that makes no sense.
    Invalid,
    /// The component: a value beyond what the column holds.
    OutOfRange,
    /// The sandbox: the component trapped on this message.
    Trap,
    /// The sandbox: the component took longer than its limit, or more
    /// instructions where they are counted.
    TimeLimit,
    /// The sandbox: the component wanted more memory than its limit, or more
    /// elements in its tables.
    MemoryLimit,
    /// The sandbox: more rows or bytes than the limits allow.
    ResultLimit,
    /// The sandbox: the result breaks the interface (count, columns, types).
    BrokenInterface,
    /// The sandbox: a value of the result holds a raw value of a sensitive
    /// field, or nobody can tell because the body is no JSON.
    Leak,
    /// The host: checking the result took longer than its limit, so nobody can
    /// tell whether a raw value is in the rows.
    CheckLimit,
    /// The host: the event id that was asked for is missing or no text.
    EventId,
    /// PostgreSQL refuses this record; the SQLSTATE says why.
    Database(String),
}

impl Reason {
    /// All but PostgreSQL's own, which are no closed set.
    pub const NAMED: [Self; 15] = [
        Self::Malformed,
        Self::Unsupported,
        Self::Missing,
        Self::Unexpected,
        Self::WrongType,
        Self::Invalid,
        Self::OutOfRange,
        Self::Trap,
        Self::TimeLimit,
        Self::MemoryLimit,
        Self::ResultLimit,
        Self::BrokenInterface,
        Self::Leak,
        Self::CheckLimit,
        Self::EventId,
    ];

    /// PostgreSQL's code, where it refuses the record.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Database(sqlstate) => Some(sqlstate),
            _ => None,
        }
    }

    /// Whether the component is at fault, and not the message by its judgement.
    ///
    /// A check that runs over its limit is no fault (November 2026). What a check
    /// costs follows from the message as much as from the component. As a fault,
    /// one message in twenty of a hostile producer would quarantine an honest
    /// component, and hold the queue. A component whose every result is too
    /// expensive is held by the share of what it rejects.
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Trap
                | Self::TimeLimit
                | Self::MemoryLimit
                | Self::ResultLimit
                | Self::BrokenInterface
                | Self::Leak
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Missing => "missing",
            Self::Unexpected => "unexpected",
            Self::WrongType => "wrong-type",
            Self::Invalid => "invalid",
            Self::OutOfRange => "out-of-range",
            Self::Trap => "trap",
            Self::TimeLimit => "time-limit",
            Self::MemoryLimit => "memory-limit",
            Self::ResultLimit => "result-limit",
            Self::BrokenInterface => "broken-interface",
            Self::Leak => "leak",
            Self::CheckLimit => "check-limit",
            Self::EventId => "event-id",
            Self::Database(sqlstate) => return write!(f, "database-{sqlstate}"),
        })
    }
}
