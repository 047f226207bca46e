//! Comparing two components: what would change if the one took the other's
//! place, told by counts and kinds, for the people who have to agree to it.
//!
//! No value of an input is ever told. Values that come out are told where they
//! are asked for, and not of a message of which one component gives out what
//! the other holds sensitive.

mod args;
mod changes;
mod page;
mod report;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use super::case::Case;
use super::inputs;
use crate::exit::{Ends, Failure, Kind};
use crate::message::Message;
use crate::sandbox::{Conditions, Digest, Sandbox};

pub use args::CompareArgs;
pub use report::Report;

use changes::Changes;
use report::{Input, Side};

/// The messages that are judged in one instance.
const BATCH_MESSAGES: usize = 100;

/// Two components to be compared.
pub struct Compare {
    /// The one that is in use.
    pub old: Candidate,
    /// The one that is to take its place.
    pub new: Candidate,
    /// Files and folders of messages.
    pub inputs: Vec<PathBuf>,
    /// How both are run, apart from their own parameters.
    pub conditions: Conditions,
    /// Whether examples show values that come out.
    pub show_values: bool,
}

/// One of the two.
pub struct Candidate {
    /// Its file.
    pub file: PathBuf,
    /// The parameters that it alone is given.
    pub parameters: Vec<(String, String)>,
}

impl Compare {
    /// Compares.
    ///
    /// # Errors
    /// A component does not load (78), or the messages cannot be read (65).
    pub fn run(self) -> Result<Report, Failure> {
        let old = self.load(&self.old).ends_as(Kind::Configuration)?;
        let new = self.load(&self.new).ends_as(Kind::Configuration)?;
        let (cases, inputs) = self.read().context("read the input").ends_as(Kind::Data)?;
        let mut changes = Changes::between(&old, &new, self.show_values);
        for batch in cases.chunks(BATCH_MESSAGES) {
            let messages: Vec<Message> = batch.iter().map(|case| case.message.clone()).collect();
            changes.add(batch, &old.judge(&messages), &new.judge(&messages));
        }
        let side = |sandbox: &Sandbox, of: &Candidate| Side::of(sandbox, &of.file);
        let (old_side, new_side) = (side(&old, &self.old), side(&new, &self.new));
        Ok(changes.report(old_side, new_side, inputs))
    }

    fn load(&self, candidate: &Candidate) -> Result<Sandbox> {
        let mut conditions = self.conditions.clone();
        conditions.parameters.extend(candidate.parameters.clone());
        Sandbox::load(&candidate.file, &conditions, 1)
    }

    fn read(&self) -> Result<(Vec<Case>, Vec<Input>)> {
        let cases = inputs::messages(&self.inputs)?;
        if cases.is_empty() {
            bail!("there is no message in it");
        }
        let mut inputs: Vec<Input> = Vec::new();
        for case in &cases {
            match inputs.last_mut() {
                Some(input) if input.file == case.file => input.messages += 1,
                _ => inputs.push(Input {
                    file: case.file.clone(),
                    sha256: sha256(&case.file)?,
                    messages: 1,
                }),
            }
        }
        Ok((cases, inputs))
    }
}

/// As `sha256sum` prints it.
fn sha256(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    Ok(Digest(Sha256::digest(&bytes).into()).to_string())
}
