//! The straight path: what was sent becomes rows, once, and leaves the queue.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::Host;
use crate::support::login::{Login, bodies, rows, sha256_hex};
use crate::support::queue::{Queue, Shape};

#[test]
fn a_hundred_messages_become_ninety_nine_rows_and_one_dead_letter() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("hundred", 99);
    let mut messages = bodies(&logins);
    let stranger = json!({"event": "invented", "amount": 12}).to_string();
    messages.insert(12, stranger.clone());
    let sent = queue.send(&messages);

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    queue.assert_empty();
    let letters = queue.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].body, stranger);
    let policy = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    for (what, value) in [
        ("reason", "unsupported".to_owned()),
        ("policy digest", sha256_hex(&policy)),
        ("origin id", sent.ids[12].clone()),
    ] {
        let attributes = &letters[0].attributes;
        assert!(
            attributes
                .values()
                .any(|attribute| attribute.contains(&value)),
            "no attribute has the {what} {value}: {attributes:?}"
        );
    }
    let outcomes = [("stored".to_owned(), 99), ("rejected".to_owned(), 1)];
    assert_eq!(database.outcomes(), BTreeMap::from(outcomes));
    for word in ["received", "100", "stored", "99", "unsupported", "rows/s"] {
        assert!(run.stdout.contains(word), "no {word:?} in {}", run.stdout);
    }
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_second_run_changes_nothing() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("second_run", 10);
    let mut messages = bodies(&logins);
    messages.push("not a login".to_owned());
    let sent = queue.send(&messages);
    let host = || Host::new(&queue, &database).until_empty();

    let first = host().run().exited(0);
    let ledger = database.ledger();
    let second = host().option("--output", "json").run().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    assert_eq!(database.ledger(), ledger);
    assert_eq!(queue.dead_letters().len(), 1);
    assert_eq!(second.summary()["received"], 0);
    assert_eq!(second.summary()["stored"], 0);
    nothing_leaked(&logins, &[&first, &second], &database);
}

#[test]
fn the_json_summary_counts_every_fate() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("summary", 8);
    let mut messages = bodies(&logins);
    messages.extend(["{", "{]", "42"].map(str::to_owned));
    queue.send(&messages);

    let run = Host::new(&queue, &database)
        .until_empty()
        .option("--output", "json")
        .run()
        .exited(0);

    let summary = run.summary();
    assert_eq!(summary["received"], 11);
    assert_eq!(summary["stored"], 8);
    assert_eq!(summary["duplicates"], 0);
    assert_eq!(summary["skipped"], 0);
    assert_eq!(
        summary["rejected"],
        json!({"malformed": 2, "unsupported": 1})
    );
    assert!(
        summary["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
    assert!(summary["rows_per_second"].is_number());
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_null_or_absent_locale_is_sql_null() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    // Null, given, given, absent, given, given.
    let logins = Login::several("null_locale", 6);
    let sent = queue.send(&bodies(&logins));

    Host::new(&queue, &database).until_empty().run().exited(0);

    assert_eq!(database.count("user_logins WHERE locale IS NULL"), 2);
    database.assert_rows(&rows(&logins, sent.day));
}

#[test]
fn two_messages_with_one_body_are_two_rows() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let login = Login::invented("same_body", 1);
    let sent = queue.send(&[login.body(), login.body()]);

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&[login.row(sent.day), login.row(sent.day)]);
    nothing_leaked(&[login], &[&run], &database);
}

#[test]
fn two_messages_with_one_event_id_are_one_row() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let login = Login::invented("event_id", 1);
    let sent = queue.send(&[login.body(), login.body()]);

    let run = Host::new(&queue, &database)
        .option("--event-id", "/user_id")
        .option("--output", "json")
        .until_empty()
        .run()
        .exited(0);

    database.assert_rows(&[login.row(sent.day)]);
    assert_eq!(run.summary()["stored"], 1);
    assert_eq!(run.summary()["duplicates"], 1);
    queue.assert_empty();
    nothing_leaked(&[login], &[&run], &database);
}

#[test]
fn a_text_beyond_ascii_is_hashed_as_utf8_and_stored_as_it_is() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let mut login = Login::invented("beyond_ascii", 2);
    login.user_id = "usuária-ü-用户".to_owned();
    login.device_id.push_str("-gerät-設備-\u{1f4f1}");
    let sent = queue.send(&[login.body()]);

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&[login.row(sent.day)]);
    nothing_leaked(&[login], &[&run], &database);
}

/// The component hashes short values four at a time, and longer ones alone.
#[test]
fn a_device_id_of_each_length_is_hashed() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let mut logins = Login::several("each_length", 130);
    for (length, login) in logins.iter_mut().enumerate() {
        login.device_id = format!("device-{}", "x".repeat(length));
    }
    let sent = queue.send(&bodies(&logins));

    Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
}

#[test]
fn a_fifo_queue_is_emptied_too() {
    let queue = Queue::shaped(Shape {
        fifo: true,
        ..Shape::default()
    });
    let database = Database::with_table();
    let logins = Login::several("fifo", 12);
    let mut messages = bodies(&logins);
    messages.insert(5, "not a login".to_owned());
    let sent = queue.send(&messages);

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    assert_eq!(queue.dead_letters().len(), 1);
    queue.assert_empty();
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn every_option_has_an_environment_variable() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("environment", 3);
    let sent = queue.send(&bodies(&logins));

    let run = Host::bare()
        .env("ETL_HOST_TRANSFORM", guest("sha256_mask.wasm"))
        .env("ETL_HOST_QUEUE_URL", &queue.url)
        .env("DATABASE_URL", database.url())
        .env("ETL_HOST_TABLE", "user_logins")
        .env("AWS_ENDPOINT_URL_SQS", &queue.endpoint)
        .until_empty()
        .run()
        .exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_flag_wins_over_its_environment_variable() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    queue.send(&bodies(&Login::several("flag_wins", 1)));

    Host::new(&queue, &database)
        .env("ETL_HOST_TABLE", "no_such_table")
        .option("--table", "user_logins")
        .until_empty()
        .run()
        .exited(0);

    assert_eq!(database.count("user_logins"), 1);
}

#[test]
fn two_hosts_share_a_queue_without_a_second_row() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("two_hosts", 200);
    let sent = queue.send(&bodies(&logins));
    let host = || {
        Host::new(&queue, &database)
            .until_empty()
            .option("--output", "json")
            .start()
    };

    let both = [host(), host()];
    let both = both.map(|running| running.finish().exited(0));

    database.assert_rows(&rows(&logins, sent.day));
    queue.assert_empty();
    let stored = both.each_ref().map(|run| run.summary()["stored"].as_u64());
    assert_eq!(stored.into_iter().flatten().sum::<u64>(), 200);
    nothing_leaked(&logins, &both.each_ref(), &database);
}
