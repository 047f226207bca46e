//! An order becomes a row, with the address replaced by its SHA-256: equal
//! addresses stay equal, so that they can still be counted and joined.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use etl_transform::{
    Argument, Column, Description, Field, Message, Outcome, Policy, Reason, Refusal, Rejection,
    Row, Value, ValueType, hex,
};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

etl_transform::export!(Orders);

/// The policy. It takes no parameters.
pub struct Orders;

/// The places of the fields in the description.
const ORDER: u32 = 0;
const EMAIL: u32 = 1;
const COUNTRY: u32 = 2;

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1_000;

impl Policy for Orders {
    fn describe() -> Description {
        Description {
            name: String::from("{{name}}"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            columns: Vec::from([
                Column::required("order_id", ValueType::Text),
                Column::required("masked_email", ValueType::Text),
                Column::nullable("country", ValueType::Text),
                Column::required("placed_on", ValueType::Date),
            ]),
            fields: Vec::from([
                Field::plain("/order"),
                Field::sensitive("/email"),
                Field::plain("/country"),
            ]),
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

/// The row of an order, its values in the order of the columns.
fn row(message: &Message) -> Result<Row, Rejection> {
    let body = match serde_json::from_str(&message.body) {
        Ok(Json::Object(body)) => body,
        Ok(_) => return Err(Rejection::whole(Reason::Unsupported)),
        Err(_) => return Err(Rejection::whole(Reason::Malformed)),
    };
    let order = required(&body, "order", ORDER)?;
    let email = required(&body, "email", EMAIL)?;
    let country = text(&body, "country", COUNTRY)?;
    let days = i32::try_from(message.sent_ms / MS_PER_DAY)
        .map_err(|_| Rejection::whole(Reason::OutOfRange))?;
    Ok(Vec::from([
        Value::Text(order.to_string()),
        Value::Text(hex(&Sha256::digest(email))),
        country.map_or(Value::Null, |country| Value::Text(country.to_string())),
        Value::Date(days),
    ]))
}

/// A text that must be there.
fn required<'a>(body: &'a Map<String, Json>, name: &str, field: u32) -> Result<&'a str, Rejection> {
    let reason = match body.contains_key(name) {
        true => Reason::WrongType,
        false => Reason::Missing,
    };
    text(body, name, field)?.ok_or(Rejection::at(reason, field))
}

/// A text, or nothing where it is null or absent.
fn text<'a>(
    body: &'a Map<String, Json>,
    name: &str,
    field: u32,
) -> Result<Option<&'a str>, Rejection> {
    match body.get(name) {
        None | Some(Json::Null) => Ok(None),
        // PostgreSQL stores no U+0000.
        Some(Json::String(text)) if text.contains('\0') => {
            Err(Rejection::at(Reason::Invalid, field))
        }
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(Rejection::at(Reason::WrongType, field)),
    }
}
