//! The policy of `rule_mask`, with one more thing that a parameter may ask for:
//! a hash under the host's key, which never enters this component.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::vec::Vec;
use core::slice;

use etl_transform::{Argument, Description, Message, Outcome, Policy, Refusal, keyed_hash};
use rules::{Hashes, Rules};

etl_transform::export!(KeyedRuleMask);

/// The policy, as its parameters have it.
pub struct KeyedRuleMask(Rules);

impl Policy for KeyedRuleMask {
    fn describe() -> Description {
        Rules::describe("keyed_rule_mask", env!("CARGO_PKG_VERSION"), Hashes::Keyed)
    }

    fn configure(arguments: &[Argument]) -> Result<Self, Refusal> {
        Rules::configure(Self::describe(), arguments).map(Self)
    }

    fn description(&self) -> Description {
        self.0.description()
    }

    fn transform(&self, message: &Message) -> Outcome {
        let mut outcomes = self.transform_all(slice::from_ref(message));
        outcomes.pop().expect("an outcome for each message")
    }

    fn transform_all(&self, messages: &[Message]) -> Vec<Outcome> {
        self.0.judge(messages, keyed_hash::hmac_sha256)
    }
}
