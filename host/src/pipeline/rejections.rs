//! The log lines of rejections: the first few of a reason in each minute, then
//! their number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::event::Event;
use crate::verdict::Rejection;

/// Lines of one reason in one period: enough to see a pattern.
const LINES_MAX: usize = 10;
/// The period, in seconds.
const PERIOD_SECS: u64 = 60;
/// Reasons that are counted apart. SQLSTATEs are many; those beyond share one.
const REASONS_MAX: usize = 64;
/// What the reasons beyond share.
const OTHER: &str = "other reasons";

/// What has been logged of rejections lately. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Rejections(Arc<Mutex<BTreeMap<String, Period>>>);

/// One reason's present period.
struct Period {
    began: Instant,
    lines: usize,
    more: usize,
}

impl Rejections {
    /// Logs a rejection, or counts it.
    pub(super) fn log(&self, message_id: &str, rejection: &Rejection, dead_lettered: bool) {
        let reason = rejection.reason.to_string();
        if !self.counts(&reason) {
            return;
        }
        Event::Rejected {
            message_id,
            reason,
            field: rejection.field.as_deref(),
            sqlstate: rejection.reason.sqlstate(),
            dead_lettered,
        }
        .log();
    }

    /// Counts a rejection; whether it is to be logged.
    fn counts(&self, reason: &str) -> bool {
        let mut periods = self.lock();
        let crowded = periods.len() >= REASONS_MAX && !periods.contains_key(reason);
        let reason = if crowded { OTHER } else { reason };
        if let Some(period) = periods.get(reason)
            && period.began.elapsed() >= Duration::from_secs(PERIOD_SECS)
        {
            over(reason, periods.remove(reason));
        }
        let new = || Period {
            began: Instant::now(),
            lines: 0,
            more: 0,
        };
        let period = periods.entry(reason.to_owned()).or_insert_with(new);
        if period.lines < LINES_MAX {
            period.lines += 1;
            return true;
        }
        period.more += 1;
        if period.more == 1 {
            self.later(reason.to_owned(), period.began);
        }
        false
    }

    /// Tells the number once the period is over.
    fn later(&self, reason: String, began: Instant) {
        let this = self.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(PERIOD_SECS).saturating_sub(began.elapsed())).await;
            let mut periods = this.lock();
            if periods
                .get(&reason)
                .is_some_and(|period| period.began == began)
            {
                over(&reason, periods.remove(&reason));
            }
        });
    }

    /// Tells what is not told yet; the run ends.
    pub(super) fn end(&self) {
        for (reason, period) in std::mem::take(&mut *self.lock()) {
            over(&reason, Some(period));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Period>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn over(reason: &str, period: Option<Period>) {
    if let Some(Period { began, more, .. }) = period.filter(|period| period.more > 0) {
        Event::RejectedMore {
            reason,
            messages: more,
            within: began.elapsed(),
        }
        .log();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many rejections are logged.
    fn logged(rejections: &Rejections, reason: &str, times: usize) -> usize {
        (0..times).filter(|_| rejections.counts(reason)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reason_has_ten_lines_a_minute_and_each_reason_its_own() {
        let rejections = Rejections::default();
        assert_eq!(logged(&rejections, "trap", 300), LINES_MAX);
        assert_eq!(logged(&rejections, "leak", 3), 3);
        sleep(Duration::from_secs(PERIOD_SECS + 1)).await;
        assert!(!rejections.lock().contains_key("trap"), "told by itself");
        assert_eq!(logged(&rejections, "trap", 300), LINES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn reasons_without_end_are_counted_in_bounded_memory() {
        let rejections = Rejections::default();
        for n in 0..10_000 {
            rejections.counts(&format!("database-{n:05}"));
        }
        assert!(rejections.lock().len() <= REASONS_MAX + 1);
    }
}
