//! A policy that nobody has to program: its parameters say which field is kept,
//! dropped, hashed or made coarser, and its columns follow from them.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::vec::Vec;
use core::slice;

use etl_transform::{Argument, Description, Message, Outcome, Policy, Refusal};
use rules::{Hashes, Rules};

etl_transform::export!(RuleMask);

/// The policy, as its parameters have it.
pub struct RuleMask(Rules);

impl Policy for RuleMask {
    fn describe() -> Description {
        Rules::describe("rule_mask", env!("CARGO_PKG_VERSION"), Hashes::Plain)
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
        // No parameter of this one asks for a keyed hash.
        self.0.judge(messages, |_| Vec::new())
    }
}
