//! `--until-empty`: when the queue has nothing left for anybody.

use std::sync::Arc;
use std::time::Duration;

use super::settle::Kept;
use crate::backoff::Backoff;
use crate::output::Store;
use crate::queue::{Backlog, Budget, Queue};
use crate::shutdown::StopSwitch;
use crate::summary::Counts;

/// Between two looks at the queue.
const LOOK_MS: u64 = 300;
/// Looks in a row that must find it empty: SQS's counts are approximate.
const EMPTY_LOOKS_MIN: u32 = 3;
/// Looks in a row that must find the same before what is left is taken for
/// rejected messages: several polls long.
const STUCK_LOOKS_MIN: u32 = 20;

/// What the watch looks at.
pub(super) struct Watch {
    pub(super) queue: Queue,
    pub(super) budget: Budget,
    pub(super) kept: Kept,
    pub(super) counts: Arc<Counts>,
    /// A way to the ledger, where no dead-letter queue takes rejected
    /// messages: earlier runs may have left some hidden in the queue.
    pub(super) ledger: Option<Box<dyn Store>>,
}

impl Watch {
    /// Asks for the stop once nothing is visible, delayed or in flight
    /// anywhere, and nothing is in work here. Rejected messages that are kept
    /// hidden for want of a dead-letter queue do not count, nor does what
    /// stands behind them in a FIFO queue's group.
    pub(super) async fn run(mut self, switch: StopSwitch) {
        let mut backoff = Backoff::default();
        let (mut empty_looks, mut same_looks) = (0, 0);
        let mut seen = None;
        while empty_looks < EMPTY_LOOKS_MIN {
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            let Ok(backlog) = self.queue.backlog().await else {
                empty_looks = 0;
                backoff.wait().await;
                continue;
            };
            backoff.reset();
            let found = Some((backlog, self.counts.summary().received));
            let same = std::mem::replace(&mut seen, found) == found;
            // Asked last: a message that arrived here since then was in flight
            // when the queue counted.
            let idle = self.budget.in_work() == 0;
            same_looks = if idle && same { same_looks + 1 } else { 0 };
            let empty = idle
                && (self.nothing_left(backlog)
                    || (same_looks >= STUCK_LOOKS_MIN && self.only_rejected(backlog).await));
            empty_looks = if empty { empty_looks + 1 } else { 0 };
        }
        switch.stop();
    }

    fn nothing_left(&self, backlog: Backlog) -> bool {
        let elsewhere = backlog.in_flight.saturating_sub(self.kept.hidden_now());
        backlog.visible == 0 && backlog.delayed == 0 && elsewhere == 0
    }

    /// Whether what is left and does not move can be rejected messages, hidden
    /// by this run or an earlier one, and what stands behind them.
    async fn only_rejected(&mut self, backlog: Backlog) -> bool {
        let Some(ledger) = &mut self.ledger else {
            return false;
        };
        let reachable = !self.queue.fifo && backlog.visible > 0;
        if reachable || backlog.delayed > 0 {
            return false;
        }
        let rejected = ledger.rejected().await;
        rejected.is_ok_and(|rejected| rejected > 0 && backlog.in_flight <= rejected)
    }
}
