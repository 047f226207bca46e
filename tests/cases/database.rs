//! What may go wrong between the host and PostgreSQL: the same batch is tried
//! again, or the host is held, and goes on by itself; no row is there twice,
//! no good message is dead-lettered, no receive is burnt.

use std::sync::Arc;

use super::scene::Scene;
use crate::fake_network::fired::Fired;
use crate::support::host::{Host, Running};
use crate::support::login::{Login, bodies, rows};
use crate::support::postgres::{OWNER, OWNER_PASSWORD, Server};
use crate::support::{block_on, spawn};

const MESSAGES: usize = 12;
const HELD: &str = "held: nothing";

/// Messages in a queue, and a host about to load them.
struct Load {
    scene: Scene,
    logins: Vec<Login>,
    ids: Vec<String>,
    day: i32,
}

impl Load {
    fn new(test: &str) -> Load {
        let mut load = Load {
            scene: Scene::new(),
            logins: Vec::new(),
            ids: Vec::new(),
            day: 0,
        };
        load.more(test);
        load
    }

    fn more(&mut self, test: &str) {
        let logins = Login::several(test, MESSAGES);
        let sent = self.scene.send(&bodies(&logins));
        self.ids.extend(sent.ids);
        self.day = sent.day;
        self.logins.extend(logins);
    }

    /// A host that gives up on a silent server soon.
    fn host(&self) -> Host {
        self.scene.host().option("--statement-secs-max", "2")
    }

    /// A host that has stored what there is, before anything goes wrong.
    fn settled_host(&self) -> Running {
        let mut host = self.host().start();
        host.wait_until("the first messages are settled", || self.scene.left() == 0);
        host
    }

    /// Waits until the messages would have come again, had their leases not
    /// been extended, so often that they would have been given up.
    fn outlast_leases(&self, host: &mut Running) {
        let last = self.ids.len() - MESSAGES..;
        let ids = &self.ids[last];
        // A lease is extended when a third of it is spent.
        const EXTENSIONS: usize = 10;
        host.wait_until("leases have been extended for long", || {
            let held = |id: &String| {
                self.scene.receives(id) == 0 || self.scene.extensions(id) >= EXTENSIONS
            };
            ids.iter().all(held) && ids.iter().any(|id| self.scene.receives(id) > 0)
        });
        self.scene.assert_held(ids);
    }

    fn held(&self, host: &mut Running) {
        host.wait_until_it_says(HELD);
        let ids = &self.ids[self.ids.len() - MESSAGES..];
        host.wait_until("a lease is extended", || {
            ids.iter().any(|id| self.scene.extensions(id) >= 2)
        });
        self.scene.assert_held(ids);
    }

    /// The rest of a run that has to store everything.
    fn finish(self, mut host: Running) {
        host.wait_until("all is stored", || self.scene.left() == 0);
        host.terminate();
        let run = host.finish().exited(0);
        let rows = rows(&self.logins, self.day);
        self.scene.assert_well(&rows, 0, &self.logins, &[&run]);
        assert_eq!(self.scene.database.ledger().len(), self.ids.len());
    }

    fn set(&self, setting: &str) {
        let name = &self.scene.database.name;
        Server::get().administer(&[&format!("ALTER DATABASE {name} SET {setting}")]);
    }
}

/// A batch whose write goes wrong in this way is written once.
fn written_once(test: &str, plan: impl Fn(&Scene) -> Arc<Fired>) {
    let load = Load::new(test);
    let fired = plan(&load.scene);
    let mut host = load.host().start();
    host.wait_until("the fault has taken place", || fired.count() > 0);
    load.finish(host);
}

/// Case 81.
#[test]
fn a_connection_cut_after_the_commit_leaves_each_row_once() {
    written_once("cut_after", |scene| scene.network.cut_after_write(1));
}

/// Cases 81 and 100.
#[test]
fn an_answer_lost_after_the_commit_leaves_each_row_once() {
    written_once("answer_lost", |scene| scene.network.swallow_answer(1));
}

/// Case 82.
#[test]
fn a_connection_cut_before_the_commit_loses_no_row() {
    written_once("cut_before", |scene| scene.network.cut_before_write(1));
}

/// More failures than it takes to halve a batch of twelve down to one message,
/// whichever way two writers share it: who took the code for a record's fault
/// would reject that message.
const FAILURES: u32 = 6;

/// A trigger that fails the first statements with this code.
fn failing(sqlstate: &str) -> String {
    format!(
        "CREATE SEQUENCE failures;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('failures') <= {FAILURES} THEN
                 RAISE 'invented failure' USING ERRCODE = '{sqlstate}';
             END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER fail BEFORE INSERT ON user_logins
             FOR EACH STATEMENT EXECUTE FUNCTION fail()"
    )
}

fn outlasts(test: &str, sqlstate: &str) {
    let load = Load::new(test);
    load.scene.database.execute(&failing(sqlstate));
    let mut host = load.host().start();
    host.wait_until("some statements have failed", || {
        load.scene
            .database
            .count(&format!("failures WHERE last_value >= {FAILURES}"))
            == 1
    });
    load.finish(host);
}

/// Case 85.
#[test]
fn a_deadlock_is_tried_again() {
    outlasts("deadlock_code", "40P01");
}

/// Case 85.
#[test]
fn a_serialization_failure_is_tried_again() {
    outlasts("serialization", "40001");
}

/// Case 94.
#[test]
fn a_full_disk_is_waited_for() {
    outlasts("disk_full", "53100");
}

/// Case 94.
#[test]
fn a_server_out_of_memory_is_waited_for() {
    outlasts("out_of_memory", "53200");
}

/// The classes 58 and XX, after case 94's.
#[test]
fn an_error_of_the_server_itself_is_waited_for() {
    outlasts("io_error", "58030");
    outlasts("internal_error", "XX000");
}

/// Case 74's codes, mended while a batch is searched for its bad record.
#[test]
fn what_every_record_met_for_a_while_is_charged_to_none() {
    outlasts("met_by_all", "P0001");
}

/// Case 85.
#[test]
fn a_real_deadlock_is_tried_again() {
    let load = Load::new("deadlock");
    let name = &load.scene.database.name;
    // Who looks first gives way; the other one does not look at all.
    load.set("deadlock_timeout = '10min'");
    let other = Server::get().connect(name);
    load.set("deadlock_timeout = '1s'");
    block_on(other.batch_execute("BEGIN; LOCK TABLE user_logins")).expect("lock the target");
    let mut host = load.scene.host().start();
    host.wait_until("the host waits", || {
        load.scene.database.somebody_waits_for_a_lock()
    });
    spawn(async move {
        let locked = other
            .batch_execute("LOCK TABLE etl_host.ledger; ROLLBACK")
            .await;
        locked.expect("the other side wins");
    });
    host.wait_until("the deadlock is found", || {
        load.scene
            .database
            .server_has_logged(&["deadlock detected"])
    });
    load.finish(host);
}

/// A table that is locked until the server has given up waiting for it.
fn lock_outlasted(test: &str, setting: &str, complaint: &str) {
    let load = Load::new(test);
    load.set(setting);
    let lock = load.scene.database.lock("user_logins");
    let mut host = load.host().start();
    host.wait_until("the server has given up", || {
        load.scene.database.server_has_logged(&[complaint])
    });
    load.scene.assert_held(&load.ids);
    lock.release();
    load.finish(host);
}

/// Case 86.
#[test]
fn a_lock_timeout_is_tried_again() {
    let complaint = "canceling statement due to lock timeout";
    lock_outlasted("lock_timeout", "lock_timeout = '300ms'", complaint);
}

/// Case 86.
#[test]
fn a_statement_timeout_is_waited_for() {
    let complaint = "canceling statement due to statement timeout";
    lock_outlasted(
        "statement_timeout",
        "statement_timeout = '500ms'",
        complaint,
    );
}

/// Case 100.
#[test]
fn a_statement_that_takes_too_long_is_cancelled_and_tried_again() {
    // The host's own limit: the setting is the server's default.
    let complaint = "canceling statement due to user request";
    lock_outlasted("own_timeout", "statement_timeout = 0", complaint);
}

/// Case 89.
#[test]
fn a_server_that_is_away_for_many_leases_costs_no_message() {
    let mut load = Load::new("away");
    let mut host = load.settled_host();
    let connections = load.scene.network.connections();
    load.scene.network.go_down();
    load.more("away_later");
    load.outlast_leases(&mut host);
    load.scene.network.come_up();
    host.wait_until("the host is back", || {
        load.scene.network.connections() > connections
    });
    load.finish(host);
}

/// Case 89.
#[test]
fn a_server_that_refuses_for_many_leases_is_not_stormed() {
    let mut load = Load::new("refuses");
    let mut host = load.settled_host();
    let refused = load.scene.network.refuse();
    load.scene.network.reset_all();
    load.more("refuses_later");
    host.wait_until("a connection is refused", || refused.count() > 0);
    load.outlast_leases(&mut host);
    // Two writers, some fifteen seconds, waits that double.
    assert!(refused.count() <= 40, "{} connections", refused.count());
    load.scene.network.admit();
    load.finish(host);
}

/// Case 90.
#[test]
fn a_network_that_swallows_everything_is_outlasted() {
    let mut load = Load::new("black_hole");
    let host = load.host().option("--database-connections", "1");
    let mut host = host.start();
    host.wait_until("the first messages are settled", || load.scene.left() == 0);
    // After its first batch the one writer prunes the ledger: after its second
    // it has a connection and nothing to say over it.
    load.more("black_hole_second");
    host.wait_until("the second ones are settled", || load.scene.left() == 0);
    let written = load.scene.network.writes();
    let swallowed = load.scene.network.pause();
    load.more("black_hole_later");
    host.wait_until("a write is swallowed", || {
        load.scene.network.writes() > written
    });
    host.wait_until_it_says("no answer within 2 s");
    load.held(&mut host);
    swallowed.assert_fired();
    // What was swallowed arrives now, and with it statements that were given up.
    load.scene.network.resume();
    load.finish(host);
}

/// Case 92.
#[test]
fn a_server_that_has_become_read_only_is_left_for_one_that_is_not() {
    let mut load = Load::new("read_only");
    let mut host = load.settled_host();
    load.set("default_transaction_read_only = on");
    load.scene.network.reset_all();
    load.more("read_only_later");
    host.wait_until("the server has complained", || {
        load.scene
            .database
            .server_has_logged(&["read-only transaction"])
    });
    load.held(&mut host);
    // The next connection leads to the new primary; the old server stays as
    // it is, and so does every session with it.
    load.set("default_transaction_read_only = off");
    load.finish(host);
}

/// Case 94.
#[test]
fn a_server_with_no_room_for_another_client_is_waited_for() {
    let mut load = Load::new("no_room");
    let name = load.scene.database.name.clone();
    let role = format!("guest_of_{name}");
    let server = Server::get();
    server.administer(&[
        &format!("CREATE ROLE {role} LOGIN PASSWORD '{OWNER_PASSWORD}' IN ROLE {OWNER}"),
        &format!("ALTER ROLE {role} SET role = {OWNER}"),
    ]);
    let url = load.scene.database_url_as(&role, OWNER_PASSWORD);
    let mut host = load.host().option("--database-url", url).start();
    host.wait_until("the first messages are settled", || load.scene.left() == 0);
    server.administer(&[&format!("ALTER ROLE {role} CONNECTION LIMIT 0")]);
    load.scene.network.reset_all();
    load.more("no_room_later");
    host.wait_until("the server has complained", || {
        load.scene
            .database
            .server_has_logged(&["too many connections for role"])
    });
    load.held(&mut host);
    server.administer(&[&format!("ALTER ROLE {role} CONNECTION LIMIT -1")]);
    load.finish(host);
}

/// A change that every record meets, and what mends it.
fn mended(test: &str, harm: &str, complaint: &str, mend: &str) {
    let mut load = Load::new(test);
    let mut host = load.settled_host();
    load.scene.database.execute(harm);
    load.more(&format!("{test}_later"));
    host.wait_until("the server has complained", || {
        load.scene.database.server_has_logged(&[complaint])
    });
    load.held(&mut host);
    load.scene.database.execute(mend);
    load.finish(host);
}

/// Case 96.
#[test]
fn a_table_that_is_gone_is_waited_for() {
    mended(
        "table_gone",
        "ALTER TABLE user_logins RENAME TO away",
        "\"public.user_logins\" does not exist",
        "ALTER TABLE away RENAME TO user_logins",
    );
}

/// Case 96.
#[test]
fn a_column_that_is_gone_is_waited_for() {
    mended(
        "column_gone",
        "ALTER TABLE user_logins RENAME locale TO language",
        "column \"locale\"",
        "ALTER TABLE user_logins RENAME language TO locale",
    );
}

/// Case 96.
#[test]
fn a_permission_that_is_revoked_is_waited_for() {
    mended(
        "revoked",
        &format!("REVOKE INSERT ON user_logins FROM {OWNER}"),
        "permission denied for table user_logins",
        &format!("GRANT INSERT ON user_logins TO {OWNER}"),
    );
}

/// Case 97.
#[test]
fn a_table_may_be_altered_while_the_host_runs() {
    let mut load = Load::new("altered");
    let mut host = load.settled_host();
    let changes = [
        "ALTER TABLE user_logins ADD note text DEFAULT 'none'",
        "ALTER TABLE user_logins ALTER device_type TYPE text",
        "ALTER TABLE user_logins ALTER app_version TYPE bigint",
        "CREATE INDEX ON user_logins (user_id)",
        "ALTER TABLE user_logins DROP note",
        "CREATE TABLE successor (LIKE user_logins INCLUDING ALL);
         INSERT INTO successor SELECT * FROM user_logins;
         DROP TABLE user_logins; ALTER TABLE successor RENAME TO user_logins",
    ];
    for (n, change) in changes.iter().enumerate() {
        load.scene.database.execute(change);
        load.more(&format!("altered_{n}"));
        host.wait_until("the messages are settled", || load.scene.left() == 0);
    }
    load.finish(host);
}
