//! The command line and the two services at start-up: what is wrong is named,
//! with its exit code, before a single message is received.

use crate::support::database::Database;
use crate::support::deserted_address;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, bodies, rows};
use crate::support::queue::Queue;

/// Runs it, and checks that it has not touched the queue's messages.
fn refused(host: Host, queue: &Queue, code: i32) -> Run {
    let run = host.until_empty().run().exited(code);
    assert_eq!(
        queue.calls("ReceiveMessage"),
        0,
        "it received before it failed"
    );
    assert!(run.stdout.is_empty(), "a failure goes to standard error");
    run
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    let run = Host::bare().word("--no-such-option").run().exited(2);
    run.says(&["--no-such-option", "Usage"]);
}

#[test]
fn a_parameter_without_a_value_is_a_usage_error() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let host = Host::new(&queue, &database).option("--param", "ipv4_prefix_bits");
    refused(host, &queue, 2).says(&["--param", "NAME=VALUE"]);
}

#[test]
fn a_missing_option_is_a_usage_error_that_names_it() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    for option in ["--transform", "--queue-url", "--database-url"] {
        let host = Host::new(&queue, &database).without(option);
        refused(host, &queue, 2).says(&[option]);
    }
}

#[test]
fn help_names_every_option() {
    let run = Host::bare().word("--help").run().exited(0);
    for option in [
        "--transform",
        "--queue-url",
        "--database-url",
        "--table",
        "--create-table",
        "--until-empty",
        "--param",
        "--dead-letter-queue-url",
        "--startup-wait-secs",
        "--output",
        "ETL_HOST_TRANSFORM",
        "DATABASE_URL",
    ] {
        assert!(run.stdout.contains(option), "--help does not name {option}");
    }
}

#[test]
fn a_queue_that_does_not_exist_is_a_configuration_fault() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let wrong = queue.url.replace("login-queue", "no-such-queue");
    let host = Host::new(&queue, &database).option("--queue-url", wrong);
    refused(host, &queue, 78).says(&["no-such-queue", "--queue-url"]);
}

#[test]
fn an_unreachable_queue_service_is_waited_for_and_then_named() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let endpoint = format!("http://{}", deserted_address());
    let host = Host::new(&queue, &database)
        .env("AWS_ENDPOINT_URL_SQS", endpoint)
        .option("--startup-wait-secs", "1");
    refused(host, &queue, 69).says(&["login-queue"]);
}

#[test]
fn a_queue_service_that_comes_up_late_is_waited_for() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("late_queue", 5);
    let sent = queue.send(&bodies(&logins));
    let everything = ["GetQueueAttributes", "GetQueueUrl", "ReceiveMessage"];
    let calls = || -> usize { everything.iter().map(|call| queue.calls(call)).sum() };

    queue.refuse(&everything);
    let mut host = Host::new(&queue, &database).until_empty().start();
    host.wait_until("the host has asked twice", || calls() >= 2);
    queue.refuse_nothing();
    host.finish().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
}

#[test]
fn an_unreachable_database_is_waited_for_and_then_named() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let address = deserted_address();
    let url = format!("postgres://nobody:invented-password@{address}/x?sslmode=disable");
    let host = Host::new(&queue, &database)
        .option("--database-url", url)
        .option("--startup-wait-secs", "1");
    refused(host, &queue, 69)
        .says(&[&address])
        .never_says("invented-password");
}

#[test]
fn a_wrong_password_is_a_configuration_fault_and_is_not_repeated() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let host = Host::new(&queue, &database).option(
        "--database-url",
        database.url_with_password("invented-wrong-one"),
    );
    refused(host, &queue, 78)
        .says(&["28P01", "etl_owner"])
        .never_says("invented-wrong-one");
}

#[test]
fn a_database_that_does_not_exist_is_a_configuration_fault() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let wrong = database.url().replace(&database.name, "no_such_database");
    let host = Host::new(&queue, &database).option("--database-url", wrong);
    refused(host, &queue, 78).says(&["no_such_database"]);
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_required() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = database
            .url()
            .replace("sslmode=disable", &format!("sslmode={mode}"));
        let host = Host::new(&queue, &database)
            .option("--database-url", url)
            .option("--startup-wait-secs", "1");
        refused(host, &queue, 78).says(&["TLS", "sslmode"]);
    }
}
