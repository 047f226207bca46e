//! A case: a message, and what is expected of it, if anything is.

use std::path::PathBuf;

use crate::message::Message;
use crate::row::{Column, Row, Value};
use crate::verdict::Verdict;

use super::written::value_text;

/// A message to try a component on.
pub(super) struct Case {
    /// By which a person knows it.
    pub(super) name: String,
    /// Where it stands.
    pub(super) file: PathBuf,
    /// Which `[[case]]` of a case file it is, from 0.
    pub(super) place: Option<usize>,
    pub(super) message: Message,
    /// What should become of it; where nothing is expected, only the
    /// properties are checked that hold of every message.
    pub(super) expected: Option<Expected>,
}

/// What should become of a message.
#[derive(Debug)]
pub(super) enum Expected {
    /// These rows, each a value for each column.
    Rows(Vec<Row>),
    /// Nothing to write.
    Skip,
    /// A rejection, for this reason and, where one is named, at this field.
    Reject {
        reason: String,
        field: Option<String>,
    },
}

impl Expected {
    /// In what a verdict differs, a line each; none where it does not.
    pub(super) fn differences(&self, verdict: &Verdict, columns: &[Column]) -> Vec<String> {
        match (self, verdict) {
            (Self::Rows(expected), Verdict::Rows(rows)) => rows_differ(expected, rows, columns),
            (Self::Skip, Verdict::Skip) => Vec::new(),
            (Self::Reject { reason, field }, Verdict::Reject(rejection))
                if *reason == rejection.reason.to_string()
                    && (field.is_none() || *field == rejection.field) =>
            {
                Vec::new()
            }
            _ => vec![differs("outcome", &self.outcome(), &outcome(verdict))],
        }
    }

    fn outcome(&self) -> String {
        match self {
            Self::Rows(rows) => counted(rows.len()),
            Self::Skip => "skip".to_owned(),
            Self::Reject { reason, field } => rejected(reason, field.as_deref()),
        }
    }
}

/// A verdict in a few words.
pub(super) fn outcome(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Rows(rows) => counted(rows.len()),
        Verdict::Skip => "skip".to_owned(),
        Verdict::Reject(rejection) => {
            rejected(&rejection.reason.to_string(), rejection.field.as_deref())
        }
    }
}

/// Whether two verdicts are the same.
pub(super) fn alike(one: &Verdict, other: &Verdict) -> bool {
    match (one, other) {
        (Verdict::Rows(rows), Verdict::Rows(others)) => {
            let same_row = |(row, other): (&Row, &Row)| {
                row.len() == other.len() && row.iter().zip(other).all(|(a, b)| same(a, b))
            };
            rows.len() == others.len() && rows.iter().zip(others).all(same_row)
        }
        (Verdict::Skip, Verdict::Skip) => true,
        (Verdict::Reject(one), Verdict::Reject(other)) => one == other,
        _ => false,
    }
}

/// What came out, a line each: what a case would expect.
pub(super) fn lines(verdict: &Verdict, columns: &[Column]) -> Vec<String> {
    let mut lines = vec![format!("outcome: {}", outcome(verdict))];
    if let Verdict::Rows(rows) = verdict {
        for (number, row) in rows.iter().enumerate() {
            for (column, value) in columns.iter().zip(row) {
                let place = place(number, rows.len(), column);
                lines.push(format!("{place}: {}", value_text(value)));
            }
        }
    }
    lines
}

fn place(number: usize, rows: usize, column: &Column) -> String {
    match rows {
        1 => column.name.clone(),
        _ => format!("row {} {}", number + 1, column.name),
    }
}

fn counted(rows: usize) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

fn rejected(reason: &str, field: Option<&str>) -> String {
    match field {
        Some(field) => format!("reject {reason} at {field}"),
        None => format!("reject {reason}"),
    }
}

fn rows_differ(expected: &[Row], rows: &[Row], columns: &[Column]) -> Vec<String> {
    if expected.len() != rows.len() {
        return vec![differs(
            "outcome",
            &counted(expected.len()),
            &counted(rows.len()),
        )];
    }
    let mut differences = Vec::new();
    for (number, (expected, row)) in expected.iter().zip(rows).enumerate() {
        for ((column, expected), value) in columns.iter().zip(expected).zip(row) {
            if !same(expected, value) {
                let place = place(number, rows.len(), column);
                let (expected, value) = (value_text(expected), value_text(value));
                differences.push(differs(&place, &expected, &value));
            }
        }
    }
    differences
}

fn differs(place: &str, expected: &str, found: &str) -> String {
    format!("{place}: expected {expected}, got {found}")
}

/// Whether two values are the same; of JSON texts, whether they mean the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
        (Value::Json(one), Value::Json(other)) => {
            let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            one == other || parsed(one).is_some_and(|one| Some(one) == parsed(other))
        }
        _ => one == other,
    }
}
