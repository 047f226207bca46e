//! Intake: one long poll after the other, for as long as there is room.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::batcher::Arrivals;
use super::hold::{Hold, Released};
use super::receive_concurrency::{ReceiveConcurrency, ReceivePermit};
use crate::event::Event;
use crate::queue::{Budget, Leases, Pass, Queue, Reservation};
use crate::shutdown::Shutdown;
use crate::telemetry::{Pause, Poller, Telemetry};

/// How long a task pauses after a receive that failed, in milliseconds: one
/// task alone must not make a hiccup of the queue look like an outage.
const FAILED_PAUSE_MS: u64 = 100;

/// One of the tasks that receive.
pub(super) struct Intake {
    pub(super) queue: Queue,
    pub(super) leases: Leases,
    pub(super) budget: Budget,
    pub(super) hold: Hold,
    pub(super) concurrency: ReceiveConcurrency,
    pub(super) telemetry: Telemetry,
    pub(super) arrivals: Arrivals,
}

/// What one receive needs.
struct Leave {
    permit: ReceivePermit,
    room: Reservation,
    pass: Pass,
    released: Released,
}

impl Intake {
    /// Receives until a stop is asked for. An open poll is then awaited: what
    /// it brings is taken, and must not stay hidden.
    pub(super) async fn run(self, mut shutdown: Shutdown) {
        let poller = self.telemetry.poller();
        let mut attempt = attempt_id();
        while !shutdown.is_requested() {
            let leave = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                leave = self.leave(&poller) => leave,
            };
            if self.receive(leave, &attempt, &poller).await {
                attempt = attempt_id();
                continue;
            }
            poller.pausing(Pause::BackingOff);
            tokio::select! {
                () = shutdown.requested() => {}
                () = sleep(Duration::from_millis(FAILED_PAUSE_MS)) => {}
            }
            poller.resumed();
        }
    }

    /// Receives once. Whether the queue answered.
    async fn receive(&self, leave: Leave, attempt: &str, poller: &Poller) -> bool {
        let Leave {
            permit,
            room,
            pass,
            // Kept until the queue has answered.
            released: _released,
        } = leave;
        // A probe must not wait for a message to say that the queue is back.
        let wait = match pass.is_probe() {
            true => Duration::ZERO,
            false => self.queue.timing.poll,
        };
        let began = Instant::now();
        let received = self.queue.receive(&self.leases, room, attempt, wait).await;
        match received {
            Ok(deliveries) => {
                pass.succeeded();
                poller.received();
                let brought = deliveries.new.len();
                self.telemetry.received(brought);
                if deliveries.unusable > 0 {
                    Event::Unusable(deliveries.unusable).log();
                }
                let waiting = self.arrivals.push(deliveries.new);
                permit.brought(brought + deliveries.known, began.elapsed(), waiting);
                true
            }
            Err(error) => {
                self.telemetry.receive_failed();
                permit.failed();
                let lasts = wait + self.queue.timing.call_lasts();
                pass.failed(&error, began.elapsed() >= lasts);
                false
            }
        }
    }

    /// Leave and room first, and no receive while the output is held.
    async fn leave(&self, poller: &Poller) -> Leave {
        poller.pausing(Pause::NotNeeded);
        let permit = self.concurrency.open().await;
        self.arrivals.wanted().await;
        poller.pausing(Pause::Held);
        let released = self.hold.released().await;
        poller.pausing(Pause::NoRoom);
        let room = self.budget.reserve().await;
        poller.pausing(Pause::BackingOff);
        let pass = self.queue.breakers.receive.pass().await;
        poller.resumed();
        Leave {
            permit,
            room,
            pass,
            released,
        }
    }
}

/// Names a series of tries of one receive: 128 random bits in hex.
fn attempt_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
