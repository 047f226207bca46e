//! Receiving: the long poll, and messages as an answer tells them, spoilt where
//! a fault says so.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::send::digests;
use super::{Performed, Sqs};
use crate::fake_queue::attribute::{self, Attributes};
use crate::fake_queue::fault::{Action, Place};
use crate::fake_queue::input::Input;
use crate::fake_queue::journal::{Effect, Entry};
use crate::fake_queue::operation::Operation;
use crate::fake_queue::refusal::Refusal;
use crate::fake_queue::store::message::Stored;
use crate::fake_queue::store::receive::{Received, Wish};
use crate::fake_queue::store::settle::VISIBILITY_SECS_MAX;

/// Messages of one receive, and its longest wait (SQS quotas).
const RECEIVE_MESSAGES_MAX: u32 = 10;
const WAIT_SECS_MAX: u32 = 20;
/// Between two looks at a lease that is about to run out.
const TIMER_PAUSE_MIN: Duration = Duration::from_millis(5);

impl Sqs {
    pub(super) async fn receive(&self, input: &Input, call: usize) -> Result<Performed, Refusal> {
        let queue = input.queue()?;
        let messages_max = input.number("MaxNumberOfMessages", 1, RECEIVE_MESSAGES_MAX)?;
        let wait_secs = match input.number("WaitTimeSeconds", 0, WAIT_SECS_MAX)? {
            Some(secs) => secs,
            None => self.store().queue(&queue)?.settings.wait_secs(),
        };
        let wish = Wish {
            messages_max: messages_max.unwrap_or(1) as usize,
            visibility_secs: input.number("VisibilityTimeout", 0, VISIBILITY_SECS_MAX)?,
            waits: wait_secs > 0,
            attempt_id: input.optional_text("ReceiveRequestAttemptId"),
        };
        let wait = Duration::from_secs(wait_secs.into());
        let received = self.poll(&queue, &wish, wait, call).await?;
        let entries = given_out(&received);
        if received.is_empty() {
            return Ok(Performed::of(json!({}), entries));
        }
        let messages: Vec<Value> = received
            .iter()
            .enumerate()
            .map(|(position, received)| self.told(&queue, position, received, input))
            .collect();
        Ok(Performed::of(json!({"Messages": messages}), entries))
    }

    async fn poll(
        &self,
        queue: &str,
        wish: &Wish,
        wait: Duration,
        call: usize,
    ) -> Result<Vec<Received>, Refusal> {
        let clock = self.store().clock.clone();
        let deadline = clock.wall_now() + wait;
        loop {
            // Made before looking, or a change in between would be missed.
            let changed = self.changed.notified();
            let (received, moved, next_timer) = {
                let _effects = self.effects();
                let mut store = self.store();
                let (received, moved) = store.receive(queue, wish, &self.faults)?;
                if !received.is_empty() {
                    self.journal.note(call, given_out(&received));
                }
                (received, moved, store.queue(queue)?.next_timer())
            };
            if moved {
                // Somebody may poll the dead-letter queue.
                self.changed.notify_waiters();
            }
            let left = deadline.saturating_sub(clock.wall_now());
            if !received.is_empty() || left.is_zero() {
                return Ok(received);
            }
            let due = next_timer.map(|timer| timer.saturating_sub(clock.now()));
            let pause = due.map_or(left, |due| {
                due.clamp(TIMER_PAUSE_MIN, left.max(TIMER_PAUSE_MIN))
            });
            tokio::select! {
                () = changed => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// A message as the answer has it, faults included.
    fn told(&self, queue: &str, position: usize, received: &Received, input: &Input) -> Value {
        let message = &received.message;
        let asked = input.texts("MessageAttributeNames");
        let attributes: Attributes = message
            .sent
            .attributes
            .iter()
            .filter(|(name, _)| is_asked(name, &asked))
            .map(|(name, attribute)| (name.clone(), attribute.clone()))
            .collect();
        let mut told = digests(&message.sent.body, &attributes);
        // Named differently where messages are sent.
        let md5 = told.remove("MD5OfMessageBody").unwrap_or_default();
        told.insert("MD5OfBody".into(), md5);
        told.insert("MessageId".into(), json!(message.message_id));
        told.insert("ReceiptHandle".into(), json!(received.handle));
        told.insert("Body".into(), json!(message.sent.body));
        let mut system = system_attributes(message);
        let mut asked = input.texts("MessageSystemAttributeNames");
        asked.extend(input.texts("AttributeNames"));
        if !asked.iter().any(|name| name == "All") {
            system.retain(|name, _| asked.contains(name));
        }
        if !system.is_empty() {
            told.insert("Attributes".into(), Value::Object(system));
        }
        if !attributes.is_empty() {
            let attributes = attributes.iter();
            let attributes: Map<String, Value> = attributes
                .map(|(name, attribute)| (name.clone(), attribute.json()))
                .collect();
            told.insert("MessageAttributes".into(), Value::Object(attributes));
        }
        let place = Place {
            operation: Operation::ReceiveMessage,
            queue,
            message_id: Some(&message.message_id),
            position,
        };
        self.spoil(&place, &mut told);
        Value::Object(told)
    }

    fn spoil(&self, place: &Place, told: &mut Map<String, Value>) {
        let spoils = |action: &Action| matches!(action, Action::WrongMd5 | Action::Omit(_));
        let Some(drawn) = self.faults.of_message(place, spoils) else {
            return;
        };
        match drawn.action {
            Action::WrongMd5 => {
                let wrong = attribute::md5_of_text("another body");
                told.insert("MD5OfBody".into(), json!(wrong));
            }
            Action::Omit(member) => drop(told.remove(member)),
            _ => {}
        }
    }
}

fn given_out(received: &[Received]) -> Vec<Entry> {
    let entries = received.iter().map(|received| Entry {
        message_id: received.message.message_id.clone(),
        effect: Effect::Received,
    });
    entries.collect()
}

fn is_asked(name: &str, asked: &[String]) -> bool {
    asked.iter().any(|asked| {
        let prefix = asked.strip_suffix(".*");
        asked == "All" || asked == name || prefix.is_some_and(|prefix| name.starts_with(prefix))
    })
}

fn system_attributes(message: &Stored) -> Map<String, Value> {
    let sent = &message.sent;
    let all = [
        ("SenderId", Some("AIDAINVENTEDSENDER".to_owned())),
        ("SentTimestamp", Some(message.sent_ms.to_string())),
        (
            "ApproximateReceiveCount",
            Some(message.receive_count.to_string()),
        ),
        (
            "ApproximateFirstReceiveTimestamp",
            message.first_received_ms.map(|ms| ms.to_string()),
        ),
        ("SequenceNumber", message.sequence_number.clone()),
        ("MessageGroupId", sent.group.clone()),
        ("MessageDeduplicationId", sent.deduplication_id.clone()),
        ("AWSTraceHeader", sent.trace_header.clone()),
        (
            "DeadLetterQueueSourceArn",
            message.dead_letter_source.clone(),
        ),
    ];
    let given = all.into_iter();
    let given = given.filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    given.collect()
}
