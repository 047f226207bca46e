//! `etl-host run-once`: one message through a component, and all that comes of
//! it: rows or a rejection, and what that took of each limit.
//!
//! Shown is what a run would write, never what came in.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::Value as Json;

use super::case::outcome;
use super::case_file::SENT_MS_DEFAULT;
use super::complaint::{Complaint, utf8};
use super::shares::share_table;
use super::sqs_json;
use super::written::{json_value, value_text};
use crate::cli::{ComponentArgs, Output};
use crate::exit::{Ends, Failure, Kind, failure};
use crate::message::Message;
use crate::row::{Column, Row};
use crate::sandbox::{MeteredSandbox, Share};
use crate::verdict::{Rejection, Verdict};

/// The largest input: a message of 1 MiB, the most that SQS takes, as JSON
/// writes it at its longest, several times over.
const INPUT_MIB_MAX: u64 = 16;
/// What a person is shown of the rows, and of one value.
const ROWS_SHOWN_MAX: usize = 20;
const VALUE_CHARS_SHOWN_MAX: usize = 300;
/// Standard input, as a file's name.
const STDIN: &str = "-";

/// What the run-once subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  etl-host run-once guests/sha256_mask.wasm body.json
  aws sqs receive-message --queue-url … | etl-host run-once guests/sha256_mask.wasm

It exits 0 where the message gives rows or is skipped, 65 where it is rejected.")]
pub struct RunOnceArgs {
    /// The transform component (.wasm).
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// The message: its body as it is, or what SQS writes of one message in
    /// JSON; `-` for standard input. One line end at its end is not part of it.
    #[arg(value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    conditions: ComponentArgs,
    /// How the result is printed.
    #[arg(long, env = "ETL_HOST_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// What became of the message.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The component's name, version and SHA-256.
    component: String,
    /// What the input was taken for.
    input: &'static str,
    outcome: &'static str,
    /// Each value with its column, in the component's order.
    rows: Vec<Vec<Cell>>,
    reason: Option<String>,
    field: Option<String>,
    /// How much of each limit it took.
    limits: Vec<Share>,
    #[serde(skip)]
    words: String,
}

/// A value of a row.
#[derive(Debug, Serialize)]
struct Cell {
    column: String,
    #[serde(rename = "type")]
    value_type: String,
    value: Json,
    #[serde(skip)]
    shown: String,
}

impl RunOnceArgs {
    /// Runs the message through.
    ///
    /// # Errors
    /// The component does not load (78), or the input cannot be read, or is no
    /// one message (65).
    pub fn run(self) -> Result<Report, Failure> {
        let conditions = self.conditions.conditions(Vec::new())?;
        let sandbox =
            MeteredSandbox::load(&self.component, &conditions).ends_as(Kind::Configuration)?;
        let (message, taken_for) = read(self.input.as_deref())?;
        let (verdict, usage) = sandbox.judge(&message);
        let description = sandbox.sandbox().description();
        Ok(Report {
            component: sandbox.sandbox().label(),
            input: taken_for,
            words: outcome(&verdict),
            limits: usage.shares(sandbox.limits()).into(),
            ..judged(verdict, &description.columns)
        })
    }
}

/// A report of a verdict alone.
fn judged(verdict: Verdict, columns: &[Column]) -> Report {
    let (outcome, rows, rejection) = match verdict {
        Verdict::Rows(rows) => ("rows", rows, None),
        Verdict::Skip => ("skip", Vec::new(), None),
        Verdict::Reject(rejection) => ("reject", Vec::new(), Some(rejection)),
    };
    let (reason, field) = match rejection {
        Some(Rejection { reason, field }) => (Some(reason.to_string()), field),
        None => (None, None),
    };
    Report {
        component: String::new(),
        input: "",
        outcome,
        rows: rows.iter().map(|row| cells(row, columns)).collect(),
        reason,
        field,
        limits: Vec::new(),
        words: String::new(),
    }
}

fn cells(row: &Row, columns: &[Column]) -> Vec<Cell> {
    let cells = columns.iter().zip(row).map(|(column, value)| Cell {
        column: column.name.clone(),
        value_type: column.value_type.to_string(),
        value: json_value(value),
        shown: shortened(value_text(value)),
    });
    cells.collect()
}

fn shortened(text: String) -> String {
    let shown: String = text.chars().take(VALUE_CHARS_SHOWN_MAX).collect();
    match shown.len() < text.len() {
        true => format!("{shown}… ({} bytes)", text.len()),
        false => text,
    }
}

/// The message of a file, or of standard input, and what it was taken for.
fn read(input: Option<&Path>) -> Result<(Message, &'static str), Failure> {
    let name = input.unwrap_or(Path::new(STDIN));
    if input.is_none() && io::stdin().is_terminal() {
        let words = "there is no message: give FILE, or `-` to type one";
        return Err(failure(Kind::Usage, words));
    }
    let bytes = bytes(name).with_context(|| format!("read {}", name.display()));
    message(name, bytes.ends_as(Kind::Data)?).ends_as(Kind::Data)
}

fn bytes(name: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let max = INPUT_MIB_MAX << 20;
    if name.as_os_str() == STDIN {
        io::stdin().take(max + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(name)?.take(max + 1).read_to_end(&mut bytes)?;
    }
    ensure!(
        bytes.len() as u64 <= max,
        "it is larger than {INPUT_MIB_MAX} MiB"
    );
    Ok(bytes)
}

fn message(name: &Path, bytes: Vec<u8>) -> Result<(Message, &'static str)> {
    let text = utf8(name, bytes)?;
    if !sqs_json::looks_like_it(&text) {
        let body = text.strip_suffix('\n').unwrap_or(&text);
        let message = Message {
            queue_id: "run-once".to_owned(),
            origin_id: "run-once".to_owned(),
            body: body.strip_suffix('\r').unwrap_or(body).to_owned(),
            sent_ms: SENT_MS_DEFAULT,
            attributes: Vec::new(),
            fifo: None,
        };
        return Ok((message, "body"));
    }
    let messages = sqs_json::parse(name, &text)?;
    let count = messages.len();
    let mut messages = messages.into_iter();
    match (messages.next(), count) {
        (Some(message), 1) => Ok((message, "sqs-message")),
        _ => {
            let words = format!(
                "these are {count} messages, and one is wanted: `etl-host test` takes any number"
            );
            Err(Complaint::at(name, &text, 0, words).into())
        }
    }
}

impl Report {
    /// What the program ends with: nothing unless the message is rejected.
    pub fn failure(&self) -> Option<Failure> {
        let reason = self.reason.as_ref()?;
        let at = self.field.as_ref().map(|field| format!(" at {field}"));
        let words = format!(
            "the message is rejected: {reason}{}",
            at.unwrap_or_default()
        );
        Some(failure(Kind::Data, words))
    }

    /// Several lines, for a person.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n", self.component, self.words);
        for (number, row) in self.rows.iter().take(ROWS_SHOWN_MAX).enumerate() {
            let title = match self.rows.len() {
                1 => String::new(),
                _ => format!("row {}\n", number + 1),
            };
            let _ = write!(text, "\n{title}");
            for Cell {
                column,
                value_type,
                shown,
                ..
            } in row
            {
                let _ = writeln!(text, "  {column:<24} {value_type:<10} {shown}");
            }
        }
        let more = self.rows.len().saturating_sub(ROWS_SHOWN_MAX);
        if more > 0 {
            let _ = writeln!(text, "\nand {more} more rows: --output json has them all");
        }
        let _ = write!(text, "\nused of the limits\n{}", share_table(&self.limits));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_no_part_of_a_body() {
        for (text, body) in [
            ("x", "x"),
            ("x\n", "x"),
            ("x\r\n", "x"),
            ("x\n\n", "x\n"),
            ("\n", ""),
            ("", ""),
        ] {
            let (message, _) = message(Path::new(STDIN), text.into()).unwrap();
            assert_eq!(message.body, body, "{text:?}");
        }
    }
}
