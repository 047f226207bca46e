//! What a component is tried on: files of cases, of messages and of bodies.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::case::Case;
use super::case_file::{self, SENT_MS_DEFAULT};
use super::complaint::{Complaint, utf8};
use super::sqs_json;
use crate::message::Message;
use crate::row::Column;

/// The largest file that is read, in MiB: some hundred thousand messages.
const FILE_MIB_MAX: u64 = 512;

/// The cases of files and folders, in the order in which they are named, those
/// of a folder in the order of their names.
///
/// # Errors
/// A file cannot be read, is of no known kind, or has faults: all of them are
/// told, a line each.
pub(super) fn read(paths: &[PathBuf], columns: &[Column]) -> Result<Vec<Case>> {
    read_all(paths, Some(columns))
}

/// The same without what they expect, whatever columns that is written for.
///
/// # Errors
/// As [`read`].
pub(super) fn messages(paths: &[PathBuf]) -> Result<Vec<Case>> {
    read_all(paths, None)
}

fn read_all(paths: &[PathBuf], columns: Option<&[Column]>) -> Result<Vec<Case>> {
    let (mut cases, mut complaints) = (Vec::new(), Vec::new());
    for path in paths {
        for file in files(path)? {
            match read_file(&file, columns)? {
                Ok(read) => cases.extend(read),
                Err(found) => complaints.extend(found),
            }
        }
    }
    if complaints.is_empty() {
        return Ok(cases);
    }
    let lines: Vec<String> = complaints.iter().map(Complaint::to_string).collect();
    bail!("{}", lines.join("\n"));
}

/// A file itself, or those in a folder that are of a known kind.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let found = fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
    if !found.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("read {}", path.display()))? {
        let file = entry?.path();
        if matches!(kind(&file), Some("toml" | "jsonl")) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{}: no case file (.toml, .jsonl) is in it", path.display());
    }
    Ok(files)
}

fn kind(file: &Path) -> Option<&str> {
    file.extension()?.to_str()
}

fn read_file(file: &Path, columns: Option<&[Column]>) -> Result<Result<Vec<Case>, Vec<Complaint>>> {
    let read = || -> Result<String> {
        let bytes = fs::metadata(file)?.len();
        if bytes > FILE_MIB_MAX << 20 {
            bail!("it is larger than {FILE_MIB_MAX} MiB");
        }
        Ok(utf8(file, fs::read(file)?)?)
    };
    let text = read().with_context(|| format!("read {}", file.display()))?;
    let unexpected = |messages: Vec<Message>| {
        let cases = messages.into_iter().map(|message| Case {
            name: message.origin_id.clone(),
            file: file.to_owned(),
            place: None,
            message,
            expected: None,
        });
        cases.collect()
    };
    Ok(match kind(file) {
        Some("toml") => case_file::parse(file, &text, columns),
        Some("json") => sqs_json::parse(file, &text)
            .map(unexpected)
            .map_err(|complaint| vec![complaint]),
        Some("jsonl") => Ok(unexpected(bodies(&text))),
        _ => bail!(
            "{}: a case file ends in .toml, messages as SQS writes them in .json, bodies, one a \
             line, in .jsonl",
            file.display()
        ),
    })
}

/// A body a line. Lines without anything say nothing.
fn bodies(text: &str) -> Vec<Message> {
    let lines = text.lines().zip(1..);
    lines
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number)| Message {
            queue_id: format!("line-{number}"),
            origin_id: format!("line-{number}"),
            body: line.to_owned(),
            sent_ms: SENT_MS_DEFAULT,
            attributes: Vec::new(),
            fifo: None,
        })
        .collect()
}
