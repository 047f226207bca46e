//! What is made of one value.

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;

use etl_transform::{Reason, Value, ValueType, hex};
use sha2::{Digest, Sha256};

use crate::calendar::{self, Date};
use crate::members::Scalar;
use crate::network;

/// What a column has of its field.
pub enum Mask {
    /// The value as it is.
    Keep(Kept),
    /// SHA-256, in lower-case hexadecimal.
    Hash,
    /// The host's keyed hash, in lower-case hexadecimal.
    KeyedHash,
    /// The network of an address.
    Network {
        ipv4_prefix_bits: u8,
        ipv6_prefix_bits: u8,
    },
    /// So many characters at the end.
    Last(usize),
    /// The month of a date, such as `2026-11`.
    Month,
    /// The year of a date.
    Year,
}

/// The type of a value that is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "each is a type of column")]
pub enum Kept {
    Text,
    Integer,
    Float,
    Boolean,
    Date,
    Timestamp,
}

/// What came out.
pub enum Masked {
    /// The column's value.
    Value(Value),
    /// What is to be hashed under the key.
    ToHash(Vec<u8>),
}

impl Kept {
    /// The type that a parameter calls so.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "float" => Self::Float,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            _ => return None,
        })
    }
}

impl Mask {
    /// The type of the column.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Keep(Kept::Integer) | Self::Year => ValueType::Integer,
            Self::Keep(Kept::Float) => ValueType::Float,
            Self::Keep(Kept::Boolean) => ValueType::Boolean,
            Self::Keep(Kept::Date) => ValueType::Date,
            Self::Keep(Kept::Timestamp) => ValueType::Timestamp,
            Self::Keep(Kept::Text)
            | Self::Hash
            | Self::KeyedHash
            | Self::Network { .. }
            | Self::Last(_)
            | Self::Month => ValueType::Text,
        }
    }

    /// Masks a value. What is null or absent is null.
    ///
    /// # Errors
    /// `wrong-type`, `invalid`, `out-of-range`.
    pub fn apply(&self, scalar: &Scalar<'_>) -> Result<Masked, Reason> {
        if matches!(scalar, Scalar::Absent | Scalar::Null) {
            return Ok(Masked::Value(Value::Null));
        }
        let value = match self {
            Self::Keep(kept) => keep(*kept, scalar)?,
            Self::Hash => Value::Text(hex(&Sha256::digest(words(scalar)?.as_bytes()))),
            Self::KeyedHash => return Ok(Masked::ToHash(words(scalar)?.into_owned().into_bytes())),
            Self::Network {
                ipv4_prefix_bits,
                ipv6_prefix_bits,
            } => {
                let address: IpAddr = text(scalar)?.parse().map_err(|_| Reason::Invalid)?;
                let network = network::of(address, *ipv4_prefix_bits, *ipv6_prefix_bits);
                // Of the network's own address nothing would be hidden.
                if network.starts_with(&format!("{}/", address.to_canonical())) {
                    return Err(Reason::Invalid);
                }
                Value::Text(network)
            }
            Self::Last(count) => Value::Text(last(&words(scalar)?, *count)?),
            Self::Month => {
                let date = date(scalar)?;
                Value::Text(format!("{:04}-{:02}", date.year, date.month))
            }
            Self::Year => Value::Integer(i64::from(date(scalar)?.year)),
        };
        Ok(Masked::Value(value))
    }
}

fn keep(kept: Kept, scalar: &Scalar<'_>) -> Result<Value, Reason> {
    Ok(match (kept, scalar) {
        (Kept::Text, _) => Value::Text(storable(text(scalar)?)?),
        (Kept::Integer, Scalar::Integer(number)) => Value::Integer(*number),
        (Kept::Integer, Scalar::Large(_)) => return Err(Reason::OutOfRange),
        (Kept::Float, Scalar::Integer(number)) => Value::Float(*number as f64),
        (Kept::Float, Scalar::Large(number)) => Value::Float(*number as f64),
        (Kept::Float, Scalar::Float(number)) => Value::Float(*number),
        (Kept::Boolean, Scalar::Boolean(value)) => Value::Boolean(*value),
        (Kept::Date, _) => {
            let date = Date::read(text(scalar)?).ok_or(Reason::Invalid)?;
            Value::Date(date.days())
        }
        (Kept::Timestamp, _) => {
            let moment = calendar::moment(text(scalar)?).ok_or(Reason::Invalid)?;
            Value::Timestamp(moment)
        }
        _ => return Err(Reason::WrongType),
    })
}

fn date(scalar: &Scalar<'_>) -> Result<Date, Reason> {
    Date::of(text(scalar)?).ok_or(Reason::Invalid)
}

/// The last characters of a text that has more: of one that has not, nothing
/// would be hidden.
fn last(text: &str, count: usize) -> Result<String, Reason> {
    // A count of 0 is none that a parameter may have.
    let first = text.char_indices().rev().nth(count.saturating_sub(1));
    match first {
        Some((start, _)) if start > 0 => storable(&text[start..]),
        _ => Err(Reason::Invalid),
    }
}

/// A text that PostgreSQL can store: U+0000 is legal JSON and no legal text.
fn storable(text: &str) -> Result<String, Reason> {
    match text.contains('\0') {
        true => Err(Reason::Invalid),
        false => Ok(String::from(text)),
    }
}

fn text<'a>(scalar: &'a Scalar<'_>) -> Result<&'a str, Reason> {
    match scalar {
        Scalar::Text(text) => Ok(text),
        _ => Err(Reason::WrongType),
    }
}

/// A text, or a whole number in its digits. Other numbers have several
/// spellings, so that equal ones would not stay equal.
fn words<'a>(scalar: &'a Scalar<'_>) -> Result<Cow<'a, str>, Reason> {
    match scalar {
        Scalar::Integer(number) => Ok(Cow::Owned(number.to_string())),
        Scalar::Large(number) => Ok(Cow::Owned(number.to_string())),
        _ => text(scalar).map(Cow::Borrowed),
    }
}
