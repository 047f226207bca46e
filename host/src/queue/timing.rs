//! How long everything takes at most, derived from how long the queue hides a
//! received message.
//!
//! AWS wants the visibility timeout above the client's read timeout: else a
//! message could be visible again before its own answer has arrived. Where a
//! queue's timeout is short, polls are shorter too.

use std::time::Duration;

/// The longest long poll (SQS quota).
pub const POLL_SECS_MAX: u64 = 20;
/// How long a poll waits unless set otherwise, in seconds. A stop waits for the
/// open polls, and must come to its end within 5 s.
pub const POLL_SECS_DEFAULT: u64 = 3;
/// The shortest lease that leaves room for a poll and an extension.
const LEASE_SECS_MIN: u64 = 2;
/// A lease below this leaves little room for a slow database.
const LEASE_SECS_ROOMY: u64 = 10;
/// What a call may take beyond the time that it waits on purpose.
const CALL_MS_MAX: u64 = 10_000;
/// The least that a call is given.
const CALL_MS_MIN: u64 = 500;
/// Between a message's hiding and its arrival here, at most: an answer's way.
const ANSWER_ALLOWANCE_MS: u64 = 1_000;
/// The longest that a message can be hidden in all (SQS quota: 12 h).
const HIDDEN_SECS_MAX: u64 = 43_200;
/// How much earlier extensions end than the quota.
const HIDDEN_SECS_SPARE: u64 = 60;

/// The times of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For how long a received message is hidden, and by how much that is
    /// extended.
    pub lease: Duration,
    /// How long a receive waits for a message.
    pub poll: Duration,
    /// How long a receive may take in all.
    pub receive_max: Duration,
    /// How long any other call may take.
    pub call_max: Duration,
    /// Between two looks at which leases are due.
    pub extension_tick: Duration,
    /// How much of a lease is spent when it is extended.
    pub extension_due: Duration,
    /// How long an answer may have been on its way.
    pub answer_allowance: Duration,
    /// For how long a message can be kept hidden in all.
    pub hidden_max: Duration,
}

impl Timing {
    /// The times of a queue whose visibility timeout is `visibility`, with
    /// polls of at most `poll_max`.
    pub fn new(visibility: Duration, poll_max: Duration) -> Self {
        let lease = visibility.max(Duration::from_secs(LEASE_SECS_MIN));
        let call_max = (lease / 4).clamp(
            Duration::from_millis(CALL_MS_MIN),
            Duration::from_millis(CALL_MS_MAX),
        );
        let poll_max = poll_max.min(Duration::from_secs(POLL_SECS_MAX));
        // SQS counts polls in whole seconds.
        let poll = Duration::from_secs((lease / 2).min(poll_max).as_secs());
        Self {
            lease,
            poll,
            receive_max: poll + call_max,
            call_max,
            extension_tick: lease / 6,
            extension_due: lease / 3,
            answer_allowance: Duration::from_millis(ANSWER_ALLOWANCE_MS).min(lease / 8),
            hidden_max: Duration::from_secs(HIDDEN_SECS_MAX - HIDDEN_SECS_SPARE),
        }
    }

    /// A call that has taken so long and failed has met an outage, not a
    /// hiccup; a poll takes its own wait more.
    pub fn call_lasts(&self) -> Duration {
        self.call_max * 3 / 4
    }

    /// What an operator should know of a queue with this visibility timeout.
    pub fn warning(visibility: Duration) -> Option<String> {
        let seconds = visibility.as_secs();
        if seconds < LEASE_SECS_MIN {
            return Some(format!(
                "the queue hides a received message for {seconds} s: too short to work with, so \
                 {LEASE_SECS_MIN} s are asked for at each receive; set its VisibilityTimeout to \
                 30 s or more"
            ));
        }
        (seconds < LEASE_SECS_ROOMY).then(|| {
            format!(
                "the queue hides a received message for {seconds} s: little room for a slow \
                 database or network, and an extension call every {} ms; 30 s or more is usual",
                Self::new(visibility, Duration::ZERO)
                    .extension_due
                    .as_millis()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(visibility_secs: u64) -> Timing {
        Timing::new(
            Duration::from_secs(visibility_secs),
            Duration::from_secs(POLL_SECS_MAX),
        )
    }

    #[test]
    fn a_receive_ends_before_what_it_brings_is_visible_again() {
        for visibility in [2, 3, 5, 10, 30, 60, 600, HIDDEN_SECS_MAX] {
            let timing = timing(visibility);
            assert!(timing.receive_max < timing.lease, "{visibility} s");
            assert!(timing.poll >= Duration::from_secs(1), "{visibility} s");
        }
    }

    #[test]
    fn a_due_lease_leaves_time_for_a_second_try() {
        for visibility in [2, 3, 5, 10, 30, 600, HIDDEN_SECS_MAX] {
            let timing = timing(visibility);
            let first_end = timing.extension_due + timing.extension_tick + timing.call_max;
            let second_end = first_end + timing.extension_tick;
            assert!(first_end < timing.lease, "{visibility} s");
            assert!(
                second_end < timing.lease + Duration::from_millis(100),
                "{visibility} s"
            );
        }
    }

    #[test]
    fn a_queue_that_hides_nothing_gets_a_lease_and_a_warning() {
        assert_eq!(timing(0).lease, Duration::from_secs(LEASE_SECS_MIN));
        assert!(Timing::warning(Duration::ZERO).is_some());
        assert!(Timing::warning(Duration::from_secs(5)).is_some());
        assert!(Timing::warning(Duration::from_secs(30)).is_none());
    }
}
