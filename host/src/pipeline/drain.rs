//! The end of a run: what was taken is finished or handed back, in bounded
//! time.
//!
//! First the open polls end: what they bring is taken and must not stay hidden,
//! and a message that is handed back while a poll is open would be taken again.
//! A poll whose answer does not come is given up. Then the workers end, then the
//! deletions. What is left is handed back at once, which is safe even where a
//! statement's outcome is unknown: the ledger makes the next delivery a
//! duplicate. A part that breaks begins the same end. An idle or held host ends
//! within 5 s of the wish to stop, another one within 5 s after its statements.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::batcher::Batcher;
use super::settle::log_failed;
use crate::event::Event;
use crate::exit::{Failure, Kind, failure};
use crate::queue::{Leases, Queue, Undeleted, Unfinished};
use crate::shutdown::{Shutdown, StopSwitch, shutdown};
use crate::telemetry::Telemetry;

/// How long a statement in progress may go on unless set otherwise, in seconds
/// from the wish to stop. It leaves room for the hand-back within the 30 s that
/// orchestrators give.
pub const DRAIN_SECS_DEFAULT: u64 = 25;
/// How long after the wish to stop new batches are begun, in milliseconds: time
/// for what a busy host has just received. Later ones are handed back.
const NEW_BATCHES_MS: u64 = 2_000;
/// How long an answer to an open poll may take beyond the poll's own wait, in
/// milliseconds; then the poll is given up. (What it may have brought comes back
/// after its lease.)
const POLL_ANSWER_MS_MAX: u64 = 1_000;
/// How long after the wish to stop a host may go on that can finish nothing, in
/// milliseconds: a second is left of five to hand back.
const HELD_MS_MAX: u64 = 4_000;
/// How long the deletions may go on after the last statement, in milliseconds.
const DELETIONS_MS_MAX: u64 = 2_000;
/// How long handing back may take, in seconds: two thousand messages take one at
/// 80 ms a call, the rest is for calls that have to be made again.
const HAND_BACK_SECS_MAX: u64 = 4;
/// The same where the queue does not take hand-backs, in seconds.
const HAND_BACK_SECS_FAILING: u64 = 1;

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
    /// Where received messages wait for a worker.
    pub(super) batcher: Batcher,
    pub(super) leases: Leases,
    /// Cuts the deletions short.
    pub(super) deletions_end: StopSwitch,
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
        stop: &Shutdown,
        mut over: Shutdown,
    ) -> Result<(), Failure> {
        let (mut broken, mut undeleted) = (false, None);
        let after = |time| self::over(stop.clone(), time);
        let mut last_batch = after(Duration::from_millis(NEW_BATCHES_MS));
        let answer_max = Duration::from_millis(POLL_ANSWER_MS_MAX);
        let mut last_answer = after(self.queue.timing.poll + answer_max);
        let mut held_for_long = after(Duration::from_millis(HELD_MS_MAX));
        let (mut begins, mut polls, mut may_be_held) = (true, true, true);
        while !(self.intakes.is_empty() && self.workers.is_empty()) {
            let joined = tokio::select! {
                Some(joined) = self.intakes.join_next() => joined,
                Some(joined) = self.workers.join_next() => joined,
                Some(joined) = self.deleter.join_next() => joined.map(|left| undeleted = Some(left)),
                Some(joined) = self.attendants.join_next() => joined,
                () = last_batch.requested(), if begins => {
                    begins = false;
                    self.batcher.close().into_iter().for_each(|left| left.lease.leave());
                    continue;
                }
                () = last_answer.requested(), if polls => {
                    polls = false;
                    self.intakes.abort_all();
                    continue;
                }
                () = held_for_long.requested(), if may_be_held => {
                    may_be_held = false;
                    // Its statement is a try that has failed before.
                    match self.telemetry.causes.holds_a_worker() {
                        true => break,
                        false => continue,
                    }
                }
                () = over.requested() => {
                    Event::DrainOver.log();
                    break;
                }
            };
            if joined.is_err_and(|error| error.is_panic()) {
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
        let deletions = async {
            let undeleted = match undeleted {
                Some(undeleted) => undeleted,
                None => match end_of_deletions(&mut self.deleter, &self.deletions_end).await {
                    Ok(undeleted) => undeleted,
                    Err(_) => {
                        broken = true;
                        Undeleted::default()
                    }
                },
            };
            if undeleted.given_up > 0 {
                Event::DeletionsGivenUp(undeleted.given_up).log();
            }
            hand_back(&self.queue, &self.telemetry, undeleted.unfinished()).await;
        };
        let hand_back = hand_back(&self.queue, &self.telemetry, unfinished);
        tokio::join!(hand_back, deletions);
        match broken {
            true => Err(failure(
                Kind::Internal,
                "a part of the pipeline broke; what it had taken comes back when its leases end",
            )),
            false => Ok(()),
        }
    }
}

/// Waits for the deleter, and cuts it short in the end.
async fn end_of_deletions(
    deleter: &mut JoinSet<Undeleted>,
    end: &StopSwitch,
) -> Result<Undeleted, JoinError> {
    let most = Duration::from_millis(DELETIONS_MS_MAX);
    let joined = match timeout(most, deleter.join_next()).await {
        Ok(joined) => joined,
        Err(_) => {
            end.stop();
            deleter.join_next().await
        }
    };
    joined.unwrap_or_else(|| Ok(Undeleted::default()))
}

async fn hand_back(queue: &Queue, telemetry: &Telemetry, unfinished: Unfinished) {
    let secs = match queue.breakers.change_visibility.is_open() || queue.breakers.receive.is_open()
    {
        true => HAND_BACK_SECS_FAILING,
        false => HAND_BACK_SECS_MAX,
    };
    let time = Duration::from_secs(secs);
    let released = queue.hand_back(unfinished, time).await;
    telemetry.counts.handed_back(released.done());
    if released.done() > 0 {
        Event::HandedBack(released.done()).log();
    }
    log_failed(&released);
}
