//! No raw value leaves the sandbox, however much is logged and whatever goes
//! wrong. Every other test looks for its own values too; these turn the log up.

use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::host::Host;
use crate::support::login::{Login, bodies};
use crate::support::postgres::OWNER_PASSWORD;
use crate::support::queue::{Queue, SECRET_ACCESS_KEY};

/// Good logins, and every way to spoil one that keeps its sensitive values.
fn good_and_bad(logins: &mut [Login]) -> Vec<String> {
    logins[1].device_type = "x".repeat(33);
    let mut messages = bodies(logins);
    messages[2].pop();
    messages[3] = messages[3].replace("\"user_id\"", "\"ip\"");
    messages[4] = messages[4].replace("\"app_version\"", "\"version\"");
    messages[5].push_str(" and more");
    messages
}

#[test]
fn the_most_talkative_log_holds_no_raw_value() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let mut logins = Login::several("trace", 12);
    queue.send(&good_and_bad(&mut logins));

    let run = Host::new(&queue, &database)
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .until_empty()
        .run()
        .exited(0)
        .never_says(OWNER_PASSWORD)
        .never_says(SECRET_ACCESS_KEY);

    assert_eq!(database.count("user_logins"), 7);
    assert_eq!(queue.dead_letters().len(), 5);
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn the_most_talkative_log_of_a_failing_service_holds_no_raw_value() {
    let (queue, database) = (Queue::without_dead_letters(), Database::with_table());
    let mut logins = Login::several("trace_failing", 12);
    queue.send(&good_and_bad(&mut logins));

    queue.refuse(&["DeleteMessage", "DeleteMessageBatch"]);
    let mut host = Host::new(&queue, &database)
        .env("RUST_LOG", "trace")
        .start();
    host.wait_until("every message has its fate", || {
        database.count_if_there("etl_host.ledger") == 12
    });
    queue.refuse_nothing();
    host.terminate();
    let run = host.finish().exited(0);

    nothing_leaked(&logins, &[&run], &database);
}
