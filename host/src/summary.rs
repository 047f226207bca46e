//! What has been done: counted while it happens, shown at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::comparison::Comparison;
use crate::verdict::Reason;

/// The running counts.
#[derive(Debug)]
pub struct Counts {
    started: Instant,
    received: AtomicU64,
    stored: AtomicU64,
    rows: AtomicU64,
    duplicates: AtomicU64,
    skipped: AtomicU64,
    handed_back: AtomicU64,
    rejected: Mutex<BTreeMap<Reason, u64>>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            received: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            handed_back: AtomicU64::new(0),
            rejected: Mutex::default(),
        }
    }
}

impl Counts {
    /// Messages were taken from the queue.
    pub fn received(&self, messages: usize) {
        self.received.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// A message's rows are committed.
    pub fn stored(&self, rows: usize) {
        self.stored.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// A message had been settled before.
    pub fn duplicate(&self) {
        self.duplicates.fetch_add(1, Ordering::Relaxed);
    }

    /// The component skipped a message.
    pub fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages were handed back, because they had to wait or a stop was asked for.
    pub fn handed_back(&self, messages: usize) {
        let messages = messages as u64;
        self.handed_back.fetch_add(messages, Ordering::Relaxed);
    }

    /// A message was refused.
    pub fn rejected(&self, reason: &Reason) {
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        *rejected.entry(reason.clone()).or_default() += 1;
    }

    /// The counts of this moment.
    pub fn summary(&self) -> Summary {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = self.started.elapsed();
        let rows = count(&self.rows);
        Summary {
            received: count(&self.received),
            stored: count(&self.stored),
            rows,
            duplicates: count(&self.duplicates),
            skipped: count(&self.skipped),
            rejected: rejected
                .iter()
                .map(|(reason, count)| (reason.to_string(), *count))
                .collect(),
            handed_back: count(&self.handed_back),
            seconds: rounded(seconds.as_secs_f64()),
            rows_per_second: rounded(rate(rows, seconds)),
            shadow: None,
        }
    }
}

/// What has been done, in messages unless it says otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Taken from the queue.
    pub received: u64,
    /// Written to the table.
    pub stored: u64,
    /// Rows written to the table.
    pub rows: u64,
    /// Settled before.
    pub duplicates: u64,
    /// Skipped by the component.
    pub skipped: u64,
    /// Refused, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Handed back to the queue unfinished, or stored and not yet deleted.
    pub handed_back: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Rows written, by that time.
    pub rows_per_second: f64,
    /// What a shadow made of it, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowSummary>,
}

/// What a shadow made of the messages.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowSummary {
    /// Its name, version and SHA-256.
    pub component: String,
    /// Messages for which there was no room.
    pub left_out: u64,
    /// How it differs from the running component.
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl ShadowSummary {
    /// One line, for the log.
    pub fn line(&self) -> String {
        match self.left_out {
            0 => self.comparison.line(),
            left_out => format!("{}; {left_out} messages left out", self.comparison.line()),
        }
    }

    /// Several lines, for a person.
    fn text(&self) -> String {
        let Comparison { compared, same, .. } = self.comparison;
        let mut text = format!(
            "shadow {}\nalike       {same:>9}  of {compared}",
            self.component
        );
        for difference in self.comparison.differences() {
            let _ = write!(text, "\n            {difference}");
        }
        if self.left_out > 0 {
            let _ = write!(text, "\nleft out    {:>9}", self.left_out);
        }
        if let Some(times) = self.comparison.times_as_long() {
            let _ = write!(text, "\ntime        {times:>9.2}  times as long");
        }
        text
    }
}

impl Summary {
    /// One line, while it goes on.
    pub fn line(&self) -> String {
        format!(
            "received {} · stored {} · duplicates {} · skipped {} · rejected {}",
            self.received,
            self.stored,
            self.duplicates,
            self.skipped,
            self.rejected_in_all(),
        )
    }

    /// Several lines, for a person.
    pub fn text(&self) -> String {
        let mut text = format!(
            "received    {:>9}  in {:.1} s\n\
             stored      {:>9}  {} rows, {:.0} rows/s\n\
             duplicates  {:>9}\n\
             skipped     {:>9}\n\
             rejected    {:>9}",
            self.received,
            self.seconds,
            self.stored,
            self.rows,
            self.rows_per_second,
            self.duplicates,
            self.skipped,
            self.rejected_in_all(),
        );
        let reasons: Vec<String> = self
            .rejected
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        if !reasons.is_empty() {
            let _ = write!(text, "  {}", reasons.join(", "));
        }
        if self.handed_back > 0 {
            let _ = write!(text, "\nhanded back {:>9}", self.handed_back);
        }
        if let Some(shadow) = &self.shadow {
            let _ = write!(text, "\n\n{}", shadow.text());
        }
        text
    }

    fn rejected_in_all(&self) -> u64 {
        self.rejected.values().sum()
    }
}

fn rate(rows: u64, time: Duration) -> f64 {
    rows as f64 / time.as_secs_f64().max(f64::EPSILON)
}

/// Milliseconds are precise enough for a reader.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_each_reason() {
        let counts = Counts::default();
        counts.received(3);
        counts.stored(2);
        counts.rejected(&Reason::Malformed);
        counts.rejected(&Reason::Database("22001".into()));
        let summary = counts.summary();
        assert_eq!((summary.stored, summary.rows), (1, 2));
        assert!(summary.text().ends_with("database-22001 1, malformed 1"));
        assert!(summary.line().contains("rejected 2"));
    }
}
