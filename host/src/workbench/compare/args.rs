//! What the compare subcommand takes.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{Candidate, Compare, Report};
use crate::cli::{ComponentArgs, Output, parameter};
use crate::exit::{Ends, Failure, Kind};

/// What the compare subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  etl-host compare in-use.wasm next.wasm --input logins.jsonl --html changes.html

Differences are a result and no failure: it exits 0. In a script, look into
what --output json says, such as `.newly_rejected` and `.exposed`.")]
pub struct CompareArgs {
    /// The component that is in use (.wasm).
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The component that is to take its place (.wasm).
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// What both are tried on: bodies, one a line (.jsonl), messages as SQS
    /// writes them (.json), cases (.toml), or folders with such files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    input: Vec<PathBuf>,
    /// Write what has changed to this file too, as a page for people who read
    /// no tables of a terminal.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Show values that come out, in examples; never a value that goes in.
    #[arg(long)]
    show_values: bool,
    /// A parameter of the old component alone.
    #[arg(long = "old-param", value_name = "NAME=VALUE", value_parser = parameter)]
    old_parameters: Vec<(String, String)>,
    /// A parameter of the new component alone.
    #[arg(long = "new-param", value_name = "NAME=VALUE", value_parser = parameter)]
    new_parameters: Vec<(String, String)>,
    #[command(flatten)]
    conditions: ComponentArgs,
    /// How the result is printed.
    #[arg(long, env = "ETL_HOST_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

impl CompareArgs {
    /// Compares, and writes the page where one is asked for.
    ///
    /// # Errors
    /// Something makes no sense, or a component does not load (78); the
    /// messages cannot be read (65); the page cannot be written (73).
    pub fn run(self) -> Result<Report, Failure> {
        let compare = Compare {
            old: Candidate {
                file: self.old,
                parameters: self.old_parameters,
            },
            new: Candidate {
                file: self.new,
                parameters: self.new_parameters,
            },
            inputs: self.input,
            conditions: self.conditions.conditions(Vec::new())?,
            show_values: self.show_values,
        };
        let report = compare.run()?;
        if let Some(file) = &self.html {
            fs::write(file, report.page())
                .with_context(|| format!("write {}", file.display()))
                .ends_as(Kind::CannotCreate)?;
        }
        Ok(report)
    }
}
