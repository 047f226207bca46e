//! What was asked of the queue, when, about which messages, and what came of
//! it. No bodies. A call is entered when it comes, so one that is never
//! answered stands here too.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::{Clock, Moment};
use super::operation::Operation;

#[derive(Clone, Debug)]
pub struct Call {
    pub began: Moment,
    /// None while it is open, as a long poll is, or for ever where it hangs.
    pub ended: Option<Moment>,
    pub operation: Operation,
    pub queue: Option<String>,
    /// By what it was made, as its User-Agent says.
    pub client: String,
    pub outcome: Outcome,
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Open,
    Answered,
    /// With this code, whoever's rule or fault it was.
    Refused(String),
    /// What became of it, its client cannot know: no answer, or half of one.
    Lost,
}

/// What a call did to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub message_id: String,
    pub effect: Effect,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Sent,
    Received,
    Deleted,
    /// A delete with an old handle, or of what is gone: it "succeeds".
    NothingDeleted,
    Extended,
    /// Made visible at once.
    Released,
    /// An extension that failed, with this code.
    NotExtended(String),
    /// Anything else that failed, with this code.
    Failed(String),
}

pub struct Journal {
    clock: Clock,
    calls: Mutex<Vec<Call>>,
}

impl Journal {
    pub fn new(clock: Clock) -> Journal {
        Journal {
            clock,
            calls: Mutex::default(),
        }
    }

    pub fn begin(&self, operation: Operation, queue: Option<&str>, client: &str) -> usize {
        let mut calls = self.lock();
        calls.push(Call {
            began: self.clock.wall_now(),
            ended: None,
            operation,
            queue: queue.map(str::to_owned),
            client: client.to_owned(),
            outcome: Outcome::Open,
            entries: Vec::new(),
        });
        calls.len() - 1
    }

    /// The call has taken effect, whatever its client learns.
    pub fn note(&self, call: usize, entries: Vec<Entry>) {
        let mut calls = self.lock();
        calls[call].entries = entries;
        calls[call]
            .ended
            .get_or_insert_with(|| self.clock.wall_now());
    }

    pub fn end(&self, call: usize, outcome: Outcome) {
        let mut calls = self.lock();
        calls[call].outcome = outcome;
        calls[call]
            .ended
            .get_or_insert_with(|| self.clock.wall_now());
    }

    /// The call has gone without an outcome, as a poll does with its client.
    pub fn abandon(&self, call: usize) {
        let is_open = self.lock()[call].outcome == Outcome::Open;
        if is_open {
            self.end(call, Outcome::Lost);
        }
    }

    /// All calls in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().clone()
    }

    pub fn count(&self, operation: Operation) -> usize {
        self.matching(|call| call.operation == operation)
    }

    /// Calls that are under way, such as a long poll.
    pub fn open(&self, operation: Operation) -> usize {
        self.matching(|call| call.operation == operation && call.outcome == Outcome::Open)
    }

    pub fn matching(&self, fits: impl Fn(&Call) -> bool) -> usize {
        self.lock().iter().filter(|call| fits(call)).count()
    }

    /// What was done to a message, in order.
    pub fn effects(&self, message_id: &str) -> Vec<Effect> {
        let calls = self.lock();
        let mut entries: Vec<(Option<Moment>, &Entry)> = calls
            .iter()
            .flat_map(|call| call.entries.iter().map(|entry| (call.ended, entry)))
            .filter(|(_, entry)| entry.message_id == message_id)
            .collect();
        entries.sort_by_key(|(ended, _)| *ended);
        let effects = entries.iter().map(|(_, entry)| entry.effect.clone());
        effects.collect()
    }

    /// How often a message was given out.
    pub fn receives(&self, message_id: &str) -> usize {
        let effects = self.effects(message_id).into_iter();
        effects.filter(|effect| *effect == Effect::Received).count()
    }

    /// The most calls of this kind that began within any one second.
    pub fn busiest_second(&self, fits: impl Fn(&Call) -> bool) -> usize {
        let second = Duration::from_secs(1);
        self.in_busiest(second, fits).values().sum()
    }

    /// The calls of this kind that began within the busiest time of this length,
    /// counted by operation and outcome.
    pub fn in_busiest(
        &self,
        time: Duration,
        fits: impl Fn(&Call) -> bool,
    ) -> BTreeMap<String, usize> {
        let calls = self.lock();
        let calls: Vec<&Call> = calls.iter().filter(|call| fits(call)).collect();
        let within = |n: usize| {
            let later = calls[n..].iter();
            later
                .take_while(|call| call.began < calls[n].began + time)
                .count()
        };
        let busiest = (0..calls.len()).map(|n| (within(n), n)).max();
        let (count, first) = busiest.unwrap_or_default();
        let mut counted = BTreeMap::new();
        for call in &calls[first..first + count] {
            let what = format!("{:?} {:?}", call.operation, call.outcome);
            *counted.entry(what).or_default() += 1;
        }
        counted
    }

    /// Messages that somebody tried to keep hidden after he had deleted or
    /// released them, unless they were received again. What was asked within
    /// `grace` of the end may have been on its way before it.
    pub fn extended_after_end(&self, grace: Duration) -> Vec<String> {
        let calls = self.lock();
        let mut events: Vec<(Moment, Moment, &Entry)> = calls
            .iter()
            .filter_map(|call| Some((call.ended?, call.began, &call.entries)))
            .flat_map(|(ended, began, entries)| {
                entries.iter().map(move |entry| (ended, began, entry))
            })
            .collect();
        events.sort_by_key(|(ended, ..)| *ended);
        let mut ends: HashMap<&str, Moment> = HashMap::new();
        let mut late = Vec::new();
        for (ended, began, entry) in events {
            let id = entry.message_id.as_str();
            match entry.effect {
                Effect::Received => drop(ends.remove(id)),
                Effect::Deleted | Effect::Released => drop(ends.insert(id, ended)),
                Effect::Extended | Effect::NotExtended(_)
                    if ends.get(id).is_some_and(|end| began > *end + grace) =>
                {
                    late.push(id.to_owned());
                }
                _ => {}
            }
        }
        late
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
