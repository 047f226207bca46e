//! `etl-host replay`: dead letters are judged by another component without
//! being touched, and go back under their first identity where that is asked
//! for; none is lost, and none makes a second row.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_queue::FakeQueue;
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::journal::{Call, Effect};
use crate::fake_queue::operation::{DELETES, Operation, SENDS};
use crate::fake_queue::refusal::Refusal;
use crate::fake_queue::store::message::Outgoing;
use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::{Host, Run};
use crate::support::login::{Locale, Login, Row, rows};

const LEASE_SECS: u32 = 10;
const DELIVERIES_MAX: u32 = 20;
const MS_PER_DAY: u64 = 86_400_000;
/// More than one receive brings.
const MENDABLE: usize = 12;
const SPOILT: usize = 2;

/// A queue whose messages have all been rejected by a strict component: most of
/// them would be accepted by a mended one, and some are no JSON at all.
struct Scene {
    fake: FakeQueue,
    database: Database,
    source: &'static str,
    dead: &'static str,
    logins: Vec<Login>,
    ids: Vec<String>,
    day: i32,
    runs: Vec<Run>,
}

impl Scene {
    fn new(name: &'static str) -> Scene {
        let mut scene = Scene::empty(name, "logins", "logins-dead");
        for n in 0..MENDABLE + SPOILT {
            let mut body = scene.logins[n].body();
            if n >= MENDABLE {
                body.pop();
            }
            scene.put(Outgoing::new(body));
        }
        scene.load("truncate_mask.wasm");
        scene
    }

    /// Without a message yet.
    fn empty(name: &'static str, source: &'static str, dead: &'static str) -> Scene {
        let fake = FakeQueue::start();
        fake.queue(dead).visibility_secs(LEASE_SECS).create();
        let queue = fake.queue(source).visibility_secs(LEASE_SECS);
        queue.dead_letters(dead, DELIVERIES_MAX).create();
        let mut logins = Login::several(name, MENDABLE + SPOILT);
        for (n, login) in logins.iter_mut().enumerate() {
            // No address, which one component minds and the other does not.
            login.ip = format!("invented-address-of-{name}-{n}");
        }
        Scene {
            day: i32::try_from(fake.unix_ms() / MS_PER_DAY).expect("the clock is sane"),
            fake,
            database: Database::with_table(),
            source,
            dead,
            logins,
            ids: Vec::new(),
            runs: Vec::new(),
        }
    }

    fn put(&mut self, message: Outgoing) {
        self.ids.push(self.fake.put(self.source, message));
    }

    /// Runs the pipeline until the queue is empty. Gives its summary.
    fn load(&mut self, component: &str) -> Value {
        let run = Host::bare()
            .option("--transform", guest(component))
            .option("--queue-url", self.fake.url(self.source))
            .option("--database-url", self.database.url())
            .option("--output", "json")
            .env("AWS_ENDPOINT_URL_SQS", self.fake.endpoint())
            .until_empty()
            .run()
            .exited(0);
        let summary = run.summary();
        self.runs.push(run);
        summary
    }

    /// A replay with the mended component.
    fn replay(&self) -> Host {
        Host::bare()
            .word("replay")
            .word(guest("sha256_mask.wasm"))
            .option("--queue-url", self.fake.url(self.source))
            .option("--output", "json")
            .env("AWS_ENDPOINT_URL_SQS", self.fake.endpoint())
            .env("RUST_LOG", "trace")
    }

    #[track_caller]
    fn replayed(&mut self, host: Host, code: i32) -> Value {
        let run = host.run().exited(code);
        let summary = run.summary();
        self.runs.push(run);
        summary
    }

    /// How many messages the dead-letter queue has, of which none is hidden.
    #[track_caller]
    fn assert_dead(&self, messages: usize) {
        let counts = self.fake.counts(self.dead);
        assert_eq!(
            (counts.visible, counts.in_flight),
            (messages, 0),
            "(visible, in flight)"
        );
    }

    fn returned(&self) -> usize {
        self.fake.messages(self.source).len()
    }

    fn calls(&self, queue: &str, operations: [Operation; 2]) -> usize {
        self.fake.journal().matching(|call| {
            call.queue.as_deref() == Some(queue) && operations.contains(&call.operation)
        })
    }

    /// What the mended component makes of all that it can read.
    fn rows(&self) -> Vec<Row> {
        rows(&self.logins[..MENDABLE], self.day)
    }

    fn assert_hidden(&self) {
        let runs: Vec<&Run> = self.runs.iter().collect();
        nothing_leaked(&self.logins, &runs, &self.database);
    }
}

#[test]
fn without_send_dead_letters_are_judged_and_stay_as_they_are() {
    let mut scene = Scene::new("replay_looks");
    let sends = scene.calls(scene.source, SENDS);
    let looked = scene.replayed(scene.replay(), 0);
    for (what, messages) in [
        ("received", json!(14)),
        ("stored", json!(12)),
        ("rejected", json!({"malformed": 2})),
        ("sendable", json!(12)),
        ("sent", json!(0)),
        ("handed_back", json!(14)),
        ("not_looked_at", json!(0)),
    ] {
        assert_eq!(looked[what], messages, "{what} in {looked}");
    }
    scene.assert_dead(14);
    assert_eq!(scene.returned(), 0);
    assert_eq!(scene.calls(scene.source, SENDS), sends);
    assert_eq!(scene.calls(scene.dead, DELETES), 0);
    let messages = scene.fake.messages(scene.dead);
    assert!(messages.iter().all(|message| message.receive_count == 1));

    let told = scene.replay().option("--output", "text").run().exited(0);
    for words in [
        "would be stored        12",
        "rejected again          2  malformed 2",
        "With --send, 12 would go to logins.",
        "received once more, which its receive count shows",
    ] {
        assert!(
            told.stdout.contains(words),
            "no {words:?} in {}",
            told.stdout
        );
    }
    scene.runs.push(told);
    scene.assert_hidden();
}

#[test]
fn what_a_run_would_find_to_have_no_event_id_is_rejected_again() {
    let mut scene = Scene::new("replay_event_id");
    // Some logins have a locale, and those that are no JSON have nothing.
    let nameless = |login: &&Login| !matches!(login.locale, Locale::Given(_));
    let nameless = scene.logins[..MENDABLE].iter().filter(nameless).count();
    let replay = scene.replay().option("--event-id", "/locale");
    let looked = scene.replayed(replay, 0);
    let rejected = json!({"event-id": nameless + SPOILT});
    assert_eq!(looked["rejected"], rejected, "{looked}");
    assert_eq!(looked["sendable"], json!(MENDABLE - nameless), "{looked}");
    assert!(nameless > 0);
    scene.assert_dead(MENDABLE + SPOILT);
    scene.assert_hidden();
}

#[test]
fn what_is_sent_back_keeps_its_first_id_and_is_stored_once_under_it() {
    let mut scene = Scene::new("replay_sends");
    let sent = scene.replayed(scene.replay().word("--send"), 0);
    assert_eq!((&sent["sent"], &sent["deleted"]), (&json!(12), &json!(12)));
    // What would be rejected again stays.
    scene.assert_dead(SPOILT);
    let returned = scene.fake.messages(scene.source);
    let origins: BTreeSet<String> = returned
        .iter()
        .map(|message| message.origin_id().to_owned())
        .collect();
    let first: BTreeSet<String> = scene.ids[..MENDABLE].iter().cloned().collect();
    assert_eq!(origins, first);
    for message in &returned {
        let names: Vec<&str> = message.sent.attributes.keys().map(String::as_str).collect();
        let origin = ["origin-id", "origin-mac", "origin-sent-ms"];
        assert_eq!(names, origin.map(|name| format!("etl-host.{name}")));
    }

    assert_eq!(scene.load("sha256_mask.wasm")["stored"], 12);
    scene.database.assert_rows(&scene.rows());
    let ledger = scene.database.ledger();
    let stored = ledger.iter().filter(|entry| entry.outcome == "stored");
    let stored: BTreeSet<String> = stored.map(|entry| entry.message_id.clone()).collect();
    assert_eq!(stored, first);
    assert_eq!(ledger.len(), MENDABLE + SPOILT);
    scene.assert_hidden();
}

#[test]
fn all_sends_back_what_would_be_rejected_too() {
    let mut scene = Scene::new("replay_all");
    let sent = scene.replayed(scene.replay().word("--send").word("--all"), 0);
    assert_eq!(sent["sent"], 14);
    scene.assert_dead(0);
    assert_eq!(scene.returned(), 14);
}

/// The places in the journal of calls with such an effect on so many messages:
/// when each began, and when it was answered.
fn effects(calls: &[Call], queue: &str, effect: &Effect) -> Vec<(Call, usize)> {
    let of_queue = calls
        .iter()
        .filter(|call| call.queue.as_deref() == Some(queue));
    let counted = of_queue.map(|call| {
        let entries = call.entries.iter().filter(|entry| entry.effect == *effect);
        (call.clone(), entries.count())
    });
    counted.filter(|(_, entries)| *entries > 0).collect()
}

#[test]
fn a_dead_letter_is_deleted_after_its_sending_is_acknowledged() {
    let mut scene = Scene::new("replay_order");
    let before = scene.fake.journal().calls().len();
    scene.replayed(scene.replay().word("--send"), 0);
    let calls = scene.fake.journal().calls().split_off(before);
    let sends = effects(&calls, scene.source, &Effect::Sent);
    let deletes = effects(&calls, scene.dead, &Effect::Deleted);
    let mut deleted = 0;
    for (delete, entries) in &deletes {
        deleted += entries;
        let acknowledged = sends.iter().filter(|(send, _)| {
            let ended = send.ended;
            ended.is_some_and(|ended| ended <= delete.began)
        });
        let acknowledged: usize = acknowledged.map(|(_, entries)| entries).sum();
        assert!(
            deleted <= acknowledged,
            "{deleted} deleted, {acknowledged} sent before"
        );
    }
    assert_eq!(deleted, MENDABLE);
}

#[test]
fn a_queue_that_takes_nothing_leaves_every_dead_letter_where_it_is() {
    let mut scene = Scene::new("replay_refused");
    let refused = Fault::on(SENDS, Action::Refuse(Refusal::unavailable()));
    let refused = scene
        .fake
        .fault(refused.in_queue(scene.source).until_stopped());
    let told = scene.replayed(scene.replay().word("--send"), 69);
    refused.assert_fired();
    assert_eq!(told["sent"], 0);
    scene.assert_dead(14);
    assert_eq!(scene.calls(scene.dead, DELETES), 0);
    refused.stop();
    scene.replayed(scene.replay().word("--send"), 0);
    scene.assert_dead(SPOILT);
    scene.assert_hidden();
}

#[test]
fn one_message_that_is_not_taken_stays_and_the_others_go() {
    let mut scene = Scene::new("replay_partial");
    let failing = Action::FailEntry(Refusal::internal_error());
    let failing = Fault::on(SENDS, failing)
        .in_queue(scene.source)
        .at_positions([1]);
    let failing = scene.fake.fault(failing);
    let told = scene.replayed(scene.replay().word("--send"), 69);
    failing.assert_fired();
    assert_eq!((&told["sent"], &told["unsent"]), (&json!(11), &json!(1)));
    scene.assert_dead(SPOILT + 1);
    assert_eq!(scene.returned(), 11);
}

/// The queue has them, and the program never learns: they are sent once more.
#[test]
fn a_lost_acknowledgement_makes_duplicates_that_the_ledger_absorbs() {
    let mut scene = Scene::new("replay_unknown");
    let withheld = Fault::on(SENDS, Action::WithholdAnswer).in_queue(scene.source);
    let withheld = scene.fake.fault(withheld.until_stopped());
    scene.replayed(scene.replay().word("--send"), 69);
    withheld.assert_fired();
    withheld.stop();
    scene.assert_dead(14);
    let unknown = scene.returned();
    assert!(unknown > 0, "nothing got there");

    scene.replayed(scene.replay().word("--send"), 0);
    assert_eq!(scene.load("sha256_mask.wasm")["duplicates"], unknown);
    scene.database.assert_rows(&scene.rows());
    scene.assert_hidden();
}

#[test]
fn a_kill_between_sending_and_deleting_makes_duplicates_that_the_ledger_absorbs() {
    let mut scene = Scene::new("replay_killed");
    let hung = Fault::on(DELETES, Action::Hang).in_queue(scene.dead);
    let hung = scene.fake.fault(hung.until_stopped());
    let mut host = scene.replay().word("--send").start();
    host.wait_until("it has sent and wants to delete", || {
        hung.count() > 0 && scene.returned() == MENDABLE
    });
    scene.runs.push(host.kill());
    hung.stop();
    scene
        .fake
        .put_clock_forward(Duration::from_secs(LEASE_SECS.into()));
    scene.assert_dead(14);

    scene.replayed(scene.replay().word("--send"), 0);
    scene.assert_dead(SPOILT);
    assert_eq!(scene.returned(), 2 * MENDABLE);
    let summary = scene.load("sha256_mask.wasm");
    assert_eq!(
        (&summary["stored"], &summary["duplicates"]),
        (&json!(12), &json!(12))
    );
    scene.database.assert_rows(&scene.rows());
    scene.assert_hidden();
}

#[test]
fn a_stop_hands_everything_back_at_once() {
    let mut scene = Scene::new("replay_stopped");
    let late = Action::DelayAnswer(Duration::from_millis(700));
    let late = Fault::on([Operation::ReceiveMessage], late).in_queue(scene.dead);
    let late = scene.fake.fault(late.until_stopped());
    let mut host = scene.replay().start();
    host.wait_until("a receive is under way", || late.count() > 0);
    host.terminate();
    let run = host.finish().exited(0);
    late.stop();
    assert_eq!(run.summary()["received"], 10);
    scene.runs.push(run);
    scene.assert_dead(14);
}

#[test]
fn what_comes_again_in_one_run_is_not_sent_again() {
    let mut scene = Scene::empty("replay_again", "logins", "logins-dead");
    let body = scene.logins[0].body();
    for _ in 0..2 {
        let copy = Outgoing::new(&body).attribute("etl-host.origin-id", "first");
        scene.fake.put(scene.dead, copy);
    }
    let told = scene.replayed(scene.replay().word("--send"), 0);
    assert_eq!((&told["sent"], &told["came_again"]), (&json!(1), &json!(1)));
    scene.assert_dead(1);
    assert_eq!(scene.returned(), 1);
}

/// SQS itself has moved them, so nothing is signed yet: with the ledger's
/// secrets they keep their identity as far as there is room.
///
/// Case 128.
#[test]
fn with_any_number_of_attributes_a_dead_letter_goes_back() {
    let mut scene = Scene::empty("replay_full", "logins", "logins-dead");
    for own in 7..=10 {
        let message = Outgoing::new(scene.logins[own].body());
        let message = (0..own).fold(message, |message, n| {
            message.attribute(&format!("{n}{}", "n".repeat(255)), "x")
        });
        scene.ids.push(scene.fake.put(scene.dead, message));
    }
    // It makes the ledger, and finds nothing.
    scene.load("sha256_mask.wasm");
    let looked = scene.replayed(scene.replay(), 0);
    assert_eq!(
        (&looked["sendable"], &looked["unfit"]),
        (&json!(4), &json!(0))
    );
    let replay = scene
        .replay()
        .option("--database-url", scene.database.url());
    let sent = scene.replayed(replay.word("--send"), 0);
    assert_eq!(
        (&sent["sent"], &sent["unfit"]),
        (&json!(4), &json!(0)),
        "{sent}"
    );
    scene.assert_dead(0);
    let returned = scene.fake.messages(scene.source);
    let attributes = returned.iter().map(|message| message.sent.attributes.len());
    assert_eq!(attributes.collect::<Vec<_>>(), [10, 10, 10, 10]);

    assert_eq!(scene.load("sha256_mask.wasm")["stored"], 4);
    scene
        .database
        .assert_rows(&rows(&scene.logins[7..11], scene.day));
    // Of the id alone, and of nothing, nobody can tell whose they are.
    let ledger = scene.database.ledger();
    let known = |id: &&String| ledger.iter().any(|entry| entry.message_id == **id);
    assert_eq!(scene.ids.iter().filter(known).count(), 2);
    scene.assert_hidden();
}

#[test]
fn a_database_that_is_away_does_not_keep_a_replay_from_sending() {
    let mut scene = Scene::new("replay_database_away");
    let nowhere = "postgres://u:p@127.0.0.1:1/d?sslmode=disable";
    let replay = scene.replay().option("--database-url", nowhere);
    let sent = scene.replayed(replay.word("--send"), 0);
    assert_eq!(sent["sent"], 12, "{sent}");
    let warnings = sent["warnings"].to_string();
    assert!(warnings.contains("cannot be read"), "{warnings}");
    assert_eq!(scene.load("sha256_mask.wasm")["stored"], 12);
    assert_eq!(scene.database.ledger().len(), MENDABLE + SPOILT);
    scene.database.assert_rows(&scene.rows());
}

#[test]
fn no_more_is_received_than_is_asked_for() {
    let mut scene = Scene::new("replay_some");
    let some = scene.replayed(scene.replay().option("--messages-max", "5"), 0);
    assert_eq!(some["received"], 10, "one receive");
    assert_eq!(some["not_looked_at"], 4);
    scene.assert_dead(14);
}

/// A FIFO queue of two groups in turn.
fn fifo(name: &'static str, spoilt: Option<usize>) -> Scene {
    let mut scene = Scene::empty(name, "logins.fifo", "logins-dead.fifo");
    for n in 0..6 {
        let mut body = scene.logins[n].body();
        if spoilt == Some(n) {
            body.pop();
        }
        let message = Outgoing::new(body).group(["red", "green"][n % 2]);
        scene.put(message.deduplication_id(&n.to_string()));
    }
    scene.load("truncate_mask.wasm");
    scene.assert_dead(6);
    scene
}

/// The ids of a group's messages, in the order in which they went back.
fn group(scene: &Scene, name: &str) -> Vec<String> {
    let messages = scene.fake.messages(scene.source);
    let of_group = messages
        .iter()
        .filter(|message| message.sent.group.as_deref() == Some(name));
    of_group
        .map(|message| message.origin_id().to_owned())
        .collect()
}

/// SQS drops for five minutes what it has had under the same deduplication id,
/// and says yes to it.
#[test]
fn a_message_of_a_fifo_queue_survives_being_rejected_and_replayed_again() {
    let mut scene = fifo("replay_fifo", None);
    for _ in 0..2 {
        let sent = scene.replayed(scene.replay().word("--send"), 0);
        assert_eq!(sent["sent"], 6);
        scene.assert_dead(0);
        let ids = |parity: usize| -> Vec<String> {
            scene.ids.iter().skip(parity).step_by(2).cloned().collect()
        };
        assert_eq!(
            (group(&scene, "red"), group(&scene, "green")),
            (ids(0), ids(1))
        );
        // Still too strict: all of them are rejected once more.
        scene.load("truncate_mask.wasm");
        scene.assert_dead(6);
    }
    scene.replayed(scene.replay().word("--send"), 0);
    assert_eq!(scene.load("sha256_mask.wasm")["stored"], 6);
    scene
        .database
        .assert_rows(&rows(&scene.logins[..6], scene.day));
}

#[test]
fn what_stays_of_a_group_holds_back_the_later_ones_and_no_other_group() {
    let mut scene = fifo("replay_order_fifo", Some(2));
    let looked = scene.replayed(scene.replay(), 0);
    assert_eq!(
        (&looked["sendable"], &looked["behind"]),
        (&json!(4), &json!(1))
    );
    let sent = scene.replayed(scene.replay().word("--send"), 0);
    assert_eq!((&sent["sent"], &sent["behind"]), (&json!(4), &json!(1)));
    scene.assert_dead(2);
    assert_eq!(group(&scene, "red"), [scene.ids[0].clone()]);
    assert_eq!(group(&scene, "green").len(), 3);
}

#[test]
fn a_message_of_a_group_that_is_not_taken_holds_back_the_later_ones() {
    let mut scene = fifo("replay_fails_fifo", None);
    let failing = Action::FailEntry(Refusal::internal_error());
    let failing = Fault::on(SENDS, failing)
        .in_queue(scene.source)
        .at_positions([0]);
    let failing = scene.fake.fault(failing);
    let told = scene.replayed(scene.replay().word("--send"), 69);
    failing.assert_fired();
    assert_eq!((&told["sent"], &told["unsent"]), (&json!(3), &json!(3)));
    // Which group comes first is not said by the queue.
    let mut sent = [group(&scene, "red").len(), group(&scene, "green").len()];
    sent.sort_unstable();
    assert_eq!(sent, [0, 3]);
    scene.assert_dead(3);
}

#[test]
fn what_cannot_be_replayed_is_told_with_the_remedy() {
    let scene = Scene::empty("replay_refusals", "logins", "logins-dead");
    let refused = |host: Host, code: i32, words: &str| drop(host.run().exited(code).says(&[words]));
    let dead = scene.fake.url(scene.dead);
    let on_dead = || scene.replay().option("--queue-url", &dead);
    refused(on_dead(), 78, "--dead-letter-queue-url");
    let itself = on_dead().option("--dead-letter-queue-url", &dead);
    refused(itself, 78, "is the source queue itself");
    let nowhere = scene
        .replay()
        .option("--queue-url", scene.fake.url("nowhere"));
    refused(nowhere, 78, "NonExistentQueue");
    refused(scene.replay().word("--all"), 2, "--send");
    let nothing = Host::bare().word("replay").word(guest("none.wasm"));
    refused(nothing, 2, "--queue-url");
    let url = scene.fake.url(scene.source);
    let none = Host::bare()
        .word("replay")
        .word(guest("none.wasm"))
        .option("--queue-url", url);
    refused(none, 78, "none.wasm");
}
