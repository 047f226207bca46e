//! Claims about the oracle: what it takes for a delete to be lawful, shown with
//! a real PostgreSQL server.

use super::{DEAD, SOURCE, Scene, handle};
use crate::fake_network::Network;
use crate::fake_queue::journal::Effect;
use crate::fake_queue::judge::Wrong;
use crate::fake_queue::oracle::Ledger;
use crate::fake_queue::store::message::Outgoing;
use crate::support::database::Database;
use crate::support::postgres::Server;

const ORIGIN_ID: &str = "etl-host.origin-id";
const LEDGER: &str = "CREATE SCHEMA etl_host;
    CREATE TABLE etl_host.ledger (message_id text, outcome text)";

fn judged() -> (Scene, Database) {
    let (scene, database) = (Scene::new(), Database::empty());
    database.execute(LEDGER);
    scene.fake.judge(SOURCE, Ledger::at(&database.url()));
    (scene, database)
}

fn enter(database: &Database, id: &str, outcome: &str) {
    database.execute(&format!(
        "INSERT INTO etl_host.ledger VALUES ('{id}', '{outcome}')"
    ));
}

impl Scene {
    /// Receives the one message that is there, and deletes it.
    #[track_caller]
    fn take(&self) {
        let message = self.receive_one();
        assert_eq!(self.delete(handle(&message)), Ok(()));
    }

    fn wrongs(&self) -> Vec<Wrong> {
        let violations = self.fake.violations();
        violations.iter().map(|violation| violation.wrong).collect()
    }
}

#[test]
fn a_delete_after_the_commit_is_lawful() {
    let (scene, database) = judged();
    for outcome in ["stored", "skipped"] {
        let id = scene.fake.send(SOURCE, &["a"]).remove(0);
        enter(&database, &id, outcome);
        scene.take();
    }
    scene.fake.assert_deletes_lawful(2);
}

#[test]
fn a_delete_before_the_commit_is_recorded_and_takes_effect() {
    let (scene, database) = judged();
    let id = scene.fake.send(SOURCE, &["a"]).remove(0);
    let session = Server::get().connect(&database.name);
    let entry = format!("BEGIN; INSERT INTO etl_host.ledger VALUES ('{id}', 'stored')");
    crate::support::block_on(session.batch_execute(&entry)).expect("not yet committed");
    scene.take();
    let violations = scene.fake.violations();
    assert_eq!(scene.wrongs(), [Wrong::DeletedBeforeCommitted]);
    assert_eq!(
        (&violations[0].message_id, &violations[0].origin_id),
        (&id, &id)
    );
    let effects = scene.fake.journal().effects(&id);
    assert_eq!(effects.last(), Some(&Effect::Deleted));
}

#[test]
fn a_stale_delete_before_the_commit_is_recorded_too() {
    let (scene, _database) = judged();
    scene.fake.send(SOURCE, &["a"]);
    let old = scene.receive_one();
    scene.lease_runs_out();
    scene.receive_one();
    assert_eq!(scene.delete(handle(&old)), Ok(()));
    assert_eq!(scene.wrongs(), [Wrong::DeletedBeforeCommitted]);
}

#[test]
fn without_a_ledger_no_delete_is_lawful() {
    let (scene, database) = (Scene::new(), Database::empty());
    scene.fake.judge(SOURCE, Ledger::at(&database.url()));
    scene.fake.send(SOURCE, &["a", "b"]);
    let received = scene.receive();
    let deleted = scene.delete_batch(&super::handles(&received));
    assert_eq!(deleted.expect("deleted").successful.len(), 2);
    assert_eq!(scene.wrongs(), [Wrong::DeletedBeforeCommitted; 2]);
}

#[test]
fn a_redriven_message_is_known_by_its_first_id() {
    let (scene, database) = judged();
    let message = Outgoing::new("a").attribute(ORIGIN_ID, "first");
    scene.fake.put(SOURCE, message);
    enter(&database, "first", "stored");
    scene.take();
    scene.fake.assert_deletes_lawful(1);
}

#[test]
fn two_messages_of_one_event_are_known_by_either_id() {
    let (scene, database) = judged();
    let sent = scene.fake.send(SOURCE, &["a", "a"]);
    scene.fake.same_event(&sent);
    enter(&database, &sent[1], "stored");
    let received = scene.receive();
    scene
        .delete_batch(&super::handles(&received))
        .expect("deleted");
    scene.fake.assert_deletes_lawful(2);
}

#[test]
fn a_rejected_message_is_copied_before_it_is_deleted() {
    let (scene, database) = judged();
    let sent = scene.fake.send(SOURCE, &["a"]).remove(0);
    enter(&database, &sent, "rejected");
    let copy = Outgoing::new("a").attribute(ORIGIN_ID, &sent);
    scene.fake.put(DEAD, copy);
    scene.take();
    scene.fake.assert_deletes_lawful(1);

    // A copy that has no room for an origin.
    let full = scene.fake.send(SOURCE, &["c"]).remove(0);
    enter(&database, &full, "rejected");
    scene.fake.put(DEAD, Outgoing::new("c"));
    scene.take();
    scene.fake.assert_deletes_lawful(2);

    let uncopied = scene.fake.send(SOURCE, &["b"]).remove(0);
    enter(&database, &uncopied, "rejected");
    scene.take();
    assert_eq!(scene.wrongs(), [Wrong::RejectedWithoutCopy]);
}

#[test]
fn without_a_dead_letter_queue_a_rejected_message_stays() {
    let (scene, database) = (Scene::new(), Database::empty());
    database.execute(LEDGER);
    let sent = scene.fake.send(DEAD, &["a", "b"]);
    enter(&database, &sent[0], "rejected");
    enter(&database, &sent[1], "rejected");
    let received = scene.receive_from(DEAD);
    // The other queue plays one that has no policy, and then one of which the
    // host is told where its dead letters go.
    scene.fake.judge(DEAD, Ledger::at(&database.url()));
    assert_eq!(scene.delete_from(DEAD, handle(&received[0])), Ok(()));
    assert_eq!(scene.wrongs(), [Wrong::RejectedAndNotKept]);
    let ledger = Ledger::at(&database.url());
    scene.fake.judge_with_dead_letters(DEAD, SOURCE, ledger);
    assert_eq!(scene.delete_from(DEAD, handle(&received[1])), Ok(()));
    assert_eq!(scene.wrongs()[1], Wrong::RejectedWithoutCopy);
}

#[test]
fn the_oracle_connects_again_and_tells_when_nobody_answers() {
    let (scene, database) = (Scene::new(), Database::empty());
    database.execute(LEDGER);
    let server = std::net::SocketAddr::from(([127, 0, 0, 1], Server::get().port));
    let network = Network::before(server);
    let port = |port: u16| format!(":{port}/");
    let url = database
        .url()
        .replace(&port(server.port()), &port(network.address().port()));
    scene.fake.judge(SOURCE, Ledger::at(&url));
    let sent = scene.fake.send(SOURCE, &["a", "b", "c"]);
    sent.iter().for_each(|id| enter(&database, id, "stored"));
    let received = scene.receive();
    assert_eq!(scene.delete(handle(&received[0])), Ok(()));
    assert_eq!(network.reset_all(), 1);
    assert_eq!(scene.delete(handle(&received[1])), Ok(()));
    scene.fake.assert_deletes_lawful(2);

    network.go_down();
    assert_eq!(scene.delete(handle(&received[2])), Ok(()));
    assert_eq!(scene.fake.unjudged(), [sent[2].clone()]);
    assert!(scene.fake.violations().is_empty());
}
