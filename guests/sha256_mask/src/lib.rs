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
use core::slice;

#[cfg(any(test, target_family = "wasm"))]
mod lanes;

use etl_transform::{Argument, Description, Message, Outcome, Policy, Refusal, hex};

#[cfg(target_family = "wasm")]
use lanes::digests;

etl_transform::export!(Sha256Mask);

/// Messages that are judged together: enough that hardly a lane is idle, and
/// few enough that what they need meanwhile stays small.
const MESSAGES_AT_A_TIME: usize = 16;

/// The policy. It takes no parameters.
pub struct Sha256Mask;

/// SHA-256 of each value. A processor has instructions for it, wasm has not.
#[cfg(not(target_family = "wasm"))]
fn digests(values: &[&str]) -> Vec<[u8; 32]> {
    use sha2::{Digest, Sha256};
    let digest = |value| Sha256::digest(value).into();
    values.iter().map(digest).collect()
}

impl Policy for Sha256Mask {
    fn describe() -> Description {
        Description {
            name: String::from("sha256_mask"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            columns: login::masked_columns(),
            fields: login::fields(),
            parameters: Vec::new(),
        }
    }

    fn configure(_: &[Argument]) -> Result<Self, Refusal> {
        Ok(Self)
    }

    fn transform(&self, message: &Message) -> Outcome {
        let mut outcomes = self.transform_all(slice::from_ref(message));
        outcomes.pop().expect("an outcome for each message")
    }

    fn transform_all(&self, messages: &[Message]) -> Vec<Outcome> {
        let masked = |messages| {
            login::masked(messages, |values| {
                let digests = digests(values);
                digests.iter().map(|digest| hex(digest)).collect()
            })
        };
        let mut outcomes = Vec::with_capacity(messages.len());
        for messages in messages.chunks(MESSAGES_AT_A_TIME) {
            outcomes.append(&mut masked(messages));
        }
        outcomes
    }
}
