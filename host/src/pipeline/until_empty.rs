//! `--until-empty`: when the queue has nothing left for anybody.

use std::sync::Arc;
use std::time::Duration;

use super::settle::Kept;
use crate::backoff::Backoff;
use crate::queue::{Backlog, Budget, Queue};
use crate::shutdown::StopSwitch;
use crate::summary::Counts;

/// Between two looks at the queue.
const LOOK_MS: u64 = 300;
/// Looks in a row that must find it empty: SQS's counts are approximate.
const EMPTY_LOOKS_MIN: u32 = 3;
/// Looks in a row after which what is visible and never comes is known to
/// stand behind a rejected message of its group: several polls long.
const STUCK_LOOKS_MIN: u32 = 20;

/// Asks for the stop once nothing is visible, delayed or in flight anywhere,
/// and nothing is in work here. Rejected messages that this host keeps hidden
/// for want of a dead-letter queue do not count, nor does what stands behind
/// them in a FIFO queue's group.
pub(super) async fn watch(
    queue: Queue,
    budget: Budget,
    kept: Kept,
    counts: Arc<Counts>,
    switch: StopSwitch,
) {
    let mut backoff = Backoff::default();
    let (mut empty_looks, mut idle_looks) = (0, 0);
    let mut received = 0;
    while empty_looks < EMPTY_LOOKS_MIN {
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        let Ok(backlog) = queue.backlog().await else {
            empty_looks = 0;
            backoff.wait().await;
            continue;
        };
        backoff.reset();
        let received_before = std::mem::replace(&mut received, counts.summary().received);
        // Asked last: a message that arrived here since then was in flight
        // when the queue counted.
        let idle = budget.in_work() == 0 && received == received_before;
        idle_looks = if idle { idle_looks + 1 } else { 0 };
        let stuck = queue.fifo && kept.hidden_now() > 0 && idle_looks >= STUCK_LOOKS_MIN;
        let empty = idle && (stuck || nothing_left(backlog, &kept));
        empty_looks = if empty { empty_looks + 1 } else { 0 };
    }
    switch.stop();
}

fn nothing_left(backlog: Backlog, kept: &Kept) -> bool {
    let elsewhere = backlog.in_flight.saturating_sub(kept.hidden_now());
    backlog.visible == 0 && backlog.delayed == 0 && elsewhere == 0
}
