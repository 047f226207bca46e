//! One queue: its messages, which of them are visible, and when the others
//! become so. Sending, receiving and settling are beside it, in files of their
//! own; this one keeps the sets in step with the messages' states.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::message::{State, Stored};
use super::settings::Settings;
use crate::fake_queue::clock::Moment;

/// Messages in flight in one queue (SQS quota).
pub const IN_FLIGHT_MAX: usize = 120_000;

pub struct Queue {
    pub name: String,
    pub arn: String,
    /// What its handles carry.
    pub number: u64,
    pub settings: Settings,
    pub in_flight_max: usize,
    pub(super) messages: BTreeMap<u64, Stored>,
    /// In the order in which they were sent.
    pub(super) visible: BTreeSet<u64>,
    /// When those that are not visible become so.
    timers: BTreeSet<(Moment, u64)>,
    pub(super) in_flight: usize,
    /// In FIFO queues: how many of a group's messages are not visible.
    pub(super) hidden_in_group: HashMap<String, usize>,
    /// What was sent lately, by deduplication id: until when, and the answer.
    pub(super) deduplicated: HashMap<String, (Moment, String, Option<String>)>,
    /// Receives by attempt id: until when, and which receives of messages.
    pub(super) attempts: HashMap<String, (Moment, Vec<(u64, u64)>)>,
    /// The ids of messages that are gone, so that late calls can be told.
    pub(super) gone: HashMap<u64, String>,
    /// Under which ids messages have ever come in.
    pub(super) arrivals: HashSet<String>,
    /// The digests of all bodies that ever came.
    bodies: HashSet<[u8; 32]>,
    pub(super) next_message: u64,
    pub(super) next_receive: u64,
    pub(super) tally: Tally,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub sent: usize,
    /// Messages given out, each time counted.
    pub received: usize,
    pub deleted: usize,
    /// Deletes with a handle that was not the newest: nothing happened.
    pub stale_deletes: usize,
    /// Deletes of what was gone already.
    pub deletes_of_the_gone: usize,
    /// Messages that went to the dead-letter queue by themselves.
    pub given_up: usize,
}

impl Queue {
    pub fn new(name: &str, arn: String, number: u64, settings: Settings) -> Queue {
        Queue {
            name: name.to_owned(),
            arn,
            number,
            settings,
            in_flight_max: IN_FLIGHT_MAX,
            messages: BTreeMap::new(),
            visible: BTreeSet::new(),
            timers: BTreeSet::new(),
            in_flight: 0,
            hidden_in_group: HashMap::new(),
            deduplicated: HashMap::new(),
            attempts: HashMap::new(),
            gone: HashMap::new(),
            arrivals: HashSet::new(),
            bodies: HashSet::new(),
            next_message: 0,
            next_receive: 1,
            tally: Tally::default(),
        }
    }

    /// Puts a message at the queue's end. Gives its number.
    pub(super) fn add(&mut self, message: Stored) {
        let number = self.next_message;
        self.next_message += 1;
        self.arrivals.insert(message.origin_id().to_owned());
        self.arrivals.insert(message.message_id.clone());
        self.bodies
            .insert(Sha256::digest(&message.sent.body).into());
        let state = message.state;
        let visible = Stored {
            state: State::Visible,
            ..message
        };
        self.messages.insert(number, visible);
        self.visible.insert(number);
        self.set_state(number, state);
    }

    /// The only place where a state changes, with all that follows from it.
    pub(super) fn set_state(&mut self, number: u64, state: State) {
        let Some(message) = self.messages.get_mut(&number) else {
            return;
        };
        let before = std::mem::replace(&mut message.state, state);
        let group = message.sent.group.clone();
        for (state, enters) in [(before, false), (state, true)] {
            match (state.until(), enters) {
                (None, true) => drop(self.visible.insert(number)),
                (None, false) => drop(self.visible.remove(&number)),
                (Some(until), true) => drop(self.timers.insert((until, number))),
                (Some(until), false) => drop(self.timers.remove(&(until, number))),
            }
            if let State::InFlight { .. } = state {
                self.in_flight = match enters {
                    true => self.in_flight + 1,
                    false => self.in_flight - 1,
                };
            }
            if let (Some(_), Some(group)) = (state.until(), &group) {
                let hidden = self.hidden_in_group.entry(group.clone()).or_default();
                *hidden = match enters {
                    true => *hidden + 1,
                    false => *hidden - 1,
                };
            }
        }
    }

    /// Makes visible what has waited long enough.
    pub(super) fn wake(&mut self, now: Moment) {
        while let Some((until, number)) = self.timers.first().copied()
            && until <= now
        {
            self.set_state(number, State::Visible);
        }
    }

    /// When the next message becomes visible by itself.
    pub fn next_timer(&self) -> Option<Moment> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// Takes a message out for good.
    pub(super) fn remove(&mut self, number: u64) -> Option<Stored> {
        self.set_state(number, State::Visible);
        self.visible.remove(&number);
        let message = self.messages.remove(&number)?;
        self.gone.insert(number, message.message_id.clone());
        Some(message)
    }

    /// Takes everything out for good.
    pub fn purge(&mut self) {
        let numbers: Vec<u64> = self.messages.keys().copied().collect();
        for number in numbers {
            self.remove(number);
        }
    }

    /// Whether a message of this body ever came: a copy that has no room for an
    /// origin is known by nothing else.
    pub fn has_ever_had_body(&self, body: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(body).into();
        self.bodies.contains(&digest)
    }

    /// The body of a message that is here.
    pub fn body_of(&self, message_id: &str) -> Option<String> {
        let mut messages = self.messages.values();
        let found = messages.find(|message| message.message_id == message_id)?;
        Some(found.sent.body.clone())
    }

    pub fn has_ever_had(&self, id: &str) -> bool {
        self.arrivals.contains(id)
    }

    /// What is there now, and what has happened so far.
    pub fn counts(&mut self, now: Moment) -> Counts {
        self.wake(now);
        let delayed = |state: State| matches!(state, State::Delayed { .. });
        let hidden = self.timers.iter();
        let delayed = hidden
            .filter(|(_, number)| delayed(self.messages[number].state))
            .count();
        Counts {
            visible: self.visible.len(),
            in_flight: self.in_flight,
            delayed,
            tally: self.tally,
        }
    }

    /// Everything in the queue, in the order in which it was sent.
    pub fn messages(&mut self, now: Moment) -> Vec<Stored> {
        self.wake(now);
        self.messages.values().cloned().collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub visible: usize,
    pub in_flight: usize,
    pub delayed: usize,
    pub tally: Tally,
}
