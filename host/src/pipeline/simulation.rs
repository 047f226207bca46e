//! The delivery core against a model: no network, a clock of its own.
//!
//! A queue and a database that live in memory stand in for the real ones, as
//! strict as those are: only the newest handle counts, visibility runs on the
//! clock, an answer may be lost before or after its effect. Random schedules of
//! messages, faults, stops and crashes are run to their end. I2 and I3 are
//! checked at every effect, I1, I5 and I6 at the end of every life.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep, sleep_until, timeout};

use super::decider::{Decider, Present, decider};
use super::{BrakeLimits, DRAIN_SECS_DEFAULT, Parts, Shape, Until, run};
use crate::message::{Fifo, Message};
use crate::origin::{SecretRing, Secrets};
use crate::output::{
    Committed, DatabaseError, Decision, Entry, Key, Policy, Reply, Store, TableName,
};
use crate::queue::{
    Answer, Backlog, DeadLetterCalls, DeadLetterQueue, EntryFailure, OutgoingMessage, Poll, Queue,
    QueueError, Received, ReceivedMessage, SourceCalls, Timing,
};
use crate::row::Value;
use crate::sandbox::{Judge, Judged, Judging};
use crate::shutdown::shutdown;
use crate::telemetry::Telemetry;
use crate::verdict::{Reason, Verdict};

/// Within this much simulated time everything must have recovered by itself.
const RECOVERY_SECS_MAX: u64 = 6 * 3_600;
/// After a stop is asked for, within this much everything must have ended:
/// what orchestrators give.
const DRAIN_SECS_MAX: u64 = 30;
/// The queue's visibility timeout.
const VISIBILITY_SECS: u64 = 30;
/// For how long a host stands still: twice the lease.
const STAND_STILL_SECS: u64 = 2 * VISIBILITY_SECS;
/// Between two good messages that the producer sends beside a schedule: records
/// that are refused are compared with them.
const PEERS_SECS: u64 = 60;
/// So many of them.
const PEERS: usize = 10;
/// Their first group.
const PEERS_GROUP: u8 = 100;
/// Messages in work at most.
const IN_WORK_MAX: usize = 40;

/// What becomes of a message when all goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Good,
    Skipped,
    Rejected,
    /// The database refuses it with a record's code.
    Refused,
    /// The database refuses it, with whatever code the world has for that.
    Poison,
}

/// What befalls a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It fails, and nothing has happened.
    Before,
    /// It fails, and everything has happened: the answer is lost.
    After,
    /// It never answers.
    Hang,
    /// One entry fails (of a batch call), or a moment's conflict (of a write).
    Part,
    /// The environment is at fault.
    Environment,
    /// The whole host stands still for twice the lease before the call goes
    /// on. Meanwhile somebody else takes what is visible again, and dies.
    StandStill,
    /// The host's own code breaks.
    Panic,
}

/// The calls that faults befall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    Receive,
    Delete,
    Hide,
    Send,
    Write,
    Look,
}

/// How one life of the host ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// A stop is asked for after so many milliseconds.
    Stop(u64),
    /// It is killed after so many milliseconds.
    Kill(u64),
}

#[derive(Clone, Debug)]
struct Schedule {
    messages: Vec<(Kind, u8)>,
    fifo: bool,
    dead_letter_queue: bool,
    faults: Vec<(Call, u32, Fault)>,
    ends: Vec<End>,
    /// When another component takes over, in milliseconds of each life.
    successions: Vec<u64>,
}

struct Simulated {
    id: String,
    kind: Kind,
    group: u8,
    visible_at: Instant,
    /// The newest handle's number.
    handle: u64,
    receive_count: u32,
    deleted: bool,
}

#[derive(Default)]
struct State {
    messages: Vec<Simulated>,
    fifo: bool,
    faults: HashMap<Call, BTreeMap<u32, Fault>>,
    calls: HashMap<Call, u32>,
    handles: u64,
    ledger: HashMap<Key, (&'static str, String)>,
    /// The ids of messages whose rows are in the table, in order.
    rows: Vec<String>,
    dead_letters: HashSet<String>,
    /// How many copies the dead-letter queue was given.
    copies: usize,
    /// The number of a component whose rows the database refuses, and with
    /// which code.
    misfit: Option<(u8, &'static str)>,
    /// With which code it refuses a poisonous record; none: without an answer.
    poison: Option<&'static str>,
    /// Until when it refuses every row, and with which code.
    everybody: Option<(Instant, &'static str)>,
    /// Whether the statement without rows is refused then, too.
    without_rows: bool,
    /// Until when its ledger refuses rejected entries.
    ledger_refuses: Option<Instant>,
    violations: Vec<String>,
    in_flight_max: usize,
}

/// The world that outlives the host's lives.
#[derive(Clone)]
struct World(Arc<Mutex<State>>);

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    fn new(schedule: &Schedule) -> Self {
        let now = Instant::now();
        let messages = schedule.messages.iter().enumerate();
        let mut state = State {
            fifo: schedule.fifo,
            poison: Some("P0001"),
            messages: messages
                .map(|(number, (kind, group))| Simulated {
                    id: format!("{number:03}"),
                    kind: *kind,
                    group: *group,
                    visible_at: now,
                    handle: 0,
                    receive_count: 0,
                    deleted: false,
                })
                .collect(),
            ..State::default()
        };
        for (call, number, fault) in &schedule.faults {
            let faults = state.faults.entry(*call).or_default();
            faults.insert(*number, *fault);
        }
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; gives the fault that befalls it, of those that leave the
    /// host able to learn of it.
    async fn befall(&self, call: Call) -> Option<Fault> {
        let fault = self.lock().fault(call);
        match fault {
            Some(Fault::Panic) => panic!("as the test asked"),
            Some(Fault::StandStill) => {
                advance(Duration::from_secs(STAND_STILL_SECS)).await;
                self.lock().taken_by_another();
                // The other tasks wake up first.
                sleep(Duration::from_secs(1)).await;
                None
            }
            _ => fault,
        }
    }

    /// A call to the queue, with what befalls it.
    async fn asked<T>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut State, bool) -> T,
    ) -> Result<T, QueueError> {
        sleep(Duration::from_millis(5)).await;
        let lost = || QueueError::refused("anything");
        match self.befall(call).await {
            None => Ok(effect(&mut self.lock(), false)),
            Some(Fault::Part) => Ok(effect(&mut self.lock(), true)),
            Some(Fault::After) => {
                effect(&mut self.lock(), false);
                Err(lost())
            }
            Some(Fault::Hang) => {
                // The client's own limit ends it.
                sleep(Duration::from_secs(8)).await;
                Err(lost())
            }
            Some(_) => Err(lost()),
        }
    }
}

impl State {
    fn fault(&mut self, call: Call) -> Option<Fault> {
        let number = self.calls.entry(call).or_default();
        let this = *number;
        *number += 1;
        self.faults.get(&call)?.get(&this).copied()
    }

    /// The producer sends one more, of a group of its own.
    fn more(&mut self, kind: Kind) {
        let number = self.messages.len();
        self.messages.push(Simulated {
            id: format!("{number:03}"),
            kind,
            group: u8::try_from(number % 100).unwrap_or_default() + PEERS_GROUP,
            visible_at: Instant::now(),
            handle: 0,
            receive_count: 0,
            deleted: false,
        });
    }

    fn taken_by_another(&mut self) {
        let now = Instant::now();
        let messages = self.messages.iter_mut();
        for message in messages.filter(|m| !m.deleted && m.visible_at <= now) {
            self.handles += 1;
            message.handle = self.handles;
            message.visible_at = now + Duration::from_secs(VISIBILITY_SECS);
        }
    }

    fn receive(&mut self, visibility: Duration, twice: bool) -> Received {
        let now = Instant::now();
        let mut received = Received::default();
        let mut closed: HashSet<u8> = HashSet::new();
        if self.fifo {
            let taken = self
                .messages
                .iter()
                .filter(|m| !m.deleted && m.visible_at > now);
            closed.extend(taken.map(|message| message.group));
        }
        for message in &mut self.messages {
            let takes = !message.deleted && message.visible_at <= now;
            if !takes || closed.contains(&message.group) || received.messages.len() >= 10 {
                continue;
            }
            message.visible_at = now + visibility;
            message.receive_count += 1;
            for _ in 0..if twice { 2 } else { 1 } {
                self.handles += 1;
                message.handle = self.handles;
                received.messages.push(ReceivedMessage {
                    message: Message {
                        queue_id: message.id.clone(),
                        origin_id: message.id.clone(),
                        body: format!("{:?}", message.kind),
                        sent_ms: 0,
                        attributes: Vec::new(),
                        fifo: self.fifo.then(|| Fifo {
                            group: message.group.to_string(),
                        }),
                    },
                    handle: self.handles.to_string(),
                    receive_count: message.receive_count,
                });
            }
        }
        received.messages.truncate(10);
        let hidden = |m: &&Simulated| !m.deleted && m.visible_at > now;
        let in_flight = self.messages.iter().filter(hidden).count();
        self.in_flight_max = self.in_flight_max.max(in_flight);
        received
    }

    /// Only the newest handle finds its message; an older one "succeeds".
    fn find(&mut self, handle: &str) -> Option<&mut Simulated> {
        let messages = self.messages.iter_mut();
        let mut found = messages.filter(|m| m.handle.to_string() == handle && !m.deleted);
        found.next()
    }

    fn delete(&mut self, handles: &[String], part: bool) -> Vec<EntryFailure> {
        for handle in &handles[usize::from(part)..] {
            let Some(message) = self.find(handle) else {
                continue;
            };
            message.deleted = true;
            let (id, kind) = (message.id.clone(), message.kind);
            let outcome = self.ledger.values().find(|(_, its)| *its == id);
            let outcome = outcome.map(|(outcome, _)| *outcome);
            match outcome {
                None => self
                    .violations
                    .push(format!("I3: {id} ({kind:?}) deleted uncommitted")),
                Some("rejected") if !self.dead_letters.contains(&id) => {
                    self.violations
                        .push(format!("I1: {id} rejected, deleted, nowhere"));
                }
                Some("stored") if !self.rows.contains(&id) => {
                    self.violations
                        .push(format!("I1: {id} in the ledger, not in the table"));
                }
                Some(_) => {}
            }
        }
        failed_first(part)
    }

    fn hide(&mut self, entries: &[(String, Duration)], part: bool) -> Vec<EntryFailure> {
        let now = Instant::now();
        for (handle, hidden) in &entries[usize::from(part)..] {
            if let Some(message) = self.find(handle) {
                message.visible_at = now + *hidden;
            }
        }
        failed_first(part)
    }

    /// A batch is of one policy, and its rows are written as that one's.
    fn looked_at(&mut self, entries: &[Owned], number: u8) -> Result<(), DatabaseError> {
        let strange = |entry: &&Owned| entry.of.is_some_and(|of| of != i64::from(number));
        if let Some(strange) = entries.iter().find(strange) {
            let violation = format!("{} written as another component's", strange.id);
            self.violations.push(violation);
        }
        match self.misfit {
            Some((misfit, code)) if misfit == number => Err(DatabaseError::simulated(Some(code))),
            _ => Ok(()),
        }
    }

    fn write(&mut self, entries: &[Owned]) -> Result<Vec<Committed>, DatabaseError> {
        let kind = |id: &str| self.messages.iter().find(|m| m.id == id).map(|m| m.kind);
        let stored = entries.iter().filter(|entry| entry.outcome == "stored");
        for entry in stored {
            match kind(&entry.id) {
                Some(Kind::Refused) => return Err(DatabaseError::simulated(Some("22001"))),
                Some(Kind::Poison) => return Err(DatabaseError::simulated(self.poison)),
                _ => {}
            }
        }
        let has = |outcome| entries.iter().any(|entry| entry.outcome == outcome);
        if let Some((until, code)) = self.everybody
            && (has("stored") || (self.without_rows && entries.is_empty()))
            && Instant::now() < until
        {
            return Err(DatabaseError::simulated(Some(code)));
        }
        if self
            .ledger_refuses
            .is_some_and(|until| Instant::now() < until)
            && has("rejected")
        {
            return Err(DatabaseError::simulated(Some("22P05")));
        }
        let mut by_place: Vec<(usize, String)> = Vec::new();
        let mut committed = Vec::new();
        for entry in entries {
            let settled = self.ledger.get(&entry.key);
            let duplicate = settled.is_some_and(|(outcome, _)| *outcome != "rejected");
            if !duplicate {
                self.ledger
                    .insert(entry.key, (entry.outcome, entry.id.clone()));
                if entry.outcome == "stored" {
                    by_place.push((entry.place, entry.id.clone()));
                }
            }
            committed.push(Committed::simulated(duplicate));
        }
        by_place.sort();
        for (_, id) in by_place {
            if self.rows.contains(&id) {
                self.violations.push(format!("I2: a second row of {id}"));
            }
            self.rows.push(id);
        }
        Ok(committed)
    }
}

fn failed_first(part: bool) -> Vec<EntryFailure> {
    let first = EntryFailure {
        position: 0,
        refused: false,
    };
    part.then_some(first).into_iter().collect()
}

impl SourceCalls for World {
    fn receive<'a>(&'a self, poll: Poll, _attempt: &'a str) -> Answer<'a, Received> {
        Box::pin(async move {
            let until = Instant::now() + poll.wait;
            loop {
                let received = self
                    .asked(Call::Receive, |state, part| {
                        state.receive(poll.visibility, part)
                    })
                    .await?;
                if !received.messages.is_empty() || Instant::now() >= until {
                    return Ok(received);
                }
                sleep(Duration::from_millis(200)).await;
            }
        })
    }

    fn delete<'a>(&'a self, handles: &'a [&'a str]) -> Answer<'a, Vec<EntryFailure>> {
        let handles: Vec<String> = handles.iter().map(ToString::to_string).collect();
        Box::pin(async move {
            self.asked(Call::Delete, |state, part| state.delete(&handles, part))
                .await
        })
    }

    fn change_visibility<'a>(
        &'a self,
        entries: &'a [(&'a str, Duration)],
    ) -> Answer<'a, Vec<EntryFailure>> {
        let entries: Vec<(String, Duration)> = entries
            .iter()
            .map(|(handle, hidden)| ((*handle).to_owned(), *hidden))
            .collect();
        Box::pin(async move {
            self.asked(Call::Hide, |state, part| state.hide(&entries, part))
                .await
        })
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        Box::pin(async move {
            self.asked(Call::Look, |state, _| {
                let now = Instant::now();
                let left = || state.messages.iter().filter(|m| !m.deleted);
                Backlog {
                    visible: left().filter(|m| m.visible_at <= now).count() as u64,
                    in_flight: left().filter(|m| m.visible_at > now).count() as u64,
                    delayed: 0,
                }
            })
            .await
        })
    }
}

impl DeadLetterCalls for World {
    fn send<'a>(&'a self, messages: &'a [OutgoingMessage<'a>]) -> Answer<'a, Vec<EntryFailure>> {
        Box::pin(async move {
            self.asked(Call::Send, |state, part| {
                for outgoing in &messages[usize::from(part)..] {
                    state.copies += 1;
                    state
                        .dead_letters
                        .insert(outgoing.message.origin_id.clone());
                }
                failed_first(part)
            })
            .await
        })
    }
}

/// An entry without its borrows.
struct Owned {
    key: Key,
    id: String,
    place: usize,
    outcome: &'static str,
    /// The number of the component whose rows these are, where there are any.
    of: Option<i64>,
}

impl Store for World {
    fn write<'a>(
        &'a mut self,
        policy: &'a Policy,
        entries: &'a [Entry<'a>],
    ) -> Reply<'a, Vec<Committed>> {
        assert!(entries.is_sorted_by(|one, next| one.key < next.key));
        let entries: Vec<Owned> = entries
            .iter()
            .map(|entry| Owned {
                key: entry.key,
                id: entry.message_id.to_owned(),
                place: entry.place,
                outcome: match entry.decision {
                    Decision::Store(_) => "stored",
                    Decision::Skip => "skipped",
                    Decision::Reject(_) => "rejected",
                },
                of: match entry.decision {
                    Decision::Store(rows) => rows.first().and_then(|row| match row[..] {
                        [Value::Integer(number)] => Some(number),
                        _ => None,
                    }),
                    _ => None,
                },
            })
            .collect();
        let [number, ..] = policy.digest();
        Box::pin(async move {
            sleep(Duration::from_millis(3)).await;
            self.lock().looked_at(&entries, number)?;
            match self.befall(Call::Write).await {
                None => self.lock().write(&entries),
                Some(Fault::Before) => Err(DatabaseError::simulated(None)),
                Some(Fault::After) => {
                    self.lock().write(&entries)?;
                    Err(DatabaseError::simulated(None))
                }
                Some(Fault::Part) => Err(DatabaseError::simulated(Some("40P01"))),
                Some(Fault::Environment) => Err(DatabaseError::simulated(Some("57P03"))),
                Some(Fault::Hang) => {
                    sleep(Duration::from_secs(30)).await;
                    Err(DatabaseError::simulated(None))
                }
                Some(Fault::StandStill | Fault::Panic) => unreachable!("befallen"),
            }
        })
    }

    fn vouched<'a>(&'a mut self, claims: &'a [(Key, &'a str)]) -> Reply<'a, Vec<bool>> {
        Box::pin(async move {
            let state = self.lock();
            let vouched = claims.iter().map(|(key, id)| {
                let entry = state.ledger.get(key);
                entry.is_some_and(|(outcome, its)| *outcome == "rejected" && its == id)
            });
            Ok(vouched.collect())
        })
    }

    fn secrets(&mut self) -> Reply<'_, Option<SecretRing>> {
        Box::pin(async { Ok(None) })
    }

    fn rejected(&mut self) -> Reply<'_, u64> {
        Box::pin(async move {
            let state = self.lock();
            let outcomes = state.ledger.values();
            Ok(outcomes
                .filter(|(outcome, _)| *outcome == "rejected")
                .count() as u64)
        })
    }

    fn prune(&mut self, _days: u32) -> Reply<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn close(self: Box<Self>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {})
    }
}

/// Judges by the body, which names the message's kind. It puts its own number
/// into each row.
struct ByBody(u8);

impl Judge for ByBody {
    fn judge(&self, messages: Vec<Message>) -> Judging<'_> {
        let verdicts = messages
            .iter()
            .map(|message| match message.body.as_str() {
                "Skipped" => Verdict::Skip,
                "Rejected" => Verdict::Reject(Reason::Malformed.into()),
                _ => Verdict::Rows(vec![vec![Value::Integer(self.0.into())]]),
            })
            .collect();
        Box::pin(async move {
            // Long enough for another component to take over meanwhile.
            sleep(Duration::from_millis(1)).await;
            Judged {
                messages,
                verdicts,
                took: Duration::ZERO,
            }
        })
    }
}

/// The component of this number at work.
fn numbered(number: u8) -> Decider {
    Decider::simulated(number, Arc::new(ByBody(number)))
}

fn parts(world: &World, schedule: &Schedule, present: Present) -> Parts {
    let timing = Timing::new(Duration::from_secs(VISIBILITY_SECS), Duration::from_secs(1));
    let dead_letters: Arc<dyn DeadLetterCalls> = Arc::new(world.clone());
    let dead_letter_queue = schedule
        .dead_letter_queue
        .then(|| DeadLetterQueue::new(dead_letters, "dead".into()));
    Parts {
        queue: Queue::simulated(Arc::new(world.clone()), timing, schedule.fifo),
        dead_letter_queue,
        present,
        shadow: None,
        stores: vec![Box::new(world.clone()), Box::new(world.clone())],
        ledger: Box::new(world.clone()),
        table: TableName {
            schema: "public".into(),
            name: "logins".into(),
        },
        secrets: Secrets::default(),
        event_id: None,
        shape: Shape {
            receives: 3,
            connections: 2,
            sandbox_threads: 1,
            batch_messages_max: 7,
            messages_in_work_max: IN_WORK_MAX,
            bytes_in_work_max: 64 << 20,
            ledger_days: 28,
        },
        brakes: BrakeLimits::default(),
        drain_max: Duration::from_secs(DRAIN_SECS_DEFAULT),
    }
}

/// One life of the host: to its own end, or to the end that befalls it.
async fn live(world: &World, schedule: &Schedule, end: Option<End>) -> Result<(), String> {
    let (switch, signal) = shutdown();
    let (successor, present) = decider(numbered(0));
    let run = run(
        parts(world, schedule, present),
        Until::Empty,
        (switch.clone(), signal),
        Telemetry::new(Duration::from_secs(VISIBILITY_SECS)),
    );
    let successions = async {
        let began = Instant::now();
        for (number, ms) in (1..).zip(&schedule.successions) {
            sleep_until(began + Duration::from_millis(*ms)).await;
            successor.takes_over(numbered(number));
        }
        std::future::pending().await
    };
    let producer = async {
        for _ in 0..if end.is_none() { PEERS } else { 0 } {
            sleep(Duration::from_secs(PEERS_SECS)).await;
            world.lock().more(Kind::Good);
        }
        std::future::pending().await
    };
    let host = async {
        tokio::select! {
            ended = run => ended,
            ended = successions => ended,
            ended = producer => ended,
        }
    };
    let recovered = Duration::from_secs(RECOVERY_SECS_MAX);
    match end {
        None => match timeout(recovered, host).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(failure)) => Err(failure.message()),
            Err(_) => Err("I5: not recovered in time".into()),
        },
        Some(End::Stop(ms)) => {
            let stop = async {
                sleep(Duration::from_millis(ms)).await;
                switch.stop();
                sleep(Duration::from_secs(DRAIN_SECS_MAX)).await;
                sleep(schedule.stands_still()).await;
            };
            tokio::select! {
                _ = host => Ok(()),
                () = stop => Err("I5: not drained in time".into()),
            }
        }
        Some(End::Kill(ms)) => {
            // Dropped with everything it has spawned: see `simulate`.
            let _ = timeout(Duration::from_millis(ms), host).await;
            Ok(())
        }
    }
}

/// A runtime whose clock jumps to whatever is awaited next.
fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Runs a schedule on a clock of its own; gives what is wrong afterwards.
fn simulate(schedule: &Schedule) -> Result<(), String> {
    let first = paused_runtime();
    let world = first.block_on(async { World::new(schedule) });
    drop(first);
    let ends = schedule.ends.iter().copied().map(Some).chain([None]);
    for end in ends {
        // A runtime a life: dropping it kills whatever is still running.
        let runtime = paused_runtime();
        runtime.block_on(async {
            world.lock().rebase();
            live(&world, schedule, end).await
        })?;
        drop(runtime);
        check(&world, schedule)?;
    }
    Ok(())
}

impl Schedule {
    /// For how long the host stands still in all.
    fn stands_still(&self) -> Duration {
        let times = self.faults.iter();
        let times = times.filter(|(_, _, fault)| *fault == Fault::StandStill);
        Duration::from_secs(STAND_STILL_SECS) * times.count() as u32
    }
}

impl State {
    /// Each runtime's clock begins anew: what is hidden stays hidden for its
    /// whole timeout, which is the worst case.
    fn rebase(&mut self) {
        let now = Instant::now();
        for message in &mut self.messages {
            if message.visible_at > now {
                message.visible_at = now + Duration::from_secs(VISIBILITY_SECS);
            } else {
                message.visible_at = now;
            }
        }
    }
}

fn check(world: &World, schedule: &Schedule) -> Result<(), String> {
    let state = world.lock();
    if let Some(violation) = state.violations.first() {
        return Err(violation.clone());
    }
    for message in state.messages.iter().filter(|message| message.deleted) {
        let settled = state.ledger.values().any(|(_, id)| *id == message.id);
        if !settled {
            return Err(format!("I1: {} is gone", message.id));
        }
    }
    // Hidden beside what is in work: what is kept hidden, what died with an
    // earlier life, and what an answer brought that was lost.
    let bad = |(kind, _): &&(Kind, u8)| !matches!(kind, Kind::Good | Kind::Skipped);
    let kept = schedule.messages.iter().filter(bad).count();
    let lost = schedule
        .faults
        .iter()
        .filter(|(call, ..)| *call == Call::Receive);
    let in_work = IN_WORK_MAX * (schedule.ends.len() + 1);
    // Or what somebody else holds, who took it while the host stood still.
    let elsewhere = match schedule.stands_still() {
        Duration::ZERO => 0,
        _ => schedule.messages.len(),
    };
    if state.in_flight_max > in_work + kept + elsewhere + 10 * lost.count() {
        return Err(format!("I6: {} messages in flight", state.in_flight_max));
    }
    if schedule.fifo {
        in_order(&state, schedule)?;
    }
    Ok(())
}

/// Rows of a group are in the order of sending, and none comes before a
/// message that is still in the queue.
fn in_order(state: &State, schedule: &Schedule) -> Result<(), String> {
    let mut last: HashMap<u8, &str> = HashMap::new();
    let find = |id: &str| state.messages.iter().find(|message| message.id == id);
    for id in &state.rows {
        let Some(message) = find(id) else { continue };
        if let Some(before) = last.insert(message.group, id)
            && before > id.as_str()
        {
            return Err(format!("order: {id} stored after {before}"));
        }
        let stuck = state.messages.iter().find(|other| {
            let refused = matches!(other.kind, Kind::Rejected | Kind::Refused);
            refused && other.group == message.group && other.id < *id
        });
        if let Some(stuck) = stuck.filter(|_| !schedule.dead_letter_queue) {
            return Err(format!("order: {id} stored past {}", stuck.id));
        }
    }
    Ok(())
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let kind = prop_oneof![
        8 => Just(Kind::Good),
        1 => Just(Kind::Skipped),
        1 => Just(Kind::Rejected),
        1 => Just(Kind::Refused),
    ];
    let fault = prop_oneof![
        Just(Fault::Before),
        Just(Fault::After),
        Just(Fault::Hang),
        Just(Fault::Part),
        Just(Fault::Environment),
        Just(Fault::StandStill),
    ];
    let call = prop_oneof![
        Just(Call::Receive),
        Just(Call::Delete),
        Just(Call::Hide),
        Just(Call::Send),
        Just(Call::Write),
        Just(Call::Look),
    ];
    let end = prop_oneof![
        (0_u64..3_000).prop_map(End::Stop),
        (0_u64..3_000).prop_map(End::Kill),
    ];
    (
        prop::collection::vec((kind, 0_u8..4), 0..60),
        any::<bool>(),
        any::<bool>(),
        prop::collection::vec((call, 0_u32..40, fault), 0..40),
        prop::collection::vec(end, 0..4),
        prop::collection::vec(0_u64..1_000, 0..6),
    )
        .prop_map(
            |(messages, fifo, dead_letter_queue, faults, ends, mut successions)| {
                successions.sort_unstable();
                Schedule {
                    messages,
                    fifo,
                    dead_letter_queue,
                    faults,
                    ends,
                    successions,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 100,
        ..ProptestConfig::with_cases(500)
    })]

    #[test]
    fn no_schedule_loses_doubles_or_deletes_too_early(schedule in schedules()) {
        prop_assert_eq!(simulate(&schedule), Ok(()));
    }
}

fn schedule(kinds: &[Kind]) -> Schedule {
    Schedule {
        messages: kinds.iter().map(|kind| (*kind, 0)).collect(),
        fifo: false,
        dead_letter_queue: true,
        faults: Vec::new(),
        ends: Vec::new(),
        successions: Vec::new(),
    }
}

/// A column that is not there, and a code that says nothing by itself.
#[test]
fn what_the_database_refuses_of_a_component_is_judged_by_the_next_one() {
    for (code, fifo, kind) in [
        ("42703", false, Kind::Good),
        ("42703", true, Kind::Good),
        ("42703", false, Kind::Rejected),
        ("P0001", false, Kind::Good),
    ] {
        let mut schedule = schedule(&[kind; 20]);
        schedule.fifo = fifo;
        schedule.successions = vec![50_000];
        let runtime = paused_runtime();
        runtime.block_on(async {
            let world = World::new(&schedule);
            world.lock().misfit = Some((0, code));
            let began = Instant::now();
            live(&world, &schedule, None).await.expect("goes on");
            check(&world, &schedule).expect("all is well");
            let after = began.elapsed().as_secs();
            assert!((50..60).contains(&after), "{after} s");
            let state = world.lock();
            assert_eq!(
                state.rows.len() + state.dead_letters.len(),
                20,
                "{code} {fifo} {kind:?}"
            );
        });
    }
}

/// Runs a schedule and shows the world afterwards.
fn ended(schedule: &Schedule) -> (Vec<String>, HashSet<String>, usize) {
    let runtime = paused_runtime();
    runtime.block_on(async {
        let world = World::new(schedule);
        live(&world, schedule, None).await.expect("ends by itself");
        check(&world, schedule).expect("all is well");
        let state = world.lock();
        let left = state.messages.iter().filter(|m| !m.deleted).count();
        (state.rows.clone(), state.dead_letters.clone(), left)
    })
}

/// Panics at the first batch, and judges by the body from then on.
#[derive(Default)]
struct PanicsOnce(std::sync::atomic::AtomicBool);

impl Judge for PanicsOnce {
    fn judge(&self, messages: Vec<Message>) -> Judging<'_> {
        let before = self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
        assert!(before, "as the test asked");
        ByBody(0).judge(messages)
    }
}

#[test]
fn a_worker_that_panics_ends_the_host_which_says_so_and_loses_nothing() {
    let schedule = schedule(&[Kind::Good; 20]);
    let runtime = paused_runtime();
    runtime.block_on(async {
        let world = World::new(&schedule);
        let first = Decider::simulated(0, Arc::new(PanicsOnce::default()));
        let (_successor, present) = decider(first);
        let parts = parts(&world, &schedule, present);
        let telemetry = Telemetry::new(Duration::from_secs(VISIBILITY_SECS));
        let host = run(parts, Until::Stopped, shutdown(), telemetry);
        let ended = timeout(Duration::from_secs(RECOVERY_SECS_MAX), host).await;
        let failure = ended.expect("ends by itself").expect_err("it broke");
        assert_eq!(failure.kind(), crate::exit::Kind::Internal);
        live(&world, &schedule, None).await.expect("goes on");
        check(&world, &schedule).expect("all is well");
        assert_eq!(world.lock().rows.len(), 20);
    });
}

/// The first so many of these calls, each with this fault.
fn all(call: Call, fault: Fault) -> Vec<(Call, u32, Fault)> {
    (0..1_000).map(|number| (call, number, fault)).collect()
}

/// A part panics in its first call; the others go on, but for the writes, so
/// that leases have to be extended.
#[test]
fn whatever_part_panics_the_host_drains_and_says_so() {
    for part in [Call::Receive, Call::Hide, Call::Delete, Call::Look] {
        let mut schedule = schedule(&[Kind::Good; 20]);
        schedule.faults.push((part, 0, Fault::Panic));
        if part == Call::Hide {
            schedule.faults.extend(all(Call::Write, Fault::Environment));
        }
        let runtime = paused_runtime();
        runtime.block_on(async {
            let world = World::new(&schedule);
            let telemetry = Telemetry::new(Duration::from_secs(VISIBILITY_SECS));
            let (_successor, present) = decider(numbered(0));
            let host = run(
                parts(&world, &schedule, present),
                Until::Empty,
                shutdown(),
                telemetry,
            );
            let ended = timeout(Duration::from_secs(2 * VISIBILITY_SECS), host).await;
            let failure = ended.unwrap_or_else(|_| panic!("{part:?} went unnoticed"));
            let kind = failure.expect_err("it broke").kind();
            assert_eq!(kind, crate::exit::Kind::Internal, "{part:?}");
            world.lock().faults.clear();
            live(&world, &schedule, None).await.expect("goes on");
            check(&world, &schedule).expect("all is well");
            assert_eq!(world.lock().rows.len(), 20, "{part:?}");
        });
    }
}

/// Stops a host and shows, of each message that is left, how often it was
/// received, and whether it is visible at once. Then the next one does the rest.
fn stopped(schedule: &Schedule, after_ms: u64) -> Vec<(u32, bool)> {
    let runtime = paused_runtime();
    runtime.block_on(async {
        let world = World::new(schedule);
        let ended = live(&world, schedule, Some(End::Stop(after_ms))).await;
        ended.expect("drains in time");
        let now = Instant::now();
        let left = {
            let mut state = world.lock();
            state.faults.clear();
            let left = state.messages.iter().filter(|m| !m.deleted);
            left.map(|m| (m.receive_count, m.visible_at <= now))
                .collect()
        };
        live(&world, schedule, None).await.expect("goes on");
        check(&world, schedule).expect("all is well");
        assert_eq!(world.lock().rows.len(), schedule.messages.len());
        left
    })
}

/// What is handed back is not taken again by the polls that are still open.
#[test]
fn a_drain_without_a_database_hands_back_what_was_received_once() {
    for fifo in [false, true] {
        let mut schedule = schedule(&[Kind::Good; 20]);
        schedule.fifo = fifo;
        schedule.faults = all(Call::Write, Fault::Environment);
        let left = stopped(&schedule, 20);
        // Of a group ten are given out at a time.
        let expected = if fifo { 10 } else { 20 };
        let received = left.iter().filter(|(received, _)| *received == 1);
        assert_eq!(received.count(), expected, "{left:?}");
        assert!(
            left.iter()
                .all(|(received, visible)| *received <= 1 && *visible)
        );
    }
}

#[test]
fn a_drain_before_a_black_hole_hands_everything_back_in_time() {
    let mut schedule = schedule(&[Kind::Good; 30]);
    schedule.faults = all(Call::Write, Fault::Hang);
    assert_eq!(stopped(&schedule, 2_000), [(1, true); 30]);
}

#[test]
fn a_drain_whose_deletes_fail_hands_everything_back_in_time() {
    for fault in [Fault::Before, Fault::Hang] {
        let mut schedule = schedule(&[Kind::Good; 30]);
        schedule.faults = all(Call::Delete, fault);
        assert_eq!(stopped(&schedule, 2_000), [(1, true); 30], "{fault:?}");
    }
}

#[test]
fn a_drain_ends_although_a_record_cannot_be_told_from_a_broken_database() {
    let schedule = schedule(&[Kind::Poison]);
    let runtime = paused_runtime();
    runtime.block_on(async {
        let world = World::new(&schedule);
        let began = Instant::now();
        let ended = live(&world, &schedule, Some(End::Stop(2_000))).await;
        ended.expect("drains in time");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "nothing to wait for"
        );
        assert!(world.lock().messages[0].visible_at <= Instant::now());
    });
}

/// Its messages are with somebody else by then, and come back later.
#[test]
fn a_host_that_stood_still_dead_letters_nothing_that_is_not_its_own_any_more() {
    let mut schedule = schedule(&[Kind::Rejected; 20]);
    schedule.faults = vec![(Call::Write, 0, Fault::StandStill)];
    let runtime = paused_runtime();
    runtime.block_on(async {
        let world = World::new(&schedule);
        live(&world, &schedule, None).await.expect("ends by itself");
        check(&world, &schedule).expect("all is well");
        let state = world.lock();
        assert_eq!((state.dead_letters.len(), state.copies), (20, 20));
        assert!(state.messages.iter().all(|message| message.deleted));
    });
}

#[test]
fn what_is_copied_before_a_stop_is_settled_and_not_copied_again() {
    let mut schedule = schedule(&[Kind::Rejected; 7]);
    schedule.faults = all(Call::Send, Fault::Before);
    schedule.faults[0].2 = Fault::Part;
    let runtime = paused_runtime();
    runtime.block_on(async {
        let world = World::new(&schedule);
        let ended = live(&world, &schedule, Some(End::Stop(2_000))).await;
        ended.expect("drains in time");
        assert_eq!(world.lock().copies, 6);
        world.lock().faults.clear();
        live(&world, &schedule, None).await.expect("goes on");
        check(&world, &schedule).expect("all is well");
        let state = world.lock();
        assert_eq!((state.dead_letters.len(), state.copies), (7, 7));
    });
}

#[test]
fn rejected_messages_that_have_nowhere_to_go_are_hidden_ten_a_call() {
    let mut schedule = schedule(&[Kind::Rejected; 30]);
    schedule.dead_letter_queue = false;
    let runtime = paused_runtime();
    runtime.block_on(async {
        let world = World::new(&schedule);
        live(&world, &schedule, None).await.expect("ends by itself");
        check(&world, &schedule).expect("all is well");
        let calls = world.lock().calls[&Call::Hide];
        // Batches are of seven here.
        assert!((5..=8).contains(&calls), "{calls} calls for 30 messages");
        let state = world.lock();
        assert!(state.messages.iter().all(|m| m.visible_at > Instant::now()));
    });
}

#[test]
fn a_bad_record_leaves_its_batch_alone() {
    let mut kinds = [Kind::Good; 20];
    kinds[7] = Kind::Refused;
    kinds[11] = Kind::Rejected;
    let (rows, dead_letters, left) = ended(&schedule(&kinds));
    assert_eq!((rows.len(), left), (18, 0));
    assert_eq!(dead_letters, HashSet::from(["007".into(), "011".into()]));
}

#[test]
fn a_poisonous_record_is_told_from_a_broken_database_by_its_company() {
    let mut kinds = [Kind::Good; 5];
    kinds[2] = Kind::Poison;
    let (rows, dead_letters, left) = ended(&schedule(&kinds));
    assert_eq!((rows.len(), left), (4, 0));
    assert_eq!(dead_letters, HashSet::from(["002".into()]));
}

/// Runs a schedule in a world of its own; gives it with the time it took.
fn in_world(schedule: &Schedule, change: impl FnOnce(&mut State)) -> (World, Duration) {
    let runtime = paused_runtime();
    runtime.block_on(async {
        let world = World::new(schedule);
        change(&mut world.lock());
        let began = Instant::now();
        live(&world, schedule, None).await.expect("goes on");
        check(&world, schedule).expect("all is well");
        (world, began.elapsed())
    })
}

/// What PostgreSQL may answer to one record and to all of them alike.
const CODES: [&str; 19] = [
    "21000", "22003", "2200H", "23502", "23505", "23514", "25006", "40001", "42501", "42P01",
    "428C9", "53100", "54000", "55000", "55P03", "57014", "58030", "P0001", "XX000",
];

/// How long it takes at most until one record is found out, in seconds: what
/// may pass is waited for twice.
const FOUND_OUT_SECS_MAX: u64 = 120;

#[test]
fn a_record_that_alone_is_refused_is_found_out_whatever_the_code() {
    for code in CODES.map(Some).into_iter().chain([None]) {
        for fifo in [false, true] {
            for place in [0, 7, 19] {
                let mut schedule = schedule(&[Kind::Good; 20]);
                schedule.fifo = fifo;
                for (number, message) in schedule.messages.iter_mut().enumerate() {
                    message.1 = (number % 5) as u8;
                }
                schedule.messages[place].0 = Kind::Poison;
                let (world, took) = in_world(&schedule, |state| state.poison = code);
                let state = world.lock();
                let dead = HashSet::from([format!("{place:03}")]);
                assert_eq!(state.dead_letters, dead, "{code:?} {fifo}");
                let took = took.as_secs();
                assert!(took <= FOUND_OUT_SECS_MAX, "{code:?} {fifo}: {took} s");
            }
        }
    }
}

#[test]
fn what_every_record_meets_dead_letters_none_whatever_the_code() {
    const MENDED_SECS: u64 = 1_800;
    for code in CODES {
        for fifo in [false, true] {
            let mut schedule = schedule(&[Kind::Good; 30]);
            schedule.fifo = fifo;
            for (number, message) in schedule.messages.iter_mut().enumerate() {
                message.1 = (number % 30) as u8;
            }
            let (world, took) = in_world(&schedule, |state| {
                let mended = Instant::now() + Duration::from_secs(MENDED_SECS);
                state.everybody = Some((mended, code));
            });
            let state = world.lock();
            assert_eq!(state.copies, 0, "{code} {fifo}");
            assert!(state.rows.len() >= 30, "{code} {fifo}");
            let receives = state.messages.iter().map(|m| m.receive_count).max();
            assert_eq!(receives, Some(1), "{code} {fifo}: receives are burnt");
            let late = took.as_secs() - MENDED_SECS;
            assert!(late <= 60, "{code} {fifo}: {late} s late");
        }
    }
}

/// After something was stored, an idle queue brings one message at a time.
#[test]
fn one_by_one_no_more_than_a_handful_is_charged_for_what_all_meet() {
    for code in CODES {
        let schedule = schedule(&[Kind::Good; 3]);
        let (world, _) = in_world(&schedule, |state| {
            for _ in 0..3 {
                state.more(Kind::Skipped);
            }
            // The first ones are stored before; the peers come later.
            let now = Instant::now();
            let mended = now + Duration::from_secs(PEERS_SECS * (PEERS as u64 + 1));
            state.everybody = Some((mended, code));
        });
        let copies = world.lock().copies;
        assert!(copies <= super::attribution::HANDFUL, "{code}: {copies}");
    }
}

/// A table, column or permission that is gone, after something was stored.
#[test]
fn one_by_one_nothing_is_charged_for_what_the_statement_itself_meets() {
    for code in ["42P01", "42703", "42501", "55P03", "22003"] {
        let schedule = schedule(&[Kind::Good; 3]);
        let runtime = paused_runtime();
        runtime.block_on(async {
            let world = World::new(&schedule);
            let breaks = async {
                // Something has been stored by then; one more comes after it.
                sleep(Duration::from_secs(PEERS_SECS * 2 - 1)).await;
                let mended = Instant::now() + Duration::from_secs(PEERS_SECS * 5);
                let mut state = world.lock();
                assert!(state.rows.len() >= 3);
                (state.everybody, state.without_rows) = (Some((mended, code)), true);
            };
            {
                // Another host has one, so this one does not end.
                let mut state = world.lock();
                state.more(Kind::Good);
                let long = Duration::from_secs(PEERS_SECS * 10);
                if let Some(last) = state.messages.last_mut() {
                    last.visible_at = Instant::now() + long;
                }
            }
            let keeps_going = async {
                for _ in 0..PEERS_SECS {
                    sleep(Duration::from_secs(3)).await;
                    let mut state = world.lock();
                    if state.messages.len() < 100 {
                        state.more(Kind::Good);
                    }
                }
            };
            let host = live(&world, &schedule, None);
            let (ended, (), ()) = tokio::join!(host, breaks, keeps_going);
            ended.expect("goes on");
            check(&world, &schedule).expect("all is well");
            assert_eq!(world.lock().copies, 0, "{code}");
        });
    }
}

#[test]
fn a_lone_record_is_told_and_waits_for_a_peer() {
    let schedule = schedule(&[Kind::Poison]);
    let (world, took) = in_world(&schedule, |state| state.poison = Some("42501"));
    assert_eq!(world.lock().copies, 1);
    let took = took.as_secs();
    assert!((PEERS_SECS..PEERS_SECS + 30).contains(&took), "{took} s");
}

/// More of them than a search finds at once.
#[test]
fn one_peer_tells_against_all_that_were_refused_before_it() {
    for bad in [6, 12, 18] {
        let schedule = schedule(&vec![Kind::Poison; bad]);
        let (world, took) = in_world(&schedule, |state| state.poison = Some("23505"));
        assert_eq!(world.lock().copies, bad);
        let took = took.as_secs();
        assert!((PEERS_SECS..PEERS_SECS + 60).contains(&took), "{took} s");
    }
}

#[test]
fn ten_poisonous_records_in_front_are_not_everybodys_fault() {
    let mut kinds = [Kind::Good; 60];
    kinds[..7].fill(Kind::Poison);
    let (world, took) = in_world(&schedule(&kinds), |state| state.poison = Some("XX000"));
    let state = world.lock();
    assert_eq!((state.copies, state.rows.len()), (7, 53));
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_ledger_that_refuses_rejections_is_waited_for_and_nothing_is_copied() {
    const MENDED_SECS: u64 = 600;
    let mut kinds = [Kind::Good; 20];
    kinds[3] = Kind::Rejected;
    kinds[11] = Kind::Refused;
    for fifo in [false, true] {
        let mut schedule = schedule(&kinds);
        schedule.fifo = fifo;
        let runtime = paused_runtime();
        runtime.block_on(async {
            let world = World::new(&schedule);
            let mended = Instant::now() + Duration::from_secs(MENDED_SECS);
            world.lock().ledger_refuses = Some(mended);
            let early = async {
                sleep(Duration::from_secs(MENDED_SECS - 1)).await;
                assert_eq!(world.lock().copies, 0, "copied before it is entered");
                std::future::pending().await
            };
            tokio::select! {
                ended = live(&world, &schedule, None) => ended.expect("goes on"),
                () = early => {}
            }
            check(&world, &schedule).expect("all is well");
            let state = world.lock();
            assert_eq!((state.copies, state.dead_letters.len()), (2, 2));
            let receives = state.messages.iter().map(|m| m.receive_count).max();
            assert_eq!(receives, Some(1), "receives are burnt");
        });
    }
}

#[test]
fn a_tenth_of_bad_records_flows_and_most_of_them_do_not() {
    let tenth: Vec<Kind> = (0..300)
        .map(|n| {
            if n % 10 == 5 {
                Kind::Poison
            } else {
                Kind::Good
            }
        })
        .collect();
    let (world, took) = in_world(&schedule(&tenth), |_| {});
    assert_eq!(world.lock().copies, 30);
    assert!(took < Duration::from_secs(60), "{took:?}");
    let most: Vec<Kind> = (0..100)
        .map(|n| if n % 5 == 0 { Kind::Good } else { Kind::Poison })
        .collect();
    let (world, took) = in_world(&schedule(&most), |_| {});
    // Worked off slowly.
    assert_eq!(world.lock().copies, 80);
    assert!(took >= Duration::from_secs(60), "{took:?}");
}

#[test]
fn a_policy_that_rejects_nearly_everything_is_held_and_a_hiccup_is_not() {
    for (kinds, held) in [(150, false), (300, true)] {
        let (world, took) = in_world(&schedule(&vec![Kind::Rejected; kinds]), |_| {});
        assert_eq!(world.lock().copies, kinds);
        assert_eq!(took >= Duration::from_secs(60), held, "{took:?}");
    }
}

#[test]
fn an_environment_at_fault_dead_letters_nothing() {
    let mut schedule = schedule(&[Kind::Good; 30]);
    schedule.faults = (0..25)
        .map(|number| (Call::Write, number, Fault::Environment))
        .collect();
    let (rows, dead_letters, left) = ended(&schedule);
    assert_eq!((rows.len(), dead_letters.len(), left), (30, 0, 0));
}

#[test]
fn a_failing_message_stops_its_own_group_only() {
    let mut schedule = schedule(&[Kind::Good; 9]);
    schedule.fifo = true;
    schedule.dead_letter_queue = false;
    for (number, message) in schedule.messages.iter_mut().enumerate() {
        message.1 = (number % 3) as u8;
    }
    // The second message of the second group.
    schedule.messages[4].0 = Kind::Refused;
    let runtime = paused_runtime();
    let rows = runtime.block_on(async {
        let world = World::new(&schedule);
        // The later one of the group keeps the queue from being empty.
        let ended = live(&world, &schedule, Some(End::Stop(20_000))).await;
        ended.expect("drains");
        check(&world, &schedule).expect("all is well");
        world.lock().rows.clone()
    });
    assert_eq!(rows.len(), 7, "{rows:?}");
    assert!(!rows.contains(&"007".to_owned()), "past the failing one");
}
