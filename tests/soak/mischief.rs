//! What goes wrong beside the hosts themselves: faults of the queue, of the
//! network and of the server, drawn at random. Each is counted when it is asked
//! for and when it takes place; one that never took place is named at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

use crate::fake_network::fired::Fired;
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::operation::{DELETES, EXTENSIONS, Operation, SENDS};
use crate::fake_queue::refusal::Refusal;
use crate::stage::{SOURCE, Stage};
use crate::support::postgres::{Restart, Server};
use crate::table_fault::{Standing, TableFault};

/// The shortest and the longest time for which something is away.
const AWAY_SECS: std::ops::Range<f64> = 0.5..6.0;
/// Calls or messages that one fault meets at most.
const TIMES_MAX: usize = 5;

#[derive(Clone, Copy)]
enum Kind {
    /// About whole calls, of a kind of operation that is drawn too.
    Call(fn(&mut StdRng) -> Action),
    /// About receives, or messages in them.
    Receive(fn(&mut StdRng) -> Action),
    /// About single entries of a batch.
    Entry(Refused),
    /// A message comes back after it has been deleted.
    Undead,
    /// Receives go on for hosts that are killed meanwhile.
    Outlived,
    /// Every call is refused for a while.
    Outage(Refused),
    Unreachable,
    ConnectionsReset,
    Restart(Restart),
    CutBefore,
    CutAfter,
    AnswerSwallowed,
    NetworkReset,
    NetworkPaused,
    NetworkRefusing,
    NetworkSlow,
    /// Every record meets it, while it lasts.
    Table(TableFault),
}

type Refused = fn() -> Refusal;

const KINDS: [(&str, Kind); 43] = [
    (
        "call refused: 500",
        Kind::Call(|_| Action::Refuse(Refusal::internal_error())),
    ),
    (
        "call refused: 503",
        Kind::Call(|_| Action::Refuse(Refusal::unavailable())),
    ),
    (
        "call refused: throttled",
        Kind::Call(|_| Action::Refuse(Refusal::throttled())),
    ),
    (
        "call refused: expired token",
        Kind::Call(|_| Action::Refuse(Refusal::expired_token())),
    ),
    (
        "call done and refused: 500",
        Kind::Call(|_| Action::RefuseAfterwards(Refusal::internal_error())),
    ),
    ("call hangs", Kind::Call(|_| Action::Hang)),
    ("call delayed", Kind::Call(|rng| Action::Delay(millis(rng)))),
    ("call's connection reset", Kind::Call(|_| Action::Reset)),
    ("call's answer lost", Kind::Call(|_| Action::LoseAnswer)),
    (
        "call's answer withheld",
        Kind::Call(|_| Action::WithholdAnswer),
    ),
    (
        "call's answer delayed",
        Kind::Call(|rng| Action::DelayAnswer(millis(rng))),
    ),
    (
        "call's answer truncated",
        Kind::Call(|_| Action::TruncateAnswer),
    ),
    (
        "receive's answer lost",
        Kind::Receive(|_| Action::LoseAnswer),
    ),
    (
        "receive's answer drips",
        Kind::Receive(|_| Action::DripAnswer {
            bytes: 512,
            pause: Duration::from_millis(100),
        }),
    ),
    (
        "receive finds nothing",
        Kind::Receive(|_| Action::FindNothing),
    ),
    ("receive outlives its client", Kind::Outlived),
    (
        "message with a wrong MD5",
        Kind::Receive(|_| Action::WrongMd5),
    ),
    (
        "message without its id",
        Kind::Receive(|_| Action::Omit("MessageId")),
    ),
    (
        "message without its body",
        Kind::Receive(|_| Action::Omit("Body")),
    ),
    (
        "message twice in a receive",
        Kind::Receive(|_| Action::ComeTwice),
    ),
    ("message not hidden", Kind::Receive(|_| Action::StayVisible)),
    ("message back after its deletion", Kind::Undead),
    ("entry in Failed[]", Kind::Entry(Refusal::internal_error)),
    (
        "every call refused for a while",
        Kind::Outage(Refusal::unavailable),
    ),
    ("queue unreachable for a while", Kind::Unreachable),
    ("queue's connections reset", Kind::ConnectionsReset),
    ("PostgreSQL restarted, fast", Kind::Restart(Restart::Fast)),
    (
        "PostgreSQL restarted, immediate",
        Kind::Restart(Restart::Immediate),
    ),
    ("cut before the commit", Kind::CutBefore),
    ("cut after the commit", Kind::CutAfter),
    ("commit's answer swallowed", Kind::AnswerSwallowed),
    ("database's connections reset", Kind::NetworkReset),
    ("database behind a black hole", Kind::NetworkPaused),
    ("database's connections refused", Kind::NetworkRefusing),
    ("database far away", Kind::NetworkSlow),
    (
        "constraint that no row meets",
        Kind::Table(TableFault::Constraint),
    ),
    (
        "trigger refuses all, P0001",
        Kind::Table(TableFault::Trigger("P0001")),
    ),
    (
        "trigger refuses all, 22003",
        Kind::Table(TableFault::Trigger("22003")),
    ),
    (
        "trigger refuses all, 40001",
        Kind::Table(TableFault::Trigger("40001")),
    ),
    (
        "trigger refuses all, 53100",
        Kind::Table(TableFault::Trigger("53100")),
    ),
    ("table locked", Kind::Table(TableFault::Lock)),
    (
        "ledger refuses rejections",
        Kind::Table(TableFault::LedgerRejections),
    ),
    ("ledger refuses everything", Kind::Table(TableFault::Ledger)),
];

/// What ends a fault that lasts.
enum End {
    Stop(Arc<Fired>),
    ComeUp,
    Resume,
    Admit,
    Near,
    Table(Standing),
}

#[derive(Default)]
struct Count {
    asked: usize,
    /// What took place at once.
    done: usize,
    fired: Vec<Arc<Fired>>,
}

pub struct Mischief<'s> {
    stage: &'s Stage,
    rng: StdRng,
    counts: BTreeMap<&'static str, Count>,
    ends: Vec<(Instant, End)>,
}

fn millis(rng: &mut StdRng) -> Duration {
    Duration::from_millis(rng.random_range(50..2_000))
}

impl<'s> Mischief<'s> {
    pub fn new(stage: &'s Stage, rng: StdRng) -> Mischief<'s> {
        let names = KINDS.iter().map(|(name, _)| *name);
        Mischief {
            stage,
            rng,
            counts: names.map(|name| (name, Count::default())).collect(),
            ends: Vec::new(),
        }
    }

    /// Has one thing go wrong.
    pub fn strike(&mut self) {
        let (name, kind) = KINDS[self.rng.random_range(0..KINDS.len())];
        let (done, fired) = self.carry_out(kind);
        let count = self.counts.entry(name).or_default();
        count.asked += 1;
        count.done += done;
        count.fired.extend(fired);
    }

    /// Gives what took place at once, or what will count it.
    fn carry_out(&mut self, kind: Kind) -> (usize, Option<Arc<Fired>>) {
        let (queue, network) = (&self.stage.queue, &self.stage.network);
        let nth = self.rng.random_range(1..=3);
        match kind {
            Kind::Call(action) => {
                let operations: &[Operation] = match self.rng.random_range(0..4) {
                    0 => &[Operation::ReceiveMessage],
                    1 => &DELETES,
                    2 => &EXTENSIONS,
                    _ => &SENDS,
                };
                let fault = Fault::on(operations.iter().copied(), action(&mut self.rng));
                (0, Some(self.arm(fault)))
            }
            Kind::Receive(action) => {
                let action = action(&mut self.rng);
                let fault = Fault::on([Operation::ReceiveMessage], action);
                (0, Some(self.arm(fault.in_queue(SOURCE))))
            }
            Kind::Entry(refusal) => {
                let batches = [
                    Operation::DeleteMessageBatch,
                    Operation::ChangeMessageVisibilityBatch,
                    Operation::SendMessageBatch,
                ];
                let action = Action::FailEntry(refusal());
                (0, Some(self.arm(Fault::on(batches, action))))
            }
            Kind::Undead => {
                let action = Action::ComeBack(millis(&mut self.rng));
                (0, Some(self.arm(Fault::on(DELETES, action))))
            }
            Kind::Outlived => {
                let fault = Fault::on([Operation::ReceiveMessage], Action::OutliveClient);
                let fired = queue.fault(fault.in_queue(SOURCE).until_stopped());
                self.end_later(End::Stop(Arc::clone(&fired)));
                (0, Some(fired))
            }
            Kind::Outage(refusal) => {
                let fault = Fault::everywhere(Action::Refuse(refusal()));
                let fired = queue.fault(fault.until_stopped());
                self.end_later(End::Stop(Arc::clone(&fired)));
                (0, Some(fired))
            }
            Kind::Unreachable => {
                if self.ends.iter().any(|(_, end)| matches!(end, End::ComeUp)) {
                    return (0, None);
                }
                let reset = queue.go_down();
                self.end_later(End::ComeUp);
                (usize::from(reset > 0), None)
            }
            Kind::ConnectionsReset => (usize::from(queue.reset_connections() > 0), None),
            Kind::Restart(restart) => {
                Server::get().restart(restart);
                (1, None)
            }
            Kind::CutBefore => (0, Some(network.cut_before_write(nth))),
            Kind::CutAfter => (0, Some(network.cut_after_write(nth))),
            Kind::AnswerSwallowed => (0, Some(network.swallow_answer(nth))),
            Kind::NetworkReset => (usize::from(network.reset_all() > 0), None),
            Kind::NetworkPaused => {
                let fired = network.pause();
                self.end_later(End::Resume);
                (0, Some(fired))
            }
            Kind::NetworkRefusing => {
                let fired = network.refuse();
                network.reset_all();
                self.end_later(End::Admit);
                (0, Some(fired))
            }
            Kind::NetworkSlow => {
                let fired = network.delay(millis(&mut self.rng) / 4);
                self.end_later(End::Near);
                (0, Some(fired))
            }
            // One at a time: each changes the same table.
            Kind::Table(_)
                if self
                    .ends
                    .iter()
                    .any(|(_, end)| matches!(end, End::Table(_))) =>
            {
                (0, None)
            }
            Kind::Table(fault) => match fault.begin(self.stage) {
                Some(standing) => {
                    self.end_later(End::Table(standing));
                    (1, None)
                }
                None => (0, None),
            },
        }
    }

    fn arm(&mut self, fault: Fault) -> Arc<Fired> {
        let fault = fault
            .after(self.rng.random_range(0..3))
            .times(self.rng.random_range(1..=TIMES_MAX));
        self.stage.queue.fault(fault)
    }

    fn end_later(&mut self, end: End) {
        let away = Duration::from_secs_f64(self.rng.random_range(AWAY_SECS));
        self.ends.push((Instant::now() + away, end));
    }

    /// Ends what has lasted long enough.
    pub fn look_after(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.ends)
            .into_iter()
            .partition(|(until, _)| now >= *until);
        self.ends = later;
        self.finish(due);
    }

    fn finish(&self, ends: Vec<(Instant, End)>) {
        let (queue, network) = (&self.stage.queue, &self.stage.network);
        for (_, end) in ends {
            match end {
                End::Stop(fired) => fired.stop(),
                End::ComeUp => queue.come_up(),
                End::Resume => network.resume(),
                End::Admit => network.admit(),
                End::Near => drop(network.delay(Duration::ZERO)),
                End::Table(standing) => standing.end(self.stage),
            }
        }
    }

    /// From now on nothing goes wrong.
    pub fn end(&mut self) {
        let ends = std::mem::take(&mut self.ends);
        self.finish(ends);
        for count in self.counts.values() {
            count.fired.iter().for_each(|fired| fired.stop());
        }
    }

    /// How many faults have taken place.
    pub fn fired(&self) -> usize {
        self.counts.values().map(Count::fired).sum()
    }

    /// How many times every record met a fault of the table.
    pub fn table_faults(&self) -> usize {
        let tables = KINDS
            .iter()
            .filter(|(_, kind)| matches!(kind, Kind::Table(_)));
        tables.map(|(name, _)| self.counts[name].fired()).sum()
    }

    pub fn report(&self) {
        println!("faults, by how often they were asked for and took place:");
        for (name, count) in &self.counts {
            let remark = match (count.asked, count.fired()) {
                (0, _) => "  NEVER ASKED FOR",
                (_, 0) => "  NEVER TOOK PLACE",
                _ => "",
            };
            println!(
                "  {name:<34} {:>4} {:>5}{remark}",
                count.asked,
                count.fired()
            );
        }
    }
}

impl Count {
    fn fired(&self) -> usize {
        let fired = self.fired.iter().map(|fired| fired.count());
        self.done + fired.sum::<usize>()
    }
}
