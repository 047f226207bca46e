//! A sandbox that measures: what one message takes, against the limits.
//!
//! It has an engine of its own, because counting instructions takes about a
//! fifth of the speed. Instructions do not depend on the machine or its load:
//! two runs of one component over one message count the same.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::bindings::exports::etl::transform::policy as types;
use super::clock::thread_time;
use super::component::{Conditions, Sandbox};
use super::engine::Instructions;
use super::judge::Instance;
use super::limits::Limits;
use super::outcome::{Size, outcome_size};
use crate::message::Message;
use crate::verdict::{Reason, Verdict};

/// A component whose messages are judged one by one, each in a fresh instance,
/// and measured.
pub struct MeteredSandbox(Sandbox);

/// What it took to judge a message or a batch, from making the instance to its outcome;
/// the leak guard is the host's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// WebAssembly instructions, as wasmtime's fuel counts them: about one each.
    pub instructions: u64,
    /// Linear memory at its largest, all memories together, in bytes.
    pub memory_bytes: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Processor time of the thread.
    pub time: Duration,
    /// Rows that came out, also where they were refused.
    pub rows: usize,
    /// Their values, in bytes.
    pub result_bytes: usize,
}

/// What was used of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Of what.
    pub name: &'static str,
    /// In what it is counted.
    pub unit: &'static str,
    /// How much was used.
    pub used: u64,
    /// The limit.
    pub max: u64,
}

impl MeteredSandbox {
    /// Loads the component of a file.
    ///
    /// # Errors
    /// As [`Sandbox::load`].
    pub fn load(file: &Path, conditions: &Conditions) -> Result<Self> {
        Sandbox::load_into(file, conditions, 1, Instructions::Counted).map(Self)
    }

    /// The component, to be asked what it is.
    pub fn sandbox(&self) -> &Sandbox {
        &self.0
    }

    /// The limits that its messages are held against.
    pub fn limits(&self) -> &Limits {
        &self.0.program.limits
    }

    /// Gives a message its verdict, and says what that took.
    pub fn judge(&self, message: &Message) -> (Verdict, Usage) {
        let alone = std::slice::from_ref(message);
        let (outcomes, usage) = self.run(alone, self.limits().message_ms_max);
        let outcome = outcomes.and_then(|mut outcomes| match outcomes.pop() {
            Some(outcome) => Ok(outcome),
            None => Err(Reason::BrokenInterface),
        });
        let verdict = match outcome {
            Ok(outcome) => {
                let mut inspector = self.0.guard.inspector();
                self.0.check(message, outcome, &mut inspector)
            }
            Err(reason) => Verdict::Reject(reason.into()),
        };
        (verdict, usage)
    }

    /// What a batch takes in one instance; its rows and bytes are those of all
    /// messages.
    ///
    /// # Errors
    /// Why the batch's messages would be judged again, each alone.
    pub fn measure_batch(&self, messages: &[Message]) -> Result<Usage, Reason> {
        let (outcomes, usage) = self.run(messages, self.limits().batch_ms_max);
        outcomes.map(|_| usage)
    }

    fn run(
        &self,
        messages: &[Message],
        ms_max: u64,
    ) -> (Result<Vec<types::Outcome>, Reason>, Usage) {
        let began = thread_time();
        let mut instance = match Instance::fresh(&self.0.program, ms_max) {
            Ok(instance) => instance,
            Err(fault) => return (Err(fault.into()), Usage::default()),
        };
        let outcomes = instance.judge(&self.0, messages);
        let time = thread_time().saturating_sub(began);
        let mut size = Size::default();
        for outcome in outcomes.iter().flatten().map(outcome_size) {
            size.rows += outcome.rows;
            size.bytes += outcome.bytes;
        }
        let usage = self.usage(&instance, time, size);
        (outcomes, usage)
    }

    fn usage(&self, instance: &Instance, time: Duration, size: Size) -> Usage {
        let given = self.limits().message_instructions_max;
        // An engine of this sandbox counts: there is always an answer.
        let left = instance.store.get_fuel().unwrap_or(given);
        let meter = instance.store.data();
        Usage {
            instructions: given - left,
            memory_bytes: meter.memory_bytes.taken,
            table_elements: meter.table_elements.taken,
            time,
            rows: size.rows,
            result_bytes: size.bytes,
        }
    }
}

impl Usage {
    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            instructions: self.instructions.max(other.instructions),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            table_elements: self.table_elements.max(other.table_elements),
            time: self.time.max(other.time),
            rows: self.rows.max(other.rows),
            result_bytes: self.result_bytes.max(other.result_bytes),
        }
    }

    /// How much of each limit was used.
    pub fn shares(&self, limits: &Limits) -> [Share; 6] {
        let share = |name, unit, used: usize, max: usize| Share {
            name,
            unit,
            used: used as u64,
            max: max as u64,
        };
        [
            Share {
                name: "time",
                unit: "µs",
                used: u64::try_from(self.time.as_micros()).unwrap_or(u64::MAX),
                max: limits.message_ms_max.saturating_mul(1_000),
            },
            Share {
                name: "instructions",
                unit: "",
                used: self.instructions,
                max: limits.message_instructions_max,
            },
            share(
                "memory",
                "bytes",
                self.memory_bytes,
                limits.memory_bytes_max,
            ),
            share(
                "tables",
                "elements",
                self.table_elements,
                limits.table_elements_max,
            ),
            share("rows", "", self.rows, limits.rows_per_message_max),
            share(
                "result",
                "bytes",
                self.result_bytes,
                limits.result_bytes_max,
            ),
        ]
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            unit,
            used,
            max,
        } = self;
        let space = if unit.is_empty() { "" } else { " " };
        write!(f, "{name} {used} of {max}{space}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::sandbox::fuzz::{conditions, message};

    fn guest(path: &str) -> PathBuf {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.join("..").join(path)
    }

    fn misbehave(limits: Limits) -> MeteredSandbox {
        let file = guest("tests/guests/misbehave.wasm");
        MeteredSandbox::load(&file, &conditions(limits)).unwrap()
    }

    fn judge(sandbox: &MeteredSandbox, asked: &str, amount: usize) -> (Option<Reason>, Usage) {
        let body = format!(r#"{{"do":"{asked}","amount":"{amount}","user_id":"user"}}"#);
        let (verdict, usage) = sandbox.judge(&message(&body));
        match verdict {
            Verdict::Reject(rejection) => (Some(rejection.reason), usage),
            _ => (None, usage),
        }
    }

    /// Time is no part of it: whoever waits for a loaded machine is not at fault.
    fn patient() -> Limits {
        Limits {
            message_ms_max: 600_000,
            ..Limits::default()
        }
    }

    #[test]
    fn instructions_depend_on_the_message_alone() {
        let sandbox = misbehave(patient());
        let instructions = |turns| judge(&sandbox, "spin", turns).1.instructions;
        let (few, many) = (instructions(1_000), instructions(2_000));
        assert_eq!(few, instructions(1_000));
        // Each turn is a few of them.
        assert!((many - few).is_multiple_of(1_000), "{few}, {many}");
        assert!(many - few >= 1_000, "{few}, {many}");
    }

    #[test]
    fn instructions_end_at_their_limit() {
        let limits = Limits {
            message_instructions_max: 1_000_000,
            ..patient()
        };
        let sandbox = misbehave(limits);
        assert_eq!(judge(&sandbox, "spin", 10_000).0, None);
        let (reason, usage) = judge(&sandbox, "spin", 0);
        assert_eq!(reason, Some(Reason::TimeLimit));
        assert!(usage.instructions <= 1_000_000);
        assert!(usage.instructions > 990_000, "{usage:?}");
    }

    #[test]
    fn memory_is_measured_at_its_largest() {
        const MIB: usize = 1 << 20;
        let sandbox = misbehave(patient());
        let memory = |mib| judge(&sandbox, "grow", mib).1.memory_bytes / MIB;
        let (eight, twenty) = (memory(8), memory(20));
        assert!((8..12).contains(&eight), "{eight} MiB");
        assert!((20..32).contains(&twenty), "{twenty} MiB");
        let (reason, usage) = judge(&sandbox, "grow", 0);
        assert_eq!(reason, Some(Reason::MemoryLimit));
        let max = sandbox.limits().memory_bytes_max;
        assert!((max - 2 * MIB..=max).contains(&usage.memory_bytes));
    }

    #[test]
    fn rows_and_their_bytes_are_measured_also_where_they_are_refused() {
        let limits = Limits {
            rows_per_message_max: 7,
            ..patient()
        };
        let sandbox = misbehave(limits);
        // A text of four bytes, and two nulls.
        for (rows, refused) in [(7, None), (8, Some(Reason::ResultLimit))] {
            let (reason, usage) = judge(&sandbox, "give-rows", rows);
            assert_eq!(reason, refused);
            assert_eq!((usage.rows, usage.result_bytes), (rows, rows * (4 + 8 + 8)));
        }
        let (reason, usage) = judge(&sandbox, "skip", 0);
        assert_eq!((reason, usage.rows, usage.result_bytes), (None, 0, 0));
    }

    #[test]
    fn a_batch_is_measured_in_one_instance() {
        let sandbox = misbehave(patient());
        let body = r#"{"do":"give-rows","amount":"3","user_id":"user"}"#;
        let one = sandbox.judge(&message(body)).1;
        let two = sandbox.measure_batch(&[message(body), message(body)]);
        let two = two.unwrap();
        assert_eq!((two.rows, two.result_bytes), (6, 2 * one.result_bytes));
        // The second has no instance to make.
        assert!(two.instructions > one.instructions);
        assert!(two.instructions < 2 * one.instructions);
        assert_eq!(one.max(two).rows, 6);
        let broken = message(r#"{"do":"trap","user_id":"user"}"#);
        let fault = sandbox.measure_batch(&[message(body), broken]);
        assert_eq!(fault, Err(Reason::Trap));
    }

    #[test]
    fn a_verdict_is_the_one_of_the_running_engine_which_counts_nothing() {
        let conditions = conditions(patient());
        let file = guest("guests/sha256_mask.wasm");
        let running = Sandbox::load(&file, &conditions, 1).unwrap();
        let metered = MeteredSandbox::load(&file, &conditions).unwrap();
        let body = r#"{"user_id":"user","app_version":"1","device_type":"ios",
                       "ip":"192.0.2.7","device_id":"invented-device"}"#;
        let verdicts = running.judge(&[message(body)]);
        let (verdict, usage) = metered.judge(&message(body));
        let rows = |verdict: &Verdict| match verdict {
            Verdict::Rows(rows) => rows.clone(),
            _ => Vec::new(),
        };
        assert_eq!(rows(&verdict).len(), 1);
        assert_eq!(rows(&verdict), rows(&verdicts[0]));
        assert!(usage.instructions > 0);
        let instance = Instance::fresh(&running.program, 1_000).ok().unwrap();
        assert!(instance.store.get_fuel().is_err());
    }

    #[test]
    fn usage_is_told_against_the_limits() {
        let usage = Usage {
            instructions: 12,
            memory_bytes: 65_536,
            table_elements: 3,
            time: Duration::from_micros(2_900),
            rows: 1,
            result_bytes: 148,
        };
        let shares = usage.shares(&Limits::default());
        assert_eq!(
            shares.map(|share| share.to_string()),
            [
                "time 2900 of 1000000 µs",
                "instructions 12 of 2000000000",
                "memory 65536 of 67108864 bytes",
                "tables 3 of 100000 elements",
                "rows 1 of 1000",
                "result 148 of 4194304 bytes",
            ]
        );
    }
}
