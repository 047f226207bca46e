//! Intake: one long poll after the other, for as long as there is room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::batcher::Arrivals;
use super::hold::Hold;
use super::receive_concurrency::{ReceiveConcurrency, ReceivePermit};
use crate::backoff::Backoff;
use crate::event::Event;
use crate::queue::{Budget, Leases, Queue, QueueError, Reservation};
use crate::shutdown::Shutdown;
use crate::telemetry::{Pause, Poller, Telemetry};

/// One of the tasks that receive.
pub(super) struct Intake {
    pub(super) queue: Queue,
    pub(super) leases: Leases,
    pub(super) budget: Budget,
    pub(super) hold: Hold,
    pub(super) polls: ReceiveConcurrency,
    pub(super) telemetry: Telemetry,
    pub(super) arrivals: Arrivals,
    pub(super) failing: Arc<Failing>,
}

/// Which of the tasks fail, and why: what befalls all of them at once is worth
/// one line, and another one when the cause changes.
#[derive(Debug, Default)]
pub(super) struct Failing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tasks: usize,
    logged: String,
}

impl Failing {
    /// A task fails, for the first time or again.
    fn fails(&self, first: bool, cause: String) {
        let mut state = self.lock();
        state.tasks += usize::from(first);
        if state.logged != cause {
            state.logged.clone_from(&cause);
            Event::ReceiveFailing(cause).log();
        }
    }

    /// A task has recovered. Whether it was the last one.
    fn recovered(&self) -> bool {
        let mut state = self.lock();
        state.tasks = state.tasks.saturating_sub(1);
        let last = state.tasks == 0;
        if last {
            state.logged.clear();
            Event::ReceiveRecovered.log();
        }
        last
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake {
    /// Receives until a stop is asked for. An open poll is then awaited: what
    /// it brings is taken, and must not stay hidden.
    pub(super) async fn run(self, mut shutdown: Shutdown) {
        let poller = self.telemetry.poller();
        let mut backoff = Backoff::default();
        let mut failing = false;
        let mut attempt = attempt_id();
        while !shutdown.is_requested() {
            let (poll, room) = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                room = self.room(&poller) => room,
            };
            let began = Instant::now();
            match self.queue.receive(&self.leases, room, &attempt).await {
                Ok(deliveries) => {
                    attempt = attempt_id();
                    if std::mem::take(&mut failing) {
                        self.recovered();
                    }
                    poller.received();
                    backoff.reset();
                    let brought = deliveries.new.len();
                    self.telemetry.received(brought);
                    if deliveries.unusable > 0 {
                        Event::Unusable(deliveries.unusable).log();
                    }
                    let waiting = self.arrivals.push(deliveries.new);
                    poll.brought(brought + deliveries.known, began.elapsed(), waiting);
                }
                Err(error) => {
                    let first = !std::mem::replace(&mut failing, true);
                    self.failed(&error, first);
                    poll.failed();
                    drop(poll);
                    poller.pausing(Pause::BackingOff);
                    tokio::select! {
                        () = shutdown.requested() => {}
                        () = backoff.wait() => {}
                    }
                    poller.resumed();
                }
            }
        }
    }

    fn failed(&self, error: &QueueError, first: bool) {
        let cause = error.to_string();
        self.telemetry.receive_failed(&cause);
        self.failing.fails(first, cause);
    }

    fn recovered(&self) {
        if self.failing.recovered() {
            self.telemetry.receive_recovered();
        }
    }

    /// Leave and room first, and no receive while the output is held.
    async fn room(&self, poller: &Poller) -> (ReceivePermit, Reservation) {
        poller.pausing(Pause::NotNeeded);
        let poll = self.polls.open().await;
        self.arrivals.wanted().await;
        poller.pausing(Pause::Held);
        self.hold.released().await;
        poller.pausing(Pause::NoRoom);
        let room = self.budget.reserve().await;
        poller.resumed();
        (poll, room)
    }
}

/// Names a series of tries of one receive: 128 random bits in hex.
fn attempt_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
