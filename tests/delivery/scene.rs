//! What every case needs: a strict queue with a dead-letter queue, a database
//! behind a network that can be broken, logins of which some are spoilt, and
//! the check that nothing was lost, doubled, deleted too early or leaked.
//!
//! The queue's clock can be put forward, so a dead host's leases end at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::fake_network::Network;
use crate::fake_network::fired::Fired;
use crate::fake_queue::FakeQueue;
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::operation::Operation;
use crate::fake_queue::oracle::Ledger;
use crate::fake_queue::store::message::Outgoing;
use crate::fake_queue::store::queue::Counts;
use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::{Host, Run, Running};
use crate::support::login::{Login, Row};
use crate::support::patience::Stopwatch;
use crate::support::postgres::Server;

pub const SOURCE: &str = "logins";
pub const DEAD: &str = "logins-dead";

pub const RECEIVE: [Operation; 1] = [Operation::ReceiveMessage];

/// Receives that a host of these tests has open at a time.
pub const RECEIVES: usize = 2;
/// Roomy: a machine that is busy with other tests must not lose a lease by
/// that alone. Cases about leases say how short theirs is.
const LEASE_SECS: u32 = 10;
/// How often the queue gives a message out before it gives up by itself.
const DELIVERIES_MAX: u32 = 20;
/// Looking for each value in all of the output takes its time.
const LOGINS_LOOKED_FOR_MAX: usize = 200;
const MS_PER_DAY: u64 = 86_400_000;

pub struct Scene {
    pub fake: FakeQueue,
    pub network: Network,
    pub database: Database,
    pub ids: Vec<String>,
    name: &'static str,
    lease_secs: u32,
    has_dead_letters: bool,
    logins: Vec<Login>,
    /// On which day the queue took each.
    days: Vec<i32>,
    /// Which of them no component can read.
    spoilt: BTreeSet<usize>,
    runs: Vec<Run>,
    /// A second one may delete what the first one holds.
    one_host: bool,
    /// How fast time has been since the start.
    pace: Stopwatch,
}

impl Scene {
    /// The name goes into every value, so that a leak names its test.
    pub fn new(name: &'static str) -> Scene {
        Scene::with_lease(name, LEASE_SECS)
    }

    pub fn with_lease(name: &'static str, lease_secs: u32) -> Scene {
        Scene::shaped(name, lease_secs, Some(DELIVERIES_MAX), usize::MAX)
    }

    pub fn without_dead_letters(name: &'static str) -> Scene {
        Scene::shaped(name, LEASE_SECS, None, usize::MAX)
    }

    /// With these bounds on deliveries of a message and messages in flight.
    pub fn shaped(
        name: &'static str,
        lease_secs: u32,
        deliveries_max: Option<u32>,
        in_flight_max: usize,
    ) -> Scene {
        let fake = FakeQueue::start();
        let database = Database::with_table();
        let mut source = fake.queue(SOURCE).visibility_secs(lease_secs);
        if let Some(deliveries_max) = deliveries_max {
            fake.queue(DEAD).create();
            source = source.dead_letters(DEAD, deliveries_max);
        }
        source.in_flight_max(in_flight_max.min(120_000)).create();
        // Asked past the network that the tests break.
        fake.judge(SOURCE, Ledger::at(&database.url()));
        Scene {
            network: Network::before(([127, 0, 0, 1], Server::get().port).into()),
            fake,
            database,
            ids: Vec::new(),
            name,
            lease_secs,
            has_dead_letters: deliveries_max.is_some(),
            logins: Vec::new(),
            days: Vec::new(),
            spoilt: BTreeSet::new(),
            runs: Vec::new(),
            one_host: true,
            pace: Stopwatch::start(),
        }
    }

    pub fn for_two_hosts(self) -> Scene {
        Scene {
            one_host: false,
            ..self
        }
    }

    /// Sends so many more logins, one by one.
    pub fn send(&mut self, count: usize) {
        self.send_spoilt(count, []);
    }

    /// Sends so many more, which become visible in one moment: one receive
    /// gets ten of them.
    pub fn send_at_once(&mut self, count: usize) {
        const DELAY_SECS: u32 = 60;
        let first = self.logins.len();
        for n in first..first + count {
            let login = Login::invented(self.name, n);
            let message = Outgoing::new(login.body()).delay_secs(DELAY_SECS);
            self.put(login, message);
        }
        let delay = Duration::from_secs(DELAY_SECS.into());
        self.fake.put_clock_forward(delay);
    }

    /// The same, of which those at these places are cut short: they still hold
    /// their sensitive values.
    pub fn send_spoilt(&mut self, count: usize, spoilt: impl IntoIterator<Item = usize>) {
        let first = self.logins.len();
        self.spoilt.extend(spoilt.into_iter().map(|n| first + n));
        for n in first..first + count {
            let login = Login::invented(self.name, n);
            let mut body = login.body();
            if self.spoilt.contains(&n) {
                body.pop();
            }
            self.send_as(login, &body);
        }
    }

    /// Sends a login in a body of the test's own.
    pub fn send_as(&mut self, login: Login, body: &str) {
        self.put(login, Outgoing::new(body));
    }

    fn put(&mut self, login: Login, message: Outgoing) {
        let day = self.fake.unix_ms() / MS_PER_DAY;
        self.days
            .push(i32::try_from(day).expect("the clock is sane"));
        self.ids.push(self.fake.put(SOURCE, message));
        self.logins.push(login);
    }

    /// The host, with its database behind the network.
    pub fn host(&self) -> Host {
        let through = format!(":{}/", self.network.address().port());
        let past = format!(":{}/", Server::get().port);
        let url = self.database.url();
        self.host_past_the_network()
            .option("--database-url", url.replace(&past, &through))
    }

    /// Another host, which a broken network does not concern.
    pub fn host_past_the_network(&self) -> Host {
        Host::bare()
            .option("--transform", guest("sha256_mask.wasm"))
            .option("--queue-url", self.fake.url(SOURCE))
            .option("--database-url", self.database.url())
            .option("--receives", RECEIVES.to_string())
            .option("--output", "json")
            .env("AWS_ENDPOINT_URL_SQS", self.fake.endpoint())
    }

    /// A host that has nothing to do yet and polls.
    pub fn idle_host(&self) -> Running {
        let mut host = self.host().start();
        let journal = self.fake.journal();
        host.wait_until("it polls", || {
            journal.open(Operation::ReceiveMessage) == RECEIVES
        });
        host
    }

    /// Has the calls to these operations refused, or otherwise spoilt, until
    /// it is told to stop.
    pub fn always(
        &self,
        operations: impl IntoIterator<Item = Operation>,
        action: Action,
    ) -> Arc<Fired> {
        self.fake.fault(
            Fault::on(operations, action)
                .in_queue(SOURCE)
                .until_stopped(),
        )
    }

    pub fn once(
        &self,
        operations: impl IntoIterator<Item = Operation>,
        action: Action,
    ) -> Arc<Fired> {
        self.fake
            .fault(Fault::on(operations, action).in_queue(SOURCE))
    }

    pub fn counts(&self) -> Counts {
        self.fake.counts(SOURCE)
    }

    pub fn stored(&self) -> usize {
        usize::try_from(self.database.count("user_logins")).expect("a count")
    }

    /// Whether the source queue has nothing left, seen or hidden.
    pub fn is_empty(&self) -> bool {
        let counts = self.counts();
        counts.visible + counts.in_flight + counts.delayed == 0
    }

    /// How many copies the dead-letter queue has of messages.
    pub fn copies(&self) -> usize {
        self.fake.messages(DEAD).len()
    }

    /// `kill -9`, and all that the dead host had hidden is visible again.
    pub fn kill(&mut self, host: Running) {
        self.runs.push(host.kill());
        self.leases_end();
    }

    pub fn leases_end(&self) {
        self.fake
            .put_clock_forward(Duration::from_secs(self.lease_secs.into()));
    }

    /// Asks a host to stop, which has to end well, and gives its summary.
    pub fn stop(&mut self, host: Running) -> Value {
        host.terminate();
        self.ended(host)
    }

    /// Waits for a host's own end, and gives its summary.
    #[track_caller]
    pub fn ended(&mut self, host: Running) -> Value {
        let run = host.finish().exited(0);
        let summary = run.summary();
        self.runs.push(run);
        summary
    }

    /// Keeps what a host has said for the search for leaked values.
    pub fn keep(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// A host of its own takes what is left, until nothing is.
    #[track_caller]
    pub fn drain(&mut self) -> Value {
        let host = self.host().until_empty().start();
        self.ended(host)
    }

    /// Panics unless every message has come to its one good end: its row, or
    /// its copy in the dead-letter queue; and nothing is deleted that was not
    /// committed, given up by the queue itself, extended after its end, or
    /// told to anybody.
    #[track_caller]
    pub fn assert_settled(&self) {
        assert!(self.is_empty(), "left in the queue: {:?}", self.counts());
        self.assert_nothing_wrong();
        self.fake.assert_deletes_lawful(self.logins.len());
    }

    /// The same of what is settled, where something may still be in the queue.
    #[track_caller]
    pub fn assert_nothing_wrong(&self) {
        self.database.assert_rows(&self.rows());
        let mut ledger: Vec<String> = self
            .database
            .ledger()
            .into_iter()
            .map(|e| e.message_id)
            .collect();
        ledger.sort();
        let mut ids = self.ids.clone();
        ids.sort();
        assert_eq!(ledger, ids, "one ledger entry a message");
        self.assert_copied();
        assert_eq!(self.counts().tally.given_up, 0, "given up by the queue");
        self.fake.assert_deletes_lawful(0);
        let grace = self.pace.wall_time_of(Duration::from_secs(1));
        let late = self.fake.journal().extended_after_end(grace);
        assert!(
            !self.one_host || late.is_empty(),
            "extended after their end: {late:?}"
        );
        let runs: Vec<&Run> = self.runs.iter().collect();
        let step = self.logins.len().div_ceil(LOGINS_LOOKED_FOR_MAX);
        let some: Vec<Login> = self.logins.iter().step_by(step.max(1)).cloned().collect();
        nothing_leaked(&some, &runs, &self.database);
    }

    fn rows(&self) -> Vec<Row> {
        let good = (0..self.logins.len()).filter(|n| !self.spoilt.contains(n));
        let mut rows: Vec<Row> = good.map(|n| self.logins[n].row(self.days[n])).collect();
        rows.sort_by(|one, other| one.user_id.cmp(&other.user_id));
        rows
    }

    #[track_caller]
    fn assert_copied(&self) {
        if !self.has_dead_letters {
            return;
        }
        let copies = self.fake.messages(DEAD);
        let copied: BTreeSet<&str> = copies.iter().map(|copy| copy.origin_id()).collect();
        let spoilt: BTreeSet<&str> = self.spoilt.iter().map(|n| self.ids[*n].as_str()).collect();
        assert_eq!(copied, spoilt, "in the dead-letter queue");
    }

    /// Panics if a call of this kind came more often than so in any second.
    #[track_caller]
    pub fn assert_calls_bounded(&self, operation: Operation, a_second_max: usize) {
        let journal = self.fake.journal();
        let busiest = journal.busiest_second(|call| call.operation == operation);
        assert!(
            busiest <= a_second_max,
            "{busiest} calls of {operation:?} in one second, not {a_second_max} at most"
        );
    }
}
