//! What a table may have against a row: the message is rejected with the
//! SQLSTATE, and the others are stored.

use super::scene::Scene;
use crate::support::login::{Login, bodies, rows};

/// A row that nothing is wrong with has `ios` or `android` for its device.
const ODD: &str = "odd";

/// Loads logins into a table that has been altered, the nth of them as the
/// test wants it, and checks that only that one is refused.
#[track_caller]
fn refused_alone(test: &str, alter: &str, spoil: impl Fn(&mut Login), sqlstate: &str) {
    let scene = Scene::new();
    scene.database.execute(alter);
    let mut logins = Login::several(test, 11);
    spoil(&mut logins[4]);
    let sent = scene.send(&bodies(&logins));

    let run = scene.host().until_empty().run().exited(0);

    scene.assert_rejected(&sent.ids[4], &format!("database-{sqlstate}"));
    let good = [&logins[..4], &logins[5..]].concat();
    scene.assert_well(&rows(&good, sent.day), 1, &logins, &[&run]);
}

fn odd(login: &mut Login) {
    login.device_type = ODD.to_owned();
}

/// Case 71.
#[test]
fn a_number_out_of_range_is_refused_alone() {
    let scene = Scene::new();
    scene
        .database
        .execute("ALTER TABLE user_logins ALTER app_version TYPE smallint");
    let mut logins = Login::several("out_of_range", 9);
    for (n, login) in logins.iter_mut().enumerate() {
        login.version = [("0.0.1", 1), ("0.1", 1_000), ("0.32.767", 32_767)][n % 3];
    }
    logins[4].version = ("0.32.768", 32_768);
    let sent = scene.send(&bodies(&logins));

    let run = scene.host().until_empty().run().exited(0);

    scene.assert_rejected(&sent.ids[4], "database-22003");
    let good = [&logins[..4], &logins[5..]].concat();
    scene.assert_well(&rows(&good, sent.day), 1, &logins, &[&run]);
}

/// Case 71.
#[test]
fn a_text_that_is_none_of_its_columns_type_is_refused_alone() {
    refused_alone(
        "wrong_type",
        "CREATE TYPE device AS ENUM ('android', 'ios');
         ALTER TABLE user_logins ALTER device_type TYPE device USING device_type::device",
        odd,
        "22P02",
    );
}

/// Case 72.
#[test]
fn a_null_in_a_column_that_takes_none_is_refused_alone() {
    let scene = Scene::new();
    scene
        .database
        .execute("ALTER TABLE user_logins ALTER locale SET NOT NULL");
    // Every third has no locale.
    let logins = Login::several("not_null", 12);
    let sent = scene.send(&bodies(&logins));

    let run = scene.host().until_empty().run().exited(0);

    let (mut good, mut bad) = (Vec::new(), 0);
    for (login, id) in logins.iter().zip(&sent.ids) {
        if login.row(0).locale.is_none() {
            scene.assert_rejected(id, "database-23502");
            bad += 1;
        } else {
            good.push(login.clone());
        }
    }
    assert_eq!(bad, 4);
    scene.assert_well(&rows(&good, sent.day), bad, &logins, &[&run]);
}

/// Case 72.
#[test]
fn a_row_that_a_check_refuses_is_refused_alone() {
    refused_alone(
        "check",
        "ALTER TABLE user_logins ADD CHECK (device_type IN ('android', 'ios'))",
        odd,
        "23514",
    );
}

const DEVICES: &str = "CREATE TABLE devices (name varchar(32) PRIMARY KEY);
    INSERT INTO devices VALUES ('android'), ('ios');
    ALTER TABLE user_logins ADD FOREIGN KEY (device_type) REFERENCES devices";

/// Case 72.
#[test]
fn a_row_that_refers_to_nothing_is_refused_alone() {
    refused_alone("foreign_key", DEVICES, odd, "23503");
}

/// Case 84.
#[test]
fn a_row_that_is_refused_at_the_commit_is_refused_alone() {
    let deferred = format!("{DEVICES} DEFERRABLE INITIALLY DEFERRED");
    refused_alone("deferred", &deferred, odd, "23503");
}

/// Case 73.
#[test]
fn a_row_that_another_unique_key_refuses_is_not_swallowed() {
    let scene = Scene::new();
    scene
        .database
        .execute("ALTER TABLE user_logins ADD UNIQUE (user_id)");
    let mut logins = Login::several("unique", 9);
    logins[7].user_id = logins[0].user_id.clone();
    // One after the other, so that it is known which comes first; the last one
    // is stored, and so tells whose fault the other's refusal is.
    let first = scene.send(&bodies(&logins[..7]));
    let one = scene.host().until_empty().run().exited(0);
    let last = scene.send(&bodies(&logins[7..]));
    let other = scene.host().until_empty().run().exited(0);

    scene.assert_rejected(&last.ids[0], "database-23505");
    let good = [&logins[..7], &logins[8..]].concat();
    let good = rows(&good, first.day);
    scene.assert_well(&good, 1, &logins, &[&one, &other]);
}

/// A trigger that drops the rows for which this holds.
fn dropping(condition: &str) -> String {
    format!(
        "CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RETURN NULL; END';
         CREATE TRIGGER drop_row BEFORE INSERT ON user_logins
             FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION drop_row()"
    )
}

/// Case 74.
#[test]
fn a_row_that_a_trigger_drops_is_refused_alone() {
    let dropping = dropping(&format!("NEW.device_type = '{ODD}'"));
    refused_alone("trigger", &dropping, odd, "21000");
}

/// Case 74.
#[test]
fn a_trigger_that_drops_every_row_holds_the_host() {
    let scene = Scene::new();
    scene.database.execute(&dropping("true"));
    let logins = Login::several("drops_all", 12);
    let sent = scene.send(&bodies(&logins));
    let mut host = scene.host().start();
    host.wait_until_it_says("held: nothing");
    host.wait_until("some leases were extended", || {
        scene.extensions(&sent.ids[0]) >= 2
    });
    scene.assert_held(&sent.ids);
    assert_eq!(scene.database.count("etl_host.ledger"), 0);

    scene
        .database
        .execute("DROP TRIGGER drop_row ON user_logins");
    host.wait_until("all is stored", || scene.left() == 0);
    host.terminate();
    let run = host.finish().exited(0);
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &[&run]);
}

/// Case 74.
#[test]
fn a_row_that_a_rule_leads_elsewhere_is_refused_alone() {
    refused_alone(
        "rule",
        "CREATE TABLE elsewhere (LIKE user_logins);
         CREATE FUNCTION lead_away() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO elsewhere VALUES (NEW.*); RETURN NULL; END';
         CREATE TRIGGER lead_away BEFORE INSERT ON user_logins
             FOR EACH ROW WHEN (NEW.device_type = 'odd') EXECUTE FUNCTION lead_away()",
        odd,
        "21000",
    );
}

/// Case 76.
#[test]
fn a_batch_of_bad_rows_is_held_and_found_out_beside_a_good_one() {
    let scene = Scene::new();
    let mut logins = Login::several("all_bad", 13);
    for login in &mut logins[..12] {
        login.device_type = "x".repeat(33);
    }
    let sent = scene.send(&bodies(&logins[..12]));
    let mut host = scene.host().start();
    // Nothing is stored: everybody may meet it.
    host.wait_until_it_says("every record meets (SQLSTATE 22001");
    host.wait_until("some leases were extended", || {
        sent.ids.iter().any(|id| scene.extensions(id) >= 2)
    });
    // Two of them may have come alone, and were charged for their values.
    let charged = scene.dead_letters().len();
    assert!(charged <= 5, "{charged} dead letters while held");
    assert!(sent.ids.iter().all(|id| scene.receives(id) <= 1));

    scene.send(&bodies(&logins[12..]));
    host.wait_until("all is settled", || scene.left() == 0);
    host.terminate();
    let run = host.finish().exited(0);

    for id in &sent.ids {
        scene.assert_rejected(id, "database-22001");
    }
    scene.assert_well(&rows(&logins[12..], sent.day), 12, &logins, &[&run]);
}

/// Case 78.
#[test]
fn columns_that_the_table_fills_itself_are_filled() {
    let scene = Scene::new();
    scene.database.execute(
        "ALTER TABLE user_logins
             ADD id bigint GENERATED ALWAYS AS IDENTITY,
             ADD loaded timestamptz NOT NULL DEFAULT now(),
             ADD source text NOT NULL DEFAULT 'queue',
             ADD major int GENERATED ALWAYS AS (app_version / 1000000) STORED",
    );
    let logins = Login::several("filled", 9);
    let sent = scene.send(&bodies(&logins));

    let run = scene.host().until_empty().run().exited(0);

    let filled = "user_logins WHERE id IS NOT NULL AND loaded <= now() AND source = 'queue'
                  AND major = app_version / 1000000";
    assert_eq!(scene.database.count(filled), 9);
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &[&run]);
}

const PARTITIONED: &str = "ALTER TABLE user_logins RENAME TO plain;
    CREATE TABLE user_logins (LIKE plain) PARTITION BY LIST (device_type);
    CREATE TABLE on_android PARTITION OF user_logins FOR VALUES IN ('android');
    CREATE TABLE on_ios PARTITION OF user_logins FOR VALUES IN ('ios')";

/// Case 80.
#[test]
fn a_row_without_a_partition_is_refused_alone() {
    refused_alone("no_partition", PARTITIONED, odd, "23514");
}

/// Case 80.
#[test]
fn rows_go_to_their_partitions() {
    let scene = Scene::new();
    scene.database.execute(PARTITIONED);
    let logins = Login::several("partitions", 10);
    let sent = scene.send(&bodies(&logins));

    let run = scene.host().until_empty().run().exited(0);

    let parts = ["on_android", "on_ios"].map(|part| scene.database.count(part));
    assert_eq!(parts, [5, 5]);
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &[&run]);
}
