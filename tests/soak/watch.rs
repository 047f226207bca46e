//! Watches the queue: how far the hosts are, how long they stood still while
//! there was work, how soon they were at it again when they were left in peace, how many messages were hidden at once, and how long it took
//! them to empty it once nothing went wrong any more.

use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use crate::stage::{SOURCE, Stage};
use crate::support::pause;

/// Longer than this is waited neither for a recovery nor for an empty queue.
const WAIT_SECS_MAX: u64 = 180;

pub struct Watch<'s> {
    stage: &'s Stage,
    deleted: usize,
    moved: Instant,
    pub standstill_max: Duration,
    pub in_flight_max: usize,
    /// From the beginning of each respite to the next delete.
    pub recoveries: Vec<Duration>,
}

impl<'s> Watch<'s> {
    pub fn start(stage: &'s Stage) -> Watch<'s> {
        Watch {
            stage,
            deleted: 0,
            moved: Instant::now(),
            standstill_max: Duration::ZERO,
            in_flight_max: 0,
            recoveries: Vec::new(),
        }
    }

    pub fn look(&mut self, stage: &Stage) {
        let counts = stage.queue.counts(SOURCE);
        self.in_flight_max = self.in_flight_max.max(counts.in_flight);
        self.standstill_max = self.standstill_max.max(self.moved.elapsed());
        let idle = counts.visible + counts.in_flight == 0;
        if idle || counts.tally.deleted > self.deleted {
            self.deleted = counts.tally.deleted;
            self.moved = Instant::now();
        }
    }

    pub fn line(&self, stage: &Stage) -> String {
        let counts = stage.queue.counts(SOURCE);
        format!(
            "settled {}, received {}, visible {}, hidden {}, longest standstill {:.1} s",
            counts.tally.deleted,
            counts.tally.received,
            counts.visible,
            counts.in_flight,
            self.standstill_max.as_secs_f64(),
        )
    }

    /// Waits, while nothing goes wrong, until a message is deleted again.
    pub fn until_recovered(&mut self, fleet: &mut Fleet, mut feed: impl FnMut()) {
        let (began, before) = (Instant::now(), self.deleted());
        while self.deleted() == before && began.elapsed() < Duration::from_secs(WAIT_SECS_MAX) {
            feed();
            fleet.look_after();
            pause();
        }
        self.recoveries.push(began.elapsed());
    }

    fn deleted(&self) -> usize {
        self.stage.queue.counts(SOURCE).tally.deleted
    }

    /// Waits until nothing is left in the queue. None where that did not come.
    pub fn until_empty(&mut self, fleet: &mut Fleet) -> Option<Duration> {
        let began = Instant::now();
        while !self.stage.left_in_queue().is_empty() {
            if began.elapsed() > Duration::from_secs(WAIT_SECS_MAX) {
                return None;
            }
            fleet.look_after();
            pause();
        }
        Some(began.elapsed())
    }
}
