//! Message attributes: out of a request, into an answer, and the digests that
//! SQS gives of them and of bodies.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// Attributes of one message (SQS quota).
const ATTRIBUTES_MAX: usize = 10;

pub type Attributes = BTreeMap<String, Attribute>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub data_type: String,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    Text(String),
    /// As it came, in base64, and what that means.
    Binary(String, Vec<u8>),
}

impl Attribute {
    pub fn text(text: impl Into<String>) -> Attribute {
        Attribute {
            data_type: "String".to_owned(),
            value: AttributeValue::Text(text.into()),
        }
    }

    fn parse(name: &str, value: &Value) -> Result<Attribute, Refusal> {
        let data_type = value["DataType"].as_str().unwrap_or_default();
        let text = value["StringValue"].as_str();
        let binary = value["BinaryValue"].as_str();
        let invalid =
            |what: &str| Refusal::invalid(format!("The message attribute '{name}' {what}."));
        let value = match (data_type.split('.').next(), text, binary) {
            (Some("String" | "Number"), Some(text), None) if !text.is_empty() => {
                AttributeValue::Text(text.to_owned())
            }
            (Some("Binary"), None, Some(base64)) if !base64.is_empty() => {
                let bytes = decode(base64).ok_or_else(|| invalid("is no base64"))?;
                AttributeValue::Binary(base64.to_owned(), bytes)
            }
            _ => return Err(invalid("has no value of its type")),
        };
        Ok(Attribute {
            data_type: data_type.to_owned(),
            value,
        })
    }

    pub fn json(&self) -> Value {
        match &self.value {
            AttributeValue::Text(text) => json!({"DataType": self.data_type, "StringValue": text}),
            AttributeValue::Binary(base64, _) => {
                json!({"DataType": self.data_type, "BinaryValue": base64})
            }
        }
    }

    fn bytes(&self) -> (&[u8], u8) {
        match &self.value {
            AttributeValue::Text(text) => (text.as_bytes(), 1),
            AttributeValue::Binary(_, bytes) => (bytes, 2),
        }
    }
}

/// The attributes in a request.
pub fn parse(given: Option<&Value>) -> Result<Attributes, Refusal> {
    let none = Map::new();
    let given = given.and_then(Value::as_object).unwrap_or(&none);
    if given.len() > ATTRIBUTES_MAX {
        return Err(Refusal::invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].",
            given.len()
        )));
    }
    let valid = |name: &str| {
        let mut letters = name.chars();
        !name.is_empty()
            && name.len() <= 256
            && letters.all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..")
    };
    let parse = |(name, value): (&String, &Value)| {
        if !valid(name) {
            return Err(Refusal::invalid(format!(
                "Invalid message attribute name: {name}."
            )));
        }
        Ok((name.clone(), Attribute::parse(name, value)?))
    };
    given.iter().map(parse).collect()
}

/// What attributes count for towards a message's size.
pub fn size(attributes: &Attributes) -> usize {
    let size = |(name, attribute): (&String, &Attribute)| {
        name.len() + attribute.data_type.len() + attribute.bytes().0.len()
    };
    attributes.iter().map(size).sum()
}

pub fn md5_of_text(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// None where there are no attributes, as SQS gives none then.
pub fn md5_of(attributes: &Attributes) -> Option<String> {
    let mut digest = Md5::new();
    for (name, attribute) in attributes {
        let (value, kind) = attribute.bytes();
        for part in [name.as_bytes(), attribute.data_type.as_bytes()] {
            add(&mut digest, part);
        }
        digest.update([kind]);
        add(&mut digest, value);
    }
    (!attributes.is_empty()).then(|| hex(&digest.finalize()))
}

fn add(digest: &mut Md5, part: &[u8]) {
    digest.update((part.len() as u32).to_be_bytes());
    digest.update(part);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Standard base64, with its padding.
fn decode(base64: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if !base64.len().is_multiple_of(4) {
        return None;
    }
    let letters = base64.trim_end_matches('=');
    if base64.len() - letters.len() > 2 {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0, 0_u32);
    for letter in letters.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        held = (held << 6 | value as u32) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Some(bytes)
}

#[test]
fn digests_are_those_of_the_service() {
    assert_eq!(
        md5_of_text("This is a test message"),
        "fafb00f5732ab283681e124bf8747ed1"
    );
    assert_eq!(decode("AQID/w=="), Some(vec![1, 2, 3, 255]));
    assert_eq!(
        (decode("AQI"), decode("A==="), decode("????")),
        (None, None, None)
    );
    assert_eq!(md5_of(&Attributes::new()), None);
    // Worked out with another implementation of the documented algorithm.
    let attributes = Attributes::from([
        ("b".to_owned(), Attribute::text("x")),
        (
            "a".to_owned(),
            Attribute {
                data_type: "Binary".to_owned(),
                value: AttributeValue::Binary("AQI=".to_owned(), vec![1, 2]),
            },
        ),
    ]);
    assert_eq!(
        md5_of(&attributes).as_deref(),
        Some("e9fb9c4c42d822bd7581dcef835205b1")
    );
}
