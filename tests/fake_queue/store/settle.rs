//! Deleting and changing visibility, each by handle. Only the newest handle
//! deletes; an older one "succeeds" and deletes nothing, and a FIFO queue
//! refuses one whose time is over. No message stays hidden for more than 12
//! hours from its receive on.

use std::time::Duration;

use super::message::{Handle, State, Stored};
use super::queue::Queue;
use crate::fake_queue::clock::Moment;
use crate::fake_queue::fault::{Action, Faults, Place};
use crate::fake_queue::operation::Operation;
use crate::fake_queue::refusal::Refusal;

/// SQS quota: 12 hours.
pub const VISIBILITY_SECS_MAX: u32 = 43_200;

/// What became of a delete that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Done,
    Nothing,
}

impl Queue {
    pub fn parse_handle(&self, text: &str) -> Result<Handle, Refusal> {
        Handle::parse(text)
            .filter(|handle| handle.queue == self.number && handle.message < self.next_message)
            .ok_or_else(Refusal::invalid_handle)
    }

    /// Of which message a handle is, even where the message is gone.
    pub fn message_id(&self, handle: Handle) -> String {
        let there = self.messages.get(&handle.message);
        let id = there.map(|message| &message.message_id);
        let id = id.or_else(|| self.gone.get(&handle.message));
        id.cloned().unwrap_or_default()
    }

    /// The message that a handle is of, where it is still there.
    pub fn message(&self, handle: Handle) -> Option<&Stored> {
        self.messages.get(&handle.message)
    }

    pub fn delete(
        &mut self,
        now: Moment,
        handle: Handle,
        faults: &Faults,
        place: &Place,
    ) -> Result<Deletion, Refusal> {
        self.wake(now);
        let fifo = self.settings.fifo();
        let Some(message) = self.messages.get_mut(&handle.message) else {
            self.tally.deletes_of_the_gone += 1;
            return Ok(Deletion::Nothing);
        };
        if matches!(message.state, State::Undead { .. }) {
            self.tally.deletes_of_the_gone += 1;
            return Ok(Deletion::Nothing);
        }
        let newest = message.newest_receive == handle.receive;
        let in_flight = matches!(message.state, State::InFlight { .. });
        if fifo && !(newest && in_flight) {
            return Err(Refusal::expired_handle());
        }
        if !newest {
            self.tally.stale_deletes += 1;
            return Ok(Deletion::Nothing);
        }
        self.tally.deleted += 1;
        let comes_back = |action: &Action| matches!(action, Action::ComeBack(_));
        if let Some(drawn) = faults.of_message(place, comes_back)
            && let Action::ComeBack(after) = drawn.action
        {
            message.undead = Some(drawn.fired);
            let until = now + after;
            self.set_state(handle.message, State::Undead { until });
        } else {
            self.remove(handle.message);
        }
        Ok(Deletion::Done)
    }

    pub fn change_visibility(
        &mut self,
        now: Moment,
        handle: Handle,
        secs: u32,
    ) -> Result<(), Refusal> {
        self.wake(now);
        if secs > VISIBILITY_SECS_MAX {
            return Err(Refusal::invalid(format!(
                "Value {secs} for parameter VisibilityTimeout is invalid. Reason: Must be between \
                 0 and {VISIBILITY_SECS_MAX}, if provided."
            )));
        }
        let message = self.messages.get(&handle.message);
        let message = message.ok_or_else(Refusal::no_such_message)?;
        if message.newest_receive != handle.receive {
            return Err(Refusal::no_such_message());
        }
        let State::InFlight { since, .. } = message.state else {
            return Err(Refusal::not_in_flight());
        };
        let until = now + Duration::from_secs(secs.into());
        if until > since + Duration::from_secs(VISIBILITY_SECS_MAX.into()) {
            return Err(Refusal::invalid(format!(
                "Value {secs} for parameter VisibilityTimeout is invalid. Reason: Total \
                 VisibilityTimeout for the message is beyond the limit [{VISIBILITY_SECS_MAX} \
                 seconds]."
            )));
        }
        let state = match secs {
            0 => State::Visible,
            _ => State::InFlight { since, until },
        };
        self.set_state(handle.message, state);
        Ok(())
    }

    /// Where an entry stands, for the faults that are about it.
    pub fn place<'a>(
        &'a self,
        operation: Operation,
        message_id: Option<&'a str>,
        position: usize,
    ) -> Place<'a> {
        Place {
            operation,
            queue: &self.name,
            message_id,
            position,
        }
    }
}
