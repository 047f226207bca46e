//! Messages as SQS writes them in JSON: what `aws sqs receive-message` prints,
//! one message of it, or a list of them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::case_file::SENT_MS_DEFAULT;
use super::complaint::Complaint;
use crate::message::{Attribute, AttributeValue, Message};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Received {
        #[serde(rename = "Messages")]
        messages: Vec<WrittenMessage>,
    },
    List(Vec<WrittenMessage>),
    One(Box<WrittenMessage>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenMessage {
    message_id: Option<String>,
    body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    message_attributes: BTreeMap<String, WrittenAttribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenAttribute {
    data_type: String,
    string_value: Option<String>,
    binary_value: Option<String>,
}

/// Whether a text is meant as messages of SQS, and is not a body that happens to
/// be JSON: an object with `Messages`, or one with a body and an id, or a list of
/// these.
pub(super) fn looks_like_it(text: &str) -> bool {
    let is_message = |json: &serde_json::Value| {
        json.get("Messages")
            .is_some_and(serde_json::Value::is_array)
            || (json.get("Body").is_some() && json.get("MessageId").is_some())
    };
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Array(list)) => !list.is_empty() && list.iter().all(is_message),
        Ok(json) => is_message(&json),
        Err(_) => false,
    }
}

/// The messages of a text.
///
/// # Errors
/// It is no JSON, with the place, or JSON of another kind.
pub(super) fn parse(file: &Path, text: &str) -> Result<Vec<Message>, Complaint> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| Complaint {
        file: file.to_owned(),
        line: error.line().max(1),
        column: error.column().max(1),
        words: "this is no JSON".to_owned(),
    })?;
    let foreign = || {
        let words = "these are no messages as SQS writes them: expected an object with \"Body\", \
                     a list of them, or {\"Messages\": […]}";
        Complaint::at(file, text, 0, words)
    };
    let written: Written = serde_json::from_value(json).map_err(|_| foreign())?;
    let messages = match written {
        Written::Received { messages } | Written::List(messages) => messages,
        Written::One(message) => vec![*message],
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(number, written)| message(number, written).ok_or_else(foreign))
        .collect()
}

fn message(number: usize, written: WrittenMessage) -> Option<Message> {
    let id = written
        .message_id
        .unwrap_or_else(|| format!("message-{}", number + 1));
    let sent = written.attributes.get("SentTimestamp");
    let attributes: Option<Vec<Attribute>> = written
        .message_attributes
        .into_iter()
        .map(|(name, written)| attribute(name, written))
        .collect();
    Some(Message {
        queue_id: id.clone(),
        origin_id: id,
        body: written.body,
        sent_ms: match sent {
            Some(sent) => sent.parse().ok()?,
            None => SENT_MS_DEFAULT,
        },
        attributes: attributes?,
        fifo: None,
    })
}

fn attribute(name: String, written: WrittenAttribute) -> Option<Attribute> {
    let text = written.string_value;
    let value = match written.data_type.split('.').next()? {
        "String" => AttributeValue::Text(text?),
        "Number" => AttributeValue::Number(text?),
        "Binary" => AttributeValue::Bytes(STANDARD.decode(written.binary_value?).ok()?),
        _ => return None,
    };
    Some(Attribute {
        name,
        data_type: written.data_type,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{
        "MessageId": "0f6c3d1e", "ReceiptHandle": "AQEB", "MD5OfBody": "…",
        "Body": "{\"user_id\":\"u1\"}",
        "Attributes": {"SentTimestamp": "1795422600000", "ApproximateReceiveCount": "1"},
        "MessageAttributes": {
            "trace": {"StringValue": "t", "DataType": "String"},
            "blob": {"BinaryValue": "wP/u", "DataType": "Binary.gzip"}
        }
    }"#;

    fn parsed(text: &str) -> Result<Vec<Message>, Complaint> {
        parse(Path::new("received.json"), text)
    }

    #[test]
    fn what_the_command_line_of_aws_prints_is_read_as_it_is() {
        for text in [
            ONE.to_owned(),
            format!("[{ONE}]"),
            format!("{{\"Messages\": [{ONE}]}}"),
        ] {
            let messages = parsed(&text).unwrap();
            let [message] = &messages[..] else {
                panic!("{} messages", messages.len());
            };
            assert_eq!(message.origin_id, "0f6c3d1e");
            assert_eq!(message.body, r#"{"user_id":"u1"}"#);
            assert_eq!(message.sent_ms, 1_795_422_600_000);
            let names: Vec<&str> = message.attributes.iter().map(|a| a.name.as_str()).collect();
            assert_eq!(names, ["blob", "trace"]);
        }
    }

    #[test]
    fn a_body_is_told_from_a_message() {
        for message in [
            ONE.to_owned(),
            format!("[{ONE}]"),
            r#"{"Messages": []}"#.to_owned(),
            r#"{"MessageId": "m", "Body": 3}"#.to_owned(),
        ] {
            assert!(looks_like_it(&message), "{message}");
        }
        for body in [
            r#"{"Body": "a letter's"}"#,
            r#"{"MessageId": "m", "Message": "of SNS"}"#,
            "[]",
            "[1]",
            "3",
            "no JSON",
            "",
        ] {
            assert!(!looks_like_it(body), "{body}");
        }
    }

    #[test]
    fn anything_else_is_told_from_it() {
        assert_eq!(parsed("{\n  x").unwrap_err().line, 2);
        for text in ["{}", "3", r#"{"Body": 3}"#, r#"[{"body": "x"}]"#] {
            let complaint = parsed(text).unwrap_err().to_string();
            assert!(complaint.contains("as SQS writes them"), "{complaint}");
        }
    }
}
