//! Receiving: one long poll, and a lease for each message that it brings.

use std::time::Duration;

use tokio::time::Instant;

use super::budget::Reservation;
use super::calls::{BATCH_ENTRIES_MAX, Poll};
use super::client::Queue;
use super::error::QueueError;
use super::lease::{Lease, Leases};
use crate::message::Message;
use crate::origin::Claim;

/// Messages that one receive brings at most (SQS quota).
pub const RECEIVE_MESSAGES_MAX: usize = BATCH_ENTRIES_MAX;

/// A message, and the lease that keeps it hidden from others.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Its lease.
    pub lease: Lease,
    /// How often the queue has delivered it, this time included.
    pub receive_count: u32,
    /// The origin that it claims, where the queue alone cannot tell.
    pub claim: Option<Claim>,
}

/// What a receive brought.
#[derive(Debug)]
pub struct Deliveries {
    /// Messages that are new here.
    pub new: Vec<Delivery>,
    /// Messages that are in work already: their leases are renewed.
    pub known: usize,
    /// Messages that cannot be used; they come back.
    pub unusable: usize,
}

impl Queue {
    /// Polls once, and waits so long for a message. A message that is in work already only renews its lease: the
    /// newest receipt handle is the only one that deletes.
    ///
    /// Not to be cancelled before the very end: what the queue has hidden would
    /// stay hidden for a lease.
    ///
    /// # Errors
    /// The queue did not answer, or not with yes.
    pub async fn receive(
        &self,
        leases: &Leases,
        mut reservation: Reservation,
        attempt: &str,
        wait: Duration,
    ) -> Result<Deliveries, QueueError> {
        let poll = Poll {
            wait,
            visibility: self.timing.lease,
        };
        let received = self.calls.receive(poll, attempt).await?;
        // In a long poll the queue hides messages at its end, not at its
        // start; the arrival less an allowance is the earliest moment.
        let hidden_since = Instant::now() - self.timing.answer_allowance;
        let in_all = received.messages.len();
        let sizes = received.messages.iter();
        let permits = reservation.permits(sizes.map(|received| received.message.bytes()));
        let new: Vec<Delivery> = received
            .messages
            .into_iter()
            .zip(permits)
            .filter_map(|(received, permit)| {
                let mut message = received.message;
                let id = &message.queue_id;
                let lease = leases.take(id, received.handle, hidden_since, permit)?;
                let claim = self.secrets.read(&mut message);
                Some(Delivery {
                    message,
                    lease,
                    claim,
                    receive_count: received.receive_count,
                })
            })
            .collect();
        Ok(Deliveries {
            known: in_all - new.len(),
            new,
            unusable: received.unusable,
        })
    }
}

#[cfg(test)]
impl Delivery {
    /// A delivery out of nowhere.
    pub(crate) fn simulated(queue_id: &str) -> Self {
        use std::sync::Arc;

        let timing = super::timing::Timing::new(Duration::from_secs(30), Duration::ZERO);
        let leases = Leases::new(timing, Arc::new(|_| {}));
        let budget = super::budget::Budget::new(1, 1);
        let mut room = budget.try_reserve().expect("room for one receive");
        let permit = room.permits([1].into_iter()).pop().expect("one of ten");
        let lease = leases.take(queue_id, "handle".into(), Instant::now(), permit);
        Self {
            message: Message {
                queue_id: queue_id.into(),
                origin_id: queue_id.into(),
                body: String::new(),
                sent_ms: 0,
                attributes: Vec::new(),
                fifo: None,
            },
            lease: lease.expect("nobody has it"),
            receive_count: 1,
            claim: None,
        }
    }
}
