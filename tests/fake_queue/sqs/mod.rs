//! What the server does: each operation, from a request's members to those of
//! its answer, noted in the journal as soon as it has taken effect. The rules
//! of a queue are the store's; HTTP is the server's.

mod receive;
mod send;
mod settle;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::clock::Moment;
use super::fault::{Action, Faults, Place};
use super::input::Input;
use super::journal::{Entry, Journal};
use super::judge::Judge;
use super::operation::Operation;
use super::refusal::Refusal;
use super::store::settings::BODY_BYTES_MAX;
use super::store::{ACCOUNT, Store};

/// What the operations work on.
pub struct Sqs {
    pub store: Mutex<Store>,
    /// Told whenever a message may have become visible.
    pub changed: Notify,
    pub faults: Faults,
    pub judge: Judge,
    pub journal: Journal,
    /// Held while a call takes effect and is noted, and by whoever counts: the
    /// journal never lags behind the counts.
    pub effects: Mutex<()>,
    /// Where its URLs begin.
    pub endpoint: String,
}

/// What came of a call.
pub struct Performed {
    pub answer: Result<Value, Refusal>,
    pub entries: Vec<Entry>,
}

impl Performed {
    fn of(answer: Value, entries: Vec<Entry>) -> Performed {
        Performed {
            answer: Ok(answer),
            entries,
        }
    }

    /// Whether the call did anything that a test could miss.
    pub fn did_something(&self, operation: Operation) -> bool {
        operation != Operation::ReceiveMessage || !self.entries.is_empty()
    }
}

impl From<Refusal> for Performed {
    fn from(refusal: Refusal) -> Performed {
        Performed {
            answer: Err(refusal),
            entries: Vec::new(),
        }
    }
}

/// One entry of a batch, or the only one of a single call.
struct Done {
    entry: Option<Entry>,
    result: Result<Value, Refusal>,
}

impl Sqs {
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{queue}", self.endpoint)
    }

    pub fn effects(&self) -> MutexGuard<'_, ()> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a call take effect and notes it, as one to whoever looks.
    fn noted(&self, call: usize, act: impl FnOnce() -> Performed) -> Performed {
        let _effects = self.effects();
        let performed = act();
        self.journal.note(call, performed.entries.clone());
        performed
    }

    fn now(&self) -> Moment {
        self.store().clock.now()
    }

    /// Performs the call that has this number in the journal.
    pub async fn perform(
        self: Arc<Self>,
        operation: Operation,
        input: Input,
        call: usize,
    ) -> Performed {
        let performed = match self.try_perform(operation, &input, call).await {
            Ok(performed) => performed,
            Err(refusal) => refusal.into(),
        };
        self.journal.note(call, performed.entries.clone());
        performed
    }

    async fn try_perform(
        &self,
        operation: Operation,
        input: &Input,
        call: usize,
    ) -> Result<Performed, Refusal> {
        match operation {
            Operation::CreateQueue => {
                let name = input.text("QueueName")?;
                self.store().create(name, &input.map("Attributes"))?;
                Ok(Performed::of(json!({"QueueUrl": self.url(name)}), vec![]))
            }
            Operation::GetQueueUrl => {
                let name = input.text("QueueName")?;
                self.store().queue(name)?;
                Ok(Performed::of(json!({"QueueUrl": self.url(name)}), vec![]))
            }
            Operation::SetQueueAttributes => {
                let attributes = input.map("Attributes");
                self.store().set_attributes(&input.queue()?, &attributes)?;
                Ok(Performed::of(json!({}), vec![]))
            }
            Operation::GetQueueAttributes => self.attributes(input),
            Operation::ReceiveMessage => self.receive(input, call).await,
            Operation::SendMessage => {
                let queue = input.queue()?;
                let send = || single(self.send(operation, &queue, input, 0));
                Ok(self.noted(call, send))
            }
            Operation::SendMessageBatch => {
                let (queue, entries) = (input.queue()?, input.entries()?);
                self.store().queue(&queue)?;
                let bytes = entries.iter().map(|(_, entry)| entry.bytes()).sum();
                if bytes > BODY_BYTES_MAX {
                    return Err(Refusal::batch_too_long(bytes));
                }
                let send = |position, entry: &Input| self.send(operation, &queue, entry, position);
                Ok(self.noted(call, || batch(&entries, send)))
            }
            Operation::DeleteMessage => {
                let queue = input.queue()?;
                self.judge_delete(&queue, &[input]).await?;
                let delete = || single(self.delete(operation, &queue, input, 0));
                Ok(self.noted(call, delete))
            }
            Operation::DeleteMessageBatch => {
                let (queue, entries) = (input.queue()?, input.entries()?);
                let inputs: Vec<&Input> = entries.iter().map(|(_, entry)| entry).collect();
                self.judge_delete(&queue, &inputs).await?;
                let delete =
                    |position, entry: &Input| self.delete(operation, &queue, entry, position);
                Ok(self.noted(call, || batch(&entries, delete)))
            }
            Operation::ChangeMessageVisibility => {
                let queue = input.queue()?;
                let extend = || single(self.extend(operation, &queue, input, 0));
                Ok(self.noted(call, extend))
            }
            Operation::ChangeMessageVisibilityBatch => {
                let (queue, entries) = (input.queue()?, input.entries()?);
                self.store().queue(&queue)?;
                let extend =
                    |position, entry: &Input| self.extend(operation, &queue, entry, position);
                Ok(self.noted(call, || batch(&entries, extend)))
            }
        }
    }

    fn attributes(&self, input: &Input) -> Result<Performed, Refusal> {
        let now = self.now();
        let name = input.queue()?;
        let mut store = self.store();
        let queue = store.queue(&name)?;
        let mut told = queue.settings.told();
        let counts = queue.counts(now);
        for (name, value) in [
            ("QueueArn", queue.arn.clone()),
            ("ApproximateNumberOfMessages", counts.visible.to_string()),
            (
                "ApproximateNumberOfMessagesNotVisible",
                counts.in_flight.to_string(),
            ),
            (
                "ApproximateNumberOfMessagesDelayed",
                counts.delayed.to_string(),
            ),
        ] {
            told.insert(name.to_owned(), value);
        }
        let asked = input.texts("AttributeNames");
        if !asked.iter().any(|name| name == "All") {
            told.retain(|name, _| asked.contains(name));
        }
        Ok(Performed::of(json!({"Attributes": told}), vec![]))
    }

    /// Carries out a fault that makes the entry fail, if there is one.
    fn fail_entry(&self, place: &Place) -> Result<(), Refusal> {
        let fails = |action: &Action| matches!(action, Action::FailEntry(_));
        match self.faults.of_message(place, fails) {
            Some(drawn) => match drawn.action {
                Action::FailEntry(refusal) => Err(refusal),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }
}

fn single(done: Done) -> Performed {
    Performed {
        answer: done.result,
        entries: done.entry.into_iter().collect(),
    }
}

fn batch(entries: &[(String, Input)], mut act: impl FnMut(usize, &Input) -> Done) -> Performed {
    let (mut successful, mut failed, mut noted) = (Vec::new(), Vec::new(), Vec::new());
    for (position, (id, entry)) in entries.iter().enumerate() {
        let done = act(position, entry);
        noted.extend(done.entry);
        match done.result {
            Ok(mut answer) => {
                answer["Id"] = json!(id);
                successful.push(answer);
            }
            Err(refusal) => failed.push(refusal.failed(id)),
        }
    }
    Performed::of(json!({"Successful": successful, "Failed": failed}), noted)
}
