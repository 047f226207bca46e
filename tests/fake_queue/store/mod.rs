//! All queues of a server, and what passes between them: messages that are
//! given up go to the dead-letter queue under their own ids, and a redrive
//! sends them back under new ones.

pub mod message;
pub mod queue;
pub mod receive;
pub mod send;
pub mod settings;
pub mod settle;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::Clock;
use super::fault::Faults;
use super::refusal::Refusal;
use message::{State, Stored, new_message_id};
use queue::Queue;
use receive::{Received, Wish};
use settings::Settings;

pub const REGION: &str = "us-east-1";
pub const ACCOUNT: &str = "000000000000";

pub struct Store {
    pub clock: Clock,
    queues: BTreeMap<String, Queue>,
}

impl Store {
    pub fn new(clock: Clock) -> Store {
        Store {
            clock,
            queues: BTreeMap::new(),
        }
    }

    pub fn create(
        &mut self,
        name: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let settings = Settings::default().with(attributes)?;
        if let Some(queue) = self.queues.get(name) {
            let same = queue.settings.with(attributes)? == queue.settings;
            return same.then_some(()).ok_or_else(Refusal::queue_exists);
        }
        check_name(name, settings.fifo())?;
        self.check_redrive(&settings)?;
        let number = self.queues.len() as u64 + 1;
        let queue = Queue::new(name, arn(name), number, settings);
        self.queues.insert(name.to_owned(), queue);
        Ok(())
    }

    pub fn set_attributes(
        &mut self,
        name: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let settings = self.queue(name)?.settings.with(attributes)?;
        if settings.fifo() != self.queue(name)?.settings.fifo() {
            return Err(Refusal::invalid_attribute("FifoQueue"));
        }
        self.check_redrive(&settings)?;
        self.queue(name)?.settings = settings;
        Ok(())
    }

    fn check_redrive(&self, settings: &Settings) -> Result<(), Refusal> {
        let Some(redrive) = &settings.redrive else {
            return Ok(());
        };
        let target = self.by_arn(&redrive.target_arn);
        let same_kind = target.is_some_and(|queue| queue.settings.fifo() == settings.fifo());
        same_kind.then_some(()).ok_or_else(|| {
            Refusal::invalid(
                "Value for parameter RedrivePolicy is invalid. Reason: Dead letter target does \
                 not exist, or is of another type.",
            )
        })
    }

    pub fn queue(&mut self, name: &str) -> Result<&mut Queue, Refusal> {
        let queue = self.queues.get_mut(name);
        queue.ok_or_else(Refusal::no_such_queue)
    }

    fn by_arn(&self, arn: &str) -> Option<&Queue> {
        self.queues.values().find(|queue| queue.arn == arn)
    }

    /// The queue that a queue's own policy names.
    pub fn dead_letter_queue(&self, name: &str) -> Option<&Queue> {
        let redrive = self.queues.get(name)?.settings.redrive.as_ref()?;
        self.by_arn(&redrive.target_arn)
    }

    /// Gives messages out, and moves those that were given out too often.
    /// Says as well whether any were moved.
    pub fn receive(
        &mut self,
        name: &str,
        wish: &Wish,
        faults: &Faults,
    ) -> Result<(Vec<Received>, bool), Refusal> {
        let clock = self.clock.clone();
        let queue = self.queue(name)?;
        let source = queue.arn.clone();
        let batch = queue.receive(&clock, wish, faults)?;
        let moved = !batch.given_up.is_empty();
        let target = self.dead_letter_queue(name).map(|queue| queue.name.clone());
        for message in batch.given_up {
            let target = target.as_deref().ok_or_else(Refusal::no_such_queue)?;
            self.queue(target)?.add(Stored {
                state: State::Visible,
                newest_receive: 0,
                dead_letter_source: Some(source.clone()),
                ..message
            });
        }
        Ok((batch.received, moved))
    }

    /// Sends all visible messages of a dead-letter queue back. Gives the old
    /// id and the new one of each.
    pub fn redrive(&mut self, dead: &str, source: &str) -> Result<Vec<(String, String)>, Refusal> {
        let (now, sent_ms) = (self.clock.now(), self.clock.unix_ms());
        self.queue(source)?;
        let dead = self.queue(dead)?;
        dead.wake(now);
        let numbers: Vec<u64> = dead.visible.iter().copied().collect();
        let messages: Vec<Stored> = numbers
            .into_iter()
            .filter_map(|number| dead.remove(number))
            .collect();
        let source = self.queue(source)?;
        let move_back = |message: Stored| {
            let moved = Stored {
                message_id: new_message_id(),
                sent: Arc::clone(&message.sent),
                sent_ms,
                first_received_ms: None,
                receive_count: 0,
                sequence_number: message.sequence_number,
                dead_letter_source: None,
                state: State::Visible,
                newest_receive: 0,
                undead: None,
            };
            let ids = (message.message_id, moved.message_id.clone());
            source.add(moved);
            ids
        };
        Ok(messages.into_iter().map(move_back).collect())
    }
}

pub fn arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

fn check_name(name: &str, fifo: bool) -> Result<(), Refusal> {
    let stem = name.strip_suffix(".fifo");
    let mut letters = stem.unwrap_or(name).chars();
    let valid = !name.is_empty()
        && name.len() <= 80
        && stem.is_some() == fifo
        && letters.all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    valid.then_some(()).ok_or_else(|| {
        Refusal::invalid(
            "The name of a queue has at most 80 letters, digits, hyphens and underscores, and \
             that of a FIFO queue ends in .fifo",
        )
    })
}
