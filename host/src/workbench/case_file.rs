//! Case files, as people write them: TOML, a `[[case]]` each.
//!
//! ```toml
//! [[case]]
//! name = "a card's number is hashed"
//! body = '{"order":"o1","card":"0000-4711"}'
//! sent = 2026-11-23T08:30:00Z
//!
//! [[case.rows]]
//! order_id = "o1"
//! masked_card = "3f1ff4…"
//!
//! [[case]]
//! body = "no JSON"
//! reject = "malformed"
//! ```
//!
//! A case without `rows`, `skip` or `reject` expects nothing in particular; the
//! properties that hold of every message are checked nevertheless.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::calendar;
use super::case::{Case, Expected};
use super::complaint::Complaint;
use super::sqs_json;
use super::written;
use crate::message::{Attribute, AttributeValue, Message};
use crate::row::{Column, Row, Value};
use crate::verdict::Reason;

/// When a message was sent whose case does not say so: 2026-01-01T00:00:00Z, in
/// milliseconds since 1970.
pub(super) const SENT_MS_DEFAULT: u64 = 1_767_225_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    #[serde(default, rename = "case")]
    cases: Vec<Spanned<WrittenCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    name: Option<String>,
    /// The body itself.
    body: Option<String>,
    /// Or a file with a message as SQS writes it.
    message: Option<Spanned<PathBuf>>,
    id: Option<String>,
    sent: Option<Spanned<Datetime>>,
    #[serde(default)]
    attributes: BTreeMap<String, Spanned<toml::Value>>,
    rows: Option<Vec<WrittenRow>>,
    skip: Option<Spanned<bool>>,
    reject: Option<Spanned<String>>,
    field: Option<Spanned<String>>,
}

/// The values of a row, by their columns.
type WrittenRow = BTreeMap<String, Spanned<toml::Value>>;

/// The cases of a text. Without columns, what they expect is not read: other
/// components than theirs are to be tried on them.
///
/// # Errors
/// All that is wrong in it.
pub(super) fn parse(
    file: &Path,
    text: &str,
    columns: Option<&[Column]>,
) -> Result<Vec<Case>, Vec<Complaint>> {
    let written: WrittenFile = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        vec![Complaint::at(file, text, offset, error.message())]
    })?;
    let reader = Reader {
        file,
        text,
        columns,
    };
    let (mut cases, mut complaints) = (Vec::new(), Vec::new());
    for (number, case) in written.cases.into_iter().enumerate() {
        match reader.case(number, case) {
            Ok(case) => cases.push(case),
            Err(complaint) => complaints.push(complaint),
        }
    }
    match complaints.is_empty() {
        true => Ok(cases),
        false => Err(complaints),
    }
}

/// Reads the cases of one file.
struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    columns: Option<&'a [Column]>,
}

impl Reader<'_> {
    fn case(&self, number: usize, case: Spanned<WrittenCase>) -> Result<Case, Complaint> {
        let at = case.span().start;
        let case = case.into_inner();
        let name = case
            .name
            .clone()
            .unwrap_or_else(|| format!("case {}", number + 1));
        let message = self.message(number, at, &case)?;
        let expected = self.expected(at, case)?;
        Ok(Case {
            name,
            file: self.file.to_owned(),
            place: Some(number),
            message,
            expected,
        })
    }

    fn message(&self, number: usize, at: usize, case: &WrittenCase) -> Result<Message, Complaint> {
        let mut message = match (&case.body, &case.message) {
            (Some(body), None) => Message {
                queue_id: format!("case-{}", number + 1),
                origin_id: format!("case-{}", number + 1),
                body: body.clone(),
                sent_ms: SENT_MS_DEFAULT,
                attributes: Vec::new(),
                fifo: None,
            },
            (None, Some(file)) => self.sqs_message(file)?,
            _ => return Err(self.complaint(at, "a case has either `body` or `message`")),
        };
        if let Some(id) = &case.id {
            message.queue_id.clone_from(id);
            message.origin_id.clone_from(id);
        }
        if let Some(sent) = &case.sent {
            let milliseconds = calendar::microseconds(sent.get_ref())
                .and_then(|moment| u64::try_from(moment / 1_000).ok());
            message.sent_ms = milliseconds.ok_or_else(|| {
                let words = "`sent` is a moment with its offset, such as 2026-11-23T08:30:00Z";
                self.complaint(sent.span().start, words)
            })?;
        }
        for (name, value) in &case.attributes {
            message.attributes.push(self.attribute(name, value)?);
        }
        message
            .attributes
            .sort_by(|one, next| one.name.cmp(&next.name));
        Ok(message)
    }

    fn sqs_message(&self, file: &Spanned<PathBuf>) -> Result<Message, Complaint> {
        let path = self.file.with_file_name(file.get_ref());
        let complaint = |words: String| {
            let words = format!("{}: {words}", path.display());
            self.complaint(file.span().start, words)
        };
        let text = std::fs::read_to_string(&path).map_err(|error| complaint(error.to_string()))?;
        let messages = sqs_json::parse(&path, &text);
        let mut messages =
            messages.map_err(|inner| self.complaint(file.span().start, inner.to_string()))?;
        match (messages.pop(), messages.is_empty()) {
            (Some(message), true) => Ok(message),
            _ => Err(complaint("holds not one message".to_owned())),
        }
    }

    fn attribute(&self, name: &str, value: &Spanned<toml::Value>) -> Result<Attribute, Complaint> {
        let (data_type, value) = match value.get_ref() {
            toml::Value::String(text) => ("String", AttributeValue::Text(text.clone())),
            toml::Value::Integer(number) => ("Number", AttributeValue::Number(number.to_string())),
            _ => {
                let words = "an attribute is a text or a whole number";
                return Err(self.complaint(value.span().start, words));
            }
        };
        Ok(Attribute {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            value,
        })
    }

    fn expected(&self, at: usize, case: WrittenCase) -> Result<Option<Expected>, Complaint> {
        let Some(columns) = self.columns else {
            return Ok(None);
        };
        if let (Some(field), None) = (&case.field, &case.reject) {
            return Err(self.complaint(field.span().start, "`field` goes with `reject`"));
        }
        Ok(match (case.rows, case.skip, case.reject) {
            (None, None, None) => None,
            (Some(rows), None, None) => {
                let rows = rows.into_iter().map(|row| self.row(row, columns));
                let rows: Result<Vec<Row>, _> = rows.collect();
                Some(Expected::Rows(rows?))
            }
            (None, Some(skip), None) if *skip.get_ref() => Some(Expected::Skip),
            (None, Some(skip), None) => {
                let words = "`skip` is true, or left out";
                return Err(self.complaint(skip.span().start, words));
            }
            (None, None, Some(reason)) => {
                let names = Reason::NAMED.map(|reason| reason.to_string());
                if !names.contains(reason.get_ref()) {
                    let words = format!("no reason is called so; they are {}", names.join(", "));
                    return Err(self.complaint(reason.span().start, words));
                }
                Some(Expected::Reject {
                    reason: reason.into_inner(),
                    field: case.field.map(Spanned::into_inner),
                })
            }
            _ => {
                let words = "a case expects either `rows`, or `skip`, or `reject`";
                return Err(self.complaint(at, words));
            }
        })
    }

    fn row(&self, written: WrittenRow, columns: &[Column]) -> Result<Row, Complaint> {
        let mut row = vec![Value::Null; columns.len()];
        for (name, value) in written {
            let place = columns.iter().position(|column| column.name == name);
            let Some(place) = place else {
                let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
                let words = format!("no column is called {name}; they are {}", names.join(", "));
                return Err(self.complaint(value.span().start, words));
            };
            let value_type = columns[place].value_type;
            row[place] = written::value(value.get_ref(), value_type).map_err(|expected| {
                let words = format!("{name} is {value_type}: expected {expected}");
                self.complaint(value.span().start, words)
            })?;
        }
        Ok(row)
    }

    fn complaint(&self, offset: usize, words: impl Into<String>) -> Complaint {
        Complaint::at(self.file, self.text, offset, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ValueType;

    fn columns() -> Vec<Column> {
        vec![
            Column::nullable("user_id", ValueType::Text),
            Column::nullable("version", ValueType::Integer),
        ]
    }

    fn parsed(text: &str) -> Result<Vec<Case>, Vec<String>> {
        parse(Path::new("cases.toml"), text, Some(&columns()))
            .map_err(|complaints| complaints.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_case_is_a_message_and_what_is_expected_of_it() {
        let cases = parsed(
            r#"
            [[case]]
            name = "one"
            body = '{"user_id":"u1"}'
            sent = 2026-11-23T08:30:00Z
            attributes = { trace = "t", tries = 3 }
            [[case.rows]]
            user_id = "u1"

            [[case]]
            body = "no JSON"
            reject = "malformed"

            [[case]]
            body = "anything"
            "#,
        )
        .unwrap();
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["one", "case 2", "case 3"]);
        assert_eq!(cases[0].message.sent_ms, 1_795_422_600_000);
        assert_eq!(cases[0].message.attributes.len(), 2);
        let Some(Expected::Rows(rows)) = &cases[0].expected else {
            panic!("no rows");
        };
        assert_eq!(*rows, [vec![Value::Text("u1".into()), Value::Null]]);
        assert!(
            matches!(&cases[1].expected, Some(Expected::Reject { reason, .. }) if reason == "malformed")
        );
        assert!(cases[2].expected.is_none());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, place, words) in [
            ("[[case]]\nbdy = 'x'", "cases.toml:2:1", "unknown field"),
            ("[[case]]\nbody = 'x", "cases.toml:2:", ""),
            (
                "[[case]]\nname = 'x'",
                "cases.toml:1:",
                "either `body` or `message`",
            ),
            (
                "[[case]]\nbody = 'x'\nreject = 'bad'",
                "cases.toml:3:10",
                "malformed, ",
            ),
            (
                "[[case]]\nbody = 'x'\nskip = false",
                "cases.toml:3:8",
                "left out",
            ),
            (
                "[[case]]\nbody = 'x'\nskip = true\nreject = 'trap'",
                "cases.toml:1:",
                "either",
            ),
            (
                "[[case]]\nbody = 'x'\nfield = '/ip'",
                "cases.toml:3:9",
                "goes with",
            ),
            (
                "[[case]]\nbody = 'x'\n[[case.rows]]\nuser = 'u'",
                "cases.toml:4:8",
                "user_id, version",
            ),
            (
                "[[case]]\nbody = 'x'\n[[case.rows]]\nversion = '1'",
                "cases.toml:4:11",
                "a whole number",
            ),
            (
                "[[case]]\nbody = 'x'\nsent = 2026-11-23",
                "cases.toml:3:8",
                "offset",
            ),
            (
                "[[case]]\nmessage = 'none.json'",
                "cases.toml:2:11",
                "none.json",
            ),
        ] {
            let told = parsed(text).err().expect(text).remove(0);
            assert!(told.starts_with(place) && told.contains(words), "{told}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let text = "[[case]]\nname = 'a'\n[[case]]\nbody = 'x'\n[[case]]\nname = 'c'";
        assert_eq!(parsed(text).err().unwrap().len(), 2);
    }
}
