//! A rejected message always fits into the dead-letter queue: what the host
//! adds is left out where it has no room, and what is the producer's stays.

use std::collections::BTreeSet;

use super::scene::{Kind, Scene};
use crate::fake_queue::store::message::{Outgoing, Stored};
use crate::support::guest;
use crate::support::login::{Login, rows};

/// The largest message that SQS takes, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The longest name of an attribute that SQS takes.
const NAME_CHARS_MAX: usize = 256;

/// A message with so many attributes of its own.
fn with_own(body: &str, own: usize) -> Outgoing {
    let name = |n: usize| format!("{n}{}", "n".repeat(NAME_CHARS_MAX - n.to_string().len()));
    (0..own).fold(Outgoing::new(body), |message, n| {
        message.attribute(&name(n), "own")
    })
}

/// The names of the host's attributes, and how many are the producer's.
fn names(letter: &Stored) -> (BTreeSet<&str>, usize) {
    let names = letter.sent.attributes.keys();
    let ours: BTreeSet<&str> = names
        .filter_map(|name| name.strip_prefix("etl-host."))
        .collect();
    let own = letter.sent.attributes.len() - ours.len();
    (ours, own)
}

/// Case 128.
#[test]
fn a_rejected_message_with_any_number_of_attributes_is_dead_lettered() {
    let scene = Scene::new();
    let login = Login::invented("any_number", 1);
    let mut messages: Vec<Outgoing> = (0..=10)
        .map(|own| with_own(&format!("no login {own}"), own))
        .collect();
    messages.push(with_own(&login.body(), 10));
    let sent = scene.put(messages);

    let run = scene.host().until_empty().run().exited(0);

    let order = [
        "origin-id",
        "origin-mac",
        "reason",
        "origin-sent-ms",
        "policy",
    ];
    for letter in scene.dead_messages() {
        let own: usize = letter.sent.body["no login ".len()..]
            .parse()
            .expect("a number");
        let expected = order[..(10 - own).min(order.len())].iter().copied();
        assert_eq!(names(&letter), (expected.collect(), own));
    }
    let logins = [login];
    scene.assert_well(&rows(&logins, sent.day), 11, &logins, &[&run]);
}

/// Case 128.
#[test]
fn a_full_message_does_not_block_its_group() {
    let scene = Scene::of_kind(Kind::Fifo);
    let logins = Login::several("full_group", 6);
    let messages = logins.iter().enumerate().flat_map(|(n, login)| {
        let bad = with_own(&format!("no login {n}"), 5 + n);
        [bad, Outgoing::new(login.body())]
    });
    let messages = messages
        .enumerate()
        .map(|(n, message)| message.group("one").deduplication_id(&n.to_string()));
    let sent = scene.put(messages);

    let run = scene.host().until_empty().run().exited(0);

    let letters = scene.dead_messages();
    let own: Vec<usize> = letters.iter().map(|letter| names(letter).1).collect();
    assert_eq!(own, [5, 6, 7, 8, 9, 10]);
    scene.assert_well(&rows(&logins, sent.day), 6, &logins, &[&run]);
}

/// Case 128.
#[test]
fn a_rejected_message_of_any_size_is_dead_lettered() {
    let scene = Scene::new();
    let logins = [Login::invented("any_size", 1)];
    let spare = [0, 1, 50, 100, 300, 500];
    let mut bodies = spare
        .map(|spare| "x".repeat(MESSAGE_BYTES_MAX - spare))
        .to_vec();
    bodies.push(logins[0].body());
    let sent = scene.send(&bodies);

    let run = scene.host().until_empty().run().exited(0);

    let letters = scene.dead_messages();
    let kept: Vec<usize> = spare
        .iter()
        .map(|spare| {
            let bytes = MESSAGE_BYTES_MAX - spare;
            let letter = letters
                .iter()
                .find(|letter| letter.sent.body.len() == bytes);
            letter.expect("its copy").sent.attributes.len()
        })
        .collect();
    assert_eq!(kept, [0, 0, 0, 1, 4, 5]);
    scene.assert_well(&rows(&logins, sent.day), spare.len(), &logins, &[&run]);
}

/// Case 128.
#[test]
fn a_dead_letter_queue_that_takes_less_gets_what_it_takes() {
    let scene = Scene::new();
    let bytes = 1_024;
    scene.limit_dead_letters(bytes);
    let logins = [Login::invented("takes_less", 1)];
    let bodies = ["x".repeat(bytes), "x".repeat(bytes - 100), logins[0].body()];
    let sent = scene.send(&bodies);

    let run = scene.host().until_empty().run().exited(0);

    assert!(run.stderr.contains("MaximumMessageSize to 1048576"));
    let kept: Vec<usize> = scene
        .dead_messages()
        .iter()
        .map(|letter| letter.sent.attributes.len())
        .collect();
    assert_eq!(kept, [0, 1]);
    scene.assert_well(&rows(&logins, sent.day), 2, &logins, &[&run]);
}

/// What came back from a redrive carries the host's attributes already.
///
/// Case 128.
#[test]
fn a_message_that_is_rejected_again_and_again_keeps_its_identity() {
    let scene = Scene::new();
    let mut logins = Login::several("again_and_again", 9);
    for login in &mut logins {
        // No address, which one component minds and the other does not.
        login.ip = format!("invented-address-of-{}", login.user_id);
    }
    let messages = logins.iter().enumerate();
    let sent = scene.put(messages.map(|(own, login)| with_own(&login.body(), own)));
    let strict = || {
        let host = scene
            .host()
            .option("--transform", guest("truncate_mask.wasm"));
        host.until_empty().run().exited(0)
    };
    let mut runs = vec![strict()];
    let first = scene.dead_messages();
    for _ in 0..3 {
        scene.redrive();
        runs.push(strict());
    }

    for (letter, first) in scene.dead_messages().iter().zip(&first) {
        let own = names(letter).1;
        assert_eq!(letter.origin_id(), sent.ids[own]);
        assert_eq!(
            letter.sent.attributes, first.sent.attributes,
            "{own} of its own"
        );
    }
    // A redrive on a later day gives rows of the first one.
    scene
        .queue
        .put_clock_forward(std::time::Duration::from_secs(86_400));
    scene.redrive();
    runs.push(scene.host().until_empty().run().exited(0));

    let mut ids: Vec<String> = sent.ids.clone();
    ids.sort();
    let ledger = scene.database.ledger();
    let stored: Vec<&str> = ledger
        .iter()
        .map(|entry| entry.message_id.as_str())
        .collect();
    assert_eq!(stored, ids);
    let runs: Vec<_> = runs.iter().collect();
    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &runs);
}
