//! The default policy's rows, with HMAC-SHA-256 in place of SHA-256: equal
//! inputs stay equal, and only who has the host's key can tell which input a
//! value stands for. The key never enters this component.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::{string::String, vec::Vec};
use core::slice;

use etl_transform::{Argument, Description, Message, Outcome, Policy, Refusal, hex, keyed_hash};

etl_transform::export!(HmacMask);

/// The policy. It takes no parameters: the key is the host's.
pub struct HmacMask;

impl Policy for HmacMask {
    fn describe() -> Description {
        Description {
            name: String::from("hmac_mask"),
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
        login::masked(messages, |values| {
            // All at once: each call leaves the sandbox.
            let values: Vec<Vec<u8>> = values.iter().map(|value| Vec::from(*value)).collect();
            let hashes = keyed_hash::hmac_sha256(&values);
            hashes.iter().map(|hash| hex(hash)).collect()
        })
    }
}
