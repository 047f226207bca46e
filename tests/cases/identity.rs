//! One event, one row, however often it comes and under whatever id.

use std::time::Duration;

use serde_json::{Value, json};

use super::scene::{Kind, Scene};
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::operation::{DELETES, Operation};
use crate::fake_queue::refusal::Refusal;
use crate::support::guest;
use crate::support::login::{Login, bodies, rows};

/// The longest event id that is taken, in bytes.
const EVENT_ID_BYTES_MAX: usize = 512;

/// The login as an event with this id.
fn event(login: &Login, id: &Value) -> String {
    let mut body = login.json();
    body["event"] = json!({"id": id});
    body.to_string()
}

/// Case 49.
#[test]
fn an_event_that_comes_back_under_a_new_message_id_has_one_row() {
    let scene = Scene::new();
    let logins = Login::several("new_message_id", 5);
    let events = logins
        .iter()
        .map(|login| event(login, &json!(login.user_id)));
    let sent = scene.send(&events.collect::<Vec<_>>());
    let host = || scene.host().option("--event-id", "/event/id");

    // Stored and never deleted, until the queue itself gives the messages up.
    let fault = Fault::on(DELETES, Action::Refuse(Refusal::unavailable())).until_stopped();
    let failing = scene.queue.fault(fault);
    let mut runs = Vec::new();
    while scene.dead_letters().len() < logins.len() {
        let refused = failing.count();
        let mut first = host().start();
        first.wait_until("deletes fail, or the queue has given up", || {
            failing.count() > refused || scene.dead_letters().len() == logins.len()
        });
        runs.push(first.kill());
        scene.queue.put_clock_forward(Duration::from_secs(60));
    }
    failing.stop();
    failing.assert_fired();
    for ((_, new), old) in scene.redrive().into_iter().zip(&sent.ids) {
        assert_ne!(new, *old);
        scene.queue.same_event(&[old.clone(), new]);
    }
    let second = host().until_empty().option("--output", "json").run();
    let second = second.exited(0);

    assert_eq!(second.summary()["duplicates"], 5);
    runs.push(second);
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
    assert_eq!(scene.database.ledger().len(), 5);
}

/// Case 49.
#[test]
fn two_copies_of_one_rejected_message_have_one_row() {
    let scene = Scene::new();
    let mut login = Login::invented("two_copies", 1);
    // No address, which one component minds and the other does not.
    login.ip = "invented-address-of-two-copies".to_owned();
    let sent = scene.send(&[login.body()]);
    let strict = scene
        .host()
        .option("--transform", guest("truncate_mask.wasm"));
    let first = strict.until_empty().run().exited(0);
    // As a kill between the copy and the deletion leaves them.
    let copies = scene.dead_messages();
    scene.redrive();
    scene.put([copies[0].sent.as_ref().clone()]);

    let run = scene.host().until_empty().run().exited(0);

    let ledger = scene.database.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].message_id, sent.ids[0]);
    let login = [login];
    scene.assert_well(&rows(&login, sent.day), 0, &login, &[&first, &run]);
}

/// Cases 50 and 75.
#[test]
fn an_event_that_its_producer_sent_twice_has_one_row() {
    let scene = Scene::new();
    let logins = Login::several("sent_twice", 10);
    let once: Vec<String> = logins
        .iter()
        .map(|login| event(login, &json!(login.user_id)))
        .collect();
    // Side by side, so that both are in one batch.
    let twice: Vec<&String> = once.iter().flat_map(|event| [event, event]).collect();
    let sent = scene.send(&twice);
    for pair in sent.ids.chunks(2) {
        scene.queue.same_event(pair);
    }

    let run = scene.host().option("--event-id", "/event/id").until_empty();
    let run = run.option("--output", "json").run().exited(0);

    assert_eq!(run.summary()["stored"], 10);
    assert_eq!(run.summary()["duplicates"], 10);
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &[&run]);
}

/// Case 75.
#[test]
fn a_message_that_comes_twice_in_one_receive_has_one_row() {
    let scene = Scene::new();
    let logins = Login::several("twice_in_one", 6);
    let sent = scene.send(&bodies(&logins));
    let twice = scene
        .queue
        .fault(Fault::everywhere(Action::ComeTwice).times(3));

    let run = scene.host().until_empty().run().exited(0);

    twice.assert_fired();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &[&run]);
    assert_eq!(scene.database.ledger().len(), 6);
}

/// Case 51.
#[test]
fn two_events_with_the_same_body_have_two_rows() {
    let scene = Scene::new();
    let login = Login::invented("same_body", 2);
    let logins = [login.clone(), login];
    let sent = scene.send(&bodies(&logins));

    let run = scene.host().until_empty().run().exited(0);

    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &[&run]);
}

/// Case 53.
#[test]
fn an_event_without_an_id_that_can_be_used_is_rejected() {
    let scene = Scene::new();
    let logins = Login::several("no_event_id", 12);
    let longest = "x".repeat(EVENT_ID_BYTES_MAX);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut events = vec![
        event(&logins[0], &json!(longest)),
        event(&logins[1], &json!(u64::MAX)),
        event(&logins[2], &json!("\u{0}\u{1F600}")),
        logins[3].body(),
        event(&logins[4], &Value::Null),
        event(&logins[5], &json!(format!("{longest}x"))),
        event(&logins[6], &json!(1.5)),
        event(&logins[7], &json!(true)),
        event(&logins[8], &json!({"id": "nested"})),
        event(&logins[9], &json!("")),
        event(&logins[10], &json!("x".repeat(100_000))),
    ];
    // The id is there, behind more depth than anybody needs.
    let behind = event(&logins[11], &json!("behind"));
    events.push(behind.replacen('{', &format!("{{\"deep\":{deep},"), 1));
    let sent = scene.send(&events);

    let run = scene.host().option("--event-id", "/event/id");
    let run = run.until_empty().run().exited(0);

    for id in &sent.ids[3..] {
        scene.assert_rejected(id, "event-id");
    }
    let mut letters = scene.dead_letters();
    letters.sort();
    events.drain(..3);
    events.sort();
    // Too long to be shown.
    assert!(letters == events, "dead letters are as they came");
    scene.assert_well(&rows(&logins[..3], sent.day), 9, &logins, &[&run]);
}

/// Case 54.
#[test]
fn two_hosts_with_the_same_messages_write_each_row_once() {
    let scene = Scene::of_kind(Kind::Patient);
    let logins = Login::several("two_hosts", 80);
    let sent = scene.send(&bodies(&logins));
    // Each is given out again at once, to whoever asks next.
    let fault = Fault::on([Operation::ReceiveMessage], Action::StayVisible).times(120);
    let both = scene.queue.fault(fault);

    let hosts = [0, 1].map(|_| scene.host().until_empty().start());
    let [one, other] = hosts.map(|host| host.finish().exited(0));

    both.assert_fired();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &[&one, &other]);
    assert_eq!(scene.database.ledger().len(), 80);
}
