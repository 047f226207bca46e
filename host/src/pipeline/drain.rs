//! The end of a run: what was taken is finished or handed back, in bounded
//! time.
//!
//! First the open polls end: what they bring is taken and must not stay hidden,
//! and what is handed back while one is open it would take again. Then the
//! workers end, then the deletions. What is left is handed back at once, which
//! is safe even where a statement's outcome is unknown: the ledger makes the
//! next delivery a duplicate. A part that breaks begins the same end.

use std::time::Duration;

use tokio::task::JoinSet;

use super::settle::log_failed;
use crate::event::Event;
use crate::exit::{Failure, Kind, failure};
use crate::queue::{Leases, Queue, Undeleted, Unfinished};
use crate::shutdown::{Shutdown, StopSwitch, shutdown};
use crate::telemetry::Telemetry;

/// How long a drain may take unless set otherwise, in seconds from the wish to
/// stop. The longest poll is 20 s, so what it brings has five to be finished.
pub const DRAIN_SECS_DEFAULT: u64 = 25;
/// How long handing back may then take, in seconds: two thousand messages take
/// one at 80 ms a call, the rest is for calls that have to be made again. Both
/// stay within the 30 s that orchestrators give.
const HAND_BACK_SECS_MAX: u64 = 4;

/// The tasks of a run, and what they leave behind.
pub(super) struct Tasks {
    /// They end once a stop is asked for and their polls are answered.
    pub(super) intakes: JoinSet<()>,
    /// They end once the intakes have, and nothing is left to do.
    pub(super) workers: JoinSet<()>,
    /// It ends once the workers have, and all is deleted or given up.
    pub(super) deleter: JoinSet<Undeleted>,
    /// What goes with them to the end: the leases' keeper, a watch on the queue.
    pub(super) attendants: JoinSet<()>,
    pub(super) leases: Leases,
    pub(super) queue: Queue,
    pub(super) telemetry: Telemetry,
}

/// Asked for so long after the stop is: from then on nothing more is finished.
pub(super) fn over(mut stop: Shutdown, time: Duration) -> Shutdown {
    let (switch, over) = shutdown();
    tokio::spawn(async move {
        stop.requested().await;
        tokio::time::sleep(time).await;
        switch.stop();
    });
    over
}

impl Tasks {
    /// Waits for the end. A task that breaks asks for the stop.
    ///
    /// # Errors
    /// A task broke.
    pub(super) async fn end(
        mut self,
        switch: &StopSwitch,
        mut over: Shutdown,
    ) -> Result<(), Failure> {
        let (mut broken, mut undeleted) = (false, Undeleted::default());
        while !(self.intakes.is_empty() && self.workers.is_empty()) {
            let joined = tokio::select! {
                Some(joined) = self.intakes.join_next() => joined,
                Some(joined) = self.workers.join_next() => joined,
                Some(joined) = self.deleter.join_next() => joined.map(|left| undeleted = left),
                Some(joined) = self.attendants.join_next() => joined,
                () = over.requested() => {
                    Event::DrainOver.log();
                    break;
                }
            };
            if joined.is_err() {
                broken = true;
                switch.stop();
            }
        }
        // A poll that is open even now is given up, with what it may bring.
        self.intakes.shutdown().await;
        // No extension must overtake a hand-back.
        self.attendants.shutdown().await;
        let unfinished = self.leases.unfinished();
        self.workers.shutdown().await;
        let deletions_end = async {
            match self.deleter.join_next().await {
                Some(Ok(left)) => undeleted = left,
                Some(Err(_)) => broken = true,
                None => {}
            }
            if undeleted.given_up > 0 {
                Event::DeletionsGivenUp(undeleted.given_up).log();
            }
            hand_back(&self.queue, &self.telemetry, undeleted.unfinished()).await;
        };
        let hand_back = hand_back(&self.queue, &self.telemetry, unfinished);
        tokio::join!(hand_back, deletions_end);
        match broken {
            true => Err(failure(
                Kind::Internal,
                "a part of the pipeline broke; what it had taken comes back when its leases end",
            )),
            false => Ok(()),
        }
    }
}

async fn hand_back(queue: &Queue, telemetry: &Telemetry, unfinished: Unfinished) {
    let time = Duration::from_secs(HAND_BACK_SECS_MAX);
    let released = queue.hand_back(unfinished, time).await;
    telemetry.counts.handed_back(released.done());
    if released.done() > 0 {
        Event::HandedBack(released.done()).log();
    }
    log_failed(&released);
}
