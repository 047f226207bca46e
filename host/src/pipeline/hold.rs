//! Held: the environment is at fault, and receiving pauses until it works again.
//!
//! A holder enters its cause and leaves it. What follows from the causes that
//! stand (readiness, metrics, log lines) is derived in `telemetry`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::telemetry::{Cause, Receiving, StandingCauses, Telemetry};

pub(super) use crate::telemetry::{Dependency, Holder};

/// Where the parts of the pipeline say that they cannot go on.
#[derive(Clone)]
pub(super) struct Hold {
    causes: StandingCauses,
    peers: Arc<Peers>,
}

/// The receiving of messages to compare with.
struct Peers {
    pace: Mutex<Pace>,
    changed: Notify,
    /// The one receive at a time.
    slow: Arc<Semaphore>,
}

#[derive(Default)]
struct Pace {
    /// Between the beginnings of two receives, as each holder wants it.
    every: BTreeMap<Holder, Duration>,
    began: Option<Instant>,
}

/// Leave to receive; the receive lasts no longer than this is kept.
pub(super) struct Released {
    _slow: Option<OwnedSemaphorePermit>,
}

impl Hold {
    /// Nobody is held.
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            causes: telemetry.causes.clone(),
            peers: Arc::new(Peers {
                pace: Mutex::default(),
                changed: Notify::new(),
                slow: Arc::new(Semaphore::new(1)),
            }),
        }
    }

    /// A holder cannot go on: the host is not ready, and nothing is received.
    /// `sqlstate` is PostgreSQL's code, where it gave one.
    pub(super) fn enter(
        &self,
        holder: Holder,
        dependency: Dependency,
        cause: &dyn fmt::Display,
        sqlstate: Option<&str>,
    ) {
        let cause = Cause::new(dependency, cause).with_sqlstate(sqlstate);
        self.causes.enter(holder, cause);
        self.peers.set(holder, None);
    }

    /// A holder cannot go on, and receiving does not hang on it: the host is
    /// not ready, but receiving goes on.
    pub(super) fn enter_receiving(
        &self,
        holder: Holder,
        dependency: Dependency,
        cause: &dyn fmt::Display,
        sqlstate: Option<&str>,
    ) {
        let cause = Cause::new(dependency, cause).with_sqlstate(sqlstate);
        self.causes
            .enter(holder, cause.with_receiving(Receiving::GoesOn));
        self.peers.set(holder, None);
    }

    /// A holder cannot go on, and needs more messages to find the fault: the
    /// host is not ready, but one receive is allowed in each `every`.
    pub(super) fn enter_for_peers(
        &self,
        holder: Holder,
        every: Duration,
        dependency: Dependency,
        cause: &dyn fmt::Display,
        sqlstate: Option<&str>,
    ) {
        let cause = Cause::new(dependency, cause).with_sqlstate(sqlstate);
        let cause = cause.with_receiving(Receiving::GoesOn);
        self.peers.set(holder, Some(every));
        self.causes.enter(holder, cause);
    }

    /// A holder goes on.
    pub(super) fn leave(&self, holder: Holder) {
        self.causes.leave(holder);
        self.peers.set(holder, None);
    }

    /// Waits until something may be received: freely, or as peers.
    pub(super) async fn released(&self) -> Released {
        loop {
            let changed = self.peers.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change is missed.
            changed.as_mut().enable();
            self.causes.receiving().await;
            match self.peers.leave() {
                Ok(leave) => return leave,
                Err(then) => drop(timeout_at(then, changed).await),
            }
        }
    }
}

impl Peers {
    fn set(&self, holder: Holder, every: Option<Duration>) {
        let mut pace = self.lock();
        let before = match every {
            Some(every) => pace.every.insert(holder, every),
            None => pace.every.remove(&holder),
        };
        drop(pace);
        if before != every {
            self.changed.notify_waiters();
        }
    }

    /// Leave to receive, or when to ask again.
    fn leave(&self) -> Result<Released, Instant> {
        let mut pace = self.lock();
        let Some(every) = pace.every.values().min().copied() else {
            return Ok(Released { _slow: None });
        };
        let now = Instant::now();
        let due = pace.began.map_or(now, |began| began + every);
        if due > now {
            return Err(due);
        }
        let Ok(permit) = Arc::clone(&self.slow).try_acquire_owned() else {
            return Err(now + every);
        };
        pace.began = Some(now);
        Ok(Released {
            _slow: Some(permit),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn receiving_pauses_until_the_last_one_goes_on() {
        let telemetry = Telemetry::new(Duration::from_secs(30));
        let hold = Hold::new(&telemetry);
        hold.enter(Holder::Worker(0), Dependency::Database, &"down", None);
        hold.enter(Holder::Deleter, Dependency::Queue, &"down", None);
        hold.leave(Holder::Worker(0));
        assert!(!telemetry.causes.is_receiving());
        hold.leave(Holder::Deleter);
        hold.released().await;
    }

    #[tokio::test(start_paused = true)]
    async fn peers_are_received_one_receive_at_a_time_and_slowly() {
        let hold = Hold::new(&Telemetry::new(Duration::from_secs(30)));
        let every = Duration::from_secs(5);
        let worker = Holder::Worker(0);
        hold.enter_for_peers(worker, every, Dependency::Database, &"odd", None);
        let leave = hold.released().await;
        let soon = timeout_at(Instant::now() + every * 3, hold.released());
        assert!(soon.await.is_err(), "a second one beside it");
        drop(leave);
        let began = Instant::now();
        drop(hold.released().await);
        hold.released().await;
        assert!(began.elapsed() >= every);
        // Somebody who cannot use peers pauses all of it.
        hold.enter(Holder::Deleter, Dependency::Queue, &"down", None);
        let never = timeout_at(Instant::now() + every * 3, hold.released());
        assert!(never.await.is_err());
        hold.leave(Holder::Deleter);
        hold.leave(worker);
        let began = Instant::now();
        hold.released().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
