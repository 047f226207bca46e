//! `etl-host bench`: how fast a component is and what it takes of each limit,
//! alone or beside another one in the same run.

mod measure;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, value_parser};
use serde::Serialize;

use super::inputs;
use super::shares::{grouped, share_table};
use crate::cli::{BATCH_MESSAGES_DEFAULT, ComponentArgs, Output, at_least_one};
use crate::exit::{Ends, Failure, Kind};
use crate::message::Message;
use crate::sandbox::{Conditions, Share};
use measure::{Plan, Spread, Subject};

/// Long enough for a median that repeats itself within a few percent.
const SECS_DEFAULT: u64 = 5;
/// Each batch's time is kept until the end: those of a minute take some
/// megabytes.
const SECS_MAX: u64 = 60;
/// The largest batch, in messages: as many as a run has in work by default.
const BATCH_MESSAGES_MAX: usize = 2_000;

/// What the bench subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  etl-host bench guests/sha256_mask.wasm --input bodies.jsonl
  etl-host bench next_mask.wasm --baseline guests/sha256_mask.wasm --input cases/

One thread judges, as each of a run's does, with the leak guard and all limits.
The two components take turns, batch by batch; a ratio below 1 is less than the
baseline's.")]
pub struct BenchArgs {
    /// The transform component (.wasm).
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// Messages: bodies, one a line (.jsonl), messages as SQS writes them
    /// (.json), cases (.toml), or folders with such files.
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<PathBuf>,
    /// Another component, which is measured beside it under the same conditions.
    #[arg(long, value_name = "COMPONENT")]
    baseline: Option<PathBuf>,
    /// For how long each component judges, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = SECS_DEFAULT,
        value_parser = value_parser!(u64).range(1..=SECS_MAX)
    )]
    secs: u64,
    /// Messages of one batch, repeated where there are fewer; the default is the
    /// most that a run takes at once.
    #[arg(
        long,
        value_name = "N",
        default_value_t = BATCH_MESSAGES_DEFAULT,
        value_parser = batch_messages
    )]
    batch_messages: usize,
    #[command(flatten)]
    conditions: ComponentArgs,
    /// How the result is printed.
    #[arg(long, env = "ETL_HOST_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

fn batch_messages(text: &str) -> Result<usize, String> {
    match at_least_one(text)? {
        messages if messages > BATCH_MESSAGES_MAX => {
            Err(format!("expected at most {BATCH_MESSAGES_MAX}"))
        }
        messages => Ok(messages),
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many messages the files have.
    inputs: usize,
    /// How many are judged at a time.
    batch_messages: usize,
    /// For how long each component has judged, in seconds.
    secs: u64,
    component: Measured,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<Ratio>,
}

/// What was measured of one component.
#[derive(Debug, Serialize)]
struct Measured {
    /// Its name, version and SHA-256.
    component: String,
    /// What becomes of the inputs: how many give rows, are skipped, or are
    /// rejected, by the reason.
    outcomes: BTreeMap<String, u64>,
    /// Batches that were timed.
    batches: usize,
    messages_per_second: f64,
    /// A message's part of its batch's time.
    ns_a_message: Spread,
    /// An instance: made, configured and dropped again.
    ns_an_instance: Option<Spread>,
    /// WebAssembly instructions, an instance's own among them.
    instructions_a_message: f64,
    /// The linear memory of the batch that took most, in bytes.
    memory_bytes: usize,
    /// Why a batch is judged message by message, if one is.
    batch_fault: Option<String>,
    /// The most that was used of each limit.
    limits: Vec<Share>,
}

/// The component's measures, each by the baseline's.
#[derive(Debug, Serialize)]
struct Ratio {
    messages_per_second: f64,
    /// The median of the ratios of two batches that were judged in turn.
    ns_a_message: f64,
    ns_an_instance: Option<f64>,
    instructions_a_message: f64,
    memory_bytes: f64,
}

impl BenchArgs {
    /// Measures.
    ///
    /// # Errors
    /// A component does not load (78), or the messages cannot be read (65).
    pub fn run(self) -> Result<Report, Failure> {
        let conditions = self.conditions.conditions(Vec::new())?;
        let mut subjects = vec![load(&self.component, &conditions)?];
        if let Some(baseline) = &self.baseline {
            let loaded = load(baseline, &conditions).map_err(|failure| {
                let words = format!("the baseline: {}", failure.message());
                crate::exit::failure(failure.kind(), words)
            });
            subjects.push(loaded?);
        }
        let read = || -> anyhow::Result<Vec<Message>> {
            let cases = inputs::messages(&self.input)?;
            if cases.is_empty() {
                bail!("there is no message in it");
            }
            Ok(cases.into_iter().map(|case| case.message).collect())
        };
        let inputs = read().context("read the messages").ends_as(Kind::Data)?;
        let plan = Plan {
            batch_messages: self.batch_messages,
            time_max: Duration::from_secs(self.secs),
            isolation: conditions.isolation,
        };
        plan.run(&mut subjects, &inputs);
        let measured = |subject: &Subject| {
            let measured = subject.measured(&plan);
            measured
                .context("measure a component")
                .ends_as(Kind::Internal)
        };
        let component = measured(&subjects[0])?;
        let baseline = subjects.get(1).map(measured).transpose()?;
        let ratio = baseline.as_ref().map(|baseline| Ratio {
            ns_a_message: measure::paired_ratio(&subjects),
            ..Ratio::of(&component, baseline)
        });
        Ok(Report {
            inputs: inputs.len(),
            batch_messages: self.batch_messages,
            secs: self.secs,
            component,
            baseline,
            ratio,
        })
    }
}

fn load(file: &Path, conditions: &Conditions) -> Result<Subject, Failure> {
    Subject::load(file, conditions).ends_as(Kind::Configuration)
}

impl Ratio {
    fn of(component: &Measured, baseline: &Measured) -> Self {
        let instances = component.ns_an_instance.zip(baseline.ns_an_instance);
        Self {
            messages_per_second: by(component.messages_per_second, baseline.messages_per_second),
            ns_a_message: by(
                component.ns_a_message.p50 as f64,
                baseline.ns_a_message.p50 as f64,
            ),
            ns_an_instance: instances.map(|(one, other)| by(one.p50 as f64, other.p50 as f64)),
            instructions_a_message: by(
                component.instructions_a_message,
                baseline.instructions_a_message,
            ),
            memory_bytes: by(component.memory_bytes as f64, baseline.memory_bytes as f64),
        }
    }
}

/// Nothing by nothing is as much.
fn by(one: f64, other: f64) -> f64 {
    match one == other {
        true => 1.0,
        false => one / other.max(f64::MIN_POSITIVE),
    }
}

impl Report {
    /// Several lines, for a person.
    pub fn text(&self) -> String {
        let mut text = self.component.title("component");
        if let Some(baseline) = &self.baseline {
            text.push_str(&baseline.title("baseline"));
        }
        let turns = match self.baseline {
            Some(_) => ", taking turns",
            None => "",
        };
        let _ = writeln!(
            text,
            "{} in batches of {}; {} batches in {} s{turns}\n",
            messages(self.inputs),
            self.batch_messages,
            grouped(self.component.batches as u64),
            self.secs,
        );
        text.push_str(&self.table());
        let _ = write!(
            text,
            "\nused of the limits, at most\n{}",
            share_table(&self.component.limits)
        );
        if let Some(fault) = &self.component.batch_fault {
            let _ = writeln!(text, "  a batch is judged message by message: {fault}");
        }
        text
    }

    fn table(&self) -> String {
        let ratio = self.ratio.as_ref();
        let mut table = Table::new(self.baseline.is_some());
        let of = |measure: &dyn Fn(&Measured) -> Option<f64>| {
            let baseline = self.baseline.as_ref().and_then(measure);
            (measure(&self.component), baseline)
        };
        table.line(
            "messages a second",
            of(&|measured| Some(measured.messages_per_second)),
            ratio.map(|ratio| ratio.messages_per_second),
        );
        table.line(
            "ns a message, mean",
            of(&|measured| Some(measured.ns_a_message.mean)),
            None,
        );
        table.line(
            "  p50",
            of(&|measured| Some(measured.ns_a_message.p50 as f64)),
            ratio.map(|ratio| ratio.ns_a_message),
        );
        table.line(
            "  p90",
            of(&|measured| Some(measured.ns_a_message.p90 as f64)),
            None,
        );
        table.line(
            "  p99",
            of(&|measured| Some(measured.ns_a_message.p99 as f64)),
            None,
        );
        table.line(
            "ns an instance, p50",
            of(&|measured| Some(measured.ns_an_instance?.p50 as f64)),
            ratio.and_then(|ratio| ratio.ns_an_instance),
        );
        table.line(
            "instructions a message",
            of(&|measured| Some(measured.instructions_a_message)),
            ratio.map(|ratio| ratio.instructions_a_message),
        );
        table.line(
            "memory, in bytes",
            of(&|measured| Some(measured.memory_bytes as f64)),
            ratio.map(|ratio| ratio.memory_bytes),
        );
        table.text
    }
}

fn messages(count: usize) -> String {
    match count {
        1 => "1 message, again and again,".to_owned(),
        count => format!("{} messages", grouped(count as u64)),
    }
}

impl Measured {
    fn title(&self, what: &str) -> String {
        let outcomes = self.outcomes.iter();
        let outcomes: Vec<String> = outcomes
            .map(|(outcome, messages)| format!("{outcome} {}", grouped(*messages)))
            .collect();
        format!("{what:<10} {}: {}\n", self.component, outcomes.join(", "))
    }
}

/// The measures, a line each.
struct Table {
    text: String,
    compares: bool,
}

impl Table {
    fn new(compares: bool) -> Self {
        let mut text = String::new();
        if compares {
            let (component, baseline, ratio) = ("component", "baseline", "ratio");
            let _ = writeln!(text, "{:<24} {component:>15} {baseline:>15} {ratio:>8}", "");
        }
        Self { text, compares }
    }

    fn line(&mut self, name: &str, measures: (Option<f64>, Option<f64>), ratio: Option<f64>) {
        let number = |measure: Option<f64>| {
            measure.map_or_else(|| "-".to_owned(), |measure| grouped(measure.round() as u64))
        };
        let (component, baseline) = (number(measures.0), number(measures.1));
        let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let line = match self.compares {
            true => format!("{name:<24} {component:>15} {baseline:>15} {ratio:>8}"),
            false => format!("{name:<24} {component:>15}"),
        };
        let _ = writeln!(self.text, "{}", line.trim_end());
    }
}
