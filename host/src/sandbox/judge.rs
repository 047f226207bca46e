//! Judging: calls into instances, charging a fault to its message, and having
//! the guard look into what comes out.

use std::sync::atomic::Ordering;

use anyhow::{Context, Result, anyhow, bail};
use wasmtime::{Store, Trap};

use super::bindings::Transform;
use super::bindings::exports::etl::transform::policy as types;
use super::component::{Program, Sandbox};
use super::description::Description;
use super::engine::ticks;
use super::guard::Inspector;
use super::limits::{HANDLES_MAX, Isolation, Meter};
use super::outcome;
use crate::message::{Attribute, AttributeValue, Message};
use crate::verdict::{Reason, Verdict};

impl Sandbox {
    /// Gives each message its verdict, in order.
    ///
    /// A batch runs in one fresh instance. Where that one faults, every message
    /// is judged alone in a fresh instance: an instance costs microseconds, and
    /// the guilty one is found without trusting anything the broken one said.
    pub fn judge(&self, messages: &[Message]) -> Vec<Verdict> {
        let mut inspector = self.guard.inspector();
        if self.isolation == Isolation::Batch && messages.len() > 1 {
            let judged = Instance::call(self, messages, self.program.limits.batch_ms_max);
            if let Ok(outcomes) = judged {
                return messages
                    .iter()
                    .zip(outcomes)
                    .map(|(message, outcome)| self.check(message, outcome, &mut inspector))
                    .collect();
            }
        }
        messages
            .iter()
            .map(|message| self.judge_alone(message, &mut inspector))
            .collect()
    }

    fn judge_alone<'m>(&self, message: &'m Message, inspector: &mut Inspector<'_, 'm>) -> Verdict {
        let alone = std::slice::from_ref(message);
        match Instance::call(self, alone, self.program.limits.message_ms_max) {
            Ok(mut outcomes) => match outcomes.pop() {
                Some(outcome) => self.check(message, outcome, inspector),
                None => Verdict::Reject(Reason::BrokenInterface.into()),
            },
            Err(reason) => Verdict::Reject(reason.into()),
        }
    }

    fn check<'m>(
        &self,
        message: &'m Message,
        outcome: types::Outcome,
        inspector: &mut Inspector<'_, 'm>,
    ) -> Verdict {
        match outcome::verdict(outcome, self.description(), &self.program.limits) {
            Verdict::Rows(rows) => match inspector.inspect(&message.body, &rows) {
                Ok(()) => Verdict::Rows(rows),
                Err(rejection) => Verdict::Reject(rejection),
            },
            valueless @ (Verdict::Skip | Verdict::Reject(_)) => valueless,
        }
    }
}

/// One instance and its store: used for one call's worth of work, then dropped.
pub(super) struct Instance {
    store: Store<Meter>,
    exports: Transform,
}

impl Instance {
    fn fresh(program: &Program, ms_max: u64) -> wasmtime::Result<Self> {
        let mut store = Store::new(&program.engine, Meter::new(&program.limits));
        store.limiter(|meter| meter);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_epoch_deadline(ticks(ms_max));
        let exports = program.pre.instantiate(&mut store)?;
        Ok(Self { store, exports })
    }

    /// Asks a component what it is.
    pub(super) fn describe(program: &Program) -> Result<Description> {
        let mut instance = Self::fresh(program, program.limits.message_ms_max)
            .map_err(|error| anyhow!("it cannot be started: {}", start_fault(&error)))?;
        let policy = instance.exports.etl_transform_policy();
        match policy.call_describe(&mut instance.store) {
            Ok(described) => Description::check(described).context("its description is refused"),
            Err(error) => bail!("its `describe` fails ({})", instance.fault(&error)),
        }
    }

    /// Tries the parameters on a fresh instance, as every later one gets them.
    pub(super) fn try_arguments(
        program: &Program,
        arguments: &[(String, String)],
        description: &Description,
    ) -> Result<()> {
        let mut instance = Self::fresh(program, program.limits.message_ms_max)
            .map_err(|error| anyhow!("it cannot be started: {}", start_fault(&error)))?;
        let refusal = match instance.configure(arguments) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(refusal)) => refusal,
            Err(error) => bail!("its `configure` fails ({})", instance.fault(&error)),
        };
        match description.parameters.get(refusal.parameter as usize) {
            Some(parameter) => bail!(
                "it refuses --param {}: expected {}",
                parameter.name,
                refusal.expected.escape_debug()
            ),
            None => bail!("it refuses a parameter that it does not declare"),
        }
    }

    /// Judges messages in a fresh instance within `ms_max` milliseconds.
    fn call(
        sandbox: &Sandbox,
        messages: &[Message],
        ms_max: u64,
    ) -> Result<Vec<types::Outcome>, Reason> {
        let mut instance = Self::fresh(&sandbox.program, ms_max).map_err(|_| Reason::Trap)?;
        match instance.configure(&sandbox.arguments) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Reason::BrokenInterface),
            Err(error) => return Err(instance.fault(&error)),
        }
        let attributes: Vec<Vec<types::Attribute<'_>>> = messages
            .iter()
            .map(|message| message.attributes.iter().map(attribute).collect())
            .collect();
        let batch: Vec<types::Message<'_>> = messages
            .iter()
            .zip(&attributes)
            .map(|(message, attributes)| types::Message {
                id: &message.origin_id,
                body: &message.body,
                sent_ms: message.sent_ms,
                attributes,
            })
            .collect();
        let policy = instance.exports.etl_transform_policy();
        let transformed = policy.call_transform(&mut instance.store, &batch);
        let memory_bytes = instance.store.data().memory_bytes;
        let peak = &sandbox.memory_bytes_peak;
        peak.fetch_max(memory_bytes, Ordering::Relaxed);
        match transformed {
            Ok(outcomes) if outcomes.len() == messages.len() => Ok(outcomes),
            Ok(_) => Err(Reason::BrokenInterface),
            Err(error) => Err(instance.fault(&error)),
        }
    }

    fn configure(
        &mut self,
        arguments: &[(String, String)],
    ) -> wasmtime::Result<Result<(), types::Refusal>> {
        let arguments: Vec<types::Argument<'_>> = arguments
            .iter()
            .map(|(name, value)| types::Argument { name, value })
            .collect();
        let policy = self.exports.etl_transform_policy();
        policy.call_configure(&mut self.store, &arguments)
    }

    /// What stopped a call. The error's own words are not used: they may hold
    /// what the guest chose to put there.
    fn fault(&self, error: &wasmtime::Error) -> Reason {
        if self.store.data().memory_denied {
            return Reason::MemoryLimit;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Reason::TimeLimit,
            Some(_) => Reason::Trap,
            // Not a trap: the result could not be lifted by the interface's
            // rules (a pointer out of bounds, text that is not UTF-8).
            None => Reason::BrokenInterface,
        }
    }
}

/// Why an instance does not start, in words that hold nothing of the guest's.
fn start_fault(error: &wasmtime::Error) -> &'static str {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => "its start takes longer than the time limit",
        Some(_) => "its start traps",
        None => "it needs more memory, tables or instances than the limits allow",
    }
}

fn attribute(attribute: &Attribute) -> types::Attribute<'_> {
    types::Attribute {
        name: &attribute.name,
        value: match &attribute.value {
            AttributeValue::Text(text) => types::AttributeValue::Text(text),
            AttributeValue::Number(digits) => types::AttributeValue::Number(digits),
            AttributeValue::Bytes(bytes) => types::AttributeValue::Bytes(bytes),
        },
    }
}
