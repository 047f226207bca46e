//! Case 98: pgbouncer between the host and PostgreSQL. It lends a server
//! connection for one statement only, so nothing may be left behind in it by
//! the host, and nothing that others leave there may harm.

use tokio_postgres::Client;

use super::pgbouncer::{Pgbouncer, SERVER_CONNECTIONS};
use super::scene::{Kind, Scene};
use crate::support::database::Database;
use crate::support::host::{Host, Run, Running};
use crate::support::login::{Login, bodies, rows};
use crate::support::postgres::OWNER;
use crate::support::{block_on, wait_until};

const MESSAGES: usize = 40;
const HOSTS: usize = 3;

/// A scene whose PostgreSQL lies behind a pooler.
struct Pooled {
    scene: Scene,
    pooler: Pgbouncer,
    logins: Vec<Login>,
    day: i32,
}

impl Pooled {
    fn new(pool_mode: &str) -> Pooled {
        Pooled::over(pool_mode, Database::with_table())
    }

    fn over(pool_mode: &str, database: Database) -> Pooled {
        let pooler = Pgbouncer::start(pool_mode);
        Pooled {
            scene: Scene::with(Kind::Standard, database, pooler.port),
            pooler,
            logins: Vec::new(),
            day: 0,
        }
    }

    fn send(&mut self, test: &str) {
        let logins = Login::several(test, MESSAGES);
        self.day = self.scene.send(&bodies(&logins)).day;
        self.logins.extend(logins);
    }

    fn host(&self) -> Host {
        self.scene.host().option("--receives", "2")
    }

    /// Every message has its row, once, when these hosts have ended.
    #[track_caller]
    fn finish(self, mut hosts: Vec<Running>) -> Vec<Run> {
        hosts[0].wait_until("all is stored", || self.scene.left() == 0);
        hosts.iter().for_each(Running::terminate);
        let runs: Vec<Run> = hosts.into_iter().map(Running::finish).collect();
        let runs: Vec<Run> = runs.into_iter().map(|run| run.exited(0)).collect();
        let rows = rows(&self.logins, self.day);
        let said: Vec<&Run> = runs.iter().collect();
        self.scene.assert_well(&rows, 0, &self.logins, &said);
        assert_eq!(self.scene.database.ledger().len(), self.logins.len());
        runs
    }
}

/// Two statements of one host seldom meet the same server connection, so what
/// needs both of them fails.
#[test]
fn several_hosts_share_a_few_server_connections_without_a_fault() {
    let mut pooled = Pooled::new("transaction");
    let database = &pooled.scene.database;
    database.execute("ALTER TABLE user_logins ADD written_by integer DEFAULT pg_backend_pid()");
    let host = || pooled.host().option("--batch-messages-max", "1");
    let mut hosts: Vec<Running> = (0..HOSTS).map(|_| host().start()).collect();
    hosts[0].wait_until("every host is connected", || {
        pooled.scene.network.connections() >= HOSTS
    });
    pooled.send("shared");
    hosts[0].wait_until("all is stored", || pooled.scene.left() == 0);
    let database = &pooled.scene.database;
    let writers = database.count("(SELECT DISTINCT written_by FROM user_logins) writers");
    assert!(
        writers <= SERVER_CONNECTIONS,
        "{writers} server connections"
    );
    for run in pooled.finish(hosts) {
        run.never_says("held");
    }
}

/// In session mode a host needs a server connection for each of its own.
#[test]
fn a_ledger_and_a_table_are_tried_out_created_and_filled_in_every_mode() {
    for pool_mode in ["session", "transaction", "statement"] {
        let mut pooled = Pooled::over(pool_mode, Database::empty());
        let check = pooled.host().word("check").word("--create-table").run();
        match pool_mode {
            "statement" => check.exited(78).says(&["past the pooler"]),
            _ => check.exited(0),
        };
        assert!(
            !pooled.scene.database.has("etl_host.ledger"),
            "not tried out"
        );
        pooled.send(pool_mode);
        let host = pooled.host().word("--create-table");
        let host = host.option("--database-connections", "1").start();
        pooled.finish(vec![host]);
    }
}

/// A write that waits for a lock is broken off in this way, and the host says
/// so in these words. What it began may go on without it, and is run again.
fn written_once(test: &str, words: &str, breaking: impl Fn(&Pooled)) {
    let mut pooled = Pooled::new("transaction");
    pooled.send(test);
    let lock = pooled.scene.database.lock("user_logins");
    let mut host = pooled.host().option("--statement-secs-max", "2").start();
    host.wait_until("the host wants to write", || {
        pooled.scene.database.somebody_waits_for_a_lock()
    });
    breaking(&pooled);
    host.wait_until_it_says(words);
    lock.release();
    pooled.finish(vec![host]);
}

#[test]
fn a_pooler_that_crashes_under_a_statement_leaves_each_row_once() {
    written_once("crashes", "connection closed", |pooled| {
        pooled.pooler.crash();
        wait_until("the pooler is back", || pooled.pooler.starts() == 2);
    });
}

#[test]
fn a_server_connection_that_breaks_behind_the_pooler_is_replaced() {
    written_once("breaks_behind", "57P01", |pooled| {
        pooled.scene.database.break_waiting_connections();
    });
}

/// Else it would keep its server connection until it has its lock; and a pooler
/// must outlive the request, for the sake of its other clients.
#[test]
fn a_statement_that_is_given_up_is_cancelled_through_the_pooler() {
    let complaint = "canceling statement due to user request";
    written_once("given_up", "no answer within 2 s", |pooled| {
        wait_until("the statement is cancelled", || {
            pooled.scene.database.server_has_logged(&[complaint])
        });
    });
}

/// The setting at the moment of each commit, as a deferred trigger sees it.
const COMMITS: &str = "
    CREATE TABLE commits (durability text);
    CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO commits VALUES (current_setting('synchronous_commit'));
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER note_commit AFTER INSERT ON user_logins
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_commit()";

#[test]
fn what_another_client_sets_does_not_weaken_a_commit() {
    let mut pooled = Pooled::new("transaction");
    pooled.scene.database.execute(COMMITS);
    let run = |client: &Client, sql: &str| block_on(client.batch_execute(sql)).expect("run it");
    let name = &pooled.scene.database.name;
    let others: Vec<Client> = (0..SERVER_CONNECTIONS)
        .map(|_| pooled.pooler.connect(name))
        .collect();
    // Each holds a server connection until all of them are held.
    for other in &others {
        run(other, "BEGIN; SET synchronous_commit = off");
    }
    others.iter().for_each(|other| run(other, "COMMIT"));

    pooled.send("weakened");
    let mut host = pooled.host().start();
    host.wait_until("all is stored", || pooled.scene.left() == 0);
    let shown = block_on(others[0].query_one("SHOW synchronous_commit", &[]));
    assert_eq!(shown.expect("ask").get::<_, &str>(0), "off");
    let database = &pooled.scene.database;
    assert_eq!(database.count("commits"), pooled.logins.len() as i64);
    assert_eq!(database.count("commits WHERE durability <> 'on'"), 0);
    pooled.finish(vec![host]);
}

#[test]
fn what_a_pooler_refuses_is_said_at_once_with_its_remedy() {
    let pooled = Pooled::new("transaction");
    let url = pooled.scene.database_url();
    let options = format!("{url}&options=-csynchronous_commit%3Don");
    let password = pooled.scene.database_url_as(OWNER, "invented-wrong-one");
    for (url, words) in [
        (options, ["unsupported startup parameter", "ALTER ROLE"]),
        (password, ["SASL authentication failed", "password"]),
    ] {
        let run = pooled.host().option("--database-url", url).run().exited(78);
        run.says(&words).never_says("invented-wrong-one");
    }
}
