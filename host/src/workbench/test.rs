//! Testing a component: its cases, and what holds of every message.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;

use super::case::lines;
use super::fuzz::{Fuzz, FuzzReport};
use super::inputs;
use super::properties::{self, Found, Property};
use super::room::{self, Room};
use super::update::{Update, folder_of};
use crate::exit::{Ends, Failure, Kind, failure};
use crate::sandbox::{Conditions, MeteredSandbox, Pointer, Sandbox};

/// Where cases are looked for unless it is said.
const CASES_DEFAULT: &str = "cases";
/// The failures that are shown one by one.
const SHOWN_MAX: usize = 20;

/// A component to be tested.
pub struct Test {
    /// Its file.
    pub component: PathBuf,
    /// Files and folders of cases; none for the folder `cases`.
    pub inputs: Vec<PathBuf>,
    /// Fields of which different values may become one.
    pub may_collide: Vec<Pointer>,
    /// Whether case files are to be changed to what came out.
    pub update: bool,
    /// What else it is tried on.
    pub fuzz: Option<Fuzz>,
    /// How it is run.
    pub conditions: Conditions,
}

/// A component that has been tested.
pub struct Tested {
    /// What that has shown.
    pub report: Report,
    update: Update,
}

impl Tested {
    /// Changes the case files, once the report has been seen.
    ///
    /// # Errors
    /// A file cannot be changed (73).
    pub fn update(&self) -> Result<(), Failure> {
        self.update.write().ends_as(Kind::CannotCreate)
    }
}

/// What a test has shown.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The component's name, version and SHA-256.
    pub component: String,
    /// How many inputs there were.
    pub inputs: usize,
    /// How many of them have expectations.
    pub cases: usize,
    /// How many messages were judged in all, with the variants of inputs.
    pub judged: usize,
    /// Cases whose expectations are not met.
    pub failed: Vec<CaseReport>,
    /// Cases that expect from now on what came out.
    pub updated: Vec<CaseReport>,
    /// Each property, and where it does not hold.
    pub properties: Vec<PropertyReport>,
    /// What the fuzzing has shown, where it was asked for.
    pub fuzz: Option<FuzzReport>,
    /// What the inputs take of each limit, at most.
    pub limits: Vec<Room>,
    /// How long it took, in seconds, after the component was compiled.
    pub seconds: f64,
    /// All cases with expectations.
    #[serde(skip)]
    pub(super) tried: Vec<CaseReport>,
}

/// A case, and what is told of it.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub case: String,
    /// The file in which it stands.
    pub file: PathBuf,
    /// In what it differs, or what it did not expect, a line each.
    pub differences: Vec<String>,
}

/// A property, and where it does not hold.
#[derive(Debug, Serialize)]
pub struct PropertyReport {
    /// What it says.
    pub property: &'static str,
    /// The inputs of which it does not hold, and what was seen.
    pub violations: Vec<Violation>,
}

/// An input of which a property does not hold.
#[derive(Debug, Serialize)]
pub struct Violation {
    /// The input's name.
    pub case: String,
    /// What was seen.
    pub seen: String,
}

impl Test {
    /// Tests.
    ///
    /// # Errors
    /// The component does not load (78), the cases cannot be read (65), or what
    /// fuzzing finds cannot be kept (73).
    pub fn run(mut self) -> Result<Tested, Failure> {
        let sandbox =
            Sandbox::load(&self.component, &self.conditions, 1).ends_as(Kind::Configuration)?;
        let metered =
            MeteredSandbox::load(&self.component, &self.conditions).ends_as(Kind::Configuration)?;
        if self.inputs.is_empty() {
            self.inputs.push(PathBuf::from(CASES_DEFAULT));
        }
        let description = sandbox.description();
        let began = Instant::now();
        let read = || -> anyhow::Result<_> {
            let cases = inputs::read(&self.inputs, &description.columns)?;
            if cases.is_empty() {
                bail!("there is no case in it");
            }
            Ok(cases)
        };
        let cases = read().context("read the cases").ends_as(Kind::Data)?;
        let found = properties::check(&sandbox, &cases, &self.may_collide);
        let limits = room::measure(&metered, &cases);
        let fuzz = self.fuzz.map(|fuzz| {
            let folder = folder_of(&self.inputs[0]);
            fuzz.run(&sandbox, &cases, folder)
        });
        let fuzz = fuzz.transpose().ends_as(Kind::CannotCreate)?;
        let mut tested = Tested {
            report: Report {
                component: sandbox.label(),
                inputs: cases.len(),
                cases: cases.iter().filter(|case| case.expected.is_some()).count(),
                judged: found.judged + cases.len() + fuzz.as_ref().map_or(0, |fuzz| fuzz.inputs),
                failed: Vec::new(),
                updated: Vec::new(),
                properties: property_reports(&found),
                fuzz,
                limits,
                seconds: 0.0,
                tried: Vec::new(),
            },
            update: Update::new(&description.columns),
        };
        for (case, verdict) in cases.iter().zip(&found.verdicts) {
            let mut seen = CaseReport {
                case: case.name.clone(),
                file: case.file.clone(),
                differences: match &case.expected {
                    Some(expected) => expected.differences(verdict, &description.columns),
                    None if self.update => lines(verdict, &description.columns),
                    None => Vec::new(),
                },
            };
            let report = &mut tested.report;
            let differs = !seen.differences.is_empty();
            if differs && self.update && tested.update.takes(case, verdict) {
                report.updated.push(seen.clone());
                seen.differences.clear();
            } else if differs && case.expected.is_some() {
                report.failed.push(seen.clone());
            }
            if case.expected.is_some() {
                report.tried.push(seen);
            }
        }
        tested.report.seconds = began.elapsed().as_secs_f64();
        Ok(tested)
    }
}

fn property_reports(found: &Found) -> Vec<PropertyReport> {
    let of = |property: Property| PropertyReport {
        property: property.words(),
        violations: found
            .findings
            .iter()
            .filter(|finding| finding.property == property)
            .map(|finding| Violation {
                case: finding.case.clone(),
                seen: finding.words.clone(),
            })
            .collect(),
    };
    Property::ALL.map(of).into()
}

impl Report {
    /// What the program ends with: nothing where all is well.
    pub fn failure(&self) -> Option<Failure> {
        let violated = self.properties.iter().filter(|p| !p.violations.is_empty());
        let (cases, properties) = (self.failed.len(), violated.count());
        let fuzzed = self.fuzz.as_ref().map_or(0, |fuzz| fuzz.failures.len());
        if cases + properties + fuzzed == 0 {
            return None;
        }
        let mut words = format!(
            "the component fails: {cases} of {} cases, {properties} of {} properties",
            self.cases,
            self.properties.len()
        );
        if fuzzed > 0 {
            let _ = write!(words, ", in {fuzzed} ways on fuzzed inputs");
        }
        Some(failure(Kind::Data, words))
    }

    /// Several lines, for a person.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.component);
        cases_text(&mut text, "FAILED ", &self.failed);
        cases_text(&mut text, "UPDATED", &self.updated);
        for PropertyReport {
            property,
            violations,
        } in &self.properties
        {
            let seen = violations.iter();
            let seen: Vec<String> = seen
                .map(|Violation { case, seen }| format!("{case}: {seen}"))
                .collect();
            property_text(&mut text, property, &seen);
        }
        if let Some(FuzzReport {
            inputs,
            seed,
            failures,
        }) = &self.fuzz
        {
            let seen = failures.iter().map(|failure| {
                let (inputs, case) = (failure.inputs, failure.case.display());
                format!("{}: {inputs} inputs, the smallest in {case}", failure.seen)
            });
            let property = format!("{inputs} fuzzed inputs, --seed {seed}: no fault, no leak");
            property_text(&mut text, &property, &seen.collect::<Vec<_>>());
        }
        text.push_str("\nat most used by a message, alone\n");
        for room in &self.limits {
            let Room {
                limit,
                unit,
                used,
                max,
                case,
            } = room;
            let percent = room.percent();
            let most = format!("{used} of {max} {unit}");
            let _ = writeln!(
                text,
                "  {limit:<14}{percent:>3} %  {:<32}{case}",
                most.trim_end()
            );
        }
        let passed = self.cases - self.failed.len();
        let _ = writeln!(
            text,
            "\n{passed} of {} cases passed; {} inputs, judged {} times, in {:.2} s",
            self.cases, self.inputs, self.judged, self.seconds
        );
        text
    }
}

fn cases_text(text: &mut String, verdict: &str, cases: &[CaseReport]) {
    for CaseReport {
        case,
        file,
        differences,
    } in cases.iter().take(SHOWN_MAX)
    {
        let _ = writeln!(text, "{verdict} {case} ({})", file.display());
        for difference in differences {
            let _ = writeln!(text, "          {difference}");
        }
    }
    let more = cases.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        let _ = writeln!(text, "        and {more} more cases");
    }
}

fn property_text(text: &mut String, property: &str, seen: &[String]) {
    let verdict = match seen.is_empty() {
        true => "ok    ",
        false => "FAILED",
    };
    let _ = writeln!(text, "{verdict}  {property}");
    for seen in seen.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "          {seen}");
    }
    let more = seen.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        let _ = writeln!(text, "          and {more} more");
    }
}
