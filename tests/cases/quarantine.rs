//! A component that faults on nearly everything: the host stops asking it, and
//! says so, before all that it gets is dead-lettered.

use serde_json::json;

use super::scene::{Kind, Scene, bare_row};
use crate::fake_queue::store::message::Outgoing;
use crate::support::free_address;
use crate::support::host::Host;
use crate::support::login::{Login, Row};

const MESSAGES: usize = 40;
/// Of a window of 100 messages 10 %.
const FAULTS_ALLOWED: usize = 10;
/// Leases are 4 s, a third of which passes between two extensions.
const EXTENSIONS: usize = 6;

fn body(login: &Login) -> String {
    let mut body = login.json();
    body["do"] = json!("trap");
    body.to_string()
}

#[test]
fn a_component_that_faults_too_often_is_not_run_against_the_whole_queue() {
    let scene = Scene::new();
    let logins = Login::several("quarantine", MESSAGES);
    let bodies: Vec<String> = logins.iter().map(body).collect();
    let sent = scene.send(&bodies);
    let address = free_address();
    let mut host = scene
        .misbehaving_host()
        .option("--admin-addr", &address)
        .option("--transform-faults-percent-max", "10")
        .option("--transform-faults-window-messages", "100")
        .start();

    host.wait_until_it_says("component: it faults on more than 10 %");
    let kept = |extensions: usize| {
        let kept = |id: &&String| scene.extensions(id) >= extensions;
        sent.ids.iter().filter(kept).count() == MESSAGES - FAULTS_ALLOWED
    };
    // By then the polls are over that were open at the time.
    host.wait_until("what is kept is kept for long", || kept(EXTENSIONS));
    let later = scene.send(&[body(&Login::invented("quarantine_later", 0))]);
    host.wait_until("it is kept for longer", || kept(2 * EXTENSIONS));

    assert_eq!(scene.dead_letters().len(), FAULTS_ALLOWED);
    assert_eq!(scene.left(), MESSAGES - FAULTS_ALLOWED + 1);
    for id in &sent.ids {
        assert_eq!(scene.receives(id), 1, "receives of {id} are burnt");
    }
    assert_eq!(scene.receives(&later.ids[0]), 0, "receiving goes on");
    let ready = Host::bare()
        .word("healthcheck")
        .option("--admin-addr", &address);
    ready.run().exited(69).says(&["component", "faults"]);
    host.terminate();
    let one = host.finish().exited(0);

    // Whoever wants no quarantine gets none.
    let other = scene
        .misbehaving_host()
        .option("--transform-faults-percent-max", "100")
        .option("--transform-faults-window-messages", "1")
        .until_empty()
        .run()
        .exited(0);
    scene.assert_well(&[], MESSAGES + 1, &logins, &[&one, &other]);
}

#[test]
fn what_waits_behind_a_kept_message_of_a_group_does_not_overtake_it_at_a_stop() {
    let scene = Scene::of_kind(Kind::Fifo);
    let logins = Login::several("quarantine_fifo", 6);
    let bodies = logins.iter().enumerate().map(|(n, login)| match n {
        0 | 1 => body(login),
        _ => login.body(),
    });
    let messages = bodies.enumerate().map(|(n, body)| {
        let message = Outgoing::new(body).group("red");
        message.deduplication_id(&n.to_string())
    });
    let sent = scene.put(messages.collect::<Vec<_>>());
    let host = || {
        let host = scene.misbehaving_host();
        // The rest of the group waits for the first two.
        host.option("--batch-messages-max", "2")
            .option("--transform-faults-window-messages", "10")
    };

    let mut held = host()
        .option("--transform-faults-percent-max", "10")
        .start();
    held.wait_until_it_says("component: it faults on more than 10 %");
    held.wait_until("the second message is kept", || {
        scene.extensions(&sent.ids[1]) >= 2
    });
    held.terminate();
    let one = held.finish().exited(0);
    assert_eq!(scene.database.count("user_logins"), 0, "it was overtaken");
    assert_eq!(scene.left(), 5);

    let willing = host().option("--transform-faults-percent-max", "100");
    let other = willing.until_empty().run().exited(0);
    let stored: Vec<Row> = logins[2..].iter().map(bare_row).collect();
    scene.assert_well(&stored, 2, &logins, &[&one, &other]);
}
