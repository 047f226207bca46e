//! The measuring itself: what is timed runs as in a run, what is counted runs
//! on an engine that counts, and the two are never mixed.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use super::Measured;
use crate::message::Message;
use crate::sandbox::{Conditions, Isolation, Limits, MeteredSandbox, Sandbox, Share, Usage};
use crate::verdict::{Reason, Verdict};

/// Instances that are timed, at most.
const INSTANCES_MAX: usize = 1_000;
/// Batches whose instructions and memory are counted, at most; they depend on
/// nothing but the messages.
const BATCHES_COUNTED_MAX: usize = 20;
/// Messages that are judged alone, each in an instance of its own, at most.
const ALONE_MAX: usize = 1_000;
/// Instructions of a batch that are counted: more than any time limit allows.
const INSTRUCTIONS_MAX: u64 = u64::MAX / 2;
const NS_PER_SECOND: f64 = 1e9;

/// How it is measured.
pub(super) struct Plan {
    pub(super) batch_messages: usize,
    /// For how long each component judges. As long again at most for what is
    /// measured beside that.
    pub(super) time_max: Duration,
    pub(super) isolation: Isolation,
}

/// A component that is measured.
pub(super) struct Subject {
    sandbox: Sandbox,
    metered: MeteredSandbox,
    limits: Limits,
    outcomes: BTreeMap<String, u64>,
    /// In the order of judging: each batch, in nanoseconds.
    batches: Vec<u64>,
    /// Each instance, in nanoseconds.
    instances: Vec<u64>,
    /// What messages take alone.
    alone: Counted,
    /// What they take in batches.
    together: Counted,
    /// Why a batch cannot be judged in one instance.
    fault: Option<Reason>,
}

/// What was counted.
#[derive(Default)]
struct Counted {
    instructions: u64,
    messages: u64,
    /// The most that one message, or one batch, took.
    most: Usage,
}

impl Counted {
    fn add(&mut self, messages: usize, usage: Usage) {
        self.instructions += usage.instructions;
        self.messages += messages as u64;
        self.most = self.most.max(usage);
    }

    fn instructions_a_message(&self) -> f64 {
        self.instructions as f64 / self.messages.max(1) as f64
    }
}

/// How a measure is spread, in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
}

impl Spread {
    /// None of nothing.
    fn of(mut samples: Vec<u64>) -> Option<Self> {
        samples.sort_unstable();
        let count = samples.len();
        // The smallest sample that so many percent are not above.
        let percentile = |percent: usize| {
            let rank = (count * percent).div_ceil(100).max(1);
            samples.get(rank - 1).copied()
        };
        let sum: u128 = samples.iter().map(|sample| u128::from(*sample)).sum();
        Some(Self {
            p50: percentile(50)?,
            p90: percentile(90)?,
            p99: percentile(99)?,
            mean: sum as f64 / count as f64,
        })
    }
}

impl Plan {
    /// Measures all, in turns.
    pub(super) fn run(&self, subjects: &mut [Subject], inputs: &[Message]) {
        let filled = self.filled(inputs);
        let batches: Vec<&[Message]> = filled.chunks(self.batch_messages).collect();
        for subject in subjects.iter_mut() {
            // Which also warms up what is timed.
            subject.judge_all(inputs, self.batch_messages);
        }
        let all = u32::try_from(subjects.len()).unwrap_or(u32::MAX);
        in_turns(
            subjects,
            self.time_max * all,
            usize::MAX,
            |subject, turn| {
                subject.time_batch(batches[turn % batches.len()]);
            },
        );
        let beside = self.time_max * all / 4;
        in_turns(subjects, beside, INSTANCES_MAX, |subject, _| {
            subject.time_instance();
        });
        in_turns(
            subjects,
            beside,
            inputs.len().min(ALONE_MAX),
            |subject, turn| {
                subject.count_alone(&inputs[turn]);
            },
        );
        if self.in_batches() {
            let counted = batches.len().min(BATCHES_COUNTED_MAX);
            in_turns(subjects, beside, counted, |subject, turn| {
                subject.count_batch(batches[turn]);
            });
        }
    }

    /// The messages, over again until the last batch is full.
    fn filled(&self, inputs: &[Message]) -> Vec<Message> {
        let count = inputs.len().next_multiple_of(self.batch_messages);
        inputs.iter().cycle().take(count).cloned().collect()
    }

    /// Whether messages share an instance.
    fn in_batches(&self) -> bool {
        self.isolation == Isolation::Batch && self.batch_messages > 1
    }
}

/// One turn after the other, each component once in each, until the time is up
/// or there were so many turns; at least one. Who begins changes from turn to
/// turn, so that what slows the machine down meets all alike.
fn in_turns(
    subjects: &mut [Subject],
    time_max: Duration,
    turns_max: usize,
    mut measure: impl FnMut(&mut Subject, usize),
) {
    let began = Instant::now();
    for turn in 0..turns_max {
        if turn > 0 && began.elapsed() >= time_max {
            break;
        }
        match turn.is_multiple_of(2) {
            true => subjects
                .iter_mut()
                .for_each(|subject| measure(subject, turn)),
            false => subjects
                .iter_mut()
                .rev()
                .for_each(|subject| measure(subject, turn)),
        }
    }
}

impl Subject {
    /// Loads a component twice: as a run does, and on an engine that counts.
    ///
    /// # Errors
    /// It does not load.
    pub(super) fn load(file: &Path, conditions: &Conditions) -> Result<Self> {
        let counting = Conditions {
            limits: Limits {
                // A run does not count, so it has no such limit: the time is
                // what ends a message here too.
                message_instructions_max: INSTRUCTIONS_MAX,
                ..conditions.limits
            },
            ..conditions.clone()
        };
        Ok(Self {
            sandbox: Sandbox::load(file, conditions, 1)?,
            metered: MeteredSandbox::load(file, &counting)?,
            limits: conditions.limits,
            outcomes: BTreeMap::new(),
            batches: Vec::new(),
            instances: Vec::new(),
            alone: Counted::default(),
            together: Counted::default(),
            fault: None,
        })
    }

    fn judge_all(&mut self, inputs: &[Message], batch_messages: usize) {
        for batch in inputs.chunks(batch_messages) {
            for verdict in self.sandbox.judge(batch) {
                let outcome = match verdict {
                    Verdict::Rows(_) => "rows".to_owned(),
                    Verdict::Skip => "skip".to_owned(),
                    Verdict::Reject(rejection) => format!("reject {}", rejection.reason),
                };
                *self.outcomes.entry(outcome).or_default() += 1;
            }
        }
    }

    fn time_batch(&mut self, batch: &[Message]) {
        let began = Instant::now();
        black_box(self.sandbox.judge(black_box(batch)));
        self.batches.push(nanoseconds(began.elapsed()));
    }

    fn time_instance(&mut self) {
        // One that cannot be configured has been told of: its messages are
        // rejected.
        if let Ok(took) = self.sandbox.time_instance() {
            self.instances.push(nanoseconds(took));
        }
    }

    fn count_alone(&mut self, message: &Message) {
        let began = Instant::now();
        black_box(self.sandbox.judge(std::slice::from_ref(message)));
        let took = began.elapsed();
        let (_, counted) = self.metered.judge(message);
        // Counting takes time of its own.
        let usage = Usage {
            time: took,
            ..counted
        };
        self.alone.add(1, usage);
    }

    fn count_batch(&mut self, batch: &[Message]) {
        match self.metered.measure_batch(batch) {
            Ok(usage) => self.together.add(batch.len(), usage),
            Err(reason) => self.fault = Some(reason),
        }
    }

    /// What has been measured.
    pub(super) fn measured(&self, plan: &Plan) -> Option<Measured> {
        let batches = self.batches.iter();
        let messages = plan.batch_messages as u64;
        let ns_a_message = Spread::of(batches.map(|batch| batch / messages).collect())?;
        // Those of a batch that faults are judged alone.
        let counted = match self.together.messages {
            0 => &self.alone,
            _ => &self.together,
        };
        Some(Measured {
            component: self.sandbox.label(),
            outcomes: self.outcomes.clone(),
            batches: self.batches.len(),
            messages_per_second: NS_PER_SECOND / ns_a_message.mean.max(1.0),
            ns_a_message,
            ns_an_instance: Spread::of(self.instances.clone()),
            instructions_a_message: counted.instructions_a_message(),
            memory_bytes: counted.most.memory_bytes,
            batch_fault: self.fault.as_ref().map(Reason::to_string),
            limits: self.limits(plan),
        })
    }

    fn limits(&self, plan: &Plan) -> Vec<Share> {
        let Usage {
            memory_bytes,
            table_elements,
            ..
        } = self.alone.most.max(self.together.most);
        let most = Usage {
            memory_bytes,
            table_elements,
            ..self.alone.most
        };
        let mut shares = most.shares(&self.limits).to_vec();
        if plan.in_batches() {
            let slowest = self.batches.iter().max().copied().unwrap_or(0);
            shares.insert(
                0,
                Share {
                    name: "time of a batch",
                    unit: "µs",
                    used: slowest / 1_000,
                    max: self.limits.batch_ms_max.saturating_mul(1_000),
                },
            );
        }
        shares
    }
}

/// By how much longer the first takes than the second: the median over the turns,
/// in each of which both have judged the same batch.
pub(super) fn paired_ratio(subjects: &[Subject]) -> f64 {
    let [one, other] = subjects else { return 1.0 };
    let pairs = one.batches.iter().zip(&other.batches);
    median(
        pairs
            .map(|(one, other)| *one as f64 / (*other).max(1) as f64)
            .collect(),
    )
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(1.0)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_so_many_are_not_above() {
        let spread = Spread::of((1..=1_000).rev().collect()).unwrap();
        assert_eq!((spread.p50, spread.p90, spread.p99), (500, 900, 990));
        assert!((spread.mean - 500.5).abs() < 1e-9);
        let one = Spread::of(vec![7]).unwrap();
        assert_eq!((one.p50, one.p99), (7, 7));
        assert!(Spread::of(Vec::new()).is_none());
    }

    #[test]
    fn a_median_is_not_moved_by_one_slow_turn() {
        assert!((median(vec![1.1, 900.0, 0.9]) - 1.1).abs() < 1e-9);
        assert!((median(Vec::new()) - 1.0).abs() < 1e-9);
    }
}
