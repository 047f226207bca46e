//! Receiving: which messages are given out, under which handles, and which are
//! given up instead because they have been given out often enough.
//!
//! In a FIFO queue a group of which anything is hidden gives nothing, except
//! to the receive that hid it; so order within a group is kept.

use std::collections::HashSet;
use std::time::Duration;

use super::message::{Handle, State, Stored};
use super::queue::Queue;
use super::send::DEDUPLICATION;
use crate::fake_queue::clock::{Clock, Moment};
use crate::fake_queue::fault::{Action, Faults, Place};
use crate::fake_queue::operation::Operation;
use crate::fake_queue::refusal::Refusal;

/// What a receive asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub messages_max: usize,
    pub visibility_secs: Option<u32>,
    /// Whether it waits where nothing is there.
    pub waits: bool,
    pub attempt_id: Option<String>,
}

/// When a receive hides what it gives out, and until when.
#[derive(Clone, Copy)]
struct Hiding {
    now: Moment,
    until: Moment,
    unix_ms: u64,
}

/// A message as it was given out.
pub struct Received {
    pub message: Stored,
    pub handle: String,
}

#[derive(Default)]
pub struct Batch {
    pub received: Vec<Received>,
    /// For the dead-letter queue.
    pub given_up: Vec<Stored>,
}

impl Queue {
    pub fn receive(
        &mut self,
        clock: &Clock,
        wish: &Wish,
        faults: &Faults,
    ) -> Result<Batch, Refusal> {
        let now = clock.now();
        self.wake(now);
        let visibility = wish.visibility_secs;
        let visibility = visibility.unwrap_or(self.settings.visibility_secs());
        let hiding = Hiding {
            now,
            until: now + Duration::from_secs(visibility.into()),
            unix_ms: clock.unix_ms(),
        };
        if let Some(again) = self.attempted(wish, hiding) {
            return Ok(again);
        }
        if self.in_flight >= self.in_flight_max {
            // SQS says so to short polls of standard queues only.
            return match self.settings.fifo() || wish.waits {
                true => Ok(Batch::default()),
                false => Err(Refusal::over_limit()),
            };
        }
        let room = self.in_flight_max - self.in_flight;
        let (chosen, given_up) = self.choose(wish.messages_max.min(room));
        let mut batch = Batch {
            received: Vec::new(),
            given_up: given_up
                .into_iter()
                .filter_map(|n| self.remove(n))
                .collect(),
        };
        self.tally.given_up += batch.given_up.len();
        for number in chosen {
            if batch.received.len() == wish.messages_max {
                break;
            }
            self.give(number, hiding, &mut batch);
            self.misbehave(number, hiding, wish, &mut batch, faults);
        }
        self.remember(wish, now, &batch);
        Ok(batch)
    }

    /// Which messages are to be given out, and which to be given up.
    fn choose(&self, messages_max: usize) -> (Vec<u64>, Vec<u64>) {
        let receives_max = match &self.settings.redrive {
            Some(redrive) => redrive.receives_max,
            None => u32::MAX,
        };
        let (mut chosen, mut given_up) = (Vec::new(), Vec::new());
        let blocked = |message: &Stored| {
            let group = message.sent.group.as_ref();
            let hidden = group.and_then(|group| self.hidden_in_group.get(group));
            self.settings.fifo() && hidden.is_some_and(|hidden| *hidden > 0)
        };
        for number in &self.visible {
            if chosen.len() == messages_max {
                break;
            }
            let message = &self.messages[number];
            if blocked(message) {
                continue;
            }
            match message.receive_count >= receives_max {
                true => given_up.push(*number),
                false => chosen.push(*number),
            }
        }
        (chosen, given_up)
    }

    fn give(&mut self, number: u64, hiding: Hiding, batch: &mut Batch) {
        let Hiding {
            now,
            until,
            unix_ms,
        } = hiding;
        let receive = self.next_receive;
        self.next_receive += 1;
        if until > now {
            self.set_state(number, State::InFlight { since: now, until });
        }
        let Some(message) = self.messages.get_mut(&number) else {
            return;
        };
        message.receive_count += 1;
        message.newest_receive = receive;
        message.first_received_ms.get_or_insert(unix_ms);
        if let Some(fired) = message.undead.take() {
            fired.hit();
        }
        self.tally.received += 1;
        let handle = Handle {
            queue: self.number,
            message: number,
            receive,
        };
        batch.received.push(Received {
            message: message.clone(),
            handle: handle.text(),
        });
    }

    /// Carries out the faults that are about giving messages out.
    fn misbehave(
        &mut self,
        number: u64,
        hiding: Hiding,
        wish: &Wish,
        batch: &mut Batch,
        faults: &Faults,
    ) {
        let (queue, id) = (self.name.clone(), self.messages[&number].message_id.clone());
        let place = Place {
            operation: Operation::ReceiveMessage,
            queue: &queue,
            message_id: Some(&id),
            position: batch.received.len() - 1,
        };
        let twice = |action: &Action| matches!(action, Action::ComeTwice);
        if batch.received.len() < wish.messages_max && faults.of_message(&place, twice).is_some() {
            self.give(number, hiding, batch);
        }
        let stays = |action: &Action| matches!(action, Action::StayVisible);
        if faults.of_message(&place, stays).is_some() {
            self.set_state(number, State::Visible);
        }
    }

    /// A receive that is tried again gives the same messages under the same
    /// handles, hidden anew, unless anything has become of one of them.
    fn attempted(&mut self, wish: &Wish, hiding: Hiding) -> Option<Batch> {
        let Hiding { now, until, .. } = hiding;
        let id = wish.attempt_id.as_ref().filter(|_| self.settings.fifo())?;
        let (remembered_until, receives) = self.attempts.get(id)?.clone();
        let unchanged = |(number, receive): &(u64, u64)| {
            let message = self.messages.get(number);
            message.is_some_and(|message| {
                message.newest_receive == *receive
                    && matches!(message.state, State::InFlight { .. })
            })
        };
        if remembered_until <= now || !receives.iter().all(unchanged) {
            return None;
        }
        let mut again = Batch::default();
        for (number, receive) in receives {
            self.set_state(number, State::InFlight { since: now, until });
            let handle = Handle {
                queue: self.number,
                message: number,
                receive,
            };
            again.received.push(Received {
                message: self.messages[&number].clone(),
                handle: handle.text(),
            });
        }
        Some(again)
    }

    fn remember(&mut self, wish: &Wish, now: Moment, batch: &Batch) {
        let Some(id) = wish.attempt_id.clone().filter(|_| self.settings.fifo()) else {
            return;
        };
        let receives: Vec<(u64, u64)> = batch
            .received
            .iter()
            .filter_map(|received| Handle::parse(&received.handle))
            .map(|handle| (handle.message, handle.receive))
            .collect();
        let distinct: HashSet<u64> = receives.iter().map(|(number, _)| *number).collect();
        if !receives.is_empty() && distinct.len() == receives.len() {
            self.attempts.insert(id, (now + DEDUPLICATION, receives));
        }
    }
}
