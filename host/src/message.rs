//! A message as the queue delivers it: what is judged, and who it is.
//!
//! Nothing here changes between two deliveries of one message, apart from the
//! receipt, which stays with the queue's lease table. `Debug` shows no payload.

use std::fmt;

use serde_json::Value;

/// The longest event id, in bytes: far above a UUID, far below an index entry.
const EVENT_ID_BYTES_MAX: usize = 512;

/// One message of the queue.
#[derive(Clone)]
pub struct Message {
    /// The id under which the queue delivers it now.
    pub queue_id: String,
    /// The id it first had: differs from `queue_id` once a dead-letter queue
    /// has been redriven, because the queue then gives a new one.
    pub origin_id: String,
    /// The producer's own text.
    pub body: String,
    /// When the queue first accepted it: milliseconds since 1970, UTC.
    pub sent_ms: u64,
    /// The producer's attributes, sorted by name.
    pub attributes: Vec<Attribute>,
    /// The group and deduplication id on a FIFO queue.
    pub fifo: Option<Fifo>,
}

/// What a FIFO queue orders and de-duplicates a message by.
#[derive(Clone)]
pub struct Fifo {
    /// Messages of one group are delivered in order.
    pub group: String,
}

/// A producer's message attribute.
#[derive(Clone)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// The type as SQS writes it: `String`, `Number`, `Binary`, or one of
    /// these with the producer's own suffix (`Number.float`).
    pub data_type: String,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Clone)]
pub enum AttributeValue {
    /// A `String`.
    Text(String),
    /// A `Number`, in the digits it was sent with.
    Number(String),
    /// A `Binary`.
    Bytes(Vec<u8>),
}

impl Message {
    /// The group that it belongs to on a FIFO queue.
    pub fn group(&self) -> Option<&str> {
        self.fifo.as_ref().map(|fifo| fifo.group.as_str())
    }

    /// The producer's own id at a JSON pointer of the body: a text or a whole
    /// number.
    pub fn event_id(&self, pointer: &str) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        let id = match body.pointer(pointer)? {
            Value::String(id) => id.clone(),
            Value::Number(id) if id.is_i64() || id.is_u64() => id.to_string(),
            _ => return None,
        };
        (1..=EVENT_ID_BYTES_MAX).contains(&id.len()).then_some(id)
    }

    /// The bytes that the message keeps in memory, for the intake's budget.
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter().map(Attribute::bytes).sum::<usize>();
        self.body.len() + attributes
    }
}

impl Attribute {
    /// A `String`.
    pub fn text(name: &str, text: String) -> Self {
        Self {
            name: name.to_owned(),
            data_type: "String".to_owned(),
            value: AttributeValue::Text(text),
        }
    }

    /// Name, type and value together, as SQS counts them towards the size of
    /// a message.
    pub fn bytes(&self) -> usize {
        let value = match &self.value {
            AttributeValue::Text(text) | AttributeValue::Number(text) => text.len(),
            AttributeValue::Bytes(bytes) => bytes.len(),
        };
        self.name.len() + self.data_type.len() + value
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("queue_id", &self.queue_id)
            .field("body", &format_args!("<{} bytes>", self.body.len()))
            .field(
                "attributes",
                &format_args!("<{} attributes>", self.attributes.len()),
            )
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Message {
        Message {
            queue_id: "id".into(),
            origin_id: "id".into(),
            body: body.into(),
            sent_ms: 0,
            attributes: vec![Attribute {
                name: "canary-name".into(),
                data_type: "String".into(),
                value: AttributeValue::Text("canary-value".into()),
            }],
            fifo: None,
        }
    }

    #[test]
    fn an_event_id_is_a_short_text_or_a_whole_number() {
        let id = |body: &str| message(body).event_id("/event/id");
        assert_eq!(id(r#"{"event":{"id":"e1"}}"#).as_deref(), Some("e1"));
        assert_eq!(id(r#"{"event":{"id":7}}"#).as_deref(), Some("7"));
        for wrong in [
            r#"{"event":{}}"#,
            r#"{"event":{"id":null}}"#,
            r#"{"event":{"id":""}}"#,
            r#"{"event":{"id":1.5}}"#,
            r#"{"event":{"id":["e1"]}}"#,
            "not JSON",
        ] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
        let long = format!(
            r#"{{"event":{{"id":"{}"}}}}"#,
            "x".repeat(EVENT_ID_BYTES_MAX + 1)
        );
        assert_eq!(id(&long), None);
    }

    #[test]
    fn debug_shows_no_payload() {
        let message = message("canary-body");
        let shown = format!("{message:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(message.bytes(), 11 + 11 + 6 + 12);
    }
}
