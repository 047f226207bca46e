//! Intake: one long poll after the other, for as long as there is room.

use std::sync::Arc;

use super::batcher::Arrivals;
use super::hold::Hold;
use crate::backoff::Backoff;
use crate::event::Event;
use crate::queue::{Budget, Leases, Queue};
use crate::shutdown::Shutdown;
use crate::summary::Counts;

/// One of the tasks that receive.
pub(super) struct Intake {
    pub(super) queue: Queue,
    pub(super) leases: Leases,
    pub(super) budget: Budget,
    pub(super) hold: Hold,
    pub(super) counts: Arc<Counts>,
    pub(super) arrivals: Arrivals,
}

impl Intake {
    /// Receives until a stop is asked for. An open poll is then awaited: what
    /// it brings is taken, and must not stay hidden.
    pub(super) async fn run(self, mut shutdown: Shutdown) {
        let mut backoff = Backoff::default();
        let mut failing = false;
        let mut attempt = attempt_id();
        while !shutdown.is_requested() {
            let room = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                room = self.room() => room,
            };
            let Some(room) = room else { return };
            match self.queue.receive(&self.leases, room, &attempt).await {
                Ok(deliveries) => {
                    attempt = attempt_id();
                    if std::mem::take(&mut failing) {
                        Event::ReceiveRecovered.log();
                    }
                    backoff.reset();
                    self.counts.received(deliveries.new.len());
                    if deliveries.unusable > 0 {
                        Event::Unusable(deliveries.unusable).log();
                    }
                    self.arrivals.push(deliveries.new);
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        Event::ReceiveFailing(error.to_string()).log();
                    }
                    tokio::select! {
                        () = shutdown.requested() => {}
                        () = backoff.wait() => {}
                    }
                }
            }
        }
    }

    /// Permits first, and no receive while the output is held.
    async fn room(&self) -> Option<crate::queue::Reservation> {
        self.hold.released().await;
        self.budget.reserve().await
    }
}

/// Names a series of tries of one receive: 128 random bits in hex.
fn attempt_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
