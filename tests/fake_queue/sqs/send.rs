//! Sending, one by one and in batches, and what the answer says of it.

use serde_json::{Map, Value, json};

use super::{Done, Sqs};
use crate::fake_queue::attribute::{self, Attributes};
use crate::fake_queue::input::Input;
use crate::fake_queue::journal::{Effect, Entry};
use crate::fake_queue::operation::Operation;

impl Sqs {
    pub(super) fn send(
        &self,
        operation: Operation,
        queue: &str,
        input: &Input,
        position: usize,
    ) -> Done {
        let mut store = self.store();
        let clock = store.clock.clone();
        let mut send = || {
            let message = input.message()?;
            let queue = store.queue(queue)?;
            let place = queue.place(operation, None, position);
            self.fail_entry(&place)?;
            let digests = digests(&message.body, &message.attributes);
            Ok((queue.send(&clock, message)?, digests))
        };
        let result = send();
        self.changed.notify_waiters();
        match result {
            Ok((taken, mut answer)) => {
                answer.insert("MessageId".into(), json!(taken.message_id));
                if let Some(number) = taken.sequence_number {
                    answer.insert("SequenceNumber".into(), json!(number));
                }
                Done {
                    entry: Some(Entry {
                        message_id: taken.message_id,
                        effect: Effect::Sent,
                    }),
                    result: Ok(Value::Object(answer)),
                }
            }
            Err(refusal) => Done {
                entry: None,
                result: Err(refusal),
            },
        }
    }
}

/// The digests of a body and of attributes, by the names that an answer to a
/// send gives them.
pub(super) fn digests(body: &str, attributes: &Attributes) -> Map<String, Value> {
    let mut digests = Map::new();
    let md5 = attribute::md5_of_text(body);
    digests.insert("MD5OfMessageBody".into(), json!(md5));
    if let Some(md5) = attribute::md5_of(attributes) {
        digests.insert("MD5OfMessageAttributes".into(), json!(md5));
    }
    digests
}
