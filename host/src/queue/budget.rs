//! How many messages, and how many of their bytes, may be in work at once.
//!
//! A receive asks first and receives then: what it may bring at most is
//! reserved, and what it did not bring is given back. So memory is bounded
//! before a byte arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::receive::RECEIVE_MESSAGES_MAX;

/// The largest message body (SQS quota, raised to 1 MiB in August 2025).
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes are counted in units of this many, because a semaphore counts to 2²⁹.
const UNIT_BYTES: usize = 1 << 10;
/// What one receive may bring at most: ten messages of 1 MiB.
const RECEIVE_UNITS_MAX: u32 = (RECEIVE_MESSAGES_MAX * BODY_BYTES_MAX / UNIT_BYTES) as u32;

/// The bounds on what is in work.
#[derive(Clone, Debug)]
pub struct Budget {
    messages: Arc<Semaphore>,
    units: Arc<Semaphore>,
    in_work: Arc<AtomicUsize>,
}

/// Room for one receive.
#[derive(Debug)]
pub struct Reservation {
    messages: OwnedSemaphorePermit,
    units: OwnedSemaphorePermit,
    in_work: Arc<AtomicUsize>,
}

/// Room for one message, kept until its end.
#[derive(Debug)]
pub struct Permit {
    _message: OwnedSemaphorePermit,
    _units: Option<OwnedSemaphorePermit>,
    in_work: Arc<AtomicUsize>,
}

impl Budget {
    /// Room for `messages_max` messages and `bytes_max` bytes, but at least for
    /// one receive.
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        let messages_max = messages_max.max(RECEIVE_MESSAGES_MAX);
        let units_max = (bytes_max / UNIT_BYTES).max(RECEIVE_UNITS_MAX as usize);
        Self {
            messages: Arc::new(Semaphore::new(messages_max)),
            units: Arc::new(Semaphore::new(units_max.min(Semaphore::MAX_PERMITS))),
            in_work: Arc::default(),
        }
    }

    /// Waits for room for one receive.
    pub async fn reserve(&self) -> Option<Reservation> {
        let messages = Arc::clone(&self.messages);
        let units = Arc::clone(&self.units);
        Some(Reservation {
            messages: messages
                .acquire_many_owned(RECEIVE_MESSAGES_MAX as u32)
                .await
                .ok()?,
            units: units.acquire_many_owned(RECEIVE_UNITS_MAX).await.ok()?,
            in_work: Arc::clone(&self.in_work),
        })
    }

    /// How many messages have been taken and not reached their end.
    pub fn in_work(&self) -> usize {
        self.in_work.load(Ordering::SeqCst)
    }
}

impl Reservation {
    /// Takes the room of one message of `bytes` out of the reservation.
    pub(super) fn permit(&mut self, bytes: usize) -> Option<Permit> {
        let message = self.messages.split(1)?;
        self.in_work.fetch_add(1, Ordering::SeqCst);
        Some(Permit {
            _message: message,
            _units: self.units.split(bytes.div_ceil(UNIT_BYTES)),
            in_work: Arc::clone(&self.in_work),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.in_work.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_receive_waits_for_room_and_gives_back_what_it_does_not_need() {
        let budget = Budget::new(RECEIVE_MESSAGES_MAX + 1, 0);
        let mut reservation = budget.reserve().await.expect("room");
        let permit = reservation.permit(BODY_BYTES_MAX).expect("one of ten");
        drop(reservation);
        assert_eq!(budget.in_work(), 1);
        // Messages would fit, bytes do not.
        let waiting = budget.reserve();
        tokio::pin!(waiting);
        assert!(poll_once(&mut waiting).await.is_none());
        drop(permit);
        assert_eq!(budget.in_work(), 0);
        assert!(waiting.await.is_some());
    }

    /// Polls once.
    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
