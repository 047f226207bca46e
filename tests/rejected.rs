//! Messages that cannot become rows: where they go, what is said of them, and
//! that they take nobody along.

use serde_json::json;

use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::host::Host;
use crate::support::login::{Login, bodies, rows};
use crate::support::queue::{DeadLetters, Queue, Shape};

/// A login cut short: it still holds its sensitive values.
fn cut_short(login: &Login) -> String {
    let mut body = login.body();
    body.pop();
    body
}

#[test]
fn a_malformed_message_goes_to_the_dead_letter_queue_as_it_came() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("malformed", 6);
    let mut messages = bodies(&logins);
    messages[3] = cut_short(&logins[3]);
    let sent = queue.send(&messages);

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    let letters = queue.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].body, messages[3]);
    queue.assert_empty();
    let good = [&logins[..3], &logins[4..]].concat();
    database.assert_rows(&rows(&good, sent.day));
    let ledger = database.ledger();
    let entry = ledger.iter().find(|entry| entry.message_id == sent.ids[3]);
    let entry = entry.expect("the ledger knows the message");
    assert_eq!(entry.outcome, "rejected");
    assert_eq!(entry.reason.as_deref(), Some("malformed"));
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn without_a_dead_letter_queue_a_malformed_message_stays_in_its_queue() {
    let (queue, database) = (Queue::without_dead_letters(), Database::with_table());
    let logins = Login::several("stays", 4);
    let mut messages = bodies(&logins);
    messages[0] = cut_short(&logins[0]);
    let sent = queue.send(&messages);

    // It must not keep `--until-empty` waiting.
    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    assert_eq!(
        (queue.visible(), queue.hidden()),
        (0, 1),
        "(visible, hidden)"
    );
    database.assert_rows(&rows(&logins[1..], sent.day));
    let ledger = database.ledger();
    let entry = ledger.iter().find(|entry| entry.message_id == sent.ids[0]);
    let entry = entry.expect("the ledger knows the message");
    assert_eq!(entry.outcome, "rejected");
    assert_eq!(entry.reason.as_deref(), Some("malformed"));
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn what_an_earlier_run_left_hidden_does_not_keep_a_later_one_waiting() {
    let (queue, database) = (Queue::without_dead_letters(), Database::with_table());
    queue.send(&["not a login".to_owned()]);
    let run = || Host::new(&queue, &database).until_empty().run().exited(0);
    run();
    run();
    assert_eq!(
        (queue.visible(), queue.hidden()),
        (0, 1),
        "(visible, hidden)"
    );
}

#[test]
fn a_dead_letter_queue_may_be_named_on_the_command_line() {
    let queue = Queue::shaped(Shape {
        dead_letters: DeadLetters::ByOption,
        ..Shape::default()
    });
    let database = Database::with_table();
    queue.send(&["not a login".to_owned()]);
    let url = queue.dead_letter_url.clone().expect("a dead-letter queue");

    Host::new(&queue, &database)
        .option("--dead-letter-queue-url", url)
        .until_empty()
        .run()
        .exited(0);

    assert_eq!(queue.dead_letters().len(), 1);
    queue.assert_empty();
}

#[test]
fn each_kind_of_fault_has_its_reason() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("reasons", 6);
    let changed = |n: usize, member: &str, value| {
        let mut body = logins[n].json();
        body[member] = value;
        body.to_string()
    };
    let mut without_device = logins[0].json();
    let members = without_device.as_object_mut().expect("an object");
    members.remove("device_id");
    let faults = [
        ("missing", without_device.to_string()),
        ("wrong-type", changed(1, "ip", json!(3_221_225_985_u32))),
        ("wrong-type", changed(2, "user_id", json!(null))),
        ("invalid", changed(3, "app_version", json!("2.x"))),
        ("out-of-range", changed(4, "app_version", json!("2.1000"))),
        ("invalid", changed(5, "user_id", json!("a\u{0}b"))),
        ("unsupported", "[1, 2, 3]".to_owned()),
        ("malformed", "<login/>".to_owned()),
    ];
    let messages = faults.each_ref().map(|(_, body)| body.clone());
    let sent = queue.send(&messages);

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    let ledger = database.ledger();
    for ((reason, body), id) in faults.iter().zip(&sent.ids) {
        let entry = ledger.iter().find(|entry| entry.message_id == *id);
        let entry = entry.expect("the ledger knows the message");
        assert_eq!(entry.reason.as_deref(), Some(*reason), "for {body}");
    }
    assert_eq!(queue.dead_letters().len(), faults.len());
    assert_eq!(database.count("user_logins"), 0);
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_value_too_long_for_its_column_rejects_its_own_message_only() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let mut logins = Login::several("too_long", 10);
    // The column is a varchar(32).
    logins[4].device_type = "x".repeat(33);
    let sent = queue.send(&bodies(&logins));

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    let good = [&logins[..4], &logins[5..]].concat();
    database.assert_rows(&rows(&good, sent.day));
    assert_rejected_with(&database, &sent.ids[4], "22001");
    assert_eq!(queue.dead_letters().len(), 1);
    queue.assert_empty();
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_row_that_a_constraint_refuses_rejects_its_own_message_only() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    database.execute("ALTER TABLE user_logins ADD CHECK (device_type IN ('android', 'ios'))");
    let mut logins = Login::several("constraint", 10);
    logins[0].device_type = "invented".to_owned();
    logins[9].device_type = "invented".to_owned();
    let sent = queue.send(&bodies(&logins));

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&rows(&logins[1..9], sent.day));
    assert_rejected_with(&database, &sent.ids[0], "23514");
    assert_rejected_with(&database, &sent.ids[9], "23514");
    queue.assert_empty();
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn component_and_database_may_each_refuse_some_of_a_batch() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let mut logins = Login::several("each_refuse", 10);
    for login in logins.iter_mut().step_by(3) {
        login.device_type = "x".repeat(33);
    }
    let mut messages = bodies(&logins);
    for message in messages.iter_mut().skip(1).step_by(3) {
        message.pop();
    }
    let sent = queue.send(&messages);

    let run = Host::new(&queue, &database).until_empty().run().exited(0);

    let good = [2, 5, 8].map(|n| logins[n].clone());
    database.assert_rows(&rows(&good, sent.day));
    assert_rejected_with(&database, &sent.ids[0], "22001");
    assert_rejected_with(&database, &sent.ids[1], "malformed");
    assert_eq!(queue.dead_letters().len(), 7);
    queue.assert_empty();
    nothing_leaked(&logins, &[&run], &database);
}

#[track_caller]
fn assert_rejected_with(database: &Database, message_id: &str, cause: &str) {
    let ledger = database.ledger();
    let entry = ledger.iter().find(|entry| entry.message_id == message_id);
    let entry = entry.expect("the ledger knows the message");
    let reason = entry.reason.as_deref().unwrap_or("none");
    assert_eq!(entry.outcome, "rejected");
    assert!(reason.contains(cause), "{reason} is not {cause}");
}
