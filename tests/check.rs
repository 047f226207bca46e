//! `etl-host check` and `etl-host ddl`: what a run would find, and what a
//! database administrator runs where the host may create nothing.

use crate::support::database::Database;
use crate::support::deserted_address;
use crate::support::guest;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, bodies, rows};
use crate::support::postgres::{STRANGER, STRANGER_PASSWORD};
use crate::support::queue::Queue;

#[track_caller]
fn check(host: Host, code: i32) -> Run {
    host.word("check").run().exited(code)
}

#[track_caller]
fn shows(run: &Run, words: &[&str]) {
    for word in words {
        assert!(
            run.stdout.contains(word),
            "{word:?} is not in\n{}",
            run.stdout
        );
    }
}

#[test]
fn check_shows_every_dependency_and_changes_nothing() {
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    queue.send(&bodies(&Login::several("check", 3)));

    let creating = ["check", "--create-table"];
    let host = Host::new(&queue, &database);
    let run = creating.into_iter().fold(host, Host::word).run().exited(0);

    shows(&run, &["component ", "database ", "queue ", " ms"]);
    shows(&run, &["sha256_mask", "reaches nothing", "/device_id"]);
    shows(&run, &["3 messages visible", "extended after"]);
    shows(&run, &["etl_host.ledger is missing: a run creates it"]);
    shows(&run, &["public.user_logins is missing: a run creates it"]);
    assert!(!database.has("etl_host.ledger") && !database.has("user_logins"));
    assert_eq!(queue.calls("ReceiveMessage"), 0);
    assert_eq!(queue.visible(), 3);
}

#[test]
fn check_as_json_is_for_programs() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());

    let run = check(Host::new(&queue, &database).option("--output", "json"), 0);

    let report = run.summary();
    let checks = report["checks"].as_array().expect("a list");
    let names: Vec<&str> = checks
        .iter()
        .filter_map(|check| check["dependency"].as_str())
        .collect();
    assert_eq!(names, ["component", "database", "queue"]);
    for check in checks {
        assert_eq!(check["ok"], true);
        assert!(check["milliseconds"].is_u64());
    }
}

#[test]
fn check_names_all_that_is_wrong_and_ends_as_a_run_would() {
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    let mut nowhere = Host::new(&queue, &database);
    nowhere = nowhere.env(
        "AWS_ENDPOINT_URL_SQS",
        format!("http://{}", deserted_address()),
    );

    let run = check(nowhere, 78);
    shows(&run, &["--create-table", "Connection refused", "FAILED"]);

    // Of the two faults only the one that may pass is left.
    database.create_table();
    let mut nowhere = Host::new(&queue, &database);
    nowhere = nowhere.env(
        "AWS_ENDPOINT_URL_SQS",
        format!("http://{}", deserted_address()),
    );
    let run = check(nowhere, 69);
    shows(&run, &["fits", "Connection refused"]);
}

#[test]
fn what_a_crash_would_undo_is_a_warning_with_its_remedy() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let name = &database.name;
    database.execute(&format!(
        "ALTER TABLE user_logins SET UNLOGGED;
         ALTER DATABASE {name} SET synchronous_commit = off"
    ));

    let run = check(Host::new(&queue, &database), 0);

    shows(&run, &["ok, with warnings"]);
    shows(&run, &["ALTER TABLE user_logins SET LOGGED"]);
    shows(&run, &["synchronous_commit is off"]);
    // The tests' own server is started so.
    shows(&run, &["set fsync = on"]);
}

#[test]
fn what_ddl_prints_is_enough_for_a_role_that_may_create_nothing() {
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    let ddl = Host::bare()
        .word("ddl")
        .option("--transform", guest("sha256_mask.wasm"))
        .run()
        .exited(0);
    database.execute(&ddl.stdout);
    let grants: Vec<&str> = ddl
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("-- GRANT"))
        .collect();
    assert!(!grants.is_empty(), "{}", ddl.stdout);
    for grant in grants {
        database.execute(&format!("GRANT{}", grant.replace("the_role", STRANGER)));
    }
    let logins = Login::several("ddl", 4);
    let sent = queue.send(&bodies(&logins));
    let url = database.url_as(STRANGER, STRANGER_PASSWORD);
    let host = || Host::new(&queue, &database).option("--database-url", url.clone());

    // The table is the operator's, and so is the grant on it: it is named.
    host()
        .until_empty()
        .run()
        .exited(78)
        .says(&["GRANT INSERT ON"]);
    database.execute(&format!("GRANT INSERT ON user_logins TO {STRANGER}"));
    host().until_empty().run().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
}
