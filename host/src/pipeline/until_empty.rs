//! `--until-empty`: when the queue has nothing left for anybody.

use std::time::Duration;

use super::settle::Kept;
use crate::backoff::Backoff;
use crate::queue::{Budget, Queue};
use crate::shutdown::StopSwitch;

/// Between two looks at the queue.
const LOOK_MS: u64 = 300;
/// Looks in a row that must find it empty: SQS's counts are approximate.
const EMPTY_LOOKS_MIN: u32 = 3;

/// Asks for the stop once nothing is visible, delayed or in flight anywhere,
/// and nothing is in work here. Rejected messages that this host keeps hidden
/// for want of a dead-letter queue do not count.
pub(super) async fn watch(queue: Queue, budget: Budget, kept: Kept, switch: StopSwitch) {
    let mut backoff = Backoff::default();
    let mut empty_looks = 0;
    while empty_looks < EMPTY_LOOKS_MIN {
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        let Ok(backlog) = queue.backlog().await else {
            empty_looks = 0;
            backoff.wait().await;
            continue;
        };
        backoff.reset();
        let left = backlog.visible + backlog.delayed;
        let elsewhere = backlog.in_flight.saturating_sub(kept.hidden_now());
        // Asked last: a message that arrived here since then was in flight
        // when the queue counted.
        let empty = left == 0 && elsewhere == 0 && budget.in_work() == 0;
        empty_looks = if empty { empty_looks + 1 } else { 0 };
    }
    switch.stop();
}
