//! The default policy: one row a login, its address and device replaced by
//! their SHA-256, so that equal inputs stay equal and can still be counted and
//! joined.
//!
//! What this does not give: the addresses are so few that whoever has the table
//! can hash them all and compare. A policy of the world `keyed-transform`
//! closes that.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::{string::String, vec::Vec};

use etl_transform::{
    Argument, Column, Description, Message, Outcome, Policy, Refusal, Rejection, Row, Value,
    ValueType,
};
use login::{Login, sent_date};
use sha2::{Digest, Sha256};

etl_transform::export!(Sha256Mask);

/// The policy. It takes no parameters.
pub struct Sha256Mask;

impl Policy for Sha256Mask {
    fn describe() -> Description {
        Description {
            name: String::from("sha256_mask"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            columns: Vec::from([
                Column::required("user_id", ValueType::Text),
                Column::required("device_type", ValueType::Text),
                Column::required("masked_ip", ValueType::Text),
                Column::required("masked_device_id", ValueType::Text),
                Column::nullable("locale", ValueType::Text),
                Column::required("app_version", ValueType::Integer),
                Column::required("create_date", ValueType::Date),
            ]),
            fields: login::fields(),
            parameters: Vec::new(),
        }
    }

    fn configure(_: &[Argument]) -> Result<Self, Refusal> {
        Ok(Self)
    }

    fn transform(&self, message: &Message) -> Outcome {
        match row(message) {
            Ok(row) => Outcome::Rows(Vec::from([row])),
            Err(rejection) => Outcome::Reject(rejection),
        }
    }
}

/// The row of a login, its values in the order of the columns.
fn row(message: &Message) -> Result<Row, Rejection> {
    let login = Login::parse(&message.body)?;
    let create_date = sent_date(message.sent_ms)?;
    Ok(Vec::from([
        Value::Text(login.user_id.into_owned()),
        Value::Text(login.device_type.into_owned()),
        Value::Text(sha256_hex(&login.ip)),
        Value::Text(sha256_hex(&login.device_id)),
        login
            .locale
            .map_or(Value::Null, |locale| Value::Text(locale.into_owned())),
        Value::Integer(i64::from(login.app_version)),
        Value::Date(create_date),
    ]))
}

/// The SHA-256 of a text's UTF-8 bytes, in lower-case hexadecimal.
fn sha256_hex(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(text);
    let mut hex = String::with_capacity(2 * digest.len());
    for byte in digest {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    hex
}
