//! What a comparison has found: as data, and as a table for a terminal.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::row::{Column, ValueType};
use crate::sandbox::{Pointer, Sandbox};
use crate::verdict::Reason;

/// Patterns that the table for a terminal shows; the page shows all.
const PATTERNS_SHOWN_MAX: usize = 20;

/// How the new component differs from the old one. Numbers are of messages
/// unless it says otherwise.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The component in use.
    pub old: Side,
    /// The one that is to take its place.
    pub new: Side,
    /// What both were tried on.
    pub inputs: Vec<Input>,
    /// All of them.
    pub messages: u64,
    /// With the same outcome, and the same values in the columns that both
    /// write.
    pub unchanged: u64,
    /// Stored or skipped by the old one, refused by the new one.
    pub newly_rejected: Vec<Refused>,
    /// Refused by the old one, and for what; stored or skipped by the new one.
    pub newly_accepted: Vec<Refused>,
    /// Refused by both, for another reason.
    pub rejected_otherwise: Vec<Moved>,
    /// Stored by the old one, skipped by the new one.
    pub newly_skipped: u64,
    /// Skipped by the old one, stored by the new one.
    pub newly_stored: u64,
    /// Stored by both, in another number of rows.
    pub row_counts: u64,
    /// Every column that either of the two writes.
    pub columns: Vec<ColumnChange>,
    /// Fields that the old one holds sensitive, and the new one does not.
    pub no_longer_sensitive: Vec<String>,
    /// Fields that the new one holds sensitive, and the old one does not.
    pub newly_sensitive: Vec<String>,
    /// Raw values that the one gives out and the other holds sensitive.
    pub exposed: Vec<Exposure>,
    /// Ways in which messages change, the most frequent first.
    pub patterns: Vec<Pattern>,
    /// Messages that change in still other ways.
    pub other_patterns: u64,
    /// Whether examples show values that come out.
    pub values_shown: bool,
}

/// One of the two components.
#[derive(Debug, Serialize)]
pub struct Side {
    /// Its file.
    pub file: PathBuf,
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// The fields whose raw values must not get out of it.
    pub sensitive: Vec<String>,
}

/// A file of messages.
#[derive(Debug, Serialize)]
pub struct Input {
    /// Where it is.
    pub file: PathBuf,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// How many messages were read from it.
    pub messages: u64,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The component in use.
    Old,
    /// The one that is to take its place.
    New,
}

/// Messages that are refused.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// Why.
    #[serde(serialize_with = "as_text")]
    pub reason: Reason,
    /// At which field or column.
    pub field: Option<String>,
    /// How many.
    pub messages: u64,
}

/// Messages that are refused for another reason.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// For what the old one refuses them.
    pub old: String,
    /// For what the new one does.
    pub new: String,
    /// How many.
    pub messages: u64,
}

/// A column, as each of the two has it.
#[derive(Debug, Serialize)]
pub struct ColumnChange {
    /// Its name.
    pub column: String,
    /// As the old one describes it; none where it has no such column.
    pub old: Option<Shape>,
    /// As the new one describes it; none where it has no such column.
    pub new: Option<Shape>,
    /// Messages of which both give this column, in equally many rows.
    pub compared: u64,
    /// Those in which it differs.
    pub changed: u64,
    /// In values: how they differ.
    pub kinds: BTreeMap<String, u64>,
}

/// What a column may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// The type of its values.
    #[serde(rename = "type", serialize_with = "as_text")]
    pub value_type: ValueType,
    /// Whether it may be null.
    pub nullable: bool,
}

/// Messages of which a component gives out what the other holds sensitive.
#[derive(Debug, Serialize)]
pub struct Exposure {
    /// Which one gives it out.
    pub by: Who,
    /// The field; none where the message is no JSON, so that nobody can tell.
    pub field: Option<String>,
    /// How many.
    pub messages: u64,
}

/// A way in which messages change.
#[derive(Debug, Serialize)]
pub struct Pattern {
    /// The columns that differ, or the two outcomes.
    pub what: String,
    /// How many messages change so.
    pub messages: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// A message that changes.
#[derive(Debug, Serialize)]
pub struct Example {
    /// Its id, line or name.
    pub message: String,
    /// The file in which it stands.
    pub file: PathBuf,
    /// Whether its values are not shown although they were asked for, because
    /// one component gives out what the other holds sensitive.
    pub withheld: bool,
    /// The values that differ.
    pub changes: Vec<Change>,
}

/// A value that differs.
#[derive(Debug, Serialize)]
pub struct Change {
    /// Its column.
    pub column: String,
    /// Its row, from 1, where there are several.
    pub row: Option<usize>,
    /// How it differs.
    pub kind: String,
    /// What the old one gives, where values are shown.
    pub old: Option<String>,
    /// What the new one gives, where values are shown.
    pub new: Option<String>,
}

impl Side {
    pub(super) fn of(sandbox: &Sandbox, file: &Path) -> Self {
        let description = sandbox.description();
        let sensitive = sandbox.guarded().iter().map(Pointer::as_str);
        Self {
            file: file.to_owned(),
            name: description.name.clone(),
            version: description.version.clone(),
            sha256: sandbox.digest().to_string(),
            sensitive: sensitive.map(str::to_owned).collect(),
        }
    }
}

impl Shape {
    pub(super) fn of(column: &Column) -> Self {
        Self {
            value_type: column.value_type,
            nullable: column.nullable,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_null = if self.nullable { " or null" } else { "" };
        write!(f, "{}{or_null}", self.value_type)
    }
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Report {
    /// Messages with another result.
    pub fn changed(&self) -> u64 {
        self.messages - self.unchanged
    }

    /// Several lines and two tables, for a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (who, side) in [("old", &self.old), ("new", &self.new)] {
            let Side {
                name,
                version,
                sha256,
                ..
            } = side;
            let _ = writeln!(text, "{who}  {name} {version} {sha256}");
        }
        for input in &self.inputs {
            let Input {
                file,
                sha256,
                messages,
            } = input;
            let _ = writeln!(
                text,
                "     {messages} messages, {} {sha256}",
                file.display()
            );
        }
        let _ = writeln!(
            text,
            "\n{} of {} messages unchanged in what both write",
            self.unchanged, self.messages
        );
        self.outcomes(&mut text);
        self.warnings(&mut text);
        self.column_table(&mut text);
        self.pattern_table(&mut text);
        text
    }

    fn outcomes(&self, text: &mut String) {
        let sum = |refused: &[Refused]| refused.iter().map(|one| one.messages).sum::<u64>();
        for (what, refused) in [
            ("newly rejected", &self.newly_rejected),
            ("newly accepted, rejected before", &self.newly_accepted),
        ] {
            if !refused.is_empty() {
                let reasons: Vec<String> = refused.iter().map(ToString::to_string).collect();
                let _ = writeln!(text, "{} {what}: {}", sum(refused), reasons.join(", "));
            }
        }
        for Moved { old, new, messages } in &self.rejected_otherwise {
            let _ = writeln!(
                text,
                "{messages} rejected for another reason: {old} → {new}"
            );
        }
        for (messages, what) in [
            (self.newly_skipped, "newly skipped, stored before"),
            (self.newly_stored, "newly stored, skipped before"),
            (self.row_counts, "with another number of rows"),
        ] {
            if messages > 0 {
                let _ = writeln!(text, "{messages} {what}");
            }
        }
    }

    fn warnings(&self, text: &mut String) {
        for field in &self.no_longer_sensitive {
            let _ = writeln!(text, "! {field} is no longer held sensitive");
        }
        for field in &self.newly_sensitive {
            let _ = writeln!(text, "{field} is newly held sensitive");
        }
        for exposure in &self.exposed {
            let _ = writeln!(text, "! {exposure}");
        }
    }

    fn column_table(&self, text: &mut String) {
        let shape = |shape: Option<Shape>| shape.map_or("-".to_owned(), |shape| shape.to_string());
        let mut lines =
            vec![["column", "old", "new", "messages changed", "values"].map(str::to_owned)];
        for column in &self.columns {
            let changed = match (column.old, column.new) {
                (Some(_), Some(_)) => format!("{} of {}", column.changed, column.compared),
                (Some(_), None) => "no longer written".to_owned(),
                (None, _) => "written anew".to_owned(),
            };
            let kinds = column.kinds.iter();
            let kinds: Vec<String> = kinds
                .map(|(kind, values)| format!("{kind} {values}"))
                .collect();
            lines.push([
                column.column.clone(),
                shape(column.old),
                shape(column.new),
                changed,
                kinds.join(", "),
            ]);
        }
        let width = |place: usize| {
            let widths = lines.iter().map(|line| line[place].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2), width(3)];
        text.push('\n');
        for [column, old, new, changed, kinds] in &lines {
            let [one, two, three, four] = widths;
            let line = format!("{column:one$}  {old:two$}  {new:three$}  {changed:four$}  {kinds}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }

    fn pattern_table(&self, text: &mut String) {
        if self.patterns.is_empty() {
            return;
        }
        let _ = writeln!(text, "\nmessages  what changes");
        for pattern in self.patterns.iter().take(PATTERNS_SHOWN_MAX) {
            let _ = writeln!(text, "{:>8}  {}", pattern.messages, pattern.what);
            for example in &pattern.examples {
                let _ = writeln!(
                    text,
                    "            {} ({})",
                    example.message,
                    example.file.display()
                );
                if example.withheld {
                    let _ = writeln!(text, "              its values are withheld, see above");
                }
                for change in &example.changes {
                    if let (Some(old), Some(new)) = (&change.old, &change.new) {
                        let _ = writeln!(text, "              {}: {old} → {new}", change.place());
                    }
                }
            }
        }
        let rest = self.patterns.iter().skip(PATTERNS_SHOWN_MAX);
        let rest = rest.map(|pattern| pattern.messages).sum::<u64>() + self.other_patterns;
        if rest > 0 {
            let _ = writeln!(text, "{rest:>8}  in other ways");
        }
    }
}

impl Change {
    /// Its column, and its row where there are several.
    pub(super) fn place(&self) -> String {
        match self.row {
            Some(row) => format!("{}, row {row}", self.column),
            None => self.column.clone(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            field,
            messages,
        } = self;
        match field {
            Some(field) => write!(f, "{reason} at {field} {messages}"),
            None => write!(f, "{reason} {messages}"),
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            by,
            field,
            messages,
        } = self;
        let (by, other) = match by {
            Who::Old => ("old", "new"),
            Who::New => ("new", "old"),
        };
        match field {
            Some(field) => write!(
                f,
                "{messages} messages: the {by} component gives out the raw value of {field}, \
                 which the {other} one holds sensitive"
            ),
            None => write!(
                f,
                "{messages} messages: nobody can tell whether the {by} component gives out what \
                 the {other} one holds sensitive, because they are no JSON"
            ),
        }
    }
}
