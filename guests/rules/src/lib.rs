//! Masking by rules, which are parameters: what becomes of each field of a JSON
//! object. The policies `rule_mask` and `keyed_rule_mask` are these rules, the
//! one without any import, the other with the keyed hash.
//!
//! A field that no rule names is never stored. Every field that is not kept as
//! it is counts as sensitive, so that the host looks for its raw value in
//! whatever comes out.

#![no_std]

extern crate alloc;

mod calendar;
mod item;
mod mask;
mod members;
pub mod network;
mod parameters;

use alloc::{string::String, vec::Vec};

use etl_transform::{
    Argument, Description, Message, Outcome, Reason, Refusal, Rejection, Row, Value, hex,
};

use mask::{Mask, Masked};
use members::{Members, Scalar, Tree};

/// Which hashes the parameters offer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hashes {
    /// SHA-256, which anyone can compute.
    Plain,
    /// Also the host's keyed hash.
    Keyed,
}

/// What becomes of each field.
pub struct Rules {
    description: Description,
    /// Where the fields stand in a body.
    tree: Tree,
    /// Of each field, whether it must be there.
    required: Vec<bool>,
    /// Of each column, where its value comes from.
    sources: Vec<Source>,
    refuse_others: bool,
}

/// Where a column's value comes from.
enum Source {
    MessageId,
    SentDate,
    SentAt,
    Field { field: usize, mask: Mask },
}

/// Of one batch, the values that are to be hashed under the key, and the place
/// of each: its message and its column.
#[derive(Default)]
struct Pending {
    values: Vec<Vec<u8>>,
    places: Vec<(usize, usize)>,
}

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1_000;

impl Rules {
    /// What a policy of rules is before it has its parameters: its columns and
    /// fields follow from them.
    pub fn describe(name: &str, version: &str, hashes: Hashes) -> Description {
        Description {
            name: String::from(name),
            version: String::from(version),
            columns: Vec::new(),
            fields: Vec::new(),
            parameters: parameters::declared(hashes),
        }
    }

    /// Reads the rules.
    ///
    /// # Errors
    /// The parameter that makes no sense, or contradicts one before it.
    pub fn configure(description: Description, arguments: &[Argument]) -> Result<Self, Refusal> {
        parameters::read(description, arguments)
    }

    /// What the policy is with its parameters.
    pub fn description(&self) -> Description {
        self.description.clone()
    }

    /// Judges a batch: one row for each good message. `keyed_hash` is asked
    /// once, for all values of the batch, and gives a hash for each.
    pub fn judge(
        &self,
        messages: &[Message],
        keyed_hash: impl FnOnce(&[Vec<u8>]) -> Vec<Vec<u8>>,
    ) -> Vec<Outcome> {
        let mut pending = Pending::default();
        let judged = messages.iter().enumerate();
        let mut rows: Vec<Result<Row, Rejection>> = judged
            .map(|(place, message)| {
                let before = pending.values.len();
                let row = self.row(place, message, &mut pending);
                if row.is_err() {
                    pending.values.truncate(before);
                    pending.places.truncate(before);
                }
                row
            })
            .collect();
        if !pending.values.is_empty() {
            let mut hashes = keyed_hash(&pending.values).into_iter();
            for (message, column) in pending.places {
                // A hash that is missing would be a value that is not there, so
                // it traps.
                let hash = hashes.next().expect("a hash for each value");
                if let Ok(row) = &mut rows[message] {
                    row[column] = Value::Text(hex(&hash));
                }
            }
        }
        let rows = rows.into_iter();
        rows.map(|row| match row {
            Ok(row) => Outcome::Rows(Vec::from([row])),
            Err(rejection) => Outcome::Reject(rejection),
        })
        .collect()
    }

    /// A message's row, in which what is to be hashed under the key is null.
    ///
    /// # Errors
    /// - `malformed`: no JSON text, or a field given twice;
    /// - `unsupported`: JSON, and not an object with any of the fields;
    /// - `unexpected`: another member, where these are refused;
    /// - `missing`, `wrong-type`, `invalid`, `out-of-range`: with the field.
    ///
    /// Of several faults the first one in this order, then in that of the
    /// fields and the columns, whatever the order in the body.
    fn row(
        &self,
        place: usize,
        message: &Message,
        pending: &mut Pending,
    ) -> Result<Row, Rejection> {
        let members = Members::read(&message.body, &self.tree, self.required.len())?;
        if self.refuse_others && members.others {
            return Err(Rejection::whole(Reason::Unexpected));
        }
        for (field, required) in self.required.iter().enumerate() {
            match members.fields[field] {
                Scalar::Absent if *required => return Err(at(Reason::Missing, field)),
                Scalar::Null if *required => return Err(at(Reason::WrongType, field)),
                _ => {}
            }
        }
        let mut row = Row::with_capacity(self.sources.len());
        for (column, source) in self.sources.iter().enumerate() {
            row.push(match source {
                Source::MessageId => Value::Text(message.id.clone()),
                Source::SentDate => Value::Date(sent_date(message.sent_ms)?),
                Source::SentAt => Value::Timestamp(sent_at(message.sent_ms)?),
                Source::Field { field, mask } => {
                    let masked = mask.apply(&members.fields[*field]);
                    match masked.map_err(|reason| at(reason, *field))? {
                        Masked::Value(value) => value,
                        Masked::ToHash(bytes) => {
                            pending.values.push(bytes);
                            pending.places.push((place, column));
                            Value::Null
                        }
                    }
                }
            });
        }
        Ok(row)
    }
}

fn at(reason: Reason, field: usize) -> Rejection {
    Rejection::at(reason, field as u32)
}

fn sent_date(sent_ms: u64) -> Result<i32, Rejection> {
    i32::try_from(sent_ms / MS_PER_DAY).map_err(|_| Rejection::whole(Reason::OutOfRange))
}

fn sent_at(sent_ms: u64) -> Result<i64, Rejection> {
    let microseconds = sent_ms.checked_mul(1_000);
    let microseconds = microseconds.and_then(|moment| i64::try_from(moment).ok());
    microseconds.ok_or(Rejection::whole(Reason::OutOfRange))
}
