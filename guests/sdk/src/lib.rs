//! Write one function from a message to rows, get a component of the world
//! `etl:transform/transform`.
//!
//! A policy implements [`Policy`] and ends with `etl_transform::export!(Name)`.
//! The interface's glue, the allocator, the panic handler and the loop over a
//! batch are this crate's business, and they exist on wasm only: natively a
//! policy is an ordinary type, tested with `cargo test`.
//!
//! The component has no imports, so there is nowhere to log to and no clock to
//! read; a panic is a trap, and the host rejects the message that caused it.
//!
//! ```
//! #![cfg_attr(target_family = "wasm", no_std)]
//! extern crate alloc;
//!
//! use alloc::{string::String, vec::Vec};
//! use etl_transform::{
//!     Argument, Column, Description, Message, Outcome, Policy, Refusal, Value, ValueType,
//! };
//!
//! etl_transform::export!(BodyLength);
//!
//! /// Stores how long each message is.
//! struct BodyLength;
//!
//! impl Policy for BodyLength {
//!     fn describe() -> Description {
//!         Description {
//!             name: String::from("body_length"),
//!             version: String::from(env!("CARGO_PKG_VERSION")),
//!             columns: Vec::from([
//!                 Column::required("id", ValueType::Text),
//!                 Column::required("body_bytes", ValueType::Integer),
//!             ]),
//!             fields: Vec::new(),
//!             parameters: Vec::new(),
//!         }
//!     }
//!
//!     fn configure(_: &[Argument]) -> Result<Self, Refusal> {
//!         Ok(Self)
//!     }
//!
//!     fn transform(&self, message: &Message) -> Outcome {
//!         let body_bytes = message.body.len() as i64;
//!         let row = Vec::from([Value::Text(message.id.clone()), Value::Integer(body_bytes)]);
//!         Outcome::Rows(Vec::from([row]))
//!     }
//! }
//! # fn main() {}
//! ```

#![no_std]

extern crate alloc;

use alloc::vec::Vec;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component;
mod hex;
#[cfg(feature = "keyed")]
pub mod keyed_hash;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod runtime;
#[cfg(any(test, all(target_family = "wasm", target_os = "unknown")))]
mod small_blocks;
mod types;

pub use hex::hex;

pub use types::{
    Argument, Attribute, AttributeValue, Column, Description, Field, Message, Outcome, Parameter,
    Reason, Refusal, Rejection, Row, Value, ValueType, value_of,
};

/// What becomes of a message: a pure function of the message and of the
/// parameters.
pub trait Policy: Sized + 'static {
    /// Says what the component is, before it has its parameters.
    fn describe() -> Description;

    /// Makes the policy from its parameters: every declared one that was given
    /// or has a default, in the order of the description.
    ///
    /// # Errors
    /// The parameter that is not accepted, and what it expects instead.
    fn configure(arguments: &[Argument]) -> Result<Self, Refusal>;

    /// Says what the component is with its parameters. To be written only where
    /// columns or fields follow from them; name, version and parameters do not.
    fn description(&self) -> Description {
        Self::describe()
    }

    /// Judges one message. The other messages of its batch are out of reach by
    /// construction.
    fn transform(&self, message: &Message) -> Outcome;

    /// Judges a batch: one outcome a message, in order. To be written only
    /// where something is cheaper done for many at once, such as hashing; the
    /// outcome of a message must not depend on the others.
    fn transform_all(&self, messages: &[Message]) -> Vec<Outcome> {
        messages
            .iter()
            .map(|message| self.transform(message))
            .collect()
    }
}

/// Makes a [`Policy`] the component's exports. Natively it expands to nothing.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Exports;

            impl $crate::component::Exports for Exports {
                type Policy = $policy;

                fn configured() -> &'static $crate::component::Configured<$policy> {
                    static CONFIGURED: $crate::component::Configured<$policy> =
                        $crate::component::Configured::not_yet();
                    &CONFIGURED
                }
            }

            $crate::component::export_component!(Exports);
        };
    };
}
