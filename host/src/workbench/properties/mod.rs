//! What holds of every message, whatever a policy is for: checked on each
//! input, and on variants of it (`fields`), without a case that says so.

mod fields;

use super::case::{Case, outcome};
use crate::message::Message;
use crate::row::Row;
use crate::sandbox::{Pointer, Sandbox};
use crate::verdict::{Reason, Verdict};
use fields::Bases;

/// The messages of a batch in which each one is judged again.
const BATCH_MESSAGES: usize = 100;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// Which property.
    pub(super) property: Property,
    /// Of which input.
    pub(super) case: String,
    /// What was seen, without a value of the input.
    pub(super) words: String,
}

/// What holds of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Property {
    /// The component neither traps, nor overruns a limit, nor breaks the
    /// interface, nor hands out a sensitive value.
    NoFault,
    /// The same message gives the same rows: again, alone and in any batch.
    SameAgain,
    /// Equal values give equal pseudonyms.
    EqualStaysEqual,
    /// Different values give different pseudonyms.
    DifferentStaysDifferent,
    /// What is null is null in the row, and a null is as good as none.
    NullStaysNull,
    /// A message does not give one row several times over, unless its case
    /// expects that.
    NoRowTwice,
}

impl Property {
    /// What it says, in one line.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NoFault => "no fault, no leak, only what is declared",
            Self::SameAgain => "the same message gives the same rows, alone and in any batch",
            Self::EqualStaysEqual => "equal values give equal pseudonyms",
            Self::DifferentStaysDifferent => "different values give different pseudonyms",
            Self::NullStaysNull => "null stays null",
            Self::NoRowTwice => "no message gives a row twice",
        }
    }

    pub(super) const ALL: [Self; 6] = [
        Self::NoFault,
        Self::SameAgain,
        Self::EqualStaysEqual,
        Self::DifferentStaysDifferent,
        Self::NullStaysNull,
        Self::NoRowTwice,
    ];
}

/// What was found of all inputs.
pub(super) struct Found {
    /// The verdict on each input, alone.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) findings: Vec<Finding>,
    /// How many messages were judged in all, variants included.
    pub(super) judged: usize,
}

/// Checks all properties on all inputs. Of some fields different values may
/// become one.
pub(super) fn check(sandbox: &Sandbox, cases: &[Case], may_collide: &[Pointer]) -> Found {
    let mut check = Check {
        sandbox,
        may_collide,
        findings: Vec::new(),
        judged: 0,
    };
    let messages: Vec<Message> = cases.iter().map(|case| case.message.clone()).collect();
    let verdicts: Vec<Verdict> = messages
        .iter()
        .map(|message| check.alone(message))
        .collect();
    check.no_fault(cases, &verdicts);
    check.no_row_twice(cases, &verdicts);
    check.same_again(cases, &messages, &verdicts);
    let bases = Bases::of(cases, &verdicts);
    for field in &sandbox.description().fields {
        check.field(&field.pointer, &bases, cases);
    }
    check.findings.sort();
    check.findings.dedup();
    Found {
        verdicts,
        findings: check.findings,
        judged: check.judged,
    }
}

fn is_fault(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Reject(rejection) if rejection.reason.is_fault())
}

struct Check<'a> {
    sandbox: &'a Sandbox,
    may_collide: &'a [Pointer],
    findings: Vec<Finding>,
    judged: usize,
}

impl Check<'_> {
    fn alone(&mut self, message: &Message) -> Verdict {
        self.judged += 1;
        let verdict = self.sandbox.judge(std::slice::from_ref(message)).pop();
        verdict.unwrap_or_else(|| Verdict::Reject(Reason::BrokenInterface.into()))
    }

    fn finds(&mut self, property: Property, case: &str, words: impl Into<String>) {
        self.findings.push(Finding {
            property,
            case: case.to_owned(),
            words: words.into(),
        });
    }

    fn no_fault(&mut self, cases: &[Case], verdicts: &[Verdict]) {
        for (case, verdict) in cases.iter().zip(verdicts) {
            if is_fault(verdict) && case.expected.is_none() {
                self.finds(Property::NoFault, &case.name, outcome(verdict));
            }
        }
    }

    fn no_row_twice(&mut self, cases: &[Case], verdicts: &[Verdict]) {
        for (case, verdict) in cases.iter().zip(verdicts) {
            let Verdict::Rows(rows) = verdict else {
                continue;
            };
            let again = (1..rows.len()).filter(|place| rows[..*place].contains(&rows[*place]));
            let again = again.count();
            if again > 0 && case.expected.is_none() {
                let words = format!("{again} of {} rows stand there already", rows.len());
                self.finds(Property::NoRowTwice, &case.name, words);
            }
        }
    }

    /// Again alone, among what comes before and after it, and in reverse.
    fn same_again(&mut self, cases: &[Case], messages: &[Message], verdicts: &[Verdict]) {
        let last_first = |batch: &[usize]| batch.iter().rev().copied().collect::<Vec<_>>();
        let all: Vec<usize> = (0..messages.len()).collect();
        let alone = all.iter().map(|number| ("a second time", vec![*number]));
        let batches = all.chunks(BATCH_MESSAGES);
        let forwards = batches.clone().map(|batch| ("in a batch", batch.to_vec()));
        let backwards = batches.map(|batch| ("in a batch in reverse", last_first(batch)));
        for (how, batch) in alone.chain(forwards).chain(backwards) {
            let judged: Vec<Message> = batch.iter().map(|n| messages[*n].clone()).collect();
            self.judged += judged.len();
            let verdicts_again = match self.sandbox.judge_batch(&judged) {
                Ok(verdicts) => verdicts,
                Err(reason) => {
                    // A run then judges each alone. Where none is at fault that
                    // way, and no limit of a batch is to blame, the component
                    // cannot do batches.
                    let broken = matches!(reason, Reason::Trap | Reason::BrokenInterface);
                    if broken && !batch.iter().any(|number| is_fault(&verdicts[*number])) {
                        let words = format!("{how}, of {} messages: reject {reason}", batch.len());
                        self.finds(Property::NoFault, &cases[batch[0]].name, words);
                    }
                    self.sandbox.judge(&judged)
                }
            };
            for (number, again) in batch.iter().zip(verdicts_again) {
                let first = &verdicts[*number];
                if let Some(words) = self.other(first, &again) {
                    let words = format!("{how}: {words}");
                    self.finds(Property::SameAgain, &cases[*number].name, words);
                }
            }
        }
    }

    /// In what two verdicts differ, by names of columns alone.
    fn other(&self, one: &Verdict, other: &Verdict) -> Option<String> {
        let (Verdict::Rows(rows), Verdict::Rows(others)) = (one, other) else {
            let (one, other) = (outcome(one), outcome(other));
            return (one != other).then(|| format!("{other} instead of {one}"));
        };
        if rows.len() != others.len() {
            return Some(format!("{} rows instead of {}", others.len(), rows.len()));
        }
        let pairs = rows.iter().zip(others);
        let names: Vec<&str> = pairs
            .flat_map(|(row, other)| self.changed(row, other))
            .collect();
        (!names.is_empty()).then(|| format!("another {}", names.join(", ")))
    }

    /// The columns in which two rows differ.
    fn changed(&self, row: &Row, other: &Row) -> Vec<&str> {
        let columns = self.sandbox.description().columns.iter();
        let values = row.iter().zip(other);
        let changed = columns.zip(values).filter(|(_, (one, other))| one != other);
        changed.map(|(column, _)| column.name.as_str()).collect()
    }
}
