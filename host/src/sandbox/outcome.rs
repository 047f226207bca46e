//! From what a component returns to verdicts: nothing is taken on trust.
//!
//! Counts, types and sizes are checked here, so that what leaves the sandbox
//! fits the description, and a value never stands where a column does not
//! expect it.

use super::bindings::exports::etl::transform::policy as types;
use super::description::Description;
use super::limits::Limits;
use crate::row::{Column, Row, Value};
use crate::verdict::{Reason, Rejection, Verdict};

/// Checks one message's outcome.
pub(super) fn verdict(
    outcome: types::Outcome,
    description: &Description,
    limits: &Limits,
) -> Verdict {
    match outcome {
        types::Outcome::Skip => Verdict::Skip,
        types::Outcome::Reject(rejection) => Verdict::Reject(rejected(&rejection, description)),
        types::Outcome::Rows(rows) => match checked_rows(rows, description, limits) {
            Ok(rows) => Verdict::Rows(rows),
            Err(rejection) => Verdict::Reject(rejection),
        },
    }
}

fn rejected(rejection: &types::Rejection, description: &Description) -> Rejection {
    let field = match rejection.field {
        None => None,
        Some(index) => match description.fields.get(index as usize) {
            Some(field) => Some(field.pointer.as_str().to_owned()),
            None => return Reason::BrokenInterface.into(),
        },
    };
    let reason = match rejection.reason {
        types::Reason::Malformed => Reason::Malformed,
        types::Reason::Unsupported => Reason::Unsupported,
        types::Reason::Missing => Reason::Missing,
        types::Reason::Unexpected => Reason::Unexpected,
        types::Reason::WrongType => Reason::WrongType,
        types::Reason::Invalid => Reason::Invalid,
        types::Reason::OutOfRange => Reason::OutOfRange,
    };
    Rejection { reason, field }
}

fn checked_rows(
    rows: Vec<Vec<types::Value>>,
    description: &Description,
    limits: &Limits,
) -> Result<Vec<Row>, Rejection> {
    if rows.is_empty() {
        return Err(Reason::BrokenInterface.into());
    }
    let size = size(&rows);
    if size.rows > limits.rows_per_message_max || size.bytes > limits.result_bytes_max {
        return Err(Reason::ResultLimit.into());
    }
    let rows = rows.into_iter();
    rows.map(|row| checked_row(row, &description.columns))
        .collect()
}

/// How large a result is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: usize,
    /// Of their values: the length of texts and bytes, eight for any other.
    pub(super) bytes: usize,
}

/// The size of an outcome, before anything of it is believed.
pub(super) fn outcome_size(outcome: &types::Outcome) -> Size {
    match outcome {
        types::Outcome::Rows(rows) => size(rows),
        types::Outcome::Skip | types::Outcome::Reject(_) => Size::default(),
    }
}

fn size(rows: &[Vec<types::Value>]) -> Size {
    Size {
        rows: rows.len(),
        bytes: rows.iter().flatten().map(value_bytes).sum(),
    }
}

/// As [`Value::bytes`](crate::row::Value::bytes), before it is one.
fn value_bytes(value: &types::Value) -> usize {
    match value {
        types::Value::Text(text) | types::Value::Json(text) => text.len(),
        types::Value::Bytes(bytes) => bytes.len(),
        _ => size_of::<i64>(),
    }
}

fn checked_row(row: Vec<types::Value>, columns: &[Column]) -> Result<Row, Rejection> {
    if row.len() != columns.len() {
        return Err(Reason::BrokenInterface.into());
    }
    let row: Row = row.into_iter().map(value).collect();
    match row
        .iter()
        .zip(columns)
        .find(|(value, column)| !fits(value, column))
    {
        None => Ok(row),
        Some((_, column)) => Err(Rejection {
            reason: Reason::BrokenInterface,
            field: Some(column.name.clone()),
        }),
    }
}

fn value(value: types::Value) -> Value {
    match value {
        types::Value::Null => Value::Null,
        types::Value::Boolean(value) => Value::Boolean(value),
        types::Value::Integer(value) => Value::Integer(value),
        types::Value::Float(value) => Value::Float(value),
        types::Value::Text(value) => Value::Text(value),
        types::Value::Bytes(value) => Value::Bytes(value),
        types::Value::Date(value) => Value::Date(value),
        types::Value::Timestamp(value) => Value::Timestamp(value),
        types::Value::Json(value) => Value::Json(value),
    }
}

fn fits(value: &Value, column: &Column) -> bool {
    let typed = match value.value_type() {
        None => column.nullable,
        Some(value_type) => value_type == column.value_type,
    };
    let storable = !matches!(value, Value::Text(text) if text.contains('\0'));
    typed && storable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ValueType;
    use crate::sandbox::{Field, Pointer};

    fn description() -> Description {
        Description {
            name: "mask".into(),
            version: "1".into(),
            columns: vec![Column {
                name: "user_id".into(),
                value_type: ValueType::Text,
                nullable: false,
            }],
            fields: vec![Field {
                pointer: Pointer::parse("/user_id").unwrap(),
                sensitive: false,
            }],
            parameters: vec![],
        }
    }

    fn reason(outcome: types::Outcome) -> Option<Reason> {
        match verdict(outcome, &description(), &Limits::default()) {
            Verdict::Reject(rejection) => Some(rejection.reason),
            _ => None,
        }
    }

    fn one(value: types::Value) -> types::Outcome {
        types::Outcome::Rows(vec![vec![value]])
    }

    #[test]
    fn what_does_not_fit_the_description_is_refused() {
        let broken = Some(Reason::BrokenInterface);
        assert_eq!(reason(one(types::Value::Text("x".into()))), None);
        assert_eq!(reason(one(types::Value::Null)), broken);
        assert_eq!(reason(one(types::Value::Integer(1))), broken);
        assert_eq!(reason(one(types::Value::Text("\0".into()))), broken);
        assert_eq!(reason(types::Outcome::Rows(vec![])), broken);
        assert_eq!(reason(types::Outcome::Rows(vec![vec![]])), broken);
        let nowhere = types::Rejection {
            reason: types::Reason::Missing,
            field: Some(1),
        };
        assert_eq!(reason(types::Outcome::Reject(nowhere)), broken);
    }

    #[test]
    fn a_result_is_bounded_in_rows_and_bytes() {
        let limits = Limits::default();
        let row = || vec![types::Value::Text("x".into())];
        let within = (0..limits.rows_per_message_max).map(|_| row()).collect();
        assert_eq!(reason(types::Outcome::Rows(within)), None);
        let over = (0..=limits.rows_per_message_max).map(|_| row()).collect();
        assert_eq!(
            reason(types::Outcome::Rows(over)),
            Some(Reason::ResultLimit)
        );
        let within = "x".repeat(limits.result_bytes_max);
        assert_eq!(reason(one(types::Value::Text(within))), None);
        let over = "x".repeat(limits.result_bytes_max + 1);
        assert_eq!(
            reason(one(types::Value::Text(over))),
            Some(Reason::ResultLimit)
        );
    }
}
