//! A sensitive value in each disguise that a host is to see through.

use alloc::{format, string::String, vec::Vec};

use etl_transform::Value;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value in the disguise of this name, for a column of texts; or none.
pub fn text(disguise: &str, value: &str) -> Option<Value> {
    let parts = value.split(|c: char| !c.is_ascii_alphanumeric());
    let parts: Vec<&str> = parts.collect();
    Some(Value::Text(match disguise {
        "leak-as-it-is" => String::from(value),
        "leak-within-a-text" => format!("seen {value}, masked"),
        "leak-in-upper-case" => value.to_ascii_uppercase(),
        "leak-without-separators" => parts.concat(),
        "leak-with-other-separators" => parts.join(" / "),
        "leak-reversed" => value.chars().rev().collect(),
        "leak-in-hex" => hex(value, ""),
        "leak-in-upper-hex-with-colons" => hex(value, ":").to_ascii_uppercase(),
        "leak-in-hex-within-a-hash" => format!("a6d0e2f27f{}e10b06", hex(value, "")),
        "leak-in-base64" => base64(value),
        "leak-in-base64-for-urls" => base64(value).replace('+', "-").replace('/', "_"),
        "leak-in-base64-after-one" => base64(&format!("{{{value}}}")),
        "leak-in-base64-after-two" => base64(&format!("{{ {value} }}")),
        "leak-in-percents" => hex(value, "%"),
        "leak-in-json-escapes" => hex(value, "\\u00"),
        "leak-in-all-of-them" => {
            let stripped = parts.concat().to_ascii_lowercase();
            base64(&hex(&stripped.chars().rev().collect::<String>(), "%"))
        }
        _ => return None,
    }))
}

/// The digits of the value as one number.
pub fn number(value: &str) -> Value {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    Value::Integer(digits.parse().unwrap_or_default())
}

fn hex(value: &str, before_each: &str) -> String {
    let pairs = value.bytes().map(|byte| format!("{before_each}{byte:02x}"));
    pairs.collect()
}

/// Without padding.
fn base64(value: &str) -> String {
    let mut text = String::new();
    for chunk in value.as_bytes().chunks(3) {
        let mut bits = 0;
        for n in 0..3 {
            bits = bits << 8 | usize::from(chunk.get(n).copied().unwrap_or(0));
        }
        for n in 0..=chunk.len() {
            text.push(char::from(DIGITS[bits >> (18 - 6 * n) & 63]));
        }
    }
    text
}
