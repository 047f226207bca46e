//! Intake: one long poll after the other, for as long as there is room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::batcher::Arrivals;
use super::hold::Hold;
use crate::admin::{Pause, Poller};
use crate::backoff::Backoff;
use crate::event::Event;
use crate::queue::{Budget, Leases, Queue, QueueError, Reservation};
use crate::shutdown::Shutdown;
use crate::telemetry::Telemetry;

/// One of the tasks that receive.
pub(super) struct Intake {
    pub(super) queue: Queue,
    pub(super) leases: Leases,
    pub(super) budget: Budget,
    pub(super) hold: Hold,
    pub(super) telemetry: Telemetry,
    pub(super) arrivals: Arrivals,
    /// How many of these tasks fail at present: what befalls all of them at
    /// once is worth one line.
    pub(super) failing: Arc<AtomicUsize>,
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
            let room = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                room = self.room(&poller) => room,
            };
            let Some(room) = room else { return };
            match self.queue.receive(&self.leases, room, &attempt).await {
                Ok(deliveries) => {
                    attempt = attempt_id();
                    if std::mem::take(&mut failing) {
                        self.recovered();
                    }
                    poller.received();
                    backoff.reset();
                    self.telemetry.received(deliveries.new.len());
                    if deliveries.unusable > 0 {
                        Event::Unusable(deliveries.unusable).log();
                    }
                    self.arrivals.push(deliveries.new);
                }
                Err(error) => {
                    let first = !std::mem::replace(&mut failing, true);
                    self.failed(&error, first);
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
        if first && self.failing.fetch_add(1, Ordering::SeqCst) == 0 {
            Event::ReceiveFailing(cause).log();
        }
    }

    fn recovered(&self) {
        if self.failing.fetch_sub(1, Ordering::SeqCst) == 1 {
            Event::ReceiveRecovered.log();
            self.telemetry.receive_recovered();
        }
    }

    /// Permits first, and no receive while the output is held.
    async fn room(&self, poller: &Poller) -> Option<Reservation> {
        poller.pausing(Pause::Held);
        self.hold.released().await;
        poller.pausing(Pause::NoRoom);
        let room = self.budget.reserve().await;
        poller.resumed();
        room
    }
}

/// Names a series of tries of one receive: 128 random bits in hex.
fn attempt_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
