//! Judging: calls into instances, charging a fault to its message, and having
//! the guard look into what comes out.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use wasmtime::{Store, StoreContextMut, Trap, UpdateDeadline};

use super::bindings::Transform;
use super::bindings::exports::etl::transform::policy as types;
use super::component::{Program, Sandbox, told};
use super::description::{Description, TEXT_BYTES_MAX};
use super::engine::Instructions;
use super::guard::Inspector;
use super::limits::{HANDLES_MAX, Isolation, Meter};
use super::outcome;
use super::ticker::Call;
use crate::foreign::component_words;
use crate::message::{Attribute, AttributeValue, Message};
use crate::verdict::{Reason, Verdict};

impl Sandbox {
    /// Gives each message its verdict, in order.
    ///
    /// A batch runs in one fresh instance. Where that one faults, every message
    /// is judged alone in a fresh instance: an instance costs microseconds, and
    /// the guilty one is found without trusting anything the broken one said.
    pub fn judge(&self, messages: &[Message]) -> Vec<Verdict> {
        let judged = self.judge_batch(messages);
        judged.unwrap_or_else(|_| self.judge_each(messages))
    }

    /// The same without a second try for a batch whose instance faults.
    ///
    /// # Errors
    /// Why it does, whichever message is the guilty one.
    pub fn judge_batch(&self, messages: &[Message]) -> Result<Vec<Verdict>, Reason> {
        if self.isolation == Isolation::Message || messages.len() < 2 {
            return Ok(self.judge_each(messages));
        }
        let outcomes = Instance::call(self, messages, self.program.limits.batch_ms_max)?;
        let mut inspector = self.guard.inspector();
        let judged = messages.iter().zip(outcomes);
        Ok(judged
            .map(|(message, outcome)| self.check(message, outcome, &mut inspector))
            .collect())
    }

    fn judge_each(&self, messages: &[Message]) -> Vec<Verdict> {
        let mut inspector = self.guard.inspector();
        messages
            .iter()
            .map(|message| self.judge_alone(message, &mut inspector))
            .collect()
    }

    /// How long an instance takes to be made, configured and dropped again.
    ///
    /// # Errors
    /// Why it cannot be made or configured.
    pub fn time_instance(&self) -> Result<Duration, Reason> {
        let began = Instant::now();
        let mut instance = Instance::fresh(&self.program, self.program.limits.message_ms_max)?;
        instance.take_arguments(self)?;
        drop(instance);
        Ok(began.elapsed())
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

    /// Checks an outcome, and looks into its rows.
    pub(super) fn check<'m>(
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
    pub(super) store: Store<Meter>,
    exports: Transform,
    /// For as long as the guest may run.
    _call: Call,
}

impl Instance {
    pub(super) fn fresh(program: &Program, ms_max: u64) -> Result<Self, NoStart> {
        let call = Call::begin();
        let mut store = Store::new(&program.engine, Meter::new(&program.limits, ms_max));
        store.limiter(|meter| meter);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_epoch_deadline(store.data().allowance.first_ticks());
        store.epoch_deadline_callback(at_deadline);
        store.set_hostcall_fuel(program.limits.lifted_bytes_max(1));
        let started = match program.instructions {
            Instructions::Counted => store.set_fuel(program.limits.message_instructions_max),
            Instructions::Uncounted => Ok(()),
        };
        match started.and_then(|()| program.pre.instantiate(&mut store)) {
            Ok(exports) => Ok(Self {
                store,
                exports,
                _call: call,
            }),
            Err(error) => Err(NoStart {
                reason: fault(store.data(), &error),
                error,
            }),
        }
    }

    /// Asks a component what it is.
    pub(super) fn describe(program: &Program) -> Result<Description> {
        let mut instance =
            Self::fresh(program, program.limits.message_ms_max).map_err(NoStart::in_words)?;
        Description::check(instance.call_describe()?).context("its description is refused")
    }

    fn call_describe(&mut self) -> Result<types::Description> {
        let policy = self.exports.etl_transform_policy();
        policy
            .call_describe(&mut self.store)
            .map_err(|error| anyhow!("its `describe` fails: {}", in_words(&self.fault(&error))))
    }

    /// Tries the parameters on a fresh instance, as every later one gets them,
    /// and asks it what it is with them.
    pub(super) fn describe_configured(
        program: &Program,
        arguments: &[(String, String)],
        description: &Description,
    ) -> Result<Description> {
        let mut instance =
            Self::fresh(program, program.limits.message_ms_max).map_err(NoStart::in_words)?;
        let refusal = match instance.configure(arguments) {
            Ok(Ok(())) => {
                let described = instance.call_describe()?;
                let configured = description.configured(described);
                return configured.context("its description is refused");
            }
            Ok(Err(refusal)) => refusal,
            Err(error) => bail!(
                "its `configure` fails: {}",
                in_words(&instance.fault(&error))
            ),
        };
        let Some(parameter) = description.parameters.get(refusal.parameter as usize) else {
            bail!("it refuses a parameter that it does not declare");
        };
        ensure!(
            refusal.expected.len() <= TEXT_BYTES_MAX,
            "it refuses --param {} in more than {TEXT_BYTES_MAX} bytes",
            parameter.name
        );
        bail!(
            "it refuses --param {}: expected {}",
            parameter.name,
            component_words(&refusal.expected)
        );
    }

    /// Judges messages in a fresh instance within `ms_max` milliseconds of
    /// processor time.
    fn call(
        sandbox: &Sandbox,
        messages: &[Message],
        ms_max: u64,
    ) -> Result<Vec<types::Outcome>, Reason> {
        Self::fresh(&sandbox.program, ms_max)?.judge(sandbox, messages)
    }

    /// Judges messages, once and for all: configures the instance first.
    pub(super) fn judge(
        &mut self,
        sandbox: &Sandbox,
        messages: &[Message],
    ) -> Result<Vec<types::Outcome>, Reason> {
        self.take_arguments(sandbox)?;
        let limits = &sandbox.program.limits;
        self.store
            .set_hostcall_fuel(limits.lifted_bytes_max(messages.len()));
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
        let policy = self.exports.etl_transform_policy();
        match policy.call_transform(&mut self.store, &batch) {
            Ok(outcomes) if outcomes.len() == messages.len() => Ok(outcomes),
            Ok(_) => Err(Reason::BrokenInterface),
            Err(error) => Err(self.fault(&error)),
        }
    }

    fn take_arguments(&mut self, sandbox: &Sandbox) -> Result<(), Reason> {
        match self.configure(&sandbox.arguments) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Reason::BrokenInterface),
            Err(error) => Err(self.fault(&error)),
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

    /// What stopped a call.
    fn fault(&self, error: &wasmtime::Error) -> Reason {
        // Not a trap: the result could not be lifted by the interface's rules
        // (a pointer out of bounds, text that is not UTF-8).
        fault(self.store.data(), error).unwrap_or(Reason::BrokenInterface)
    }
}

/// Gives a guest more ticks for as long as its thread has processor time left.
fn at_deadline(mut store: StoreContextMut<'_, Meter>) -> wasmtime::Result<UpdateDeadline> {
    Ok(match store.data_mut().allowance.more_ticks() {
        Some(ticks) => UpdateDeadline::Continue(ticks),
        None => UpdateDeadline::Interrupt,
    })
}

/// Why an instance does not start.
pub(super) struct NoStart {
    /// None where it is not its limits, nor a trap of its own.
    reason: Option<Reason>,
    error: wasmtime::Error,
}

impl From<NoStart> for Reason {
    fn from(NoStart { reason, .. }: NoStart) -> Self {
        reason.unwrap_or(Reason::Trap)
    }
}

impl NoStart {
    fn in_words(self) -> anyhow::Error {
        match self.reason {
            Some(reason) => anyhow!("it cannot be started: {}", in_words(&reason)),
            None => told(self.error).context(
                "it cannot be started: it exports other types than wit/ has, or the memory of \
                 this machine does not do",
            ),
        }
    }
}

/// What wasmtime says of a result that is larger than what may be lifted. The
/// error has no type that could be asked for.
const TOO_MUCH_LIFTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What stopped an instance, where that can be told. The error's own words are
/// not used: they may hold what the guest chose to put there.
fn fault(meter: &Meter, error: &wasmtime::Error) -> Option<Reason> {
    if meter.denied() {
        return Some(Reason::MemoryLimit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt | Trap::OutOfFuel) => Some(Reason::TimeLimit),
        Some(_) => Some(Reason::Trap),
        None if error.root_cause().to_string().ends_with(TOO_MUCH_LIFTED) => {
            Some(Reason::ResultLimit)
        }
        None => None,
    }
}

/// A fault before the first message, with the remedy.
fn in_words(reason: &Reason) -> String {
    let options = match reason {
        Reason::TimeLimit => "--transform-message-ms-max",
        Reason::MemoryLimit => "--transform-memory-mib-max, --transform-table-elements-max",
        Reason::ResultLimit => "--transform-result-kib-max",
        _ => return format!("{reason}: it must be mended"),
    };
    format!("{reason}: it must be mended, or allowed more ({options})")
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
