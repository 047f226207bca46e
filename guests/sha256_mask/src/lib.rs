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

use etl_transform::{Argument, Description, Message, Outcome, Policy, Refusal, hex};
use sha2::{Digest, Sha256};

etl_transform::export!(Sha256Mask);

/// The policy. It takes no parameters.
pub struct Sha256Mask;

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
        login::masked(message, |values| {
            values.map(|value| hex(&Sha256::digest(value)))
        })
    }
}
