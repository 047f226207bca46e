//! Outages of the source queue: how seldom it is asked while it is away, and
//! that readiness is true before, during and after.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::scene::{DEAD, RECEIVE, SOURCE, Scene};
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::operation::{DELETES, Operation, SENDS};
use crate::fake_queue::refusal::Refusal;
use crate::support::free_address;
use crate::support::host::Running;
use crate::support::http::{get, series};

/// Many more than a host of the other cases has.
const RECEIVES: usize = 128;
/// How long an outage is watched once its first calls are over, in seconds.
const WATCHED_SECS: u64 = 8;

/// Not before the endpoint listens, either.
fn is_ready(address: &str) -> bool {
    TcpStream::connect(address).is_ok() && get(address, "/readyz").starts_with("HTTP/1.1 200")
}

/// Waits for a while in which the host must go on: in wall time, by which its
/// calls are counted.
fn wait_for(host: &mut Running, secs: u64) {
    let watched = Instant::now();
    host.wait_until("time has passed", || {
        watched.elapsed() >= Duration::from_secs(secs)
    });
}

/// Case 130.
#[test]
fn a_queue_that_is_away_is_probed_once_a_second_by_all_receivers_together() {
    let mut scene = Scene::new("outage");
    let address = free_address();
    let host = scene.host().option("--receives", RECEIVES.to_string());
    let mut host = host.option("--admin-addr", &address).start();
    scene.send(400);
    host.wait_until("it is at work", || scene.stored() > 0);
    let refused = scene.always(RECEIVE, Action::Refuse(Refusal::unavailable()));
    let log = host.log();
    host.wait_until("it has noticed", || log.says("receiving fails"));
    let unready = get(&address, "/readyz");
    assert!(unready.contains("queue: not ready: "), "{unready}");
    assert!(unready.contains("database: ready"), "{unready}");
    assert_eq!(series(&address, "etl_host_held"), Some(1.0));
    let before = refused.count();
    wait_for(&mut host, WATCHED_SECS);
    let probes = refused.count() - before;
    // The direct calls are tried again each ten seconds, in the same second.
    let probes_max = WATCHED_SECS as usize + 4;
    assert!((2..=probes_max).contains(&probes), "{probes} probes");
    assert!(!is_ready(&address));

    refused.stop();
    host.wait_until("it is ready again", || is_ready(&address));
    host.wait_until("the queue is empty", || scene.is_empty());
    assert_eq!(series(&address, "etl_host_held"), Some(0.0));
    let held = series(&address, "etl_host_held_seconds_total{cause=\"queue\"}");
    assert!(
        held.is_some_and(|secs| secs >= WATCHED_SECS as f64),
        "{held:?}"
    );
    assert_eq!(log.count("receiving fails"), 1);
    assert_eq!(log.count("receiving works again"), 1);
    scene.stop(host);
    scene.assert_settled();
}

/// Case 130. An idle host has nothing that would tell it but its own probes.
#[test]
fn an_idle_host_is_ready_again_after_an_outage() {
    let mut scene = Scene::new("outage_idle");
    let address = free_address();
    let mut host = scene.host().option("--admin-addr", &address).start();
    host.wait_until("it is ready", || is_ready(&address));
    let refused = scene.always(RECEIVE, Action::Refuse(Refusal::no_such_queue()));
    host.wait_until("it is not ready", || !is_ready(&address));
    refused.stop();
    host.wait_until("it is ready again", || is_ready(&address));
    scene.assert_calls_bounded(Operation::ReceiveMessage, 10);
    scene.stop(host);
}

/// Case 130. Sporadic failures are no outage.
#[test]
fn a_failure_now_and_then_neither_stops_nor_slows_the_host() {
    let mut scene = Scene::new("sporadic");
    let address = free_address();
    let mut host = scene.host().option("--admin-addr", &address).start();
    host.wait_until("it is ready", || is_ready(&address));
    for _ in 0..5 {
        let refused = scene.once(RECEIVE, Action::Refuse(Refusal::unavailable()));
        scene.send(20);
        host.wait_until("it took place", || refused.count() == 1);
        host.wait_until("the queue is empty", || scene.is_empty());
        assert!(is_ready(&address));
    }
    assert_eq!(host.log().count("receiving fails"), 0);
    scene.stop(host);
    scene.assert_settled();
}

/// Case 134. Deletes and receives fail; the end of one does not hide the other.
#[test]
fn the_end_of_one_cause_leaves_the_other_one_standing() {
    let mut scene = Scene::new("two_causes");
    let address = free_address();
    let mut host = scene.host().option("--admin-addr", &address).start();
    host.wait_until("it is ready", || is_ready(&address));
    let deletes = scene.always(DELETES, Action::Refuse(Refusal::unavailable()));
    scene.send(10);
    let readyz = || get(&address, "/readyz");
    host.wait_until("deletes fail", || readyz().contains("deletion: "));
    let sends = Fault::on(SENDS, Action::Refuse(Refusal::unavailable()));
    let sends = scene.fake.fault(sends.in_queue(DEAD).until_stopped());
    scene
        .database
        .execute("ALTER TABLE user_logins RENAME TO away");
    deletes.stop();
    host.wait_until("deletes work", || !readyz().contains("deletion: "));
    scene.send(10);
    host.wait_until("the table is missed", || readyz().contains("42P01"));
    let receives = scene.always(RECEIVE, Action::Refuse(Refusal::unavailable()));
    scene
        .database
        .execute("ALTER TABLE away RENAME TO user_logins");
    host.wait_until("receives fail, and only they", || {
        let text = readyz();
        text.contains("queue: not ready") && text.contains("database: ready")
    });
    receives.stop();
    sends.stop();
    host.wait_until("it is ready again", || is_ready(&address));
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);
    scene.assert_settled();
    assert_eq!(scene.fake.counts(SOURCE).in_flight, 0);
}
