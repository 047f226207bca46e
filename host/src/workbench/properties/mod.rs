//! What holds of every message, whatever a policy is for: checked on each
//! input, and on variants of it, without a case that says so.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::case::{Case, outcome};
use crate::message::Message;
use crate::row::{Row, Value};
use crate::sandbox::{Pointer, Sandbox};
use crate::verdict::{Reason, Verdict};

/// The messages of a batch in which each one is judged again.
const BATCH_MESSAGES: usize = 100;
/// The inputs whose fields are exchanged, and the values that each field gets.
const BASES_MAX: usize = 5;
const VALUES_MAX: usize = 50;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// Which property.
    pub(super) property: Property,
    /// Of which input.
    pub(super) case: String,
    /// What was seen, without a value of the input.
    pub(super) words: String,
}

/// What holds of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Property {
    /// The component neither traps, nor overruns a limit, nor breaks the
    /// interface, nor hands out a sensitive value.
    NoFault,
    /// The same message gives the same rows: again, alone and in any batch.
    SameAgain,
    /// Equal values give equal pseudonyms.
    EqualStaysEqual,
    /// Different values give different pseudonyms.
    DifferentStaysDifferent,
    /// What is null is null in the row, and a null is as good as none.
    NullStaysNull,
}

impl Property {
    /// What it says, in one line.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NoFault => "no fault, no leak, only what is declared",
            Self::SameAgain => "the same message gives the same rows, alone and in any batch",
            Self::EqualStaysEqual => "equal values give equal pseudonyms",
            Self::DifferentStaysDifferent => "different values give different pseudonyms",
            Self::NullStaysNull => "null stays null",
        }
    }

    pub(super) const ALL: [Self; 5] = [
        Self::NoFault,
        Self::SameAgain,
        Self::EqualStaysEqual,
        Self::DifferentStaysDifferent,
        Self::NullStaysNull,
    ];
}

/// What was found of all inputs.
pub(super) struct Found {
    /// The verdict on each input, alone.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) findings: Vec<Finding>,
    /// How many messages were judged in all, variants included.
    pub(super) judged: usize,
}

/// Checks all properties on all inputs. Of some fields different values may
/// become one.
pub(super) fn check(sandbox: &Sandbox, cases: &[Case], may_collide: &[Pointer]) -> Found {
    let mut check = Check {
        sandbox,
        may_collide,
        findings: Vec::new(),
        judged: 0,
    };
    let messages: Vec<Message> = cases.iter().map(|case| case.message.clone()).collect();
    let verdicts: Vec<Verdict> = messages
        .iter()
        .map(|message| check.alone(message))
        .collect();
    check.no_fault(cases, &verdicts);
    check.same_again(cases, &messages, &verdicts);
    let bases = Bases::of(cases, &verdicts);
    for field in &sandbox.description().fields {
        check.field(&field.pointer, &bases, cases);
    }
    check.findings.sort();
    check.findings.dedup();
    Found {
        verdicts,
        findings: check.findings,
        judged: check.judged,
    }
}

struct Check<'a> {
    sandbox: &'a Sandbox,
    may_collide: &'a [Pointer],
    findings: Vec<Finding>,
    judged: usize,
}

/// Inputs that give one row each, and their bodies.
struct Bases<'a> {
    names: Vec<&'a str>,
    messages: Vec<&'a Message>,
    bodies: Vec<Json>,
}

impl<'a> Bases<'a> {
    fn of(cases: &'a [Case], verdicts: &[Verdict]) -> Self {
        let mut bases = Self {
            names: Vec::new(),
            messages: Vec::new(),
            bodies: Vec::new(),
        };
        for (case, verdict) in cases.iter().zip(verdicts) {
            let Ok(body) = serde_json::from_str(&case.message.body) else {
                continue;
            };
            if matches!(verdict, Verdict::Rows(rows) if rows.len() == 1) {
                bases.names.push(&case.name);
                bases.messages.push(&case.message);
                bases.bodies.push(body);
            }
            if bases.names.len() == BASES_MAX {
                break;
            }
        }
        bases
    }

    /// The base with another value of a field, or without the field.
    fn variant(&self, base: usize, pointer: &str, value: Option<&Json>) -> Option<Message> {
        let mut body = self.bodies[base].clone();
        let (parent, last) = pointer.rsplit_once('/')?;
        let members = body.pointer_mut(parent)?.as_object_mut()?;
        let member = last.replace("~1", "/").replace("~0", "~");
        match value {
            Some(value) => drop(members.insert(member, value.clone())),
            None => drop(members.remove(&member)),
        }
        Some(Message {
            body: body.to_string(),
            ..self.messages[base].clone()
        })
    }
}

impl Check<'_> {
    fn alone(&mut self, message: &Message) -> Verdict {
        self.judged += 1;
        let verdict = self.sandbox.judge(std::slice::from_ref(message)).pop();
        verdict.unwrap_or_else(|| Verdict::Reject(Reason::BrokenInterface.into()))
    }

    fn finds(&mut self, property: Property, case: &str, words: impl Into<String>) {
        self.findings.push(Finding {
            property,
            case: case.to_owned(),
            words: words.into(),
        });
    }

    fn no_fault(&mut self, cases: &[Case], verdicts: &[Verdict]) {
        for (case, verdict) in cases.iter().zip(verdicts) {
            let Verdict::Reject(rejection) = verdict else {
                continue;
            };
            if rejection.reason.is_fault() && case.expected.is_none() {
                self.finds(Property::NoFault, &case.name, outcome(verdict));
            }
        }
    }

    /// Again alone, among what comes before and after it, and in reverse.
    fn same_again(&mut self, cases: &[Case], messages: &[Message], verdicts: &[Verdict]) {
        let last_first = |batch: &[usize]| batch.iter().rev().copied().collect::<Vec<_>>();
        let all: Vec<usize> = (0..messages.len()).collect();
        let alone = all.iter().map(|number| ("a second time", vec![*number]));
        let batches = all.chunks(BATCH_MESSAGES);
        let forwards = batches.clone().map(|batch| ("in a batch", batch.to_vec()));
        let backwards = batches.map(|batch| ("in a batch in reverse", last_first(batch)));
        for (how, batch) in alone.chain(forwards).chain(backwards) {
            let judged: Vec<Message> = batch.iter().map(|n| messages[*n].clone()).collect();
            self.judged += judged.len();
            for (number, again) in batch.iter().zip(self.sandbox.judge(&judged)) {
                let first = &verdicts[*number];
                if let Some(words) = self.other(first, &again) {
                    let words = format!("{how}: {words}");
                    self.finds(Property::SameAgain, &cases[*number].name, words);
                }
            }
        }
    }

    /// In what two verdicts differ, by names of columns alone.
    fn other(&self, one: &Verdict, other: &Verdict) -> Option<String> {
        let (Verdict::Rows(rows), Verdict::Rows(others)) = (one, other) else {
            let (one, other) = (outcome(one), outcome(other));
            return (one != other).then(|| format!("{other} instead of {one}"));
        };
        if rows.len() != others.len() {
            return Some(format!("{} rows instead of {}", others.len(), rows.len()));
        }
        let pairs = rows.iter().zip(others);
        let names: Vec<&str> = pairs
            .flat_map(|(row, other)| self.changed(row, other))
            .collect();
        (!names.is_empty()).then(|| format!("another {}", names.join(", ")))
    }

    /// The columns in which two rows differ.
    fn changed(&self, row: &Row, other: &Row) -> Vec<&str> {
        let columns = self.sandbox.description().columns.iter();
        let values = row.iter().zip(other);
        let changed = columns.zip(values).filter(|(_, (one, other))| one != other);
        changed.map(|(column, _)| column.name.as_str()).collect()
    }

    /// What becomes of one field's values, in messages that differ in nothing
    /// else.
    fn field(&mut self, field: &Pointer, bases: &Bases<'_>, cases: &[Case]) {
        let sensitive = self.sandbox.guarded().contains(field);
        let pointer = field.as_str();
        let values = values_of(pointer, cases);
        let mut rows: Vec<Vec<Option<Row>>> = Vec::new();
        for base in 0..bases.names.len() {
            let variants: Vec<Option<Message>> = values
                .iter()
                .map(|value| bases.variant(base, pointer, Some(value)))
                .collect();
            let of_base = variants
                .iter()
                .map(|variant| self.one_row(variant.as_ref()));
            rows.push(of_base.collect());
        }
        let derived = self.derived(&rows);
        if sensitive {
            self.equal_stays_equal(pointer, &derived, &rows, bases);
        }
        if sensitive && !self.may_collide.contains(field) {
            self.different_stays_different(pointer, &derived, &rows, bases);
        }
        self.null_stays_null(pointer, &derived, bases);
    }

    fn one_row(&mut self, message: Option<&Message>) -> Option<Row> {
        match self.alone(message?) {
            Verdict::Rows(mut rows) if rows.len() == 1 => rows.pop(),
            _ => None,
        }
    }

    /// The places of the columns that depend on the field.
    fn derived(&self, rows: &[Vec<Option<Row>>]) -> Vec<usize> {
        let depends = |column: &usize| {
            rows.iter().any(|of_base| {
                let mut values = of_base.iter().flatten().map(|row| &row[*column]);
                let first = values.next();
                values.any(|value| Some(value) != first)
            })
        };
        let columns = 0..self.sandbox.description().columns.len();
        columns.filter(depends).collect()
    }

    /// The same value in several messages.
    fn equal_stays_equal(
        &mut self,
        pointer: &str,
        derived: &[usize],
        rows: &[Vec<Option<Row>>],
        bases: &Bases<'_>,
    ) {
        let Some((first, others)) = rows.split_first() else {
            return;
        };
        for (base, of_base) in others.iter().enumerate() {
            for (one, other) in first.iter().zip(of_base) {
                let (Some(one), Some(other)) = (one, other) else {
                    continue;
                };
                for column in derived
                    .iter()
                    .filter(|column| one[**column] != other[**column])
                {
                    let name = self.column(*column);
                    let words = format!("the same {pointer} gives another {name} than elsewhere");
                    self.finds(Property::EqualStaysEqual, bases.names[base + 1], words);
                }
            }
        }
    }

    /// Several values in the same message: where no derived column tells two
    /// of them apart, they have one pseudonym.
    fn different_stays_different(
        &mut self,
        pointer: &str,
        derived: &[usize],
        rows: &[Vec<Option<Row>>],
        bases: &Bases<'_>,
    ) {
        for column in derived {
            let name = self.column(*column);
            for (base, of_base) in rows.iter().enumerate() {
                let mut seen: Vec<&Value> = Vec::new();
                for row in of_base.iter().flatten() {
                    if seen.contains(&&row[*column]) {
                        let words = format!("two values of {pointer} give the same {name}");
                        self.finds(Property::DifferentStaysDifferent, bases.names[base], words);
                        break;
                    }
                    seen.push(&row[*column]);
                }
            }
        }
    }

    /// With a null, and without the field: the same, and null in the columns
    /// that depend on it.
    fn null_stays_null(&mut self, pointer: &str, derived: &[usize], bases: &Bases<'_>) {
        for base in 0..bases.names.len() {
            let null = bases.variant(base, pointer, Some(&Json::Null));
            let none = bases.variant(base, pointer, None);
            let (Some(null), Some(none)) = (null, none) else {
                continue;
            };
            let (null, none) = (self.alone(&null), self.alone(&none));
            let rejected = |verdict: &Verdict| matches!(verdict, Verdict::Reject(_));
            if rejected(&null) && rejected(&none) {
                continue;
            }
            let name = bases.names[base];
            if let Some(words) = self.other(&none, &null) {
                let words = format!("{pointer} null, and not left out: {words}");
                self.finds(Property::NullStaysNull, name, words);
            }
            let Verdict::Rows(rows) = &null else { continue };
            for column in derived {
                if rows.iter().any(|row| row[*column] != Value::Null) {
                    let words = format!("{pointer} is null, and {} is not", self.column(*column));
                    self.finds(Property::NullStaysNull, name, words);
                }
            }
        }
    }

    fn column(&self, place: usize) -> String {
        self.sandbox.description().columns[place].name.clone()
    }
}

/// The different scalars that stand at a place of the inputs.
fn values_of(pointer: &str, cases: &[Case]) -> Vec<Json> {
    let mut values: BTreeMap<String, Json> = BTreeMap::new();
    for case in cases {
        let Ok(body) = serde_json::from_str::<Json>(&case.message.body) else {
            continue;
        };
        let scalar = body
            .pointer(pointer)
            .filter(|value| !value.is_null() && !value.is_array() && !value.is_object());
        if let Some(value) = scalar {
            values.insert(value.to_string(), value.clone());
        }
        if values.len() == VALUES_MAX {
            break;
        }
    }
    values.into_values().collect()
}
