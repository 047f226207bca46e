//! Which log lines an outage is worth: one when it begins, one when its cause
//! changes, one when it ends; never one a try.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// An outage that is over sooner is a reconnect, and worth no line: a database
/// that restarts closes connections that are idle, and the next statement gets
/// a new one within milliseconds.
const TOLD_AFTER_MS: u64 = 1_000;
/// An outage that begins again so soon after one that was not told is the same.
const SAME_OUTAGE_SECS: u64 = 10;
/// Between two lines with the same words in one outage, in seconds.
const REPEAT_SECS: u64 = 60;
/// Different words told at once in one outage: some servers put a varying
/// number into theirs. Further words are told as seldom as repeated ones.
const DIFFERENT_WORDS_MAX: usize = 32;

/// A line to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// An outage has begun, or its cause is another one now.
    Stands {
        words: String,
        sqlstate: Option<String>,
    },
    /// The outage is over.
    Ended { after: Duration },
}

/// Remembers what was told of the present outage.
#[derive(Debug, Default)]
pub(super) struct Teller {
    since: Option<Instant>,
    /// When each of these words was told last.
    told: BTreeMap<String, Instant>,
    last: Option<(String, Instant)>,
    /// The end of the latest outage that was not told.
    untold_end: Option<Instant>,
    /// When to look again, and whether somebody will.
    due: Option<Instant>,
    planned: Option<Instant>,
}

impl Teller {
    /// The lines that are due, where these causes stand now.
    pub(super) fn look(&mut self, causes: &[(String, Option<String>)], now: Instant) -> Vec<Line> {
        self.due = None;
        if causes.is_empty() {
            return self.ended(now);
        }
        let since = *self.since.get_or_insert(now);
        let told_from = match self.untold_end {
            Some(end) if since - end < Duration::from_secs(SAME_OUTAGE_SECS) => since,
            _ => since + Duration::from_millis(TOLD_AFTER_MS),
        };
        if self.last.is_none() && now < told_from {
            self.due = Some(told_from);
            return Vec::new();
        }
        let mut lines = Vec::new();
        for (words, sqlstate) in causes {
            if !self.told.contains_key(words) && self.may_tell_new(now) {
                lines.push(self.stands(words, sqlstate.clone(), now));
            }
        }
        let stands = |told: &(String, Instant)| causes.iter().any(|(words, _)| *words == told.0);
        if !self.last.as_ref().is_some_and(stands)
            && let Some((words, sqlstate)) = causes.first()
        {
            let again = self
                .told
                .get(words)
                .or(self.last.as_ref().map(|(_, at)| at));
            let again = again.map(|at| *at + Duration::from_secs(REPEAT_SECS));
            match again.filter(|again| now < *again) {
                Some(again) => self.due = Some(again),
                None => lines.push(self.stands(words, sqlstate.clone(), now)),
            }
        }
        lines
    }

    /// When somebody is to look again; none where somebody already will.
    pub(super) fn next_look(&mut self) -> Option<Instant> {
        let due = self.due.filter(|due| self.planned != Some(*due))?;
        self.planned = Some(due);
        Some(due)
    }

    fn may_tell_new(&self, now: Instant) -> bool {
        let long_ago = |(_, at): &(String, Instant)| now >= *at + Duration::from_secs(REPEAT_SECS);
        self.told.len() < DIFFERENT_WORDS_MAX || self.last.as_ref().is_none_or(long_ago)
    }

    fn stands(&mut self, words: &str, sqlstate: Option<String>, now: Instant) -> Line {
        let words = words.to_owned();
        if self.told.len() < DIFFERENT_WORDS_MAX || self.told.contains_key(&words) {
            self.told.insert(words.clone(), now);
        }
        self.last = Some((words.clone(), now));
        Line::Stands { words, sqlstate }
    }

    fn ended(&mut self, now: Instant) -> Vec<Line> {
        let Some(since) = self.since.take() else {
            return Vec::new();
        };
        self.told.clear();
        match self.last.take() {
            Some(_) => {
                self.untold_end = None;
                let after = now.saturating_duration_since(since);
                vec![Line::Ended { after }]
            }
            None => {
                self.untold_end = Some(now);
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these causes after so many milliseconds; what is told.
    struct Told {
        teller: Teller,
        start: Instant,
    }

    impl Told {
        fn new() -> Self {
            Self {
                teller: Teller::default(),
                start: Instant::now(),
            }
        }

        fn at(&mut self, ms: u64, causes: &[&str]) -> Vec<String> {
            let causes: Vec<_> = causes
                .iter()
                .map(|words| ((*words).to_owned(), None))
                .collect();
            let now = self.start + Duration::from_millis(ms);
            let lines = self.teller.look(&causes, now).into_iter();
            lines
                .map(|line| match line {
                    Line::Stands { words, .. } => words,
                    Line::Ended { after } => format!("ended after {} s", after.as_secs()),
                })
                .collect()
        }
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn an_outage_is_told_when_it_begins_changes_and_ends_and_not_at_every_try() {
        let mut told = Told::new();
        assert_eq!(told.at(0, &["a"]), NOTHING);
        assert_eq!(told.at(999, &["a"]), NOTHING);
        assert_eq!(told.at(1_000, &["a"]), ["a"]);
        for ms in 1_001..2_000 {
            assert_eq!(told.at(ms, &["a"]), NOTHING);
        }
        assert_eq!(told.at(2_000, &["a", "b"]), ["b"]);
        assert_eq!(told.at(3_000, &["b"]), NOTHING);
        assert_eq!(told.at(5_000, &[]), ["ended after 5 s"]);
        assert_eq!(told.at(6_000, &[]), NOTHING);
    }

    #[test]
    fn a_reconnect_is_not_told_and_one_that_comes_again_and_again_is() {
        let mut told = Told::new();
        assert_eq!(told.at(0, &["lost"]), NOTHING);
        assert_eq!(told.at(200, &[]), NOTHING);
        assert_eq!(told.at(5_000, &["lost"]), ["lost"]);
        assert_eq!(told.at(5_200, &[]), ["ended after 0 s"]);
        assert_eq!(told.at(60_000, &["lost"]), NOTHING);
        assert_eq!(told.at(60_001, &[]), NOTHING);
    }

    #[test]
    fn causes_that_alternate_are_told_once_a_minute() {
        let mut told = Told::new();
        let mut lines = 0;
        for ms in 0..600_000_u64 {
            let words = if ms % 2 == 0 { "a" } else { "b" };
            lines += told.at(ms, &[words]).len();
        }
        assert!((2..=25).contains(&lines), "{lines} lines in ten minutes");
    }

    #[test]
    fn words_that_vary_without_end_make_few_lines() {
        let mut told = Told::new();
        let mut lines = 0;
        for ms in 0..600_000_u64 {
            lines += told.at(ms, &[&format!("port {ms}")]).len();
        }
        assert!(lines <= DIFFERENT_WORDS_MAX + 10, "{lines} lines");
    }

    #[test]
    fn what_still_stands_is_told_again_once_the_last_cause_has_ended() {
        let mut told = Told::new();
        told.at(0, &["a"]);
        assert_eq!(told.at(1_000, &["a"]), ["a"]);
        assert_eq!(told.at(90_000, &["a", "b"]), ["b"]);
        assert_eq!(told.at(95_000, &["a"]), ["a"]);
        assert_eq!(told.at(96_000, &["a"]), NOTHING);
    }
}
