//! The rows that a component gives and the columns that it gives them for.
//!
//! A `Value` has been checked against its column by the time it stands here.
//! `Debug` shows types and sizes, never what a value holds.

use std::fmt;

/// One row: a value for each of the component's columns, in their order.
pub type Row = Vec<Value>;

/// A column that the component writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the table has it.
    pub name: String,
    /// What its values are.
    pub value_type: ValueType,
    /// Whether the component may give null.
    pub nullable: bool,
}

#[cfg(test)]
impl Column {
    /// A column of a test, which may be null.
    pub(crate) fn nullable(name: &str, value_type: ValueType) -> Self {
        Self {
            name: name.to_owned(),
            value_type,
            nullable: true,
        }
    }
}

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// true or false.
    Boolean,
    /// A signed 64-bit integer.
    Integer,
    /// A 64-bit float.
    Float,
    /// Text without U+0000.
    Text,
    /// Bytes.
    Bytes,
    /// A day.
    Date,
    /// A moment.
    Timestamp,
    /// A JSON text.
    Json,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        })
    }
}

/// One value.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// true or false.
    Boolean(bool),
    /// A signed 64-bit integer.
    Integer(i64),
    /// A 64-bit float.
    Float(f64),
    /// Text without U+0000.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Days since 1970-01-01, UTC.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// A JSON text.
    Json(String),
}

impl Value {
    /// The type it has; null has every type.
    pub fn value_type(&self) -> Option<ValueType> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Integer(_) => ValueType::Integer,
            Self::Float(_) => ValueType::Float,
            Self::Text(_) => ValueType::Text,
            Self::Bytes(_) => ValueType::Bytes,
            Self::Date(_) => ValueType::Date,
            Self::Timestamp(_) => ValueType::Timestamp,
            Self::Json(_) => ValueType::Json,
        })
    }

    /// The bytes that the value takes, for the limit on a result's size.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => size_of::<i64>(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value_type() {
            None => f.write_str("null"),
            Some(value_type) => write!(f, "<{value_type}, {} bytes>", self.bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let row = [Value::Text("canary".into()), Value::Integer(4711)];
        let shown = format!("{row:?}");
        assert_eq!(shown, "[<text, 6 bytes>, <integer, 8 bytes>]");
    }
}
