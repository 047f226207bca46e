//! ReceiveMessage, asked and read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Direct, Tried};
use crate::message::Attribute;
use crate::queue::answered::{Answered, attribute};
use crate::queue::calls::{BATCH_ENTRIES_MAX, Poll, Received};

const OPERATION: &str = "AmazonSQS.ReceiveMessage";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question<'a> {
    queue_url: &'a str,
    max_number_of_messages: usize,
    wait_time_seconds: u64,
    visibility_timeout: u64,
    message_system_attribute_names: [&'static str; 3],
    message_attribute_names: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_request_attempt_id: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    messages: Option<Vec<Told<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'a> {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<String>,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: Option<&'a str>,
    #[serde(borrow)]
    attributes: Option<System<'a>>,
    message_attributes: Option<HashMap<String, Value>>,
}

/// The attributes that SQS gives. Their digits need no escapes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct System<'a> {
    sent_timestamp: Option<&'a str>,
    approximate_receive_count: Option<&'a str>,
    message_group_id: Option<String>,
}

/// The value of a producer's attribute.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    data_type: String,
    string_value: Option<String>,
    /// In base64.
    binary_value: Option<String>,
}

impl Direct {
    /// Receives from a queue. `attempt` names a series of tries, on a FIFO
    /// queue.
    pub(in crate::queue) async fn receive(
        &self,
        url: &str,
        poll: Poll,
        attempt: Option<&str>,
        call_max: Duration,
    ) -> Tried<Received> {
        let question = Question {
            queue_url: url,
            max_number_of_messages: BATCH_ENTRIES_MAX,
            wait_time_seconds: poll.wait.as_secs(),
            visibility_timeout: poll.visibility.as_secs(),
            message_system_attribute_names: [
                "SentTimestamp",
                "ApproximateReceiveCount",
                "MessageGroupId",
            ],
            message_attribute_names: ["All"],
            receive_request_attempt_id: attempt,
        };
        let Ok(body) = serde_json::to_vec(&question) else {
            return Tried::NotPlain;
        };
        self.call(OPERATION, body, call_max, read).await
    }
}

fn read(answer: &[u8]) -> Option<Received> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let told = answer.messages.unwrap_or_default().into_iter();
    let answered: Option<Vec<Answered<'_>>> = told.map(Told::answered).collect();
    Some(Received::of(answered?.into_iter()))
}

impl<'a> Told<'a> {
    fn answered(self) -> Option<Answered<'a>> {
        let system = self.attributes.unwrap_or_default();
        let number = |digits: Option<&str>| digits.and_then(|digits| digits.parse().ok());
        let attributes = self.message_attributes.unwrap_or_default().into_iter();
        Some(Answered {
            message_id: self.message_id,
            handle: self.receipt_handle,
            body: self.body,
            md5: self.md5_of_body.map(Cow::Borrowed),
            sent_ms: number(system.sent_timestamp),
            receive_count: number(system.approximate_receive_count),
            group: system.message_group_id,
            attributes: attributes
                .map(|(name, value)| read_attribute(name, value))
                .collect::<Option<_>>()?,
        })
    }
}

/// None where it is not what the protocol promises.
fn read_attribute(name: String, value: Value) -> Option<Attribute> {
    let bytes = value.binary_value.map(|base64| STANDARD.decode(base64));
    let bytes = bytes.transpose().ok()?;
    attribute(name, value.data_type, value.string_value, bytes)
}

#[cfg(test)]
mod tests {
    use md5::{Digest, Md5};

    use super::*;
    use crate::message::AttributeValue;

    /// An answer as SQS gives it, but for the body's MD5.
    const ANSWER: &str = r#"{"Messages":[{"MessageId":"m","ReceiptHandle":"h+/=",
        "Body":"{\"a\":\"b\"}","MD5OfBody":"MD5",
        "Attributes":{"SentTimestamp":"1795392000123","ApproximateReceiveCount":"2"},
        "MessageAttributes":{
            "z":{"DataType":"Number.float","StringValue":"1.50"},
            "b":{"DataType":"Binary","BinaryValue":"AAEC/w=="},
            "t":{"DataType":"String","StringValue":"text"}}},
        {"MessageId":"lacks its handle"}]}"#;

    #[test]
    fn messages_are_read_with_their_attributes() {
        let body = r#"{"a":"b"}"#;
        let md5: String = Md5::digest(body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let text = ANSWER.replacen(r#""MD5""#, &format!(r#""{md5}""#), 1);
        let received = read(text.as_bytes()).expect("plain");
        assert_eq!(received.unusable, 1);
        let [received] = received.messages.as_slice() else {
            panic!("one is usable");
        };
        assert_eq!(
            (received.handle.as_str(), received.receive_count),
            ("h+/=", 2)
        );
        let message = &received.message;
        assert_eq!(
            (message.body.as_str(), message.sent_ms),
            (body, 1_795_392_000_123)
        );
        let attributes: Vec<(&str, &str)> = message
            .attributes
            .iter()
            .map(|attribute| (attribute.name.as_str(), attribute.data_type.as_str()))
            .collect();
        assert_eq!(
            attributes,
            [("b", "Binary"), ("t", "String"), ("z", "Number.float")]
        );
        let AttributeValue::Bytes(bytes) = &message.attributes[0].value else {
            panic!("bytes");
        };
        assert_eq!(bytes, &[0, 1, 2, 255]);
    }

    #[test]
    fn a_damaged_body_is_unusable_and_an_empty_answer_is_plain() {
        let damaged = read(ANSWER.as_bytes()).expect("plain");
        assert_eq!((damaged.messages.len(), damaged.unusable), (0, 2));
        let empty = read(b"{}").expect("plain");
        assert_eq!((empty.messages.len(), empty.unusable), (0, 0));
        assert!(read(b"<html>").is_none());
    }
}
