//! Counting what changes, message by message.

use std::collections::BTreeMap;

use super::super::case::Case;
use super::super::written::value_text;
use super::report::{
    Change, ColumnChange, Example, Exposure, Input, Moved, Pattern, Refused, Report, Shape, Side,
    Who,
};
use crate::comparison::Pairs;
use crate::row::{Column, Row, Value};
use crate::sandbox::{Guard, Pointer, Sandbox};
use crate::verdict::{Rejection, Verdict};

/// Examples of one pattern.
const EXAMPLES_MAX: usize = 2;
/// Changed values of one example.
const CHANGES_MAX: usize = 20;
/// Patterns that are told apart: more than anybody reads.
const PATTERNS_MAX: usize = 100;
/// Characters that are shown of a value.
const VALUE_CHARS_MAX: usize = 200;

/// What has changed so far.
pub(super) struct Changes<'a> {
    pairs: Pairs<'a>,
    /// Guards what either of the two holds sensitive.
    guard: Guard,
    /// Of each, whether the other holds more sensitive than itself.
    lax: Vec<Who>,
    /// The fields that the old one holds sensitive, and the new one does not.
    no_longer_sensitive: Vec<String>,
    newly_sensitive: Vec<String>,
    show_values: bool,
    messages: u64,
    unchanged: u64,
    newly_rejected: BTreeMap<Rejected, u64>,
    newly_accepted: BTreeMap<Rejected, u64>,
    rejected_otherwise: BTreeMap<(String, String), u64>,
    newly_skipped: u64,
    newly_stored: u64,
    row_counts: u64,
    columns: Vec<Tally>,
    exposed: BTreeMap<(Who, Option<String>), u64>,
    patterns: BTreeMap<String, Pattern>,
    other_patterns: u64,
}

/// A reason and a field.
type Rejected = (crate::verdict::Reason, Option<String>);

/// The messages and values of a column that both write.
#[derive(Clone, Default)]
struct Tally {
    compared: u64,
    changed: u64,
    kinds: BTreeMap<String, u64>,
}

/// What has become of one message.
enum Difference {
    None,
    /// In words, where the two do not even agree on what it is.
    Outcome(String),
    /// The values that differ.
    Values(Vec<Change>),
}

impl<'a> Changes<'a> {
    pub(super) fn between(old: &'a Sandbox, new: &'a Sandbox, show_values: bool) -> Self {
        let pairs = Pairs::of(&old.description().columns, &new.description().columns);
        let only = |these: &[Pointer], those: &[Pointer]| -> Vec<String> {
            let only = these.iter().filter(|pointer| !those.contains(pointer));
            only.map(|pointer| pointer.as_str().to_owned()).collect()
        };
        let no_longer_sensitive = only(old.guarded(), new.guarded());
        let newly_sensitive = only(new.guarded(), old.guarded());
        let lax = [
            (Who::Old, &newly_sensitive),
            (Who::New, &no_longer_sensitive),
        ];
        let lax = lax.into_iter().filter(|(_, lacking)| !lacking.is_empty());
        Self {
            guard: old.guard().with(new.guarded()),
            lax: lax.map(|(who, _)| who).collect(),
            columns: vec![Tally::default(); pairs.both.len()],
            pairs,
            no_longer_sensitive,
            newly_sensitive,
            show_values,
            messages: 0,
            unchanged: 0,
            newly_rejected: BTreeMap::new(),
            newly_accepted: BTreeMap::new(),
            rejected_otherwise: BTreeMap::new(),
            newly_skipped: 0,
            newly_stored: 0,
            row_counts: 0,
            exposed: BTreeMap::new(),
            patterns: BTreeMap::new(),
            other_patterns: 0,
        }
    }

    /// Adds the verdicts of both on some messages.
    pub(super) fn add(&mut self, cases: &[Case], old: &[Verdict], new: &[Verdict]) {
        for ((case, old), new) in cases.iter().zip(old).zip(new) {
            self.messages += 1;
            let withheld = self.exposure(case, old, new);
            match self.difference(old, new) {
                Difference::None => self.unchanged += 1,
                Difference::Outcome(what) => self.example(case, what, Vec::new(), withheld),
                Difference::Values(changes) => {
                    let what = names(&changes);
                    self.example(case, what, changes, withheld);
                }
            }
        }
    }

    /// Whether one of the two gives out what the other holds sensitive; then
    /// it is counted, and nothing of the message is shown.
    fn exposure(&mut self, case: &Case, old: &Verdict, new: &Verdict) -> bool {
        let mut exposed = false;
        for who in &self.lax {
            let verdict = match who {
                Who::Old => old,
                Who::New => new,
            };
            let Verdict::Rows(rows) = verdict else {
                continue;
            };
            let mut inspector = self.guard.inspector();
            if let Err(leak) = inspector.inspect(&case.message.body, rows) {
                *self.exposed.entry((*who, leak.field)).or_default() += 1;
                exposed = true;
            }
        }
        exposed
    }

    fn difference(&mut self, old: &Verdict, new: &Verdict) -> Difference {
        use Verdict::{Reject, Rows, Skip};
        let outcome = |old: &str, new: &str| Difference::Outcome(format!("{old} → {new}"));
        match (old, new) {
            (Skip, Skip) => Difference::None,
            (Reject(old), Reject(new)) if old == new => Difference::None,
            (Rows(old), Rows(new)) if old.len() == new.len() => self.rows(old, new),
            (Rows(old), Rows(new)) => {
                self.row_counts += 1;
                outcome(&counted(old.len()), &counted(new.len()))
            }
            (Rows(_), Skip) => {
                self.newly_skipped += 1;
                outcome("stored", "skipped")
            }
            (Skip, Rows(_)) => {
                self.newly_stored += 1;
                outcome("skipped", "stored")
            }
            (Rows(_) | Skip, Reject(rejection)) => {
                *self.newly_rejected.entry(parts(rejection)).or_default() += 1;
                outcome(accepted(old), &rejected(rejection))
            }
            (Reject(rejection), Rows(_) | Skip) => {
                *self.newly_accepted.entry(parts(rejection)).or_default() += 1;
                outcome(&rejected(rejection), accepted(new))
            }
            (Reject(old), Reject(new)) => {
                let (old, new) = (in_words(old), in_words(new));
                let what = format!("rejected: {old} → rejected: {new}");
                *self.rejected_otherwise.entry((old, new)).or_default() += 1;
                Difference::Outcome(what)
            }
        }
    }

    /// Compares equally many rows, by the columns that both write.
    fn rows(&mut self, old: &[Row], new: &[Row]) -> Difference {
        let (mut changes, show_values) = (Vec::new(), self.show_values);
        for (pair, tally) in self.pairs.both.iter().zip(&mut self.columns) {
            tally.compared += 1;
            let before = changes.len();
            for (number, (old_row, new_row)) in old.iter().zip(new).enumerate() {
                if let Some((old_value, new_value)) = pair.differs(old_row, new_row) {
                    let row = (old.len() > 1).then_some(number + 1);
                    let text = |value| show_values.then(|| shown(value));
                    let change = Change {
                        column: pair.one.name.clone(),
                        row,
                        kind: kind(old_value, new_value),
                        old: text(old_value),
                        new: text(new_value),
                    };
                    *tally.kinds.entry(change.kind.clone()).or_default() += 1;
                    changes.push(change);
                }
            }
            tally.changed += u64::from(changes.len() > before);
        }
        match changes.is_empty() {
            true => Difference::None,
            false => Difference::Values(changes),
        }
    }

    /// Counts a message to the others that change in the same way, and keeps
    /// it as an example where there are not enough yet.
    fn example(&mut self, case: &Case, what: String, mut changes: Vec<Change>, withheld: bool) {
        if self.patterns.len() >= PATTERNS_MAX && !self.patterns.contains_key(&what) {
            self.other_patterns += 1;
            return;
        }
        let pattern = self.patterns.entry(what.clone()).or_insert(Pattern {
            what,
            messages: 0,
            examples: Vec::new(),
        });
        pattern.messages += 1;
        if pattern.examples.len() < EXAMPLES_MAX {
            changes.truncate(CHANGES_MAX);
            if withheld {
                for change in &mut changes {
                    (change.old, change.new) = (None, None);
                }
            }
            pattern.examples.push(Example {
                message: case.name.clone(),
                file: case.file.clone(),
                withheld: withheld && self.show_values,
                changes,
            });
        }
    }

    /// What has changed in all.
    pub(super) fn report(self, old: Side, new: Side, inputs: Vec<Input>) -> Report {
        let refused = |counted: BTreeMap<Rejected, u64>| -> Vec<Refused> {
            let counted = counted.into_iter();
            let mut refused: Vec<Refused> = counted
                .map(|((reason, field), messages)| Refused {
                    reason,
                    field,
                    messages,
                })
                .collect();
            refused.sort_by_key(|refused| std::cmp::Reverse(refused.messages));
            refused
        };
        let mut patterns: Vec<Pattern> = self.patterns.into_values().collect();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.messages));
        Report {
            old,
            new,
            inputs,
            messages: self.messages,
            unchanged: self.unchanged,
            newly_rejected: refused(self.newly_rejected),
            newly_accepted: refused(self.newly_accepted),
            rejected_otherwise: self
                .rejected_otherwise
                .into_iter()
                .map(|((old, new), messages)| Moved { old, new, messages })
                .collect(),
            newly_skipped: self.newly_skipped,
            newly_stored: self.newly_stored,
            row_counts: self.row_counts,
            columns: columns(&self.pairs, self.columns),
            no_longer_sensitive: self.no_longer_sensitive,
            newly_sensitive: self.newly_sensitive,
            exposed: self
                .exposed
                .into_iter()
                .map(|((by, field), messages)| Exposure {
                    by,
                    field,
                    messages,
                })
                .collect(),
            patterns,
            other_patterns: self.other_patterns,
            values_shown: self.show_values,
        }
    }
}

fn columns(pairs: &Pairs<'_>, tallies: Vec<Tally>) -> Vec<ColumnChange> {
    let alone = |column: &Column, old, new| ColumnChange {
        column: column.name.clone(),
        old,
        new,
        compared: 0,
        changed: 0,
        kinds: BTreeMap::new(),
    };
    let both = pairs.both.iter().zip(tallies).map(|(pair, tally)| {
        let Tally {
            compared,
            changed,
            kinds,
        } = tally;
        ColumnChange {
            compared,
            changed,
            kinds,
            ..alone(
                pair.one,
                Some(Shape::of(pair.one)),
                Some(Shape::of(pair.other)),
            )
        }
    });
    let removed = pairs.only_one.iter();
    let removed = removed.map(|column| alone(column, Some(Shape::of(column)), None));
    let added = pairs.only_other.iter();
    let added = added.map(|column| alone(column, None, Some(Shape::of(column))));
    both.chain(removed).chain(added).collect()
}

/// How a value differs from another one.
fn kind(old: &Value, new: &Value) -> String {
    match (old.value_type(), new.value_type()) {
        (Some(old), Some(new)) if old == new => format!("another {old}"),
        (Some(old), Some(new)) => format!("{old} → {new}"),
        (Some(old), None) => format!("{old} → null"),
        (None, Some(new)) => format!("null → {new}"),
        (None, None) => "null".to_owned(),
    }
}

/// A value as it is shown: what no screen could show is escaped, and what is
/// long is cut.
fn shown(value: &Value) -> String {
    let text = value_text(value);
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}

/// The columns of some changes, each once.
fn names(changes: &[Change]) -> String {
    let mut names: Vec<&str> = changes
        .iter()
        .map(|change| change.column.as_str())
        .collect();
    names.dedup();
    names.join(", ")
}

fn counted(rows: usize) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

fn accepted(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Skip => "skipped",
        _ => "stored",
    }
}

fn rejected(rejection: &Rejection) -> String {
    format!("rejected: {}", in_words(rejection))
}

fn in_words(rejection: &Rejection) -> String {
    match &rejection.field {
        Some(field) => format!("{} at {field}", rejection.reason),
        None => rejection.reason.to_string(),
    }
}

fn parts(rejection: &Rejection) -> Rejected {
    (rejection.reason.clone(), rejection.field.clone())
}
