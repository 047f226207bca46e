//! Bytes as what a component returns: what passes fits the description and the
//! limits, and holds no sensitive value, by a search that knows nothing of the
//! guard's. What is honest passes.

use super::runner::{Target, corpus};
use crate::row::{Column, Value, ValueType};
use crate::sandbox::bindings::exports::etl::transform::policy as types;
use crate::sandbox::guard::Guard;
use crate::sandbox::{Description, Field, Limits, Pointer, outcome};
use crate::verdict::{Reason, Verdict};

const TYPES: [ValueType; 8] = [
    ValueType::Boolean,
    ValueType::Integer,
    ValueType::Float,
    ValueType::Text,
    ValueType::Bytes,
    ValueType::Date,
    ValueType::Timestamp,
    ValueType::Json,
];
const SECRETS: [&str; 2] = ["203.0.113.77", "Device-7d41/4F2a?canary"];
const ROWS_MAX: usize = 3;
const BYTES_MAX: usize = 600;
/// What a byte must be for anything but the right type to be given.
const WRONG: u8 = 0xf0;

/// The bytes that are left; zeros without end after the last.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn number(&mut self) -> i64 {
        let mut bytes = [0; 8];
        bytes.fill_with(|| self.byte());
        i64::from_le_bytes(bytes)
    }
}

/// What the bytes stand for, and whether anything is wrong with it on purpose.
struct Returned {
    outcome: types::Outcome,
    honest: bool,
}

impl Returned {
    fn of(bytes: &[u8]) -> Self {
        let mut source = Source(bytes);
        let mut honest = true;
        let outcome = match source.below(8) {
            0 => types::Outcome::Skip,
            1 => {
                honest = false;
                types::Outcome::Reject(types::Rejection {
                    reason: types::Reason::Invalid,
                    field: Some(u32::from(source.byte())),
                })
            }
            _ => {
                let rows = 1 + source.below(ROWS_MAX + 1);
                let rows = (0..rows).map(|_| row(&mut source, &mut honest));
                types::Outcome::Rows(rows.collect())
            }
        };
        Self { outcome, honest }
    }
}

fn row(source: &mut Source, honest: &mut bool) -> Vec<types::Value> {
    let mut row: Vec<types::Value> = TYPES
        .iter()
        .enumerate()
        .map(|(column, _)| value(source, column, honest))
        .collect();
    if source.byte() >= WRONG {
        *honest = false;
        row.pop();
    }
    row
}

fn value(source: &mut Source, column: usize, honest: &mut bool) -> types::Value {
    let kind = match source.byte() {
        WRONG.. => {
            *honest = false;
            source.below(9)
        }
        _ => column,
    };
    match kind {
        0 => types::Value::Boolean(source.byte() & 1 == 1),
        1 => types::Value::Integer(source.number()),
        2 => types::Value::Float(f64::from_bits(source.number().cast_unsigned())),
        3 => types::Value::Text(text(source, honest)),
        4 => types::Value::Bytes(text(source, honest).into_bytes()),
        5 => types::Value::Date(source.number() as i32),
        6 => types::Value::Timestamp(source.number()),
        7 => types::Value::Json(format!("{:?}", text(source, honest))),
        _ => types::Value::Null,
    }
}

/// A text in a few pieces: words of no meaning, and secrets in disguise.
fn text(source: &mut Source, honest: &mut bool) -> String {
    let mut text = String::new();
    for _ in 0..source.below(4) {
        match source.below(12) {
            piece @ 0..8 => {
                *honest = false;
                let secret = SECRETS[source.below(SECRETS.len())];
                text.push_str(&disguised(secret)[piece]);
            }
            8 => text.push_str(&"lorem ".repeat(source.below(40))),
            9 => {
                *honest = false;
                text.push('\0');
            }
            10 => text.push(char::from(b'g' + source.byte() % 16)),
            _ => text.push_str([" ", "-", "%", "=", "é", "%2"][source.below(6)]),
        }
    }
    text
}

/// A secret, as each of the disguises has it that a guard must know.
fn disguised(secret: &str) -> [String; 8] {
    let each = |before: &str| -> String {
        let bytes = secret.bytes();
        bytes.map(|byte| format!("{before}{byte:02x}")).collect()
    };
    let bare = |c: &char| c.is_ascii_alphanumeric();
    [
        secret.to_owned(),
        secret.to_uppercase(),
        secret.chars().filter(bare).collect(),
        secret.chars().rev().collect(),
        each(""),
        each("%"),
        each("\\u00"),
        base64(secret),
    ]
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = text.as_bytes().chunks(3).map(|chunk| {
        let bits = (0..3).fold(0, |bits, n| {
            bits << 8 | usize::from(chunk.get(n).copied().unwrap_or(0))
        });
        let digits = (0..=chunk.len()).map(move |n| bits >> (18 - 6 * n) & 63);
        digits.map(|digit| char::from(DIGITS[digit])).collect()
    });
    groups.collect::<Vec<String>>().concat()
}

/// The secret that stands in a text or in bytes, in any disguise.
fn leaked(value: &Value) -> Option<&'static str> {
    let text = match value {
        Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => return None,
    };
    let holds = |secret: &&str| {
        let disguises = disguised(secret);
        disguises.iter().any(|disguise| text.contains(disguise))
    };
    SECRETS.into_iter().find(holds)
}

fn description() -> Description {
    let columns = TYPES.iter().enumerate().map(|(n, value_type)| Column {
        name: format!("column_{n}"),
        value_type: *value_type,
        nullable: n % 2 == 0,
    });
    let field = |pointer: &str| Field {
        pointer: Pointer::parse(pointer).expect("a pointer"),
        sensitive: true,
    };
    Description {
        name: "fuzz".to_owned(),
        version: "1".to_owned(),
        columns: columns.collect(),
        fields: ["/ip", "/device_id"].map(field).to_vec(),
        parameters: Vec::new(),
    }
}

fn check(bytes: &[u8]) {
    let Returned { outcome, honest } = Returned::of(bytes);
    let size = outcome::outcome_size(&outcome);
    let within = size.rows <= ROWS_MAX && size.bytes <= BYTES_MAX;
    let limits = Limits {
        rows_per_message_max: ROWS_MAX,
        result_bytes_max: BYTES_MAX,
        ..Limits::default()
    };
    let description = description();
    let guard = Guard::new(&description, &[], limits.check_ms_max);
    let body = serde_json::json!({"ip": SECRETS[0], "device_id": SECRETS[1]}).to_string();

    let rows = match outcome::verdict(outcome, &description, &limits) {
        Verdict::Rows(rows) => rows,
        Verdict::Skip => return,
        Verdict::Reject(rejection) => {
            let refused = &rejection.reason;
            assert!(
                !(honest && within),
                "an honest result is refused: {refused}"
            );
            return;
        }
    };
    assert!(within, "{size:?}");
    for row in &rows {
        assert_eq!(row.len(), description.columns.len());
        for (value, column) in row.iter().zip(&description.columns) {
            let fits = match value.value_type() {
                None => column.nullable,
                Some(value_type) => value_type == column.value_type,
            };
            assert!(fits, "{value:?} in {column:?}");
            assert!(!matches!(value, Value::Text(text) if text.contains('\0')));
        }
    }
    match guard.inspector().inspect(&body, &rows) {
        Ok(()) => {
            let found = rows.iter().flatten().find_map(leaked);
            assert_eq!(found, None, "it passes the guard");
        }
        Err(rejection) => {
            assert_eq!(rejection.reason, Reason::Leak);
            assert!(!honest, "a false alarm for {:?}", rejection.field);
        }
    }
}

#[test]
fn no_result_passes_that_does_not_fit_or_holds_a_sensitive_value() {
    Target {
        folder: corpus("results"),
        cases: 2_000,
        more: Vec::new(),
        words: &[
            b"\xff",
            b"\xff\x03",
            b"\0\x03\x04\0\0\x01\x01\x02\0",
            b"\0\x01\x07\x01",
            b"\0\x02\x08\x27\x08\x27",
            b"\0\0\0\0\0\0\xf0\x7f",
        ],
    }
    .fuzz(check);
}
