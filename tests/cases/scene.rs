//! What these tests stand on: the strict queue, which judges every delete, the
//! network before PostgreSQL, a database of the test's own, and the checks that
//! hold after every case.

use std::net::{Ipv4Addr, SocketAddr};

use crate::fake_network::Network;
use crate::fake_queue::FakeQueue;
use crate::fake_queue::journal::Effect;
use crate::fake_queue::operation::Operation;
use crate::fake_queue::oracle::Ledger;
use crate::fake_queue::store::message::{Outgoing, Stored};
use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::host::{Host, Run};
use crate::support::login::{self, Login, Row};
use crate::support::postgres::{OWNER, OWNER_PASSWORD, Server};
use crate::support::queue::Sent;
use crate::support::{guest, repository, wait_until};

/// Short, so that many leases pass in a test's time.
const VISIBILITY_SECS: u32 = 4;
/// So few that a host which burns receives loses good messages.
const RECEIVES_MAX: u32 = 3;
/// The most that SQS allows.
const RECEIVES_PATIENT: u32 = 1_000;
/// Sending takes well under this, so all of it falls on one UTC date.
const SEND_SECS_MAX: u64 = 10;
/// What a failing host may ask of the queue in a second: eight receives, the
/// looks of `--until-empty`, extensions and deletes of a few batches.
const CALLS_PER_SECOND_MAX: usize = 60;

/// What the component that misbehaves writes of a login, where it does not.
pub fn bare_row(login: &Login) -> Row {
    Row {
        user_id: Some(login.user_id.clone()),
        device_type: None,
        masked_ip: None,
        masked_device_id: None,
        locale: None,
        app_version: None,
        create_day: None,
    }
}

pub struct Scene {
    pub queue: FakeQueue,
    pub database: Database,
    pub network: Network,
    source: &'static str,
    dead: &'static str,
}

/// What a queue does besides holding messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Standard,
    /// It never gives a message up by itself.
    Patient,
    Fifo,
    FifoWithoutDeadLetters,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::with(Kind::Standard, Database::with_table(), Server::get().port)
    }

    pub fn of_kind(kind: Kind) -> Scene {
        Scene::with(kind, Database::with_table(), Server::get().port)
    }

    /// Another queue, of a host that writes into the same database.
    pub fn beside(database: &Database) -> Scene {
        let server = Server::get();
        let client = server.connect(&database.name);
        let database = Database::over(client, database.name.clone(), server.port);
        Scene::with(Kind::Standard, database, server.port)
    }

    /// On a server that listens on this port of the loopback address.
    pub fn with(kind: Kind, database: Database, port: u16) -> Scene {
        let (source, dead) = match kind {
            Kind::Standard | Kind::Patient => ("logins", "logins-dead"),
            Kind::Fifo | Kind::FifoWithoutDeadLetters => ("logins.fifo", "logins-dead.fifo"),
        };
        let queue = FakeQueue::start();
        queue.queue(dead).create();
        let new = queue.queue(source).visibility_secs(VISIBILITY_SECS);
        match kind {
            Kind::FifoWithoutDeadLetters => new.create(),
            Kind::Patient => new.dead_letters(dead, RECEIVES_PATIENT).create(),
            _ => new.dead_letters(dead, RECEIVES_MAX).create(),
        };
        queue.judge(source, Ledger::at(&database.url()));
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Scene {
            queue,
            database,
            network: Network::before(server),
            source,
            dead,
        }
    }

    /// The default component on this scene's queue and database, which lies
    /// behind the network.
    pub fn host(&self) -> Host {
        Host::bare()
            .option("--transform", guest("sha256_mask.wasm"))
            .option("--queue-url", self.queue.url(self.source))
            .option("--database-url", self.database_url())
            .env("AWS_ENDPOINT_URL_SQS", self.queue.endpoint())
    }

    /// The component that does as a message asks.
    pub fn misbehaving_host(&self) -> Host {
        let component = repository().join("tests/guests/misbehave.wasm");
        self.host().option("--transform", component)
    }

    pub fn database_url(&self) -> String {
        self.database_url_as(OWNER, OWNER_PASSWORD)
    }

    pub fn database_url_as(&self, role: &str, password: &str) -> String {
        let address = self.network.address();
        let name = &self.database.name;
        format!("postgres://{role}:{password}@{address}/{name}?sslmode=disable&connect_timeout=2")
    }

    /// Sends the bodies in order. All of them arrive on one UTC date.
    pub fn send<B: AsRef<str>>(&self, bodies: &[B]) -> Sent {
        let messages = bodies.iter().map(|body| Outgoing::new(body.as_ref()));
        self.put(messages)
    }

    pub fn put(&self, messages: impl IntoIterator<Item = Outgoing>) -> Sent {
        wait_until("the UTC date is not about to change", || {
            login::secs_left_today() > SEND_SECS_MAX
        });
        let messages = messages.into_iter();
        Sent {
            ids: messages
                .map(|message| self.queue.put(self.source, message))
                .collect(),
            day: login::today(),
        }
    }

    /// How many messages the source queue holds, visible or not.
    pub fn left(&self) -> usize {
        self.queue.messages(self.source).len()
    }

    /// The bodies in the dead-letter queue.
    pub fn dead_letters(&self) -> Vec<String> {
        let messages = self.queue.messages(self.dead).into_iter();
        messages.map(|message| message.sent.body.clone()).collect()
    }

    /// The dead letters are somewhere else from now on.
    pub fn clear_dead_letters(&self) {
        self.queue.purge(self.dead);
    }

    /// From now on the dead-letter queue takes no larger messages.
    pub fn limit_dead_letters(&self, bytes: usize) {
        self.queue.set(self.dead, "MaximumMessageSize", bytes);
    }

    /// Whether a host has asked the queue for messages.
    pub fn polled(&self) -> bool {
        let journal = self.queue.journal();
        journal.matching(|call| call.operation == Operation::ReceiveMessage) > 0
    }

    /// The dead letters with everything that they carry.
    pub fn dead_messages(&self) -> Vec<Stored> {
        self.queue.messages(self.dead)
    }

    /// Sends the dead letters back under new ids, as SQS does.
    pub fn redrive(&self) -> Vec<(String, String)> {
        self.queue.redrive(self.dead, self.source)
    }

    /// How often the message was given out.
    pub fn receives(&self, id: &str) -> usize {
        self.queue.journal().receives(id)
    }

    /// How often the message's lease was extended.
    pub fn extensions(&self, id: &str) -> usize {
        let effects = self.queue.journal().effects(id).into_iter();
        effects.filter(|effect| *effect == Effect::Extended).count()
    }

    /// Panics unless the ledger has refused the message for this reason.
    #[track_caller]
    pub fn assert_rejected(&self, id: &str, reason: &str) {
        let ledger = self.database.ledger();
        let entry = ledger.iter().find(|entry| entry.message_id == id);
        let entry = entry.expect("the ledger knows the message");
        let fate = (entry.outcome.as_str(), entry.reason.as_deref());
        assert_eq!(fate, ("rejected", Some(reason)));
    }

    /// While nobody is at fault but the environment: nothing is deleted or
    /// dead-lettered, and no message is on its way to be given up.
    #[track_caller]
    pub fn assert_held(&self, ids: &[String]) {
        assert_eq!(self.dead_letters(), [""; 0], "dead letters while held");
        assert_eq!(self.left(), ids.len(), "messages left while held");
        for id in ids {
            assert!(self.receives(id) <= 1, "receives of {id} are burnt");
        }
    }

    /// What holds after every case: the rows are there, once; what has none is
    /// in the dead-letter queue; nothing is left; every delete was lawful; the
    /// queue was not stormed; no raw value got out.
    #[track_caller]
    pub fn assert_well(&self, rows: &[Row], rejected: usize, logins: &[Login], runs: &[&Run]) {
        self.database.assert_rows(rows);
        assert_eq!(self.dead_letters().len(), rejected, "dead letters");
        assert_eq!(self.left(), 0, "messages left in the queue");
        self.queue.assert_deletes_lawful(1);
        self.assert_calm();
        nothing_leaked(logins, runs, &self.database);
    }

    #[track_caller]
    pub fn assert_calm(&self) {
        let busiest = self.queue.journal().busiest_second(|call| {
            // How fast good messages are finished is no storm.
            call.operation != Operation::DeleteMessageBatch
                && call.operation != Operation::SendMessageBatch
        });
        assert!(busiest <= CALLS_PER_SECOND_MAX, "{busiest} calls a second");
    }
}
