//! Values that are too short to be looked for as parts: two letters stand
//! everywhere. They are compared with whole texts.

use super::form;

/// The fewest bytes of a value that is also looked for in disguise. In base64
/// or reversed, one to three characters are often a word or number of its own.
const DISGUISED_BYTES_MIN: usize = 4;
/// How many times longer a disguise makes a value at most: twice hexadecimal.
const DISGUISE_FACTOR_MAX: usize = 4;
/// Units of the budget for each value that a text is compared with, beside one
/// for each 16 of the text's bytes.
const VALUE_UNITS: usize = 4;

/// The short values of a message.
#[derive(Default)]
pub(super) struct Short {
    values: Vec<Value>,
    /// The length of the longest that is looked for in disguise, in bytes.
    disguised_bytes_max: usize,
}

struct Value {
    field: usize,
    /// As it was sent.
    text: Vec<u8>,
    /// Its stripped form, and that of its reverse.
    stripped: Vec<u8>,
    reversed: Vec<u8>,
}

impl Short {
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.disguised_bytes_max = 0;
    }

    pub(super) fn add(&mut self, field: usize, text: &str, stripped: &[u8]) {
        let (mut backward, mut reversed) = (Vec::new(), Vec::new());
        form::reverse(text, &mut backward);
        form::strip(&backward, &mut reversed);
        if stripped.len() >= DISGUISED_BYTES_MIN {
            self.disguised_bytes_max = self.disguised_bytes_max.max(text.len());
        }
        self.values.push(Value {
            field,
            text: text.as_bytes().to_vec(),
            stripped: stripped.to_vec(),
            reversed,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What it takes to compare a text with all of them, in units of the budget.
    pub(super) fn units(&self, text: &[u8]) -> usize {
        self.values.len() * (VALUE_UNITS + text.len() / 16)
    }

    /// The fewest bytes to decode of a text; more than any text has where none
    /// of these values could stand in it in disguise.
    pub(super) fn disguised_bytes_min(&self, text: &[u8]) -> usize {
        match text.len() <= self.disguised_bytes_max * DISGUISE_FACTOR_MAX {
            true => DISGUISED_BYTES_MIN,
            false => usize::MAX,
        }
    }

    /// The field of a value that a text is, whose stripped form is given; a
    /// text that comes out of a disguise is `decoded`.
    pub(super) fn find(&self, text: &[u8], stripped: &[u8], decoded: bool) -> Option<usize> {
        let is = |value: &&Value| {
            let disguised = value.stripped.len() >= DISGUISED_BYTES_MIN;
            match value.stripped.is_empty() {
                // Nothing but separators: only they can tell.
                true => value.text == text,
                false => {
                    (value.stripped == stripped && (disguised || !decoded))
                        || (value.reversed == stripped && disguised)
                }
            }
        };
        self.values.iter().find(is).map(|value| value.field)
    }
}
