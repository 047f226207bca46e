//! How many messages, and how many of their bytes, may be in work at once.
//!
//! A receive asks first and receives then: what it is expected to bring is
//! reserved, and what it did not bring is given back. Of messages that is ten,
//! the most there can be. Of bytes it is twice what ten of the largest recent
//! bodies take, and ten of the largest possible ones before anything is known:
//! with 10 MiB for each, 128 MiB would let no more than 12 receives be open,
//! which at 20 ms a call is 6,000 messages a second. Where bodies grow all at
//! once, the receives that are open then may bring more than was reserved, 10
//! MiB each at most; the next ones wait until that much has gone again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::receive::RECEIVE_MESSAGES_MAX;

/// The largest message body (SQS quota, raised to 1 MiB in August 2025).
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// What one receive may bring at most: ten messages of 1 MiB.
const RECEIVE_BYTES_MAX: i64 = (RECEIVE_MESSAGES_MAX * BODY_BYTES_MAX) as i64;
/// The least that is reserved for a receive.
const RECEIVE_BYTES_MIN: i64 = 64 << 10;
/// By what part the expected size falls with each receive of smaller bodies:
/// after large ones it takes some 200 receives to trust small ones.
const FORGOTTEN_PART: i64 = 32;

/// The bounds on what is in work.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    room: Mutex<Room>,
    changed: Notify,
}

/// What is left.
#[derive(Debug)]
struct Room {
    messages: usize,
    /// Below zero where bodies were larger than expected.
    bytes: i64,
    /// The size of a large body, by what has come lately.
    body_bytes: i64,
    /// Messages that were taken and have not reached their end.
    in_work: usize,
}

/// Room for one receive.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    messages: usize,
    bytes: i64,
}

/// Room for one message, kept until its end.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    bytes: i64,
}

impl Budget {
    /// Room for `messages_max` messages and `bytes_max` bytes, but at least for
    /// one receive.
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        let room = Room {
            messages: messages_max.max(RECEIVE_MESSAGES_MAX),
            bytes: bytes_max.max(RECEIVE_BYTES_MAX),
            body_bytes: BODY_BYTES_MAX as i64,
            in_work: 0,
        };
        Self {
            shared: Arc::new(Shared {
                room: Mutex::new(room),
                changed: Notify::new(),
            }),
        }
    }

    /// Waits for room for one receive.
    pub async fn reserve(&self) -> Reservation {
        loop {
            let changed = self.shared.changed.notified();
            if let Some(reservation) = self.try_reserve() {
                return reservation;
            }
            changed.await;
        }
    }

    pub(super) fn try_reserve(&self) -> Option<Reservation> {
        let mut room = self.shared.lock();
        let bytes = room.expected_bytes();
        if room.messages < RECEIVE_MESSAGES_MAX || room.bytes < bytes {
            return None;
        }
        room.messages -= RECEIVE_MESSAGES_MAX;
        room.bytes -= bytes;
        // Whoever else waits may find room too: one is told of each change.
        self.shared.changed.notify_one();
        Some(Reservation {
            shared: Arc::clone(&self.shared),
            messages: RECEIVE_MESSAGES_MAX,
            bytes,
        })
    }

    /// How many messages have been taken and not reached their end.
    pub fn in_work(&self) -> usize {
        self.shared.lock().in_work
    }
}

impl Reservation {
    /// Takes the room of messages of these sizes, in bytes, out of the
    /// reservation; none for more than one receive can bring.
    pub(super) fn permits(&mut self, sizes: impl Iterator<Item = usize>) -> Vec<Permit> {
        let sizes: Vec<i64> = sizes
            .take(self.messages)
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
            .collect();
        let bytes: i64 = sizes.iter().sum();
        self.messages -= sizes.len();
        let beyond = (bytes - self.bytes).max(0);
        self.bytes -= bytes - beyond;
        let mut room = self.shared.lock();
        room.bytes -= beyond;
        room.in_work += sizes.len();
        if let Some(largest) = sizes.iter().max() {
            let forgotten = room.body_bytes - room.body_bytes / FORGOTTEN_PART;
            room.body_bytes = forgotten.max(*largest);
        }
        drop(room);
        sizes
            .into_iter()
            .map(|bytes| Permit {
                shared: Arc::clone(&self.shared),
                bytes,
            })
            .collect()
    }
}

impl Room {
    fn expected_bytes(&self) -> i64 {
        let expected = 2 * self.body_bytes * RECEIVE_MESSAGES_MAX as i64;
        expected.clamp(RECEIVE_BYTES_MIN, RECEIVE_BYTES_MAX)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut room = self.shared.lock();
        room.messages += self.messages;
        room.bytes += self.bytes;
        drop(room);
        self.shared.changed.notify_one();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut room = self.shared.lock();
        room.messages += 1;
        room.bytes += self.bytes;
        room.in_work -= 1;
        let enough = room.messages >= RECEIVE_MESSAGES_MAX;
        drop(room);
        if enough {
            self.shared.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVE_BYTES: usize = RECEIVE_BYTES_MAX as usize;

    #[test]
    fn a_receive_waits_for_room_and_gives_back_what_it_does_not_need() {
        let budget = Budget::new(RECEIVE_MESSAGES_MAX + 1, 0);
        let mut reservation = budget.try_reserve().expect("room");
        let permits = reservation.permits([BODY_BYTES_MAX].into_iter());
        drop(reservation);
        assert_eq!((permits.len(), budget.in_work()), (1, 1));
        // Messages would fit, bytes do not.
        assert!(budget.try_reserve().is_none());
        drop(permits);
        assert_eq!(budget.in_work(), 0);
        assert!(budget.try_reserve().is_some());
    }

    #[test]
    fn no_receive_brings_more_messages_than_were_reserved() {
        let budget = Budget::new(100, 0);
        let mut reservation = budget.try_reserve().expect("room");
        assert_eq!(reservation.permits([1; 11].into_iter()).len(), 10);
        assert_eq!(reservation.permits([1].into_iter()).len(), 0);
    }

    #[test]
    fn small_bodies_make_room_for_more_receives_and_one_large_body_ends_that() {
        let budget = Budget::new(10_000, RECEIVE_BYTES);
        let receive = |bytes: usize| {
            let mut reservation = budget.try_reserve().expect("room");
            drop(reservation.permits([bytes].into_iter()));
        };
        let open = || {
            std::iter::from_fn(|| budget.try_reserve())
                .collect::<Vec<_>>()
                .len()
        };
        assert_eq!(open(), 1, "nothing is known yet");
        (0..400).for_each(|_| receive(170));
        assert_eq!(open() as i64, RECEIVE_BYTES_MAX / RECEIVE_BYTES_MIN);
        receive(BODY_BYTES_MAX);
        assert_eq!(open(), 1);
    }

    #[test]
    fn what_comes_beyond_the_expected_is_owed() {
        let budget = Budget::new(10_000, RECEIVE_BYTES);
        for _ in 0..400 {
            let mut reservation = budget.try_reserve().expect("room");
            drop(reservation.permits([170].into_iter()));
        }
        let mut one = budget.try_reserve().expect("room");
        let other = budget.try_reserve();
        let permits = one.permits([BODY_BYTES_MAX; 10].into_iter());
        drop(other);
        assert_eq!(budget.shared.lock().bytes, 0, "ten of 1 MiB are in work");
        drop(one);
        drop(permits);
        assert_eq!(budget.shared.lock().bytes, RECEIVE_BYTES_MAX);
        assert!(budget.try_reserve().is_some());
    }

    #[tokio::test]
    async fn whoever_waits_is_told_of_room() {
        let budget = Budget::new(RECEIVE_MESSAGES_MAX, 0);
        let reservation = budget.reserve().await;
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { drop(budget.reserve().await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(reservation);
        waiting.await.expect("there is room");
    }
}
