//! Testing a component: its cases, and what holds of every message.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;

use super::inputs;
use super::properties::{self, Property};
use crate::exit::{Ends, Failure, Kind, failure};
use crate::sandbox::{Conditions, Pointer, Sandbox};

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
    /// How it is run.
    pub conditions: Conditions,
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
    pub failed: Vec<FailedCase>,
    /// Each property, and where it does not hold.
    pub properties: Vec<PropertyReport>,
    /// How long it took, in seconds, after the component was compiled.
    pub seconds: f64,
}

/// A case whose expectations are not met.
#[derive(Debug, Serialize)]
pub struct FailedCase {
    /// Its name.
    pub case: String,
    /// The file in which it stands.
    pub file: PathBuf,
    /// In what it differs, a line each.
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
    /// The component does not load (78), or the cases cannot be read (65).
    pub fn run(mut self) -> Result<Report, Failure> {
        let sandbox =
            Sandbox::load(&self.component, &self.conditions, 1).ends_as(Kind::Configuration)?;
        if self.inputs.is_empty() {
            self.inputs.push(PathBuf::from(CASES_DEFAULT));
        }
        let description = sandbox.description();
        let read = || -> anyhow::Result<_> {
            let cases = inputs::read(&self.inputs, &description.columns)?;
            if cases.is_empty() {
                bail!("there is no case in it");
            }
            Ok(cases)
        };
        let cases = read().context("read the cases").ends_as(Kind::Data)?;
        let began = Instant::now();
        let found = properties::check(&sandbox, &cases, &self.may_collide);
        let mut failed = Vec::new();
        for (case, verdict) in cases.iter().zip(&found.verdicts) {
            let expected = case.expected.as_ref();
            let differences = expected
                .map(|expected| expected.differences(verdict, &description.columns))
                .unwrap_or_default();
            if !differences.is_empty() {
                failed.push(FailedCase {
                    case: case.name.clone(),
                    file: case.file.clone(),
                    differences,
                });
            }
        }
        let properties = Property::ALL.map(|property| PropertyReport {
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
        });
        Ok(Report {
            component: format!(
                "{} {} {}",
                description.name,
                description.version,
                sandbox.digest()
            ),
            inputs: cases.len(),
            cases: cases.iter().filter(|case| case.expected.is_some()).count(),
            judged: found.judged,
            failed,
            properties: properties.into(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }
}

impl Report {
    /// What the program ends with: nothing where all is well.
    pub fn failure(&self) -> Option<Failure> {
        let violated = self.properties.iter().filter(|p| !p.violations.is_empty());
        let (cases, properties) = (self.failed.len(), violated.count());
        if cases + properties == 0 {
            return None;
        }
        let words = format!(
            "the component fails: {cases} of {} cases, {properties} of {} properties",
            self.cases,
            self.properties.len()
        );
        Some(failure(Kind::Data, words))
    }

    /// Several lines, for a person.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.component);
        for FailedCase {
            case,
            file,
            differences,
        } in self.failed.iter().take(SHOWN_MAX)
        {
            let _ = writeln!(text, "FAILED  {case} ({})", file.display());
            for difference in differences {
                let _ = writeln!(text, "          {difference}");
            }
        }
        let more = self.failed.len().saturating_sub(SHOWN_MAX);
        if more > 0 {
            let _ = writeln!(text, "        and {more} more cases");
        }
        for PropertyReport {
            property,
            violations,
        } in &self.properties
        {
            let verdict = match violations.is_empty() {
                true => "ok    ",
                false => "FAILED",
            };
            let _ = writeln!(text, "{verdict}  {property}");
            for Violation { case, seen } in violations.iter().take(SHOWN_MAX) {
                let _ = writeln!(text, "          {case}: {seen}");
            }
            let more = violations.len().saturating_sub(SHOWN_MAX);
            if more > 0 {
                let _ = writeln!(text, "          and {more} more");
            }
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
