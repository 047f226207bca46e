//! A request's members, out of JSON. What is missing or of another type is
//! refused as SQS refuses it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::attribute;
use super::refusal::Refusal;
use super::store::message::Outgoing;

/// Entries of a batch (SQS quota).
const ENTRIES_MAX: usize = 10;

pub struct Input(Value);

impl Input {
    pub fn parse(body: &[u8]) -> Result<Input, Refusal> {
        let value = serde_json::from_slice(body);
        match value {
            Ok(Value::Object(members)) => Ok(Input(Value::Object(members))),
            _ => Err(Refusal::invalid("The request is no JSON object.")),
        }
    }

    pub fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.0[name].as_str().ok_or_else(|| Refusal::missing(name))
    }

    pub fn optional_text(&self, name: &str) -> Option<String> {
        self.0[name].as_str().map(str::to_owned)
    }

    /// A number within its bounds, where it is given.
    pub fn number(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Refusal> {
        let value = &self.0[name];
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            Refusal::invalid(format!(
                "Value {value} for parameter {name} is invalid. Reason: Must be between {least} \
                 and {most}, if provided."
            ))
        })
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        let list = self.0[name].as_array();
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let none = Map::new();
        let members = self.0[name].as_object().unwrap_or(&none).iter();
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        members
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// The name at the end of the queue's URL.
    pub fn queue(&self) -> Result<String, Refusal> {
        let url = self.text("QueueUrl")?;
        Ok(url.rsplit('/').next().unwrap_or(url).to_owned())
    }

    pub fn message(&self) -> Result<Outgoing, Refusal> {
        Ok(Outgoing {
            body: self.optional_text("MessageBody").unwrap_or_default(),
            attributes: attribute::parse(self.0.get("MessageAttributes"))?,
            trace_header: self.0["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"]
                .as_str()
                .map(str::to_owned),
            group: self.optional_text("MessageGroupId"),
            deduplication_id: self.optional_text("MessageDeduplicationId"),
            delay_secs: self.number("DelaySeconds", 0, u32::MAX)?,
        })
    }

    /// A batch's entries, in order, by their ids.
    pub fn entries(&self) -> Result<Vec<(String, Input)>, Refusal> {
        let entries = self.0["Entries"].as_array().map(Vec::as_slice);
        let entries = entries.unwrap_or_default();
        if entries.is_empty() {
            return Err(Refusal::empty_batch());
        }
        if entries.len() > ENTRIES_MAX {
            return Err(Refusal::too_many_entries(entries.len()));
        }
        let mut parsed: Vec<(String, Input)> = Vec::new();
        for entry in entries {
            let entry = Input(entry.clone());
            let id = entry.text("Id")?.to_owned();
            let mut letters = id.chars();
            let valid = letters.all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            if id.is_empty() || id.len() > 80 || !valid {
                return Err(Refusal::invalid_entry_id());
            }
            if parsed.iter().any(|(known, _)| *known == id) {
                return Err(Refusal::ids_not_distinct(&id));
            }
            parsed.push((id, entry));
        }
        Ok(parsed)
    }

    /// What a batch's bodies and attributes come to, valid or not.
    pub fn bytes(&self) -> usize {
        let body = self.0["MessageBody"].as_str().map_or(0, str::len);
        let attributes = attribute::parse(self.0.get("MessageAttributes"));
        body + attributes.as_ref().map_or(0, attribute::size)
    }
}
