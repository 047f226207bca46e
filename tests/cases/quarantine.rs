//! A component that faults on nearly everything: the host stops asking it, and
//! says so, before all that it gets is dead-lettered.

use serde_json::json;

use super::scene::Scene;
use crate::support::free_address;
use crate::support::host::Host;
use crate::support::login::Login;

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
