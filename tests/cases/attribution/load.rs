//! Messages in a queue and a host that loads them, with its readiness asked
//! over the admin endpoint.

use crate::cases::scene::{Kind, Scene};
use crate::support::free_address;
use crate::support::host::{Host, Running};
use crate::support::login::{Locale, Login, Row, bodies};
use crate::support::postgres::Server;

/// Messages of one sending.
pub const MESSAGES: usize = 20;
/// What may be dead-lettered before it is clear that everybody meets the same.
pub const HANDFUL: usize = 5;
/// A row that nothing is wrong with has `ios` or `android` for its device.
pub const ODD: &str = "odd";
/// As one host's log begins to say that it is held.
pub const HELD: &str = "held: nothing";

pub struct Load {
    pub scene: Scene,
    pub host: Option<Running>,
    test: String,
    address: String,
    sendings: usize,
    logins: Vec<Login>,
    ids: Vec<String>,
    /// Messages that the component rejects.
    rejected: usize,
    day: i32,
}

impl Load {
    pub fn new(test: &str) -> Load {
        Load {
            // Its own limit of receives would move messages by itself.
            scene: Scene::of_kind(Kind::Patient),
            host: None,
            test: format!("attributed_{test}"),
            address: free_address(),
            sendings: 0,
            logins: Vec::new(),
            ids: Vec::new(),
            rejected: 0,
            day: 0,
        }
    }

    pub fn set(&self, setting: &str) {
        let name = &self.scene.database.name;
        Server::get().administer(&[&format!("ALTER DATABASE {name} SET {setting}")]);
    }

    /// Starts a host that has stored what there is.
    pub fn start(&mut self) {
        self.start_idle();
        self.send();
        self.wait_until("the first messages are stored", |load| load.left() == 0);
    }

    /// Starts a host that has stored nothing yet.
    pub fn start_idle(&mut self) {
        let host = self.scene.host().option("--admin-addr", &self.address);
        self.host = Some(host.option("--statement-secs-max", "5").start());
    }

    fn invent(&mut self, count: usize) -> Vec<Login> {
        let test = format!("{}_{}", self.test, self.sendings);
        self.sendings += 1;
        let mut logins = Login::several(&test, count);
        for login in &mut logins {
            login.locale = Locale::Given("PT");
        }
        logins
    }

    /// Sends good messages.
    pub fn send(&mut self) {
        let logins = self.invent(MESSAGES);
        self.send_these(logins);
    }

    pub fn send_some(&mut self, count: usize) {
        let logins = self.invent(count);
        self.send_these(logins);
    }

    /// Sends messages of which each that this says is odd.
    pub fn send_odd_where(&mut self, count: usize, is_odd: impl Fn(usize) -> bool) {
        let mut logins = self.invent(count);
        for (n, login) in logins.iter_mut().enumerate() {
            if is_odd(n) {
                login.device_type = ODD.to_owned();
                login.locale = Locale::Null;
            }
        }
        self.send_these(logins);
    }

    /// Sends messages of which one is odd; gives its id.
    pub fn send_with_an_odd_one(&mut self) -> String {
        let odd = MESSAGES / 3;
        self.send_odd_where(MESSAGES, |n| n == odd);
        self.ids[self.ids.len() - MESSAGES + odd].clone()
    }

    fn send_these(&mut self, logins: Vec<Login>) {
        let sent = self.scene.send(&bodies(&logins));
        self.day = sent.day;
        self.ids.extend(sent.ids);
        self.logins.extend(logins);
    }

    /// Sends bodies that the component rejects.
    pub fn send_bodies(&mut self, count: usize, body: &str) {
        self.rejected += self.scene.send(&vec![body; count]).ids.len();
    }

    pub fn left(&self) -> usize {
        self.scene.left()
    }

    pub fn dead_letters(&self) -> usize {
        self.scene.dead_letters().len()
    }

    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Load) -> bool) {
        let mut host = self.host.take().expect("a host runs");
        host.wait_until(what, || condition(self));
        self.host = Some(host);
    }

    /// What the readiness probe says, and whether the host is ready.
    fn readiness(&self) -> (bool, String) {
        let probe = Host::bare().word("healthcheck");
        let run = probe.option("--admin-addr", &self.address).run();
        (
            run.code() == Some(0),
            format!("{}{}", run.stdout, run.stderr),
        )
    }

    pub fn is_ready(&self) -> bool {
        self.readiness().0
    }

    #[track_caller]
    pub fn never_said(&self, words: &str) {
        let log = self.host.as_ref().expect("a host runs").log();
        assert!(!log.says(words), "it has said {words:?}");
    }

    /// Waits until one line of the log has all of these words.
    pub fn wait_until_a_line_says(&mut self, words: &[&str]) {
        let log = self.host.as_ref().expect("a host runs").log();
        self.wait_until(&format!("a line says {words:?}"), |_| log.line_says(words));
    }

    pub fn wait_until_stored(&mut self, rows: usize) {
        self.wait_until("rows are stored", |load| load.rows() == rows);
    }

    pub fn wait_until_only_one_is_left(&mut self) {
        self.wait_until("the others are settled", |load| load.left() == 1);
    }

    fn rows(&self) -> usize {
        let rows = self.scene.database.count("user_logins");
        usize::try_from(rows).expect("a count")
    }

    pub fn wait_until_ready(&mut self) {
        self.wait_until("the host is ready", |load| load.readiness().0);
    }

    /// Waits until the host is held, in these words, in log and readiness.
    pub fn wait_until_held(&mut self, words: &[&str]) {
        self.wait_until(&format!("readiness says {words:?}"), |load| {
            let (ready, said) = load.readiness();
            !ready && words.iter().all(|word| said.contains(word))
        });
        self.wait_until_a_line_says(&[&[HELD], words].concat());
    }

    #[track_caller]
    pub fn assert_held_with(&self, words: &[&str]) {
        let (ready, said) = self.readiness();
        assert!(!ready, "it is ready: {said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    }

    /// Waits until some message's lease has been extended, so often that it would
    /// have come again without.
    pub fn wait_until_leases_are_extended(&mut self) {
        let last = self.ids[self.ids.len().saturating_sub(MESSAGES)..].to_vec();
        self.wait_until("leases are extended", move |load| {
            last.iter().any(|id| load.scene.extensions(id) >= 4)
        });
    }

    /// Panics unless the ledger's entry names what PostgreSQL names.
    #[track_caller]
    pub fn assert_named(&self, id: &str, named: &str) {
        let ledger = self.scene.database.ledger();
        let entry = ledger.iter().find(|entry| entry.message_id == id);
        let field = entry.and_then(|entry| entry.field.as_deref());
        // A full name is the host's own, where PostgreSQL names nothing.
        let expected = Some(named).filter(|named| !named.contains(['.', ' ']));
        if expected.is_some() {
            assert_eq!(field, expected);
        }
    }

    /// The rest of a run: everything that is not dead-lettered is stored, once,
    /// the host is ready again, and no more than so many are dead-lettered.
    pub fn finish(mut self, dead_letters_max: usize) {
        self.wait_until("everything is settled", |load| load.left() == 0);
        self.wait_until_ready();
        let host = self.host.take().expect("a host runs");
        host.terminate();
        let run = host.finish().exited(0);
        let dead = self.dead_letters();
        assert!(dead <= dead_letters_max, "{dead} dead letters");
        let rows = self.stored_rows();
        assert_eq!(rows.len() + dead, self.ids.len(), "rows and dead letters");
        self.scene.assert_well(&rows, dead, &self.logins, &[&run]);
    }

    /// The rows of all that the ledger has not rejected.
    fn stored_rows(&self) -> Vec<Row> {
        let ledger = self.scene.database.ledger();
        let rejected = |id: &&String| {
            let mut entries = ledger.iter();
            entries.any(|entry| entry.message_id == **id && entry.outcome == "rejected")
        };
        let messages = self.ids.iter().zip(&self.logins);
        let stored = messages.filter(|(id, _)| !rejected(id));
        stored.map(|(_, login)| login.row(self.day)).collect()
    }

    /// Ends a host that may be held: each message is a row, a dead letter or
    /// still in the queue.
    pub fn give_up(mut self) {
        let host = self.host.take().expect("a host runs");
        host.terminate();
        host.finish().exited(0);
        let settled = self.rows() + self.dead_letters();
        assert_eq!(self.left() + settled, self.ids.len() + self.rejected);
    }
}
