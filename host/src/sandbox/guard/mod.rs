//! The leak guard: no raw value of a sensitive field gets out of the sandbox.
//!
//! ```text
//! body ── extract ──▶ values ── form ──▶ needles ─┐
//! rows ── disguises undone ── form ──▶ texts ─────┴── search ──▶ leak, or none
//! ```
//!
//! It fails closed: rows of a body that cannot be read are refused, because
//! nobody can say what must not be in them, and so are rows that take longer to
//! look through than the limit. It catches a component that forgets
//! to mask, or masks with what anyone can undo. One that means to get a value
//! out, piece by piece or in a code of its own, is not caught: no search could.

mod budget;
#[cfg(test)]
mod costs;
mod disguise;
mod extract;
mod form;
mod json;
mod needles;
mod pointer;
mod short;
mod sieve;
#[cfg(test)]
mod tests;
mod typed;

use std::mem;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use budget::Budget;
use disguise::{Others, Quarry};
use extract::Sensitive;
use json::{Token, Tokens};
use needles::Needles;
use short::Short;

use super::description::Description;
use crate::row::{Row, Value};
use crate::verdict::{Reason, Rejection};

pub use pointer::Pointer;

/// The fewest bytes, separators aside, of a value that is looked for as a part
/// of texts. Eight given hexadecimal digits stand in one of two SHA-256 by
/// chance, in either direction, once in 19 million rows (16⁸ / (2 × 57 × 2));
/// seven would once in a million. Shorter values are compared whole.
pub(crate) const STRIPPED_BYTES_MIN: usize = 8;
/// The fewest bytes of a shorter value that is looked for as a part after all,
/// with its separators, which no hash has: the shortest IPv4 address.
const WRITTEN_BYTES_MIN: usize = 7;
/// How many disguises, one over the other, are undone. Each can take several
/// times as long as the text that it is in, if a guest makes the most of it.
const LAYERS_MAX: usize = 2;
/// The most sensitive values of a message. One that has more is refused: no
/// search for so many is fast however they are chosen.
const VALUES_MAX: usize = 1_000;

/// Units of the budget, about a nanosecond each: for a text or a value whatever
/// its length; for each byte of a text, which is read some ten times; for each
/// byte of a value that needles are made of; for each byte of a body.
const TEXT_UNITS: usize = 16;
const TEXT_BYTE_UNITS: usize = 16;
const VALUE_BYTE_UNITS: usize = 32;
const BODY_BYTE_UNITS: usize = 2;
/// For each value that a typed value is compared with, and each of its bytes.
const WHOLE_UNITS: usize = 32;
const WHOLE_BYTE_UNITS: usize = 2;

/// What is guarded.
pub struct Guard {
    pointers: Vec<Pointer>,
    /// The processor time for one message.
    time_max: Duration,
}

/// What ends a search before everything has been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A value of the field with this index stands there.
    Leak(usize),
    /// The body is no JSON, or has more sensitive values than are looked for.
    Unreadable,
    /// The time is over.
    Spent,
}

impl Guard {
    /// Guards what the component declares sensitive, and what the operator adds.
    /// Each message may take so many milliseconds of processor time.
    pub(super) fn new(description: &Description, operators: &[Pointer], ms_max: u64) -> Self {
        let declared = description.fields.iter().filter(|field| field.sensitive);
        let mut pointers: Vec<Pointer> = Vec::new();
        for pointer in declared.map(|field| &field.pointer).chain(operators) {
            if !pointers.contains(pointer) {
                pointers.push(pointer.clone());
            }
        }
        Self {
            pointers,
            time_max: Duration::from_millis(ms_max),
        }
    }

    pub(super) fn pointers(&self) -> &[Pointer] {
        &self.pointers
    }

    /// Guards these too.
    #[must_use]
    pub fn with(&self, more: &[Pointer]) -> Self {
        let new = more.iter().filter(|more| !self.pointers.contains(more));
        Self {
            pointers: self.pointers.iter().chain(new).cloned().collect(),
            time_max: self.time_max,
        }
    }

    /// Makes ready to inspect the rows of several messages.
    pub fn inspector<'m>(&self) -> Inspector<'_, 'm> {
        Inspector {
            pointers: &self.pointers,
            values: Vec::new(),
            reached: Vec::new(),
            stripped: Needles::new(),
            written: Needles::new(),
            short: Short::default(),
            others: Others::default(),
            forms: Default::default(),
            whole_units: 0,
            budget: Budget::new(self.time_max),
        }
    }
}

/// Looks into the rows of messages, one after the other.
pub struct Inspector<'g, 'm> {
    pointers: &'g [Pointer],
    values: Vec<Sensitive<'m>>,
    /// A buffer of the walk to them.
    reached: Vec<usize>,
    /// What is looked for as a part of stripped texts, in both directions.
    stripped: Needles,
    /// What is looked for as a part of written texts, in both directions.
    written: Needles,
    /// What is compared whole.
    short: Short,
    /// The bytes in all values that are not printable ASCII.
    others: Others,
    /// Buffers: for a value and its reverse, and for the forms of a text and of
    /// what comes out of it.
    forms: Forms,
    /// What it takes to compare a typed value with all of them.
    whole_units: usize,
    budget: Budget,
}

type Forms = [Vec<u8>; LAYERS_MAX + 1];

impl<'m> Inspector<'_, 'm> {
    /// Refuses rows that hold a raw value of their message's sensitive fields.
    ///
    /// # Errors
    /// `leak`, with the field. Without one, nobody can tell: the body is no
    /// JSON, or has more sensitive values than are looked for. `check-limit`
    /// where looking takes longer than it may.
    pub fn inspect(&mut self, body: &'m str, rows: &[Row]) -> Result<(), Rejection> {
        if self.pointers.is_empty() {
            return Ok(());
        }
        self.budget.renew();
        match self.search(body, rows) {
            Continue(()) => Ok(()),
            Break(Stop::Leak(field)) => Err(Rejection {
                reason: Reason::Leak,
                field: Some(self.pointers[field].as_str().to_owned()),
            }),
            Break(Stop::Unreadable) => Err(Reason::Leak.into()),
            Break(Stop::Spent) => Err(Reason::CheckLimit.into()),
        }
    }

    fn search(&mut self, body: &'m str, rows: &[Row]) -> ControlFlow<Stop> {
        self.values.clear();
        self.budget.spend(body.len() * BODY_BYTE_UNITS)?;
        let places = (self.pointers, self.reached.as_mut());
        extract::extract(body, places, &mut self.values, &self.budget)?;
        if self.values.len() > VALUES_MAX {
            return Break(Stop::Unreadable);
        }
        self.sharpen()?;
        let mut forms = mem::take(&mut self.forms);
        let mut values = rows.iter().flatten();
        let searched = values.try_for_each(|value| self.leak(value, &mut forms));
        self.forms = forms;
        searched
    }

    /// Makes needles of the values.
    fn sharpen(&mut self) -> ControlFlow<Stop> {
        self.stripped.clear();
        self.written.clear();
        self.short.clear();
        self.others = Others::default();
        self.whole_units = 0;
        let [form, reversed, ..] = &mut self.forms;
        for Sensitive { field, text } in &self.values {
            self.budget
                .spend(TEXT_UNITS + text.len() * VALUE_BYTE_UNITS)?;
            self.whole_units += WHOLE_UNITS + text.len() * WHOLE_BYTE_UNITS;
            self.others.add(text);
            form::strip(text.as_bytes(), form);
            if form.len() >= STRIPPED_BYTES_MIN {
                self.stripped.add(*field, form);
                match form.is_ascii() {
                    true => form.reverse(),
                    false => {
                        form::reverse(text, reversed);
                        form::strip(reversed, form);
                    }
                }
                self.stripped.add(*field, form);
                continue;
            }
            self.short.add(*field, text, form);
            if text.len() >= WRITTEN_BYTES_MIN && text.len() > form.len() {
                form::lower(text.as_bytes(), form);
                self.written.add(*field, form);
                form::reverse(text, reversed);
                form::lower(reversed, form);
                self.written.add(*field, form);
            }
        }
        self.stripped.ready();
        self.written.ready();
        Continue(())
    }

    /// Stops at a field whose value stands in the given one.
    fn leak(&self, value: &Value, forms: &mut Forms) -> ControlFlow<Stop> {
        match value {
            Value::Null | Value::Boolean(_) => Continue(()),
            Value::Integer(integer) => self.whole(|text| typed::is_integer(text, *integer)),
            Value::Float(float) => self.whole(|text| typed::is_float(text, *float)),
            Value::Date(days) => self.whole(|text| typed::is_day(text, *days)),
            Value::Timestamp(micros) => self.whole(|text| typed::is_moment(text, *micros)),
            Value::Text(text) => self.text(text.as_bytes(), forms),
            Value::Bytes(bytes) => self.text(bytes, forms),
            Value::Json(json) => {
                self.text(json.as_bytes(), forms)?;
                Tokens::of(json).try_for_each(|token| self.token(token, forms))
            }
        }
    }

    fn whole(&self, is: impl Fn(&str) -> bool) -> ControlFlow<Stop> {
        self.budget.spend(self.whole_units)?;
        match self.values.iter().find(|value| is(&value.text)) {
            Some(value) => Break(Stop::Leak(value.field)),
            None => Continue(()),
        }
    }

    /// A part of a JSON text, on its own: what is compared whole is one here.
    fn token(&self, token: Token, forms: &mut Forms) -> ControlFlow<Stop> {
        match token {
            Token::Name(text) | Token::Text(text) => self.text(text.text().as_bytes(), forms),
            Token::Bare(number) => {
                self.text(number.as_bytes(), forms)?;
                match number.parse() {
                    Ok(number) => self.whole(|text| typed::is_float(text, number)),
                    Err(_) => Continue(()),
                }
            }
            Token::Object | Token::Array | Token::End => Continue(()),
        }
    }

    /// Looks into a text, and into what comes out of it when a disguise is
    /// undone, for which there has to be a buffer.
    fn text(&self, text: &[u8], forms: &mut [Vec<u8>]) -> ControlFlow<Stop> {
        let part_bytes_min = self.stripped.bytes_min().min(self.written.bytes_min());
        if text.len() < part_bytes_min && self.short.is_empty() {
            return self.budget.spend(1);
        }
        self.budget
            .spend(TEXT_UNITS + text.len() * TEXT_BYTE_UNITS + self.short.units(text))?;
        let decoded = forms.len() <= LAYERS_MAX;
        let Some((form, forms)) = forms.split_first_mut() else {
            return Continue(());
        };
        if !self.written.is_empty() {
            form::lower(text, form);
            self.written.find(form, &self.budget)?;
        }
        let is_stripped = form::is_stripped(text);
        let stripped = match is_stripped {
            true => text,
            false => {
                form::strip(text, form);
                form
            }
        };
        self.stripped.find(stripped, &self.budget)?;
        if let Some(field) = self.short.find(text, stripped, decoded) {
            return Break(Stop::Leak(field));
        }
        if forms.is_empty() {
            return Continue(());
        }

        let plain = match is_stripped {
            true => None,
            false => disguise::unescaped(text),
        };
        if let Some(plain) = plain {
            self.text(&plain, forms)?;
        }
        let quarry = Quarry {
            bytes_min: part_bytes_min.min(self.short.disguised_bytes_min(text)),
            others: self.others,
        };
        let mut deeper = |plain: &[u8]| self.text(plain, forms).break_value();
        let stop = disguise::in_hex(text, stripped, quarry, &mut deeper)
            .or_else(|| disguise::in_base64(text, quarry, &mut deeper));
        stop.map_or(Continue(()), Break)
    }
}
