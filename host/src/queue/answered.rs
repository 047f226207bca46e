//! A message as an answer tells it, and whether it can be used.

use std::borrow::Cow;

use md5::{Digest, Md5};

use super::calls::{Received, ReceivedMessage};
use crate::hex::is_hex_of;
use crate::message::{Attribute, AttributeValue, Fifo, Message};

/// What an answer tells of a message; all of it may be missing.
#[derive(Default)]
pub(super) struct Answered<'a> {
    pub(super) message_id: Option<String>,
    pub(super) handle: Option<String>,
    pub(super) body: Option<String>,
    /// Of the body, in hexadecimal.
    pub(super) md5: Option<Cow<'a, str>>,
    pub(super) sent_ms: Option<u64>,
    pub(super) receive_count: Option<u64>,
    pub(super) group: Option<String>,
    pub(super) attributes: Vec<Attribute>,
}

impl Received {
    /// What can be used of what an answer tells.
    pub(super) fn of<'a>(answered: impl ExactSizeIterator<Item = Answered<'a>>) -> Self {
        let in_all = answered.len();
        let messages: Vec<ReceivedMessage> = answered.filter_map(Answered::usable).collect();
        Self {
            unusable: in_all - messages.len(),
            messages,
        }
    }
}

impl Answered<'_> {
    /// The message; none where the answer lacks what is needed to deal with
    /// it, or where it is damaged.
    fn usable(self) -> Option<ReceivedMessage> {
        let queue_id = self.message_id?;
        let handle = self.handle?;
        let sent_ms = self.sent_ms?;
        let body = self.body.unwrap_or_default();
        if !self
            .md5
            .is_none_or(|md5| is_hex_of(&md5, &Md5::digest(&body)))
        {
            return None;
        }
        let mut attributes = self.attributes;
        attributes.sort_by(|one, other| one.name.cmp(&other.name));
        Some(ReceivedMessage {
            message: Message {
                origin_id: queue_id.clone(),
                queue_id,
                body,
                sent_ms,
                attributes,
                fifo: self.group.map(|group| Fifo { group }),
            },
            handle,
            receive_count: self
                .receive_count
                .map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        })
    }
}

/// A producer's attribute; none where it lacks the value that its type promises.
pub(super) fn attribute(
    name: String,
    data_type: String,
    text: Option<String>,
    bytes: Option<Vec<u8>>,
) -> Option<Attribute> {
    let value = match data_type.split('.').next() {
        Some("Binary") => AttributeValue::Bytes(bytes?),
        Some("Number") => AttributeValue::Number(text?),
        _ => AttributeValue::Text(text?),
    };
    Some(Attribute {
        name,
        data_type,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered() -> Answered<'static> {
        Answered {
            message_id: Some("m".into()),
            handle: Some("h".into()),
            body: Some("body".into()),
            // By `printf body | md5sum`.
            md5: Some("841a2d689ad86bd1611447453c22c6fc".into()),
            sent_ms: Some(1000),
            ..Answered::default()
        }
    }

    #[test]
    fn a_damaged_or_incomplete_message_is_not_used() {
        assert!(answered().usable().is_some());
        let spoilt: [fn(&mut Answered<'_>); 4] = [
            |answered| answered.md5 = Some("0".into()),
            |answered| answered.handle = None,
            |answered| answered.message_id = None,
            |answered| answered.sent_ms = None,
        ];
        for spoil in spoilt {
            let mut answered = answered();
            spoil(&mut answered);
            assert!(answered.usable().is_none());
        }
    }
}
