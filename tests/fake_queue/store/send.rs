//! Sending: the limits of a message, delays, and the deduplication of FIFO
//! queues, by which a message sent twice is there once, even after it has been
//! deleted.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::message::{Outgoing, State, Stored, new_message_id};
use super::queue::Queue;
use crate::fake_queue::clock::{Clock, Moment};
use crate::fake_queue::refusal::Refusal;

/// For how long a deduplication id is remembered, and an attempt id.
pub const DEDUPLICATION: Duration = Duration::from_secs(300);
const DELAY_SECS_MAX: u32 = 900;

/// What the queue says of a message that it took.
pub struct Taken {
    pub message_id: String,
    pub sequence_number: Option<String>,
}

impl Queue {
    pub fn send(&mut self, clock: &Clock, message: Outgoing) -> Result<Taken, Refusal> {
        self.check(&message)?;
        let now = clock.now();
        let deduplication_id = self.deduplication_id(&message)?;
        if let Some(id) = &deduplication_id
            && let Some((until, message_id, sequence_number)) = self.deduplicated.get(id)
            && *until > now
        {
            return Ok(Taken {
                message_id: message_id.clone(),
                sequence_number: sequence_number.clone(),
            });
        }
        let sequence = 18_870_000_000_000_000_000_u128 + u128::from(self.next_message) * 256;
        let taken = Taken {
            message_id: new_message_id(),
            sequence_number: self.settings.fifo().then(|| sequence.to_string()),
        };
        if let Some(id) = deduplication_id.clone() {
            let answer = (taken.message_id.clone(), taken.sequence_number.clone());
            let entry = (now + DEDUPLICATION, answer.0, answer.1);
            self.deduplicated.insert(id, entry);
        }
        self.tally.sent += 1;
        self.add(Stored {
            message_id: taken.message_id.clone(),
            state: self.first_state(&message, now),
            sent: Arc::new(Outgoing {
                deduplication_id,
                ..message
            }),
            sent_ms: clock.unix_ms(),
            first_received_ms: None,
            receive_count: 0,
            sequence_number: taken.sequence_number.clone(),
            dead_letter_source: None,
            newest_receive: 0,
            undead: None,
        });
        Ok(taken)
    }

    fn check(&self, message: &Outgoing) -> Result<(), Refusal> {
        if message.body.is_empty() {
            return Err(Refusal::missing("MessageBody"));
        }
        let max = self.settings.body_bytes_max();
        if message.bytes() > max {
            return Err(Refusal::invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {max} \
                 bytes."
            )));
        }
        let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        if !message.body.chars().all(allowed) {
            return Err(Refusal::invalid_contents());
        }
        let delay_secs = message.delay_secs.unwrap_or(0);
        let delayed_by_itself = self.settings.fifo() && delay_secs > 0;
        if delay_secs > DELAY_SECS_MAX || delayed_by_itself {
            return Err(Refusal::invalid(format!(
                "Value {delay_secs} for parameter DelaySeconds is invalid."
            )));
        }
        match (self.settings.fifo(), &message.group) {
            (true, None) => Err(Refusal::missing("MessageGroupId")),
            _ => Ok(()),
        }
    }

    fn deduplication_id(&self, message: &Outgoing) -> Result<Option<String>, Refusal> {
        let given = message.deduplication_id.clone();
        if !self.settings.fifo() {
            let invalid = || {
                Refusal::invalid(
                    "The request include parameter MessageDeduplicationId which is not valid for \
                     this queue type",
                )
            };
            return given.map_or(Ok(None), |_| Err(invalid()));
        }
        if given.is_some() {
            return Ok(given);
        }
        if !self.settings.content_based_deduplication() {
            return Err(Refusal::invalid(
                "The queue should either have ContentBasedDeduplication enabled or \
                 MessageDeduplicationId provided explicitly",
            ));
        }
        let digest = Sha256::digest(message.body.as_bytes());
        Ok(Some(
            digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    fn first_state(&self, message: &Outgoing, now: Moment) -> State {
        let delay_secs = message.delay_secs.unwrap_or(self.settings.delay_secs());
        match delay_secs {
            0 => State::Visible,
            _ => State::Delayed {
                until: now + Duration::from_secs(delay_secs.into()),
            },
        }
    }
}
