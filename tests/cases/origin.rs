//! Who a message is, is proved or it is nobody else: whoever may send to the
//! queue can write the attributes of a dead letter, and gains nothing by it.

use std::sync::atomic::{AtomicU32, Ordering};

use super::scene::Scene;
use crate::fake_queue::attribute::{Attribute, AttributeValue};
use crate::fake_queue::store::message::Outgoing;
use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, bodies, rows};
use crate::support::postgres::{OWNER_PASSWORD, Server};

const ORIGIN_ID: &str = "etl-host.origin-id";
const ORIGIN_MAC: &str = "etl-host.origin-mac";
const ORIGIN_SENT_MS: &str = "etl-host.origin-sent-ms";
const MS_PER_DAY: u64 = 86_400_000;

/// The schema and the ledger as the version of November 2026 makes them.
const LEDGER_OF_NOVEMBER: &str = "
CREATE SCHEMA etl_host;
CREATE TABLE etl_host.ledger (
    key bytea PRIMARY KEY, message_id text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('stored', 'skipped', 'rejected')),
    reason text, field text, policy bytea NOT NULL, key_id text,
    at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ledger_at ON etl_host.ledger USING brin (at);";

/// Logins without an address, which one component minds and the other does not.
fn mendable(test: &str, count: usize) -> Vec<Login> {
    let mut logins = Login::several(test, count);
    for login in &mut logins {
        login.ip = format!("invented-address-of-{}", login.user_id);
    }
    logins
}

fn load(host: Host) -> Run {
    host.until_empty().run().exited(0)
}

fn strict(scene: &Scene) -> Host {
    scene
        .host()
        .option("--transform", guest("truncate_mask.wasm"))
}

/// The ids that the ledger has as stored.
fn stored(database: &Database) -> Vec<String> {
    let ledger = database.ledger().into_iter();
    let stored = ledger.filter(|entry| entry.outcome == "stored");
    stored.map(|entry| entry.message_id).collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

/// The dead letter as the version of November 2026 writes it.
fn unsigned(letter: &Outgoing) -> Outgoing {
    let mut letter = letter.clone();
    letter.attributes.remove(ORIGIN_MAC).expect("it was signed");
    letter
}

/// Case 129.
#[test]
fn a_message_that_claims_the_id_of_another_takes_nothing_from_it() {
    let scene = Scene::new();
    let logins = Login::several("claims", 20);
    let (first, others) = logins.split_at(5);
    let (forgers, late) = others.split_at(10);
    let sent = scene.send(&bodies(first));
    let mut runs = vec![load(scene.host())];

    // Of messages that are stored, and of some that are still to come.
    let strangers: Vec<String> = (0..5).map(|n| format!("id-still-to-come-{n}")).collect();
    let claimed = sent.ids.iter().chain(&strangers);
    let forged = forgers.iter().zip(claimed).map(|(login, id)| {
        let message = Outgoing::new(login.body()).attribute(ORIGIN_ID, id);
        message.attribute(ORIGIN_SENT_MS, "7")
    });
    let forged = scene.put(forged);
    let last = scene.send(&bodies(late));
    runs.push(load(scene.host()));

    let ids = [&sent.ids[..], &forged.ids, &last.ids].concat();
    assert_eq!(
        stored(&scene.database),
        sorted(ids),
        "each under its own id"
    );
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}

/// Whoever has seen a dead letter knows all that is on it.
///
/// Case 129.
#[test]
fn a_copied_proof_is_of_no_use_with_another_body() {
    let scene = Scene::new();
    let logins = mendable("copied_proof", 6);
    let (victims, forgers) = logins.split_at(3);
    let sent = scene.send(&bodies(victims));
    let mut runs = vec![load(strict(&scene))];
    let letters = scene.dead_messages();
    assert_eq!(letters.len(), 3);
    let forged = letters.iter().zip(forgers).map(|(letter, login)| Outgoing {
        body: login.body(),
        ..letter.sent.as_ref().clone()
    });
    let forged = scene.put(forged);
    runs.push(load(scene.host()));
    assert_eq!(stored(&scene.database), sorted(forged.ids.clone()));

    // And those whose proof it is still come back as who they are.
    scene.redrive();
    runs.push(load(scene.host()));
    let ids = [&sent.ids[..], &forged.ids].concat();
    assert_eq!(stored(&scene.database), sorted(ids));
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}

/// Case 129.
#[test]
fn what_is_not_as_the_host_writes_it_is_the_producers_own() {
    let scene = Scene::new();
    let logins = mendable("not_as_written", 7);
    let sent = scene.send(&bodies(&logins[..1]));
    let mut runs = vec![load(strict(&scene))];
    let letter = scene.dead_messages()[0].sent.as_ref().clone();
    let binary = Attribute {
        data_type: "Binary".into(),
        value: AttributeValue::Binary("AQI=".into(), vec![1, 2]),
    };
    let number = Attribute {
        data_type: "Number".into(),
        value: AttributeValue::Text("7".into()),
    };
    let long = Attribute::text("x".repeat(100_000));
    let spoilt = [
        (ORIGIN_ID, binary.clone()),
        (ORIGIN_ID, number),
        (ORIGIN_ID, long.clone()),
        (ORIGIN_ID, Attribute::text("../x\n")),
        (ORIGIN_MAC, binary),
        (ORIGIN_MAC, long),
    ];
    // The very message, but for one attribute each.
    let mut attributes = Vec::new();
    let messages = spoilt
        .into_iter()
        .zip(&logins[1..])
        .map(|((name, to), login)| {
            let mut message = letter.clone();
            message.body = login.body();
            message.attributes.insert(name.to_owned(), to);
            attributes.push(message.attributes.clone());
            message
        });
    let forged = scene.put(messages.collect::<Vec<_>>());
    runs.push(load(strict(&scene)));
    // Rejected as what they are, they keep what they came with, and get nothing.
    let letters = scene.dead_messages();
    for (body, its) in logins[1..].iter().map(Login::body).zip(&attributes) {
        let letter = letters.iter().find(|letter| letter.sent.body == body);
        assert_eq!(&letter.expect("its copy").sent.attributes, its);
    }
    for id in &forged.ids {
        scene.assert_rejected(id, "invalid");
    }
    scene.redrive();
    runs.push(load(scene.host()));
    assert!(stored(&scene.database).contains(&sent.ids[0]));
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}

/// Case 129.
#[test]
fn a_dead_letter_of_an_earlier_version_counts_where_the_ledger_has_its_rejection() {
    let scene = Scene::new();
    let logins = mendable("earlier_version", 2);
    let sent = scene.send(&bodies(&logins));
    let mut runs = vec![load(strict(&scene))];
    let letters: Vec<Outgoing> = scene
        .dead_messages()
        .iter()
        .map(|letter| unsigned(&letter.sent))
        .collect();
    scene.clear_dead_letters();
    scene.database.execute(&format!(
        "DELETE FROM etl_host.ledger WHERE message_id = '{}'",
        sent.ids[1]
    ));
    scene
        .queue
        .put_clock_forward(std::time::Duration::from_millis(MS_PER_DAY));
    let known = letters
        .iter()
        .position(|letter| letter.body == logins[0].body());
    let known = known.expect("its copy");
    let back = scene.put(letters);
    runs.push(load(scene.host()));

    let ids = vec![sent.ids[0].clone(), back.ids[1 - known].clone()];
    assert_eq!(stored(&scene.database), sorted(ids));
    // The one is of the day on which it was first sent, the other of its own.
    let expected = [logins[0].row(sent.day), logins[1].row(sent.day + 1)];
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&expected, 0, &logins, &runs);
}

/// Case 129.
#[test]
fn letters_without_a_proof_stop_counting_four_weeks_after_the_secret_was_made() {
    let scene = Scene::new();
    let logins = mendable("four_weeks", 1);
    let sent = scene.send(&bodies(&logins));
    let mut runs = vec![load(strict(&scene))];
    let letter = unsigned(&scene.dead_messages()[0].sent);
    scene.clear_dead_letters();
    let age = "UPDATE etl_host.secret SET at = now() - interval '29 days'";
    scene.database.execute(age);
    let back = scene.put([letter]);
    runs.push(load(scene.host()));
    assert_eq!(stored(&scene.database), back.ids);
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}

/// Two hosts, two databases, one dead-letter queue.
///
/// Case 129.
#[test]
fn a_proof_of_another_ledger_is_none() {
    let (scene, other) = (Scene::new(), Scene::new());
    let logins = mendable("another_ledger", 1);
    other.send(&bodies(&logins));
    let mut runs = vec![load(strict(&other))];
    let letter = other.dead_messages()[0].sent.as_ref().clone();
    let sent = scene.put([letter]);
    runs.push(load(scene.host()));
    assert_eq!(stored(&scene.database), sent.ids);
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}

#[test]
fn the_newest_secret_signs_and_those_before_it_still_prove() {
    let scene = Scene::new();
    let logins = mendable("rotation", 2);
    let sent = scene.send(&bodies(&logins[..1]));
    let mut runs = vec![load(strict(&scene))];
    scene
        .database
        .execute("INSERT INTO etl_host.secret DEFAULT VALUES");
    let first = scene.dead_messages()[0].sent.as_ref().clone();
    scene.clear_dead_letters();
    let second = scene.send(&bodies(&logins[1..2]));
    runs.push(load(strict(&scene)));
    let letter = scene.dead_messages()[0].sent.as_ref().clone();
    let id = |letter: &Outgoing| match &letter.attributes[ORIGIN_MAC].value {
        AttributeValue::Text(proof) => proof.split(':').nth(1).map(str::to_owned),
        AttributeValue::Binary(..) => None,
    };
    assert_ne!(
        id(&first),
        id(&letter),
        "one is of the first, one of the second"
    );
    scene.redrive();
    scene.put([first]);
    runs.push(load(scene.host()));
    let ids = [&sent.ids[..], &second.ids].concat();
    assert_eq!(stored(&scene.database), sorted(ids));
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}

#[test]
fn a_running_host_learns_of_a_new_secret_from_what_is_signed_under_it() {
    let scene = Scene::new();
    let logins = mendable("learns", 2);
    let sent = scene.send(&bodies(&logins[..1]));
    let mut runs = vec![load(scene.host())];
    let mut running = scene.host().start();
    running.wait_until("it receives", || scene.polled());
    scene
        .database
        .execute("INSERT INTO etl_host.secret DEFAULT VALUES");
    // Another host, which has started since, has signed it.
    let other = Scene::beside(&scene.database);
    let rejected = other.send(&bodies(&logins[1..]));
    runs.push(load(strict(&other)));
    let letter = other.dead_messages()[0].sent.as_ref().clone();
    scene.put([letter]);
    running.wait_until("it is stored", || scene.left() == 0);
    running.terminate();
    runs.push(running.finish().exited(0));
    let ids = [&sent.ids[..], &rejected.ids].concat();
    assert_eq!(stored(&scene.database), sorted(ids));
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}

/// A role that may use the ledger, and create nothing.
fn role_on(database: &Database) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let role = format!("reader_{count}_of_{}", database.name);
    Server::get().administer(&[&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{OWNER_PASSWORD}'"
    )]);
    database.execute(&format!(
        "GRANT USAGE ON SCHEMA etl_host TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON etl_host.ledger TO {role};
         GRANT INSERT ON user_logins TO {role};"
    ));
    role
}

/// Case 129.
#[test]
fn a_ledger_of_november_without_a_secret_is_used_with_a_warning() {
    let scene = Scene::new();
    scene.database.execute(LEDGER_OF_NOVEMBER);
    let role = role_on(&scene.database);
    let url = scene.database_url_as(&role, OWNER_PASSWORD);
    let logins = mendable("of_november", 2);
    let sent = scene.send(&bodies(&logins[..1]));
    let as_role = |host: Host| host.option("--database-url", url.clone());
    let first = load(as_role(strict(&scene)));
    let warning = "GRANT SELECT ON etl_host.secret TO";
    assert_eq!(first.stderr.matches(warning).count(), 1, "told once");
    assert!(first.stderr.contains(&role));
    assert!(!scene.database.has("etl_host.secret"));
    let letter = scene.dead_messages()[0].sent.as_ref().clone();
    assert!(!letter.attributes.contains_key(ORIGIN_MAC));
    // The ledger bears it out, and nobody else's claim.
    scene.redrive();
    let claim = Outgoing::new(logins[1].body()).attribute(ORIGIN_ID, "id-of-nobody");
    let forged = scene.put([claim]);
    let second = load(as_role(scene.host()));
    let ids = [&sent.ids[..], &forged.ids].concat();
    assert_eq!(stored(&scene.database), sorted(ids));

    // Whoever may, makes it.
    let third = load(scene.host());
    assert_eq!(scene.database.count("etl_host.secret"), 1);
    assert_eq!(third.stderr.matches(warning).count(), 0);
    // And then it is there, but not for everybody.
    let fourth = load(as_role(scene.host()));
    assert_eq!(fourth.stderr.matches(warning).count(), 1);
    let runs = [&first, &second, &third, &fourth];
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}

#[test]
fn the_secret_stands_in_no_log_and_no_statement() {
    let scene = Scene::new();
    let logins = mendable("no_log", 1);
    scene.send(&bodies(&logins));
    let talkative = strict(&scene).env("RUST_LOG", "trace");
    let run = load(talkative);
    let secrets = scene
        .database
        .query("SELECT encode(key, 'hex') FROM etl_host.secret");
    let hex: String = secrets[0].get(0);
    assert_eq!(hex.len(), 64);
    let ddl = Host::bare().word("ddl").run().exited(0).stdout;
    assert!(ddl.contains("INSERT INTO etl_host.secret") && ddl.contains("REVOKE ALL"));
    for text in [&run.stdout, &run.stderr, &ddl, &Server::get().log()] {
        assert!(!text.contains(&hex), "the secret is shown");
    }
    let granted = "SELECT count(*) FROM information_schema.table_privileges
         WHERE table_name = 'secret' AND grantee = 'PUBLIC'";
    assert_eq!(scene.database.query(granted)[0].get::<_, i64>(0), 0);
    nothing_leaked(&logins, &[&run], &scene.database);
}

#[test]
fn hosts_that_start_together_make_one_secret() {
    let scene = Scene::new();
    let hosts = [0, 1, 2].map(|_| scene.host().until_empty().start());
    for host in hosts {
        host.finish().exited(0);
    }
    assert_eq!(scene.database.count("etl_host.secret"), 1);
    // What an administrator runs later adds none.
    let ddl = Host::bare().word("ddl").run().exited(0).stdout;
    scene.database.execute(&ddl);
    assert_eq!(scene.database.count("etl_host.secret"), 1);
    let check = scene.host().word("check").run().exited(0);
    let signs = "dead letters are signed under secret";
    assert!(check.stdout.contains(signs), "{}", check.stdout);
}
