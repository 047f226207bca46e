//! What a replay has found and done.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Mode;
use crate::exit::{Failure, Kind, failure};
use crate::queue::{QueueError, Redrive};
use crate::verdict::Verdict;

/// What has become of dead letters, in messages.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The component's name, version and SHA-256.
    pub component: String,
    /// The dead-letter queue's name.
    pub dead_letter_queue: String,
    /// The name of the queue that they came from.
    pub queue: String,
    /// Taken from the dead-letter queue.
    pub received: u64,
    /// The component gives rows for them.
    pub stored: u64,
    /// The component has nothing to write for them.
    pub skipped: u64,
    /// Rejected again, by reason and field.
    pub rejected: BTreeMap<String, u64>,
    /// What was sent, or would be with --send.
    pub sendable: u64,
    /// Sent back, and acknowledged.
    pub sent: u64,
    /// Deleted from the dead-letter queue after that.
    pub deleted: u64,
    /// Not acknowledged: they stay, and may be in the other queue too.
    pub unsent: u64,
    /// They stay because the other queue would not take them: too large.
    pub unfit: u64,
    /// They stay because an earlier one of their group does.
    pub behind: u64,
    /// They stay because a message of the same first id went back in this run.
    pub came_again: u64,
    /// Damaged or incomplete.
    pub unusable: u64,
    /// Handed back, and visible at once.
    pub handed_back: u64,
    /// Not handed back: hidden until their leases end.
    pub hidden: u64,
    /// In the dead-letter queue and not looked at, as the queue counts them.
    pub not_looked_at: u64,
    /// What an operator should know of the queues.
    pub warnings: Vec<String>,
    #[serde(skip)]
    mode: Mode,
    /// What ended it before its end.
    #[serde(skip)]
    pub(super) trouble: Option<QueueError>,
}

impl Report {
    pub(super) fn new(component: String, redrive: &Redrive, mode: Mode) -> Self {
        Self {
            component,
            dead_letter_queue: redrive.from.name.clone(),
            queue: redrive.to.name.clone(),
            received: 0,
            stored: 0,
            skipped: 0,
            rejected: BTreeMap::new(),
            sendable: 0,
            sent: 0,
            deleted: 0,
            unsent: 0,
            unfit: 0,
            behind: 0,
            came_again: 0,
            unusable: 0,
            handed_back: 0,
            hidden: 0,
            not_looked_at: 0,
            warnings: redrive.warnings.clone(),
            mode,
            trouble: None,
        }
    }

    pub(super) fn judged(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Rows(_) => self.stored += 1,
            Verdict::Skip => self.skipped += 1,
            Verdict::Reject(rejection) => {
                let why = match &rejection.field {
                    Some(field) => format!("{} at {field}", rejection.reason),
                    None => rejection.reason.to_string(),
                };
                *self.rejected.entry(why).or_default() += 1;
            }
        }
    }

    /// What the program ends with: nothing where all was done that was to be.
    pub fn failure(&self) -> Option<Failure> {
        if let Some(trouble) = &self.trouble {
            let kind = match trouble.may_pass() {
                true => Kind::Unavailable,
                false => Kind::Configuration,
            };
            let words = format!(
                "replay: {trouble}; what was not acknowledged is still in {}, and a second run \
                 sends it again",
                self.dead_letter_queue
            );
            return Some(failure(kind, words));
        }
        let undeleted = self.sent - self.deleted.min(self.sent);
        let words = match (self.unsent, undeleted) {
            (0, 0) => return None,
            (0, undeleted) => format!(
                "replay: {undeleted} messages are sent and not deleted from {}: a second run \
                 sends them again, and the ledger finds them to be duplicates",
                self.dead_letter_queue
            ),
            (unsent, _) => format!(
                "replay: {} did not take {unsent} messages, which are still in {}; run it again",
                self.queue, self.dead_letter_queue
            ),
        };
        Some(failure(Kind::Unavailable, words))
    }

    /// Several lines, for a person.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n{} messages of {}\n\n",
            self.component, self.received, self.dead_letter_queue
        );
        let rejected: u64 = self.rejected.values().sum();
        let reasons = self.rejected.iter();
        let reasons: Vec<String> = reasons
            .map(|(why, messages)| format!("{why} {messages}"))
            .collect();
        let reasons = reasons.join(", ");
        let sends = self.mode != Mode::Look;
        for (what, messages, notes) in [
            ("would be stored", self.stored, ""),
            ("would be skipped", self.skipped, ""),
            ("rejected again", rejected, &reasons),
        ] {
            line(&mut text, what, messages, notes);
        }
        for (what, messages, notes) in [
            (
                "do not fit",
                self.unfit,
                "too many attributes, or too large to go back",
            ),
            (
                "wait",
                self.behind,
                "for an earlier one of their group, which stays",
            ),
            (
                "came again",
                self.came_again,
                "after they went back in this run: they stay",
            ),
            (
                "unusable",
                self.unusable,
                "damaged or incomplete; they stay",
            ),
            ("not sent", self.unsent, "not acknowledged; they stay"),
            (
                "hidden",
                self.hidden,
                "could not be handed back; visible when their leases end",
            ),
        ] {
            if messages > 0 {
                line(&mut text, what, messages, notes);
            }
        }
        text.push('\n');
        let _ = match sends {
            true => writeln!(
                text,
                "{} sent to {}, {} deleted from {}, {} handed back.",
                self.sent, self.queue, self.deleted, self.dead_letter_queue, self.handed_back
            ),
            false => writeln!(
                text,
                "Nothing was sent or deleted; {} are handed back. With --send, {} would go to {}.",
                self.handed_back, self.sendable, self.queue
            ),
        };
        let _ = writeln!(
            text,
            "Each was received once more, which its receive count shows. Whether PostgreSQL takes \
             the rows shows only in a run."
        );
        if self.not_looked_at > 0 {
            let _ = writeln!(
                text,
                "About {} more are in {} and were not looked at.",
                self.not_looked_at, self.dead_letter_queue
            );
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "! {warning}");
        }
        text
    }
}

fn line(text: &mut String, what: &str, messages: u64, notes: &str) {
    let line = format!("{what:16}  {messages:>7}  {notes}");
    let _ = writeln!(text, "{}", line.trim_end());
}
