//! Two components' verdicts on the same messages, compared without showing a
//! value: what is told are counts, names of columns and reasons.

mod pairs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::row::{Column, Row};
use crate::verdict::Verdict;

pub use pairs::{Pair, Pairs};

/// How a candidate's verdicts differ from those of the running component.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Messages that both have judged.
    pub compared: u64,
    /// Those on which they agree in everything.
    pub same: u64,
    /// Messages with another outcome, by the two outcomes: `rows → trap`.
    pub outcomes: BTreeMap<String, u64>,
    /// Messages of which both give rows, and not equally many.
    pub row_counts: u64,
    /// The values of the columns that both write, in equally many rows.
    pub columns: BTreeMap<String, Values>,
    /// Columns that only the running component writes.
    pub only_running: BTreeSet<String>,
    /// Columns that only the candidate writes.
    pub only_candidate: BTreeSet<String>,
    /// What the running component took to judge them, in seconds.
    pub seconds_running: f64,
    /// What the candidate took to judge them, in seconds.
    pub seconds_candidate: f64,
}

/// A column's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Values {
    /// How many were compared.
    pub compared: u64,
    /// How many of them differ.
    pub different: u64,
}

/// What one component made of a batch.
#[derive(Debug)]
pub struct Judgement<'a> {
    /// Its columns.
    pub columns: &'a [Column],
    /// A verdict on each message, in order.
    pub verdicts: &'a [Verdict],
    /// How long it took.
    pub took: Duration,
}

impl Comparison {
    /// Compares a batch: what the running component made of it, and what the
    /// candidate did.
    pub fn add(&mut self, running: &Judgement<'_>, candidate: &Judgement<'_>) {
        self.seconds_running += running.took.as_secs_f64();
        self.seconds_candidate += candidate.took.as_secs_f64();
        let pairs = Pairs::of(running.columns, candidate.columns);
        let names = |columns: &[&Column]| -> Vec<String> {
            columns.iter().map(|column| column.name.clone()).collect()
        };
        self.only_running.extend(names(&pairs.only_one));
        self.only_candidate.extend(names(&pairs.only_other));
        for (one, other) in running.verdicts.iter().zip(candidate.verdicts) {
            self.compared += 1;
            self.same += u64::from(self.agree(one, other, &pairs));
        }
    }

    /// Adds what another comparison has found.
    pub fn merge(&mut self, other: Self) {
        self.compared += other.compared;
        self.same += other.same;
        for (outcomes, messages) in other.outcomes {
            *self.outcomes.entry(outcomes).or_default() += messages;
        }
        self.row_counts += other.row_counts;
        for (name, values) in other.columns {
            let sum = self.columns.entry(name).or_default();
            sum.compared += values.compared;
            sum.different += values.different;
        }
        self.only_running.extend(other.only_running);
        self.only_candidate.extend(other.only_candidate);
        self.seconds_running += other.seconds_running;
        self.seconds_candidate += other.seconds_candidate;
    }

    /// Whether two verdicts are alike; else in what they differ is noted.
    fn agree(&mut self, one: &Verdict, other: &Verdict, pairs: &Pairs<'_>) -> bool {
        match (one, other) {
            (Verdict::Rows(one), Verdict::Rows(other)) if one.len() != other.len() => {
                self.row_counts += 1;
                false
            }
            (Verdict::Rows(one), Verdict::Rows(other)) => {
                let rows = one.iter().zip(other);
                rows.fold(true, |alike, (one, other)| {
                    self.alike(one, other, pairs) && alike
                })
            }
            _ => {
                let (one, other) = (outcome(one), outcome(other));
                let alike = one == other;
                if !alike {
                    let outcomes = self.outcomes.entry(format!("{one} → {other}"));
                    *outcomes.or_default() += 1;
                }
                alike
            }
        }
    }

    /// Whether two rows are alike: the same columns, the same values.
    fn alike(&mut self, one: &Row, other: &Row, pairs: &Pairs<'_>) -> bool {
        let mut alike = pairs.both.len() == one.len() && one.len() == other.len();
        for pair in &pairs.both {
            let different = pair.differs(one, other).is_some();
            let name = pair.one.name.as_str();
            if !self.columns.contains_key(name) {
                self.columns.insert(name.to_owned(), Values::default());
            }
            if let Some(values) = self.columns.get_mut(name) {
                values.compared += 1;
                values.different += u64::from(different);
            }
            alike &= !different;
        }
        alike
    }

    /// How many times as long as the running component the candidate takes.
    pub fn times_as_long(&self) -> Option<f64> {
        (self.seconds_running > 0.0).then(|| self.seconds_candidate / self.seconds_running)
    }

    /// What differs, an item each, for a person.
    pub fn differences(&self) -> Vec<String> {
        let mut items = Vec::new();
        for (outcomes, messages) in &self.outcomes {
            items.push(format!("{outcomes}: {messages} messages"));
        }
        if self.row_counts > 0 {
            items.push(format!(
                "another number of rows: {} messages",
                self.row_counts
            ));
        }
        let differing = self
            .columns
            .iter()
            .filter(|(_, values)| values.different > 0);
        for (name, values) in differing {
            let Values {
                compared,
                different,
            } = values;
            items.push(format!("{name}: {different} of {compared} values"));
        }
        let list = |names: &BTreeSet<String>| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            names.join(", ")
        };
        if !self.only_running.is_empty() {
            items.push(format!(
                "not written any more: {}",
                list(&self.only_running)
            ));
        }
        if !self.only_candidate.is_empty() {
            items.push(format!("written anew: {}", list(&self.only_candidate)));
        }
        items
    }

    /// One line, for the log.
    pub fn line(&self) -> String {
        let mut line = format!("{} of {} messages alike", self.same, self.compared);
        for difference in self.differences() {
            let _ = write!(line, "; {difference}");
        }
        if let Some(times) = self.times_as_long() {
            let _ = write!(line, "; {times:.2} times as long");
        }
        line
    }
}

fn outcome(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Rows(_) => "rows".to_owned(),
        Verdict::Skip => "skip".to_owned(),
        Verdict::Reject(rejection) => match &rejection.field {
            Some(field) => format!("{} at {field}", rejection.reason),
            None => rejection.reason.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Value, ValueType};
    use crate::verdict::{Reason, Rejection};

    fn columns(names: &[&str]) -> Vec<Column> {
        let column = |name: &&str| Column::nullable(name, ValueType::Text);
        names.iter().map(column).collect()
    }

    fn row(texts: &[&str]) -> Row {
        let texts = texts.iter();
        texts.map(|text| Value::Text((*text).to_owned())).collect()
    }

    fn compared(
        running: (&[&str], Vec<Verdict>),
        candidate: (&[&str], Vec<Verdict>),
    ) -> Comparison {
        let mut comparison = Comparison::default();
        let (one, other) = (columns(running.0), columns(candidate.0));
        let judgement = |columns, verdicts, secs| Judgement {
            columns,
            verdicts,
            took: Duration::from_secs(secs),
        };
        comparison.add(
            &judgement(&one, &running.1, 2),
            &judgement(&other, &candidate.1, 3),
        );
        comparison
    }

    fn rows(rows: &[&[&str]]) -> Verdict {
        Verdict::Rows(rows.iter().map(|texts| row(texts)).collect())
    }

    #[test]
    fn verdicts_that_are_alike_differ_in_nothing() {
        let verdicts = || {
            vec![
                rows(&[&["a", "b"]]),
                Verdict::Skip,
                Verdict::Reject(Reason::Malformed.into()),
                Verdict::Rows(vec![vec![Value::Float(f64::NAN), Value::Null]]),
            ]
        };
        let all = compared((&["x", "y"], verdicts()), (&["x", "y"], verdicts()));
        assert_eq!((all.compared, all.same), (4, 4));
        assert!(all.differences().is_empty(), "{all:?}");
        assert_eq!(all.line(), "4 of 4 messages alike; 1.50 times as long");
    }

    #[test]
    fn columns_are_compared_by_their_names() {
        let all = compared(
            (
                &["x", "y"],
                vec![rows(&[&["a", "b"]]), rows(&[&["a", "c"]])],
            ),
            (
                &["y", "x"],
                vec![rows(&[&["b", "a"]]), rows(&[&["d", "a"]])],
            ),
        );
        assert_eq!((all.compared, all.same), (2, 1));
        assert_eq!(all.differences(), ["y: 1 of 2 values"]);
    }

    #[test]
    fn a_column_of_one_alone_makes_every_row_another() {
        let all = compared(
            (&["x", "y"], vec![rows(&[&["a", "b"]])]),
            (&["x", "z"], vec![rows(&[&["a", "b"]])]),
        );
        assert_eq!(all.same, 0);
        let differences = ["not written any more: y", "written anew: z"];
        assert_eq!(all.differences(), differences);
    }

    #[test]
    fn other_outcomes_are_counted_by_what_they_were_and_are() {
        let at = Verdict::Reject(Rejection {
            reason: Reason::Missing,
            field: Some("/ip".to_owned()),
        });
        let trap = || Verdict::Reject(Reason::Trap.into());
        let all = compared(
            (
                &["x"],
                vec![rows(&[&["a"]]), rows(&[&["a"]]), at, rows(&[&["a"]])],
            ),
            (
                &["x"],
                vec![trap(), trap(), Verdict::Skip, rows(&[&["a"], &["a"]])],
            ),
        );
        assert_eq!(all.same, 0);
        assert_eq!(
            all.differences(),
            [
                "missing at /ip → skip: 1 messages",
                "rows → trap: 2 messages",
                "another number of rows: 1 messages",
            ]
        );
    }
}
