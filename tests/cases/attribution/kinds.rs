//! The kinds of faults of everybody's and of one's: how many there are to
//! compare with, in which order they come, and what the brakes do.

use super::load::{HANDFUL, HELD, Load, MESSAGES};
use crate::cases::scene::{Kind, Scene};
use crate::support::database::Database;
use crate::support::guest;
use crate::support::postgres::Server;

const REFUSE_ALL: &str = "CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'invented'; END $$;
    CREATE TRIGGER meet BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION meet()";
const ACCEPT_ALL: &str = "DROP FUNCTION meet CASCADE";
const ONLY_EVEN: &str =
    "ALTER TABLE user_logins ADD CONSTRAINT even CHECK (device_type <> 'odd') NOT VALID";

/// Case 120.
#[test]
fn three_hundred_messages_without_a_partition_wait_for_it() {
    let mut load = Load::new("partition");
    load.scene.database.execute(
        "ALTER TABLE user_logins RENAME TO plain;
         CREATE TABLE user_logins (LIKE plain) PARTITION BY RANGE (create_date);
         CREATE TABLE of_old PARTITION OF user_logins
             FOR VALUES FROM (MINVALUE) TO ('2020-01-01')",
    );
    load.send_some(300);
    load.start_idle();
    load.wait_until_held(&["SQLSTATE 23514", "user_logins"]);
    load.wait_until_leases_are_extended();
    assert!(load.dead_letters() <= HANDFUL, "{}", load.dead_letters());
    load.scene.database.execute(
        "CREATE TABLE of_today PARTITION OF user_logins
             FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)",
    );
    load.finish(HANDFUL);
}

#[test]
fn without_history_a_single_message_waits() {
    let mut load = Load::new("no_history");
    load.scene.database.execute(REFUSE_ALL);
    load.start_idle();
    load.send_some(1);
    load.wait_until_held(&["SQLSTATE P0001", "user_logins"]);
    load.wait_until_leases_are_extended();
    assert_eq!(load.dead_letters(), 0);
    load.scene.database.execute(ACCEPT_ALL);
    load.finish(0);
}

#[test]
fn with_history_a_handful_at_most_of_single_messages_is_lost() {
    let mut load = Load::new("history");
    load.start();
    load.scene.database.execute(REFUSE_ALL);
    for message in 1..=HANDFUL + 3 {
        load.send_some(1);
        load.wait_until("the message is settled or kept", |load| {
            load.dead_letters() == message || !load.is_ready()
        });
    }
    load.wait_until_held(&["SQLSTATE P0001", "user_logins"]);
    assert!(load.dead_letters() <= HANDFUL, "{}", load.dead_letters());
    load.scene.database.execute(ACCEPT_ALL);
    load.finish(HANDFUL);
}

#[test]
fn a_tenth_of_bad_records_flows() {
    let mut load = Load::new("a_tenth");
    load.scene.database.execute(ONLY_EVEN);
    load.start();
    load.send_odd_where(200, |n| n % 10 == 3);
    load.wait_until("all are settled", |load| load.left() == 0);
    load.never_said("held: nothing");
    assert_eq!(load.dead_letters(), 20);
    load.finish(20);
}

/// Bad ones mixed with good ones, and in rows that a regular sample would miss.
#[test]
fn more_refused_than_stored_holds_the_host() {
    let patterns: [fn(usize) -> bool; 2] = [|n| n * 7 % 10 < 7, |n| n % 10 < 8];
    for (number, is_bad) in patterns.into_iter().enumerate() {
        let mut load = Load::new(&format!("mostly_refused_{number}"));
        load.scene.database.execute(ONLY_EVEN);
        load.start();
        load.send_odd_where(400, is_bad);
        load.wait_until_held(&["--refused-percent-max"]);
        // Over the last hundred, more refused than stored.
        assert!(load.dead_letters() <= 150, "{}", load.dead_letters());
        load.give_up();
    }
}

/// Case 134.
#[test]
fn of_two_causes_at_once_each_is_told_until_both_are_mended() {
    let causes = [
        (
            "ALTER TABLE user_logins ADD tenant text NOT NULL DEFAULT 'before';
             ALTER TABLE user_logins ALTER tenant DROP DEFAULT",
            "ALTER TABLE user_logins ALTER tenant SET DEFAULT 'ours'",
            "SQLSTATE 23502",
        ),
        (REFUSE_ALL, ACCEPT_ALL, "SQLSTATE P0001"),
    ];
    for (n, order) in [[0, 1], [1, 0]].into_iter().enumerate() {
        let mut load = Load::new(&format!("two_causes_{n}"));
        load.start();
        for (harm, _, _) in causes {
            load.scene.database.execute(harm);
        }
        load.send();
        // A row trigger comes before the check for nulls.
        load.wait_until_held(&["SQLSTATE P0001"]);
        load.scene.database.execute(causes[order[0]].1);
        load.wait_until_held(&[causes[order[1]].2]);
        assert!(load.dead_letters() <= HANDFUL, "{}", load.dead_letters());
        load.scene.database.execute(causes[order[1]].1);
        load.finish(HANDFUL);
    }
}

/// Case 127.
#[test]
fn a_ledger_that_refuses_rejections_costs_no_copy_and_then_one() {
    let mut load = Load::new("ledger_refuses");
    load.scene.database.execute(ONLY_EVEN);
    load.start();
    load.scene.database.execute(
        "ALTER TABLE etl_host.ledger ADD CONSTRAINT no_rejections CHECK (outcome <> 'rejected')",
    );
    load.send_with_an_odd_one();
    load.wait_until_held(&["SQLSTATE 23514", "no_rejections"]);
    load.wait_until_only_one_is_left();
    load.wait_until_leases_are_extended();
    assert_eq!(load.dead_letters(), 0, "copies while the ledger refuses");
    load.scene
        .database
        .execute("ALTER TABLE etl_host.ledger DROP CONSTRAINT no_rejections");
    load.finish(1);
}

/// Case 127, as it was met: the ledger's database cannot write the field.
#[test]
fn a_field_that_the_ledger_cannot_write_costs_no_copy() {
    let scene = Scene::with(Kind::Patient, Database::in_latin1(), Server::get().port);
    let mut host = scene.host().option("--transform", guest("rule_mask.wasm"));
    host = host.option("--table", "people").word("--create-table");
    for parameter in ["keep=id, /名前 as name", "required=/名前"] {
        host = host.word("--param").word(parameter);
    }
    let sent = scene.send(&[r#"{"id": "a"}"#, r#"{"id": "b", "名前": "x"}"#]);
    let mut host = host.start();
    let log = host.log();
    host.wait_until("it is held, and says why", || {
        log.line_says(&[HELD, "SQLSTATE 22P05"])
    });
    host.wait_until("the other one is stored", || scene.left() == 1);
    host.wait_until("the message is kept for long", || {
        scene.extensions(&sent.ids[0]) >= 8
    });
    assert_eq!(scene.dead_letters(), [""; 0]);
    host.terminate();
    host.finish().exited(0);
    assert_eq!((scene.left(), scene.dead_letters().len()), (1, 0));
}

#[test]
fn sixty_rejections_in_a_row_flow() {
    let mut load = Load::new("hiccup");
    load.start();
    load.send_bodies(60, "{\"user_id\": 7}");
    load.wait_until("all are settled", |load| load.left() == 0);
    assert_eq!(load.dead_letters(), 60);
    load.never_said("held: nothing");
    load.send();
    load.wait_until_stored(2 * MESSAGES);
    load.give_up();
}

#[test]
fn the_wrong_policy_on_a_queue_is_held_after_two_hundred() {
    let mut load = Load::new("wrong_policy");
    load.send_bodies(400, "{\"order\": 7}");
    load.start_idle();
    load.wait_until_held(&["--rejected-percent-max"]);
    load.wait_until("some are kept", |load| load.left() > 0);
    // Two hundred, and what the writers have in hand at the time.
    assert!(load.dead_letters() <= 220, "{}", load.dead_letters());
    load.give_up();
}
