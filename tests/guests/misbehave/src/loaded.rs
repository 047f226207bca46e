//! What it does before the first message, where no message can ask for it: a
//! test writes another word over this one, in the file itself.

use alloc::{
    string::{String, ToString},
    vec,
};
use core::hint::black_box;

use etl_transform::{Column, Description, Parameter, Refusal, ValueType};

use crate::tricks;

/// Found in the file by its first two words; the rest is padded with spaces.
static ASKED: [u8; 40] = *b"when loaded: nothing                    ";
const FOUND_BY: &str = "when loaded: ";
/// More than a table can have.
const COLUMNS: usize = 100_000;

fn asked() -> &'static str {
    let text = core::str::from_utf8(black_box(&ASKED)).unwrap_or_default();
    text.trim_end().strip_prefix(FOUND_BY).unwrap_or_default()
}

/// Answers, or spoils the description first.
pub fn describe(mut description: Description) -> Description {
    match asked() {
        "describe spins" => tricks::spin(0),
        "describe traps" => tricks::trap(),
        "describe recurses" => tricks::recurse(0),
        "describe grows" => tricks::grow(0),
        "describe has many columns" => {
            description.columns = vec![Column::nullable("c", ValueType::Text); COLUMNS];
        }
        "describe has a long name" => description.columns[0].name = long(),
        "describe is no text" => description.version = tricks::no_text(),
        "configure talks" => {
            let talkative = Parameter::with_default("words", "few", "any");
            description.parameters.push(talkative);
        }
        _ => {}
    }
    description
}

pub fn configure() -> Result<(), Refusal> {
    match asked() {
        "configure spins" => tricks::spin(0),
        "configure traps" => tricks::trap(),
        "configure grows" => tricks::grow(0),
        "configure refuses" => return Err(refusal(1, "nothing".to_string())),
        "configure talks" => return Err(refusal(0, long())),
        _ => {}
    }
    Ok(())
}

fn refusal(parameter: u32, expected: String) -> Refusal {
    Refusal {
        parameter,
        expected,
    }
}

fn long() -> String {
    tricks::long(1 << 20)
}
