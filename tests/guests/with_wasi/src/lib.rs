//! A component with Rust's `std`, which imports a WASI, and does with it what a
//! message's member `do` asks for. For every other message it writes a row of
//! `user_id`. For tests of the sandbox only.
//!
//! It never names a network: `std` would import sockets for it, and no host
//! gives those.

#![cfg(target_os = "wasi")]

mod answers;
mod tricks;

use etl_transform::{
    Argument, Column, Description, Field, Message, Outcome, Policy, Reason, Refusal, Rejection,
    Row, Value, ValueType,
};

etl_transform::export!(WithWasi);

struct WithWasi;

impl Policy for WithWasi {
    fn describe() -> Description {
        Description {
            name: "with_wasi".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            columns: vec![
                Column::required("user_id", ValueType::Text),
                Column::nullable("device_type", ValueType::Text),
            ],
            fields: vec![Field::sensitive("/ip"), Field::sensitive("/device_id")],
            parameters: Vec::new(),
        }
    }

    fn configure(_: &[Argument]) -> Result<Self, Refusal> {
        // Before any message: that start-up can stand it.
        println!("configured");
        Ok(Self)
    }

    fn transform(&self, message: &Message) -> Outcome {
        let Ok(body) = serde_json::from_str::<serde_json::Value>(&message.body) else {
            return Outcome::Reject(Rejection::whole(Reason::Malformed));
        };
        let member = |name: &str| body[name].as_str().unwrap_or_default();
        let amount = || member("amount").parse().unwrap_or_default();
        let mut answer = Value::Null;
        match member("do") {
            "print" => tricks::print(&message.body),
            "panic" => panic!("{}", message.body),
            "exit" => std::process::exit(amount() as i32),
            "sleep" => tricks::sleep(amount()),
            "wait-for-the-clock" => tricks::wait_for_the_clock(),
            "take-randomness" => tricks::take_randomness(amount()),
            "make-pollables" => tricks::make_pollables(amount()),
            "read" => tricks::read(),
            "write" => tricks::write(amount()),
            "look-around" => answer = Value::Text(answers::surroundings()),
            "tell-time" => answer = Value::Text(answers::time()),
            "tell-randomness" => answer = Value::Text(answers::randomness()),
            "tell-hash" => answer = Value::Text(answers::hash()),
            _ => {}
        }
        let row = Row::from([Value::Text(member("user_id").to_owned()), answer]);
        Outcome::Rows(vec![row])
    }
}
