//! What holds of each field: its values are exchanged, nulled and left out in
//! messages that differ in nothing else.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Check, Property};
use crate::message::Message;
use crate::row::{Row, Value};
use crate::sandbox::Pointer;
use crate::verdict::Verdict;
use crate::workbench::case::{Case, outcome};

/// The inputs whose fields are exchanged, and the values that each field gets.
const BASES_MAX: usize = 5;
const VALUES_MAX: usize = 50;

/// Inputs that give one row each, and their bodies.
pub(super) struct Bases<'a> {
    names: Vec<&'a str>,
    messages: Vec<&'a Message>,
    bodies: Vec<Json>,
}

impl<'a> Bases<'a> {
    pub(super) fn of(cases: &'a [Case], verdicts: &[Verdict]) -> Self {
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
    /// What becomes of one field's values, in messages that differ in nothing
    /// else.
    pub(super) fn field(&mut self, field: &Pointer, bases: &Bases<'_>, cases: &[Case]) {
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
    /// that depend on it. Where all of these may be null, there has to be a row.
    fn null_stays_null(&mut self, pointer: &str, derived: &[usize], bases: &Bases<'_>) {
        for base in 0..bases.names.len() {
            let null = bases.variant(base, pointer, Some(&Json::Null));
            let none = bases.variant(base, pointer, None);
            let (Some(null), Some(none)) = (null, none) else {
                continue;
            };
            let (null, none) = (self.alone(&null), self.alone(&none));
            let name = bases.names[base];
            let gives_rows = |verdict: &Verdict| matches!(verdict, Verdict::Rows(_));
            if !gives_rows(&null) && !gives_rows(&none) {
                if let Some(column) = self.only_nullable(derived) {
                    let words = format!(
                        "{pointer} null: {}, though {column} may be null",
                        outcome(&null)
                    );
                    self.finds(Property::NullStaysNull, name, words);
                }
                continue;
            }
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

    /// The first of some columns, if all of them may be null.
    fn only_nullable(&self, places: &[usize]) -> Option<String> {
        let columns = &self.sandbox.description().columns;
        let nullable = places.iter().all(|place| columns[*place].nullable);
        let first = places.first().filter(|_| nullable)?;
        Some(self.column(*first))
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
