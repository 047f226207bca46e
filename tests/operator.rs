//! What an operator sees of a running host: health, readiness with its reason,
//! and metrics that agree with what has happened.

use crate::support::database::Database;
use crate::support::host::{Host, Run};
use crate::support::http::{get, series};
use crate::support::login::{Login, bodies};
use crate::support::queue::Queue;
use crate::support::{deserted_address, free_address};

fn probe(address: &str, words: &[&str]) -> Run {
    let mut host = Host::bare().word("healthcheck");
    for word in words {
        host = host.word(*word);
    }
    host.option("--admin-addr", address).run()
}

#[test]
fn a_held_host_is_alive_and_not_ready_and_says_why() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let address = free_address();
    let mut host = Host::new(&queue, &database)
        .option("--admin-addr", &address)
        .start();
    host.wait_until("it is ready", || probe(&address, &[]).code() == Some(0));
    database.execute("ALTER TABLE user_logins RENAME TO away");
    queue.send(&bodies(&Login::several("not_ready", 3)));
    host.wait_until_it_says("held: nothing");

    let ready = get(&address, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains("42P01"), "{ready}");
    assert!(get(&address, "/livez").starts_with("HTTP/1.1 200"));
    probe(&address, &[]).exited(69).says(&["42P01"]);
    probe(&address, &["--live"]).exited(0);
    assert_eq!(series(&address, "etl_host_held"), Some(1.0));

    database.execute("ALTER TABLE away RENAME TO user_logins");
    host.wait_until("it is ready again", || {
        get(&address, "/readyz").starts_with("HTTP/1.1 200")
    });
    assert_eq!(series(&address, "etl_host_held"), Some(0.0));
    let held = series(&address, "etl_host_held_seconds_total{cause=\"database\"}");
    assert!(held.is_some_and(|secs| secs > 0.0), "{held:?}");
    host.terminate();
    host.finish().exited(0);
}

#[test]
fn metrics_agree_with_what_has_happened() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let address = free_address();
    let mut bodies = bodies(&Login::several("metrics", 7));
    bodies.push("not JSON".to_owned());
    queue.send(&bodies);
    let mut host = Host::new(&queue, &database)
        .option("--admin-addr", &address)
        .start();
    host.wait_until("all is settled and deleted", || {
        queue.visible() + queue.hidden() == 0
    });
    host.wait_until("the last delete is counted", || {
        series(&address, "etl_host_receive_to_delete_seconds_count") == Some(8.0)
    });

    for (name, value) in [
        ("etl_host_messages_received_total", 8.0),
        ("etl_host_messages_total{fate=\"stored\",reason=\"\"}", 7.0),
        (
            "etl_host_messages_total{fate=\"rejected\",reason=\"malformed\"}",
            1.0,
        ),
        ("etl_host_rows_written_total", 7.0),
        ("etl_host_messages_in_flight", 0.0),
        ("etl_host_held", 0.0),
    ] {
        assert_eq!(series(&address, name), Some(value), "{name}");
    }
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("etl_host_component_info{name=\"sha256_mask\""));
    host.terminate();
    host.finish().exited(0);
}

#[test]
fn nobody_to_ask_is_unavailable() {
    let address = deserted_address();
    probe(&address, &[]).exited(69).says(&[&address]);
}
