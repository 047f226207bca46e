//! The component's exports: the generated glue of the world `transform`, the
//! loop over a batch, and the one piece of state a component has, its policy
//! once configured. Public only for [`export!`](crate::export).

use alloc::vec::Vec;
use core::cell::OnceCell;

use crate::{Argument, Description, Message, Outcome, Policy, Refusal};

wit_bindgen::generate!({
    world: "transform",
    path: "../../wit",
    with: {
        "etl:transform/policy@0.1.0/argument": crate::Argument,
        "etl:transform/policy@0.1.0/attribute": crate::Attribute,
        "etl:transform/policy@0.1.0/attribute-value": crate::AttributeValue,
        "etl:transform/policy@0.1.0/column": crate::Column,
        "etl:transform/policy@0.1.0/description": crate::Description,
        "etl:transform/policy@0.1.0/field": crate::Field,
        "etl:transform/policy@0.1.0/message": crate::Message,
        "etl:transform/policy@0.1.0/outcome": crate::Outcome,
        "etl:transform/policy@0.1.0/parameter": crate::Parameter,
        "etl:transform/policy@0.1.0/reason": crate::Reason,
        "etl:transform/policy@0.1.0/refusal": crate::Refusal,
        "etl:transform/policy@0.1.0/rejection": crate::Rejection,
        "etl:transform/policy@0.1.0/row": crate::Row,
        "etl:transform/policy@0.1.0/value": crate::Value,
        "etl:transform/policy@0.1.0/value-type": crate::ValueType,
    },
    export_macro_name: "export_component",
    pub_export_macro: true,
    default_bindings_module: "etl_transform::component",
});

/// What [`export!`](crate::export) implements: a policy and the place where it
/// stands once configured.
pub trait Exports {
    /// The policy behind the exports.
    type Policy: Policy;

    /// Where the policy stands once configured.
    fn configured() -> &'static Configured<Self::Policy>;
}

/// A policy, once configured.
pub struct Configured<P>(OnceCell<P>);

// SAFETY: a component of this world is single-threaded: its one module imports
// no memory and has no way to start a thread.
unsafe impl<P> Sync for Configured<P> {}

impl<P> Configured<P> {
    /// An instance that has not been configured yet.
    pub const fn not_yet() -> Self {
        Self(OnceCell::new())
    }
}

impl<E: Exports> exports::etl::transform::policy::Guest for E {
    fn describe() -> Description {
        match E::configured().0.get() {
            Some(policy) => policy.description(),
            None => E::Policy::describe(),
        }
    }

    fn configure(arguments: Vec<Argument>) -> Result<(), Refusal> {
        let policy = E::Policy::configure(&arguments)?;
        // The interface says once on each fresh instance: a second time, or a
        // batch before the first, is a fault of the host's and traps.
        assert!(E::configured().0.set(policy).is_ok());
        Ok(())
    }

    fn transform(messages: Vec<Message>) -> Vec<Outcome> {
        let Some(policy) = E::configured().0.get() else {
            panic!("transform before configure");
        };
        policy.transform_all(&messages)
    }
}
