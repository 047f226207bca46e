//! Case files, changed to what came out: as if a person had done it. Comments,
//! the order of things and what is not about the outcome stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use tempfile::NamedTempFile;
use toml_edit::{
    ArrayOfTables, Datetime, DocumentMut, InlineTable, Item, Table, Value as Written, value,
};

use super::calendar::{day_text, moment_text};
use super::case::Case;
use crate::message::{AttributeValue, Message};
use crate::row::{Column, Row, Value};
use crate::verdict::Verdict;

/// What is to be written into case files.
#[derive(Debug, Default)]
pub(super) struct Update {
    /// By file, then by the place of the case in it.
    outcomes: BTreeMap<PathBuf, Vec<(usize, Verdict)>>,
    columns: Vec<Column>,
}

impl Update {
    /// Nothing yet.
    pub(super) fn new(columns: &[Column]) -> Self {
        Self {
            outcomes: BTreeMap::new(),
            columns: columns.to_vec(),
        }
    }

    /// Whether a case can expect what came out, from now on: it stands in a case
    /// file, and what came out is no fault, which nobody should expect unseen.
    pub(super) fn takes(&mut self, case: &Case, verdict: &Verdict) -> bool {
        let fault = matches!(verdict, Verdict::Reject(rejection) if rejection.reason.is_fault());
        let Some(place) = case.place.filter(|_| !fault) else {
            return false;
        };
        let outcomes = self.outcomes.entry(case.file.clone()).or_default();
        outcomes.push((place, verdict.clone()));
        true
    }

    /// Writes.
    ///
    /// # Errors
    /// A file cannot be read or written, or what came out cannot be written in
    /// one. Each file is changed as a whole, or not at all.
    pub(super) fn write(&self) -> Result<()> {
        for (file, outcomes) in &self.outcomes {
            let write = || -> Result<()> {
                let text = changed(&fs::read_to_string(file)?, outcomes, &self.columns)?;
                replace(file, &text)
            };
            write().with_context(|| format!("update {}", file.display()))?;
        }
        Ok(())
    }
}

/// Gives a file another text, as a whole or not at all. Who may read it, and a
/// link to it, stay.
fn replace(file: &Path, text: &str) -> Result<()> {
    let file = file.canonicalize()?;
    let folder = file.parent().context("it is in no folder")?;
    let mut new = NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file()
        .set_permissions(fs::metadata(&file)?.permissions())?;
    new.persist(&file)?;
    Ok(())
}

/// The text of a case file with other outcomes.
fn changed(text: &str, outcomes: &[(usize, Verdict)], columns: &[Column]) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let cases = document.get_mut("case");
    let cases = cases.and_then(Item::as_array_of_tables_mut);
    let cases = cases.context("its cases are not written as [[case]] each: change it by hand")?;
    for (place, verdict) in outcomes {
        let case = cases.get_mut(*place);
        let case = case.context("it has changed while it was read: try again")?;
        change(case, verdict, columns)?;
    }
    Ok(document.to_string())
}

fn change(case: &mut Table, verdict: &Verdict, columns: &[Column]) -> Result<()> {
    let stays: &[&str] = match verdict {
        Verdict::Rows(_) => &["rows"],
        Verdict::Skip => &["skip"],
        Verdict::Reject(_) => &["reject", "field"],
    };
    for key in ["rows", "skip", "reject", "field"] {
        if !stays.contains(&key) {
            case.remove(key);
        }
    }
    match verdict {
        Verdict::Rows(rows) => return change_rows(case, rows, columns),
        Verdict::Skip => set(case, "skip", true.into()),
        Verdict::Reject(rejection) => {
            set(case, "reject", rejection.reason.to_string().into());
            match &rejection.field {
                Some(field) => set(case, "field", field.as_str().into()),
                None => drop(case.remove("field")),
            }
        }
    }
    Ok(())
}

fn change_rows(case: &mut Table, rows: &[Row], columns: &[Column]) -> Result<()> {
    if !case.contains_array_of_tables("rows") {
        case.insert("rows", Item::ArrayOfTables(ArrayOfTables::new()));
    }
    let written = case.get_mut("rows").and_then(Item::as_array_of_tables_mut);
    let written = written.context("it has no rows")?;
    while written.len() > rows.len() {
        written.remove(written.len() - 1);
    }
    while written.len() < rows.len() {
        written.push(Table::new());
    }
    for (table, row) in written.iter_mut().zip(rows) {
        for (column, value) in columns.iter().zip(row) {
            match value {
                Value::Null => drop(table.remove(&column.name)),
                value => {
                    let value = value_written(value).ok_or_else(|| {
                        let name = &column.name;
                        anyhow!("no case file can hold what came out as {name}: it is beyond TOML")
                    })?;
                    set(table, &column.name, value);
                }
            }
        }
    }
    Ok(())
}

/// Gives a key another value; its place, and the comment behind it, stay.
fn set(table: &mut Table, key: &str, mut new: Written) {
    let old = table.get_mut(key).and_then(Item::as_value_mut);
    match old {
        Some(old) if means_the_same(old, &new) => {}
        Some(old) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        None => drop(table.insert(key, value(new))),
    }
}

/// Whether a value need not be written in other letters.
fn means_the_same(old: &Written, new: &Written) -> bool {
    match (old, new) {
        (Written::String(old), Written::String(new)) => old.value() == new.value(),
        (Written::Integer(old), Written::Integer(new)) => old.value() == new.value(),
        (Written::Float(old), Written::Float(new)) => {
            old.value().to_bits() == new.value().to_bits()
        }
        (Written::Boolean(old), Written::Boolean(new)) => old.value() == new.value(),
        (Written::Datetime(old), Written::Datetime(new)) => old.value() == new.value(),
        _ => false,
    }
}

/// A value as a case file has it; none where TOML has no such date.
fn value_written(value: &Value) -> Option<Written> {
    let datetime = |text: String| text.parse::<Datetime>().ok().map(Written::from);
    Some(match value {
        Value::Null => return None,
        Value::Boolean(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) | Value::Json(text) => text.as_str().into(),
        Value::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            hex.into()
        }
        Value::Date(days) => datetime(day_text(*days))?,
        Value::Timestamp(moment) => datetime(moment_text(*moment))?,
    })
}

/// A case file of one case that expects nothing in particular.
pub(super) fn case_text(name: &str, message: &Message) -> String {
    let mut case = Table::new();
    case.insert("name", value(name));
    case.insert("body", value(message.body.as_str()));
    case.insert("id", value(message.origin_id.as_str()));
    let sent = i64::try_from(message.sent_ms).ok();
    let sent = sent.and_then(|sent| sent.checked_mul(1_000));
    if let Some(sent) = sent.and_then(|sent| moment_text(sent).parse::<Datetime>().ok()) {
        case.insert("sent", value(sent));
    }
    let mut attributes = InlineTable::new();
    for attribute in &message.attributes {
        let written = match &attribute.value {
            AttributeValue::Text(text) => Some(text.as_str().into()),
            AttributeValue::Number(digits) => digits.parse::<i64>().ok().map(Written::from),
            AttributeValue::Bytes(_) => None,
        };
        if let Some(written) = written {
            attributes.insert(&attribute.name, written);
        }
    }
    if !attributes.is_empty() {
        case.insert("attributes", value(attributes));
    }
    let mut cases = ArrayOfTables::new();
    cases.push(case);
    let mut document = DocumentMut::new();
    document.insert("case", Item::ArrayOfTables(cases));
    document.to_string()
}

/// Where new case files belong: beside the first of the others.
pub(super) fn folder_of(input: &Path) -> &Path {
    match input.is_dir() {
        true => input,
        false => match input.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Attribute;
    use crate::row::ValueType;
    use crate::verdict::{Reason, Rejection};
    use crate::workbench::case_file;

    fn columns() -> Vec<Column> {
        vec![
            Column::nullable("user", ValueType::Text),
            Column::nullable("version", ValueType::Integer),
            Column::nullable("day", ValueType::Date),
        ]
    }

    fn row(user: &str, version: i64) -> Row {
        vec![
            Value::Text(user.to_owned()),
            Value::Integer(version),
            Value::Null,
        ]
    }

    const FILE: &str = "\
# What orders look like.

[[case]]   # the usual one
name = 'usual'
body = '{\"user\":\"u1\"}'
[[case.rows]]
# counted from the start
version = 0x10 # sixteen
user = 'u1'  # as sent
day = 2026-11-23

[[case]]
body = 'x'
reject = 'malformed' # no JSON
field = '/user'

# The last one.
[[case]]
body = 'y'
";

    #[test]
    fn what_did_not_change_stays_to_the_letter() {
        let rows = Verdict::Rows(vec![row("u2", 16)]);
        let reject = Verdict::Reject(Rejection::from(Reason::Missing));
        let outcomes = [(0, rows), (1, reject), (2, Verdict::Skip)];
        let text = changed(FILE, &outcomes, &columns()).unwrap();
        let expected = FILE
            .replace("user = 'u1'  #", "user = \"u2\"  #")
            .replace("day = 2026-11-23\n", "")
            .replace("'malformed'", "\"missing\"")
            .replace("field = '/user'\n", "")
            .replace("body = 'y'\n", "body = 'y'\nskip = true\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn another_outcome_takes_the_place_of_the_old_one() {
        let reject = Verdict::Reject(Rejection {
            reason: Reason::Invalid,
            field: Some("/user".to_owned()),
        });
        let rows = Verdict::Rows(vec![row("u1", 1), row("it's \"u2\"", 2)]);
        let outcomes = [(0, reject), (1, rows.clone()), (2, rows)];
        let text = changed(FILE, &outcomes, &columns()).unwrap();
        let again = case_file::parse(Path::new("x.toml"), &text, Some(&columns()));
        let again = again.expect(&text);
        for (case, (_, verdict)) in again.iter().zip(&outcomes) {
            let expected = case.expected.as_ref().expect("an expectation");
            let differences = expected.differences(verdict, &columns());
            assert_eq!(differences, [""; 0], "{text}");
        }
        assert!(text.contains("# The last one.") && !text.contains("# counted"));
    }

    #[test]
    fn what_toml_cannot_hold_changes_nothing() {
        let mut beyond = row("u", 1);
        beyond[2] = Value::Date(i32::MAX);
        let outcomes = [(0, Verdict::Rows(vec![beyond]))];
        let told = changed(FILE, &outcomes, &columns()).unwrap_err();
        assert!(told.to_string().contains("day"), "{told}");
        let inline = "case = [{ body = 'x' }]";
        let told = changed(inline, &[(0, Verdict::Skip)], &columns()).unwrap_err();
        assert!(told.to_string().contains("[[case]]"), "{told}");
    }

    #[test]
    fn a_new_case_file_has_all_that_the_message_has() {
        let attribute = |name: &str, value| Attribute {
            name: name.to_owned(),
            data_type: "String".to_owned(),
            value,
        };
        let message = Message {
            queue_id: "m1".to_owned(),
            origin_id: "m1".to_owned(),
            body: "{\"a\":'\u{0}\n\"\"\"\u{1f600}'}".to_owned(),
            sent_ms: 1_795_422_600_123,
            attributes: vec![
                attribute("odd name", AttributeValue::Text("t".to_owned())),
                attribute("tries", AttributeValue::Number("3".to_owned())),
            ],
            fifo: None,
        };
        let text = case_text("one: \"two\"", &message);
        let cases = case_file::parse(Path::new("x.toml"), &text, Some(&columns()));
        let cases = cases.expect(&text);
        let again = &cases[0].message;
        assert_eq!(cases[0].name, "one: \"two\"");
        assert_eq!(
            (&again.body, again.sent_ms),
            (&message.body, message.sent_ms)
        );
        assert_eq!(again.origin_id, "m1");
        assert_eq!(again.attributes.len(), 2);
        assert!(cases[0].expected.is_none());
    }
}
