//! The interface `etl:transform/types` in Rust: what `wit/transform.wit` says,
//! with the same names. The component's glue reads and writes these very types,
//! so a row is not copied into another shape on its way out, and a policy's
//! tests need no glue.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

/// One queue message. It holds nothing that changes between two deliveries of
/// the same message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The message's identity.
    pub id: String,
    /// The body as the producer sent it: any text, not necessarily JSON.
    pub body: String,
    /// When the queue accepted the message: milliseconds since
    /// 1970-01-01T00:00:00Z.
    pub sent_ms: u64,
    /// The producer's message attributes, sorted by name.
    pub attributes: Vec<Attribute>,
}

/// A message attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its name, unique within the message.
    pub name: String,
    /// Its value.
    pub value: AttributeValue,
}

/// A message attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A number, in the digits it was sent with.
    Number(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Rows to write, at least one: all of them are committed, or none is.
    Rows(Vec<Row>),
    /// Nothing to write, and nothing wrong.
    Skip,
    /// The message cannot be judged good.
    Reject(Rejection),
}

/// One row: a value for each of [`Description::columns`], in that order.
pub type Row = Vec<Value>;

/// One value, of its column's type, or null where the column is nullable.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number; the host checks that the column holds it.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A text without U+0000, which PostgreSQL cannot store.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Days since 1970-01-01, in UTC.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// A JSON text.
    Json(String),
}

/// The type of a column: the case of [`Value`] that it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is a case of Value, described there")]
pub enum ValueType {
    Boolean,
    Integer,
    Float,
    Text,
    Bytes,
    Date,
    Timestamp,
    Json,
}

/// Why a message was rejected: no room for free text, so no value rides along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rejection {
    /// The reason, out of a closed set.
    pub reason: Reason,
    /// The input field at fault: an index into [`Description::fields`].
    pub field: Option<u32>,
}

impl Rejection {
    /// A rejection of the message as a whole.
    pub const fn whole(reason: Reason) -> Self {
        Self {
            reason,
            field: None,
        }
    }

    /// A rejection for one input field: an index into [`Description::fields`].
    pub const fn at(reason: Reason, field: u32) -> Self {
        Self {
            reason,
            field: Some(field),
        }
    }
}

/// The closed set of reasons.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Reason {
    /// The body is not in the expected format at all.
    Malformed,
    /// A message of a kind that this component does not know.
    Unsupported,
    /// A required field is missing.
    Missing,
    /// A field is there that the component does not allow.
    Unexpected,
    /// A field has another type than the one expected.
    WrongType,
    /// A field has the right type and a value that makes no sense.
    Invalid,
    /// A field's value is beyond what the column can hold.
    OutOfRange,
}

/// What the component is and what it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// A short name: lower-case letters, digits, `_` and `-`.
    pub name: String,
    /// The component's own version.
    pub version: String,
    /// The columns it writes, at least one.
    pub columns: Vec<Column>,
    /// The input fields that it reads.
    pub fields: Vec<Field>,
    /// The parameters that it takes.
    pub parameters: Vec<Parameter>,
}

/// A column of the target table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The table's own name for it.
    pub name: String,
    /// Its type.
    pub type_: ValueType,
    /// Whether the component may give null.
    pub nullable: bool,
}

impl Column {
    /// A column that always has a value.
    pub fn required(name: &str, type_: ValueType) -> Self {
        Self {
            name: name.to_string(),
            type_,
            nullable: false,
        }
    }

    /// A column that may be null.
    pub fn nullable(name: &str, type_: ValueType) -> Self {
        Self {
            name: name.to_string(),
            type_,
            nullable: true,
        }
    }
}

/// A field of the message body.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// A JSON pointer (RFC 6901) such as `/ip`.
    pub pointer: String,
    /// Whether its raw value must never leave the sandbox.
    pub sensitive: bool,
}

impl Field {
    /// A field that may be stored as it is.
    pub fn plain(pointer: &str) -> Self {
        Self {
            pointer: pointer.to_string(),
            sensitive: false,
        }
    }

    /// A field whose raw value must never leave the sandbox.
    pub fn sensitive(pointer: &str) -> Self {
        Self {
            pointer: pointer.to_string(),
            sensitive: true,
        }
    }
}

/// A parameter that an operator may set.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name it is set by.
    pub name: String,
    /// Whether it must be given. A required parameter has no default.
    pub required: bool,
    /// The value it has where none is given.
    pub default: Option<String>,
    /// One line that tells an operator what it does.
    pub help: String,
}

impl Parameter {
    /// A parameter that has a default.
    pub fn with_default(name: &str, default: &str, help: &str) -> Self {
        Self {
            name: name.to_string(),
            required: false,
            default: Some(default.to_string()),
            help: help.to_string(),
        }
    }
}

/// A parameter with the value that the operator gave, or its default.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The parameter's name.
    pub name: String,
    /// Its value, as it was typed.
    pub value: String,
}

/// The value that a parameter was given, if it has one.
pub fn value_of<'a>(arguments: &'a [Argument], name: &str) -> Option<&'a str> {
    let argument = arguments.iter().find(|argument| argument.name == name)?;
    Some(&argument.value)
}

/// The parameter that [`Policy::configure`](crate::Policy::configure) does not
/// accept.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// An index into [`Description::parameters`].
    pub parameter: u32,
    /// What it expects instead, in fixed words, never taken from the value: "a
    /// number of bytes from 1 to 32".
    pub expected: String,
}
