//! Values as people write them in a case, and as they are shown again.
//!
//! A column's type decides how its value is written: TOML's own text, number,
//! truth value, date and moment; bytes as hexadecimal text; JSON as a text of
//! it. A column that is left out is null.

use toml::Value as Written;

use super::calendar;
use crate::row::{Value, ValueType};

/// The value that is written for a column of this type.
///
/// # Errors
/// How it should be written instead.
pub(super) fn value(written: &Written, value_type: ValueType) -> Result<Value, &'static str> {
    let value = match (value_type, written) {
        (ValueType::Boolean, Written::Boolean(value)) => Value::Boolean(*value),
        (ValueType::Integer, Written::Integer(value)) => Value::Integer(*value),
        (ValueType::Float, Written::Float(value)) => Value::Float(*value),
        (ValueType::Text, Written::String(value)) => Value::Text(value.clone()),
        (ValueType::Bytes, Written::String(hex)) => {
            let bytes = crate::hex::bytes_of(hex);
            Value::Bytes(bytes.ok_or(expected(value_type))?)
        }
        (ValueType::Json, Written::String(text)) => {
            let json = serde_json::from_str::<serde_json::Value>(text);
            json.map_err(|_| expected(value_type))?;
            Value::Json(text.clone())
        }
        (ValueType::Date, Written::Datetime(date)) => {
            Value::Date(calendar::days(date).ok_or(expected(value_type))?)
        }
        (ValueType::Timestamp, Written::Datetime(moment)) => {
            let moment = calendar::microseconds(moment);
            Value::Timestamp(moment.ok_or(expected(value_type))?)
        }
        _ => return Err(expected(value_type)),
    };
    Ok(value)
}

fn expected(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Boolean => "true or false",
        ValueType::Integer => "a whole number",
        ValueType::Float => "a number with a point, such as 1.0",
        ValueType::Text => "a text in quotes",
        ValueType::Bytes => "bytes in hexadecimal, such as \"c0ffee\"",
        ValueType::Date => "a date, such as 2026-11-23",
        ValueType::Timestamp => "a moment with its offset, such as 2026-11-23T08:30:00Z",
        ValueType::Json => "a JSON text in quotes, such as '{\"n\":1}'",
    }
}

/// A value as JSON has it: bytes, days and moments as texts, a JSON text as what
/// it means.
pub(super) fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Float(number) if number.is_finite() => (*number).into(),
        Value::Float(number) => number.to_string().into(),
        Value::Text(text) => text.as_str().into(),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        Value::Bytes(_) => value_text(value).trim_matches('"').into(),
        Value::Date(_) | Value::Timestamp(_) => value_text(value).into(),
    }
}

/// A value as it would be written.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Text(text) | Value::Json(text) => format!("{text:?}"),
        Value::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\"{hex}\"")
        }
        Value::Date(days) => calendar::day_text(*days),
        Value::Timestamp(moment) => calendar::moment_text(*moment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_its_column_wants_it_and_shown_so_again() {
        for (text, value_type, shown) in [
            ("true", ValueType::Boolean, "true"),
            ("-3", ValueType::Integer, "-3"),
            ("1.0", ValueType::Float, "1.0"),
            ("'a\"b'", ValueType::Text, "\"a\\\"b\""),
            ("'C0ffee'", ValueType::Bytes, "\"c0ffee\""),
            ("2026-11-23", ValueType::Date, "2026-11-23"),
            (
                "2026-11-23T08:30:00Z",
                ValueType::Timestamp,
                "2026-11-23T08:30:00Z",
            ),
            ("'[1]'", ValueType::Json, "\"[1]\""),
        ] {
            let written: toml::Table = format!("x = {text}").parse().unwrap();
            let read = value(&written["x"], value_type).unwrap();
            assert_eq!(value_text(&read), shown);
        }
    }

    #[test]
    fn a_value_is_json_of_its_own_type() {
        for (value, json) in [
            (Value::Null, "null"),
            (Value::Boolean(true), "true"),
            (Value::Integer(i64::MIN), "-9223372036854775808"),
            (Value::Float(1.5), "1.5"),
            (Value::Float(f64::NAN), "\"NaN\""),
            (Value::Text("a\"b".into()), "\"a\\\"b\""),
            (Value::Bytes(vec![0xc0, 0xff]), "\"c0ff\""),
            (Value::Date(0), "\"1970-01-01\""),
            (Value::Timestamp(0), "\"1970-01-01T00:00:00Z\""),
            (Value::Json("[1, {}]".into()), "[1,{}]"),
            (Value::Json("[".into()), "\"[\""),
        ] {
            assert_eq!(json_value(&value).to_string(), json);
        }
    }

    #[test]
    fn what_is_of_another_type_is_told_how_to_be_written() {
        for (text, value_type, words) in [
            ("'1'", ValueType::Integer, "a whole number"),
            ("1", ValueType::Float, "with a point"),
            ("'xyz'", ValueType::Bytes, "hexadecimal"),
            ("'{'", ValueType::Json, "JSON"),
            ("2026-11-23T08:30:00", ValueType::Timestamp, "offset"),
            ("2026-11-23T08:30:00Z", ValueType::Date, "a date"),
        ] {
            let written: toml::Table = format!("x = {text}").parse().unwrap();
            let told = value(&written["x"], value_type).unwrap_err();
            assert!(told.contains(words), "{told}");
        }
    }
}
