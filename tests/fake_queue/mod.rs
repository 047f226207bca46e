//! A strict SQS server for fault tests: what real SQS promises and what it
//! does not, the second more often than real SQS does it.
//!
//! It keeps to the newest-handle rule, to visibility on a clock, to limits,
//! redrive policies and FIFO groups; it misbehaves as it is told and counts
//! how often it did; it keeps a journal of all calls; and it asks an oracle,
//! before each delete takes effect, whether the message's fate is committed.
//! It runs on a thread of its own. Retention, permissions, encryption and
//! signatures are not here.

mod answer;
pub mod attribute;
mod claims;
pub mod clock;
pub mod fault;
mod input;
pub mod journal;
pub mod judge;
pub mod operation;
pub mod oracle;
pub mod refusal;
mod server;
mod sqs;
pub mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use crate::fake_network::door::Door;
use crate::fake_network::fired::Fired;
use crate::fake_network::own_runtime::OwnRuntime;
use clock::{Clock, Moment};
use fault::{Fault, Faults};
use journal::Journal;
use judge::{Judge, Violation};
use oracle::Oracle;
use refusal::Refusal;
use server::serve;
use sqs::Sqs;
use store::message::{Outgoing, Stored};
use store::queue::Counts;
use store::{Store, arn};

pub struct FakeQueue {
    door: Door,
    sqs: Arc<Sqs>,
    clock: Clock,
    runtime: OwnRuntime,
}

impl FakeQueue {
    pub fn start() -> FakeQueue {
        let runtime = OwnRuntime::start("fake-queue");
        let clock = Clock::start();
        // The endpoint is known once the door is open, and the rest is
        // needed to open it; nobody comes before both are there.
        let there: Arc<OnceLock<Arc<Sqs>>> = Arc::default();
        let behind_door = Arc::clone(&there);
        let door = Door::open(&runtime, move |guest| {
            let sqs = behind_door.get().cloned();
            async move {
                if let Some(sqs) = sqs {
                    serve(sqs, guest).await;
                }
            }
        });
        let sqs = Arc::new(Sqs {
            effects: Mutex::default(),
            store: Mutex::new(Store::new(clock.clone())),
            changed: Notify::new(),
            faults: Faults::default(),
            judge: Judge::default(),
            journal: Journal::new(clock.clone()),
            endpoint: format!("http://{}", door.address()),
        });
        FakeQueue {
            sqs: Arc::clone(there.get_or_init(|| sqs)),
            door,
            clock,
            runtime,
        }
    }

    /// What `AWS_ENDPOINT_URL` is to say.
    pub fn endpoint(&self) -> &str {
        &self.sqs.endpoint
    }

    pub fn url(&self, queue: &str) -> String {
        self.sqs.url(queue)
    }

    /// Describes a queue, to be created.
    pub fn queue(&self, name: &str) -> NewQueue<'_> {
        let fifo = name.ends_with(".fifo");
        NewQueue {
            fake: self,
            name: name.to_owned(),
            attributes: match fifo {
                true => BTreeMap::from([("FifoQueue".to_owned(), "true".to_owned())]),
                false => BTreeMap::new(),
            },
            in_flight_max: None,
        }
    }

    /// Sends the bodies in order. Gives the messages' ids.
    pub fn send<B: AsRef<str>>(&self, queue: &str, bodies: &[B]) -> Vec<String> {
        let messages = bodies.iter().map(|body| Outgoing::new(body.as_ref()));
        messages.map(|message| self.put(queue, message)).collect()
    }

    /// Sends one message. Gives its id.
    pub fn put(&self, queue: &str, message: Outgoing) -> String {
        let mut store = self.sqs.store();
        let sent = store
            .queue(queue)
            .and_then(|queue| queue.send(&self.clock, message));
        drop(store);
        self.sqs.changed.notify_waiters();
        sent.expect("the queue takes the message").message_id
    }

    /// What its clock says, in milliseconds since 1970.
    pub fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    /// The same since its start, as messages' states have it.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The time by which the journal notes calls.
    pub fn wall_now(&self) -> Moment {
        self.clock.wall_now()
    }

    pub fn counts(&self, queue: &str) -> Counts {
        let _effects = self.sqs.effects();
        let mut store = self.sqs.store();
        let queue = store.queue(queue).expect("a queue of the test");
        queue.counts(self.clock.now())
    }

    /// Everything in the queue, visible or not, in the order of sending.
    pub fn messages(&self, queue: &str) -> Vec<Stored> {
        let _effects = self.sqs.effects();
        let mut store = self.sqs.store();
        let queue = store.queue(queue).expect("a queue of the test");
        queue.messages(self.clock.now())
    }

    /// Takes everything out of a queue.
    pub fn purge(&self, queue: &str) {
        let mut store = self.sqs.store();
        store.queue(queue).expect("a queue of the test").purge();
    }

    /// Sets an attribute of a queue that is there.
    pub fn set(&self, queue: &str, name: &str, value: impl ToString) {
        let attributes = BTreeMap::from([(name.to_owned(), value.to_string())]);
        let set = self.sqs.store().set_attributes(queue, &attributes);
        set.expect("an attribute that SQS would take");
    }

    /// Sends what is visible in a dead-letter queue back, as SQS's own message
    /// move does. Gives the old and the new id of each.
    pub fn redrive(&self, dead: &str, source: &str) -> Vec<(String, String)> {
        let moved = self.sqs.store().redrive(dead, source);
        self.sqs.changed.notify_waiters();
        moved.expect("two queues of the test")
    }

    /// Has something go wrong. Assert on what it gives: a fault that did not
    /// fire has shown nothing.
    pub fn fault(&self, fault: Fault) -> Arc<Fired> {
        self.sqs.faults.arm(fault)
    }

    pub fn journal(&self) -> &Journal {
        &self.sqs.journal
    }

    /// Judges each delete from the queue from now on. Copies of rejected
    /// messages go to the dead-letter queue of the queue's own policy.
    pub fn judge(&self, queue: &str, oracle: impl Oracle + 'static) {
        let store = self.sqs.store();
        let dead_letters = store.dead_letter_queue(queue);
        let dead_letters = dead_letters.map(|queue| queue.name.clone());
        drop(store);
        let judge = &self.sqs.judge;
        judge.watch(queue, dead_letters, oracle);
    }

    /// The same where the host is told of the dead-letter queue.
    pub fn judge_with_dead_letters(
        &self,
        queue: &str,
        dead_letters: &str,
        oracle: impl Oracle + 'static,
    ) {
        let dead_letters = Some(dead_letters.to_owned());
        let judge = &self.sqs.judge;
        judge.watch(queue, dead_letters, oracle);
    }

    /// These messages carry one event id: the ledger may know any of them.
    pub fn same_event(&self, message_ids: &[String]) {
        self.sqs.judge.same_event(message_ids);
    }

    pub fn violations(&self) -> Vec<Violation> {
        self.sqs.judge.violations()
    }

    /// How many deletes were judged.
    #[allow(dead_code, reason = "for the soak: tests ask for a least number")]
    pub fn judged(&self) -> usize {
        self.sqs.judge.judged()
    }

    /// Messages whose delete could not be judged, because the oracle's
    /// database did not answer.
    pub fn unjudged(&self) -> Vec<String> {
        self.sqs.judge.unasked()
    }

    /// Panics unless at least so many deletes were judged, and all of them
    /// were lawful.
    #[track_caller]
    pub fn assert_deletes_lawful(&self, judged_min: usize) {
        let judge = &self.sqs.judge;
        let (violations, unasked) = (judge.violations(), judge.unasked());
        assert!(violations.is_empty(), "unlawful deletes: {violations:#?}");
        assert!(unasked.is_empty(), "nobody judged {unasked:?}");
        let judged = judge.judged();
        assert!(judged >= judged_min, "only {judged} deletes were judged");
    }

    /// Lets time pass in no time: leases run out, delays end.
    pub fn put_clock_forward(&self, by: Duration) {
        self.clock.put_forward(by);
        self.sqs.changed.notify_waiters();
    }

    /// The whole server is down: connections are reset and refused. Returns
    /// how many were reset.
    pub fn go_down(&self) -> usize {
        self.door.close(&self.runtime)
    }

    /// It is up again, on the same port, with what it had.
    pub fn come_up(&self) {
        self.door.reopen(&self.runtime);
    }

    /// Resets all connections. Returns how many there were.
    pub fn reset_connections(&self) -> usize {
        self.door.reset_all(&self.runtime)
    }
}

/// A queue that is yet to be created. One whose name ends in `.fifo` is one.
#[must_use]
pub struct NewQueue<'a> {
    fake: &'a FakeQueue,
    name: String,
    attributes: BTreeMap<String, String>,
    in_flight_max: Option<usize>,
}

impl NewQueue<'_> {
    pub fn attribute(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.insert(name.to_owned(), value.to_string());
        self
    }

    pub fn visibility_secs(self, secs: u32) -> Self {
        self.attribute("VisibilityTimeout", secs)
    }

    /// The dead-letter queue, which exists already, and how often a message is
    /// given out before it goes there.
    pub fn dead_letters(self, name: &str, receives_max: u32) -> Self {
        let policy = json!({"deadLetterTargetArn": arn(name), "maxReceiveCount": receives_max});
        self.attribute("RedrivePolicy", policy)
    }

    pub fn in_flight_max(self, messages: usize) -> Self {
        NewQueue {
            in_flight_max: Some(messages),
            ..self
        }
    }

    /// Gives its URL.
    pub fn create(self) -> String {
        let mut store = self.fake.sqs.store();
        let created: Result<(), Refusal> = store.create(&self.name, &self.attributes);
        created.expect("a queue that SQS would take");
        if let (Some(max), Ok(queue)) = (self.in_flight_max, store.queue(&self.name)) {
            queue.in_flight_max = max;
        }
        drop(store);
        self.fake.url(&self.name)
    }
}
