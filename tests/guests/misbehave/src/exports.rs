//! The exports, by hand: what each message asks for, and how many outcomes a
//! batch gets.

use alloc::{string::String, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering};

use etl_transform::component::exports::etl::transform::policy::Guest;
use etl_transform::{
    Argument, Column, Description, Field, Message, Outcome, Reason, Refusal, Rejection, Row, Value,
    ValueType,
};

use crate::{leaks, loaded, member, tricks};

struct Misbehave;

etl_transform::component::export_component!(Misbehave);

/// How many messages this instance has seen: what no instance should keep from
/// one batch to the next.
static SEEN: AtomicU32 = AtomicU32::new(0);

impl Guest for Misbehave {
    fn describe() -> Description {
        loaded::describe(Description {
            name: String::from("misbehave"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            columns: Vec::from([
                Column::required("user_id", ValueType::Text),
                Column::nullable("device_type", ValueType::Text),
                Column::nullable("app_version", ValueType::Integer),
            ]),
            fields: Vec::from([
                Field::plain("/user_id"),
                Field::sensitive("/ip"),
                Field::sensitive("/device_id"),
            ]),
            parameters: Vec::new(),
        })
    }

    fn configure(_: Vec<Argument>) -> Result<(), Refusal> {
        loaded::configure()
    }

    fn transform(messages: Vec<Message>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for message in &messages {
            let seen_before = SEEN.fetch_add(1, Ordering::Relaxed);
            match member(&message.body, "do") {
                Some("give-no-outcome") => {}
                Some("give-two-outcomes") => {
                    outcomes.extend([Outcome::Skip, good(message, Value::Null)]);
                }
                Some("tell-what-was-seen") => {
                    outcomes.push(good(message, Value::Integer(i64::from(seen_before))));
                }
                asked => outcomes.push(outcome(message, asked.unwrap_or_default())),
            }
        }
        outcomes
    }
}

fn outcome(message: &Message, asked: &str) -> Outcome {
    let amount = || {
        let amount = member(&message.body, "amount");
        amount.and_then(|amount| amount.parse().ok()).unwrap_or(0)
    };
    let row = |values: &[Value]| Outcome::Rows(Vec::from([Row::from(values)]));
    let user = || Value::Text(user_id(message));
    let device_id = || member(&message.body, "device_id").unwrap_or_default();
    match asked {
        "trap" => tricks::trap(),
        "panic-with-value" => panic!("{}", message.body),
        "recurse" => tricks::recurse(amount()),
        "spin" => tricks::spin(amount()),
        "grow" => tricks::grow(amount()),
        "skip" => return Outcome::Skip,
        "give-large-text" => return row(&[user(), long_text(amount()), Value::Null]),
        "give-rows" => {
            let row = Row::from([user(), Value::Null, Value::Null]);
            return Outcome::Rows(alloc::vec![row; amount()]);
        }
        "give-one-text-in-many-rows" => {
            let texts = tricks::one_text_many_times(1 << 20, amount());
            let rows = texts.map(|text| Row::from([user(), Value::Text(text), Value::Null]));
            return Outcome::Rows(rows.collect());
        }
        "give-extra-column" => {
            return row(&[
                user(),
                Value::Null,
                Value::Null,
                Value::Text(message.body.clone()),
            ]);
        }
        "leave-out-column" => return row(&[user(), Value::Null]),
        "give-wrong-type" => {
            return row(&[user(), Value::Null, Value::Text(message.body.clone())]);
        }
        "give-forbidden-null" => return row(&[Value::Null, Value::Null, Value::Null]),
        "give-nul" => return row(&[user(), Value::Text(String::from("\0")), Value::Null]),
        "give-bytes-that-are-no-text" => {
            return row(&[user(), Value::Text(tricks::no_text()), Value::Null]);
        }
        "blame-unknown-field" => {
            return Outcome::Reject(Rejection::at(Reason::Invalid, u32::MAX));
        }
        "leak-as-a-number" => return good(message, leaks::number(device_id())),
        _ => {}
    }
    if let Some(leaked) = leaks::text(asked, device_id()) {
        return row(&[user(), leaked, Value::Null]);
    }
    good(message, Value::Null)
}

fn long_text(bytes: usize) -> Value {
    Value::Text(tricks::long(bytes))
}

fn good(message: &Message, app_version: Value) -> Outcome {
    let row = Row::from([Value::Text(user_id(message)), Value::Null, app_version]);
    Outcome::Rows(Vec::from([row]))
}

fn user_id(message: &Message) -> String {
    String::from(member(&message.body, "user_id").unwrap_or_default())
}
