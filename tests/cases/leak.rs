//! The leak guard, case 67: a component that hands out a sensitive value, as it
//! is or in disguise, gets the message rejected, and only that one.

use serde_json::json;

use super::scene::{Scene, bare_row};
use crate::support::guest;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, Row, rows};

/// What the test's component does with a device id.
const DISGUISES: [&str; 17] = [
    "leak-as-it-is",
    "leak-within-a-text",
    "leak-in-upper-case",
    "leak-without-separators",
    "leak-with-other-separators",
    "leak-reversed",
    "leak-in-hex",
    "leak-in-upper-hex-with-colons",
    "leak-in-hex-within-a-hash",
    "leak-in-base64",
    "leak-in-base64-for-urls",
    "leak-in-base64-after-one",
    "leak-in-base64-after-two",
    "leak-in-percents",
    "leak-in-json-escapes",
    "leak-in-all-of-them",
    "leak-as-a-number",
];

fn scene() -> Scene {
    let scene = Scene::new();
    // Room for every disguise: it is not the table that refuses them.
    scene.database.execute(
        "ALTER TABLE user_logins ALTER device_type TYPE text, ALTER app_version TYPE bigint",
    );
    scene
}

/// Panics unless the message was refused as a leak of this field.
#[track_caller]
fn assert_leak(scene: &Scene, id: &str, field: Option<&str>) {
    scene.assert_rejected(id, "leak");
    let ledger = scene.database.ledger();
    let entry = ledger.iter().find(|entry| entry.message_id == id);
    assert_eq!(entry.and_then(|entry| entry.field.as_deref()), field);
}

/// Sends a message for each disguise between good ones.
#[track_caller]
fn each_disguise_is_refused(test: &str, isolation: &str) {
    let scene = scene();
    let mut logins = Login::several(test, 2 * DISGUISES.len() + 1);
    let mut bodies = vec![logins[0].body()];
    for (disguise, pair) in DISGUISES.iter().zip(logins[1..].chunks_mut(2)) {
        if *disguise == "leak-as-a-number" {
            pair[0].device_id = "900-47-1187".to_owned();
        }
        let mut body = pair[0].json();
        body["do"] = json!(disguise);
        bodies.extend([body.to_string(), pair[1].body()]);
    }
    let sent = scene.send(&bodies);

    let run = scene
        .misbehaving_host()
        .option("--isolation", isolation)
        .env("RUST_LOG", "trace")
        .until_empty()
        .run()
        .exited(0);

    for id in sent.ids.iter().skip(1).step_by(2) {
        assert_leak(&scene, id, Some("/device_id"));
    }
    let honest: Vec<Row> = logins.iter().step_by(2).map(bare_row).collect();
    scene.assert_well(&honest, DISGUISES.len(), &logins, &[&run]);
}

#[test]
fn each_disguise_is_refused_and_its_neighbours_are_stored() {
    each_disguise_is_refused("leak_batch", "batch");
}

#[test]
fn each_disguise_is_refused_where_each_message_has_its_own_instance() {
    each_disguise_is_refused("leak_message", "message");
}

/// Case 61, with a component that reads the first of two members, or the
/// second.
#[test]
fn both_values_of_a_member_that_stands_twice_are_guarded() {
    let scene = scene();
    let logins = Login::several("leak_twice", 5);
    let two = |first: &Login, second: &Login| {
        let mut body = second.json();
        body["do"] = json!("leak-as-it-is");
        let first = json!({"device_id": first.device_id}).to_string();
        body.to_string().replacen('{', &first.replace('}', ","), 1)
    };
    let later = format!(
        r#"{{"user_id":"u","do":"leak-as-it-is","device_id":"{}","\u0064evice_id":"other"}}"#,
        logins[4].device_id
    );
    let bodies = [
        logins[0].body(),
        two(&logins[1], &logins[2]),
        logins[3].body(),
        later,
    ];
    let sent = scene.send(&bodies);

    let run = scene.misbehaving_host().until_empty().run().exited(0);

    for id in [&sent.ids[1], &sent.ids[3]] {
        assert_leak(&scene, id, Some("/device_id"));
    }
    let honest = [bare_row(&logins[0]), bare_row(&logins[3])];
    scene.assert_well(&honest, 2, &logins, &[&run]);
}

/// Nobody can say what must not be in them.
#[test]
fn rows_of_a_body_that_is_no_json_are_refused_and_a_skip_is_not() {
    let scene = scene();
    let logins = Login::several("leak_no_json", 3);
    let broken = |login: &Login, asked: &str| {
        let mut body = login.json();
        body["do"] = json!(asked);
        let mut body = body.to_string();
        body.pop();
        body
    };
    let bodies = [
        logins[0].body(),
        broken(&logins[1], "be good"),
        broken(&logins[2], "skip"),
    ];
    let sent = scene.send(&bodies);

    let run = scene.misbehaving_host().until_empty().run().exited(0);

    assert_leak(&scene, &sent.ids[1], None);
    scene.assert_well(&[bare_row(&logins[0])], 1, &logins, &[&run]);
}

#[test]
fn the_operator_guards_what_the_component_does_not_declare() {
    let scene = Scene::new();
    let logins = Login::several("leak_operator", 4);
    let bodies: Vec<String> = logins.iter().map(Login::body).collect();
    let sent = scene.send(&bodies);

    // Every row has the user, as it was sent.
    let run = scene
        .host()
        .env("ETL_HOST_SENSITIVE", "/battery/none,/user_id")
        .until_empty()
        .run()
        .exited(0);

    for id in &sent.ids {
        assert_leak(&scene, id, Some("/user_id"));
    }
    scene.assert_well(&[], logins.len(), &logins, &[&run]);
    for login in &logins {
        assert!(!run.stderr.contains(&login.user_id) && !run.stdout.contains(&login.user_id));
    }
}

fn refused(host: Host) -> Run {
    let run = host.run().exited(2);
    run.says(&["--sensitive", "/device/id"])
}

#[test]
fn what_is_no_pointer_is_a_usage_error() {
    for words in ["ip", "/ip,device_id", "/ip,", "", "/a~2"] {
        refused(Scene::new().host().option("--sensitive", words));
    }
    refused(Scene::new().host().env("ETL_HOST_SENSITIVE", "ip"));
}

#[test]
fn check_shows_the_operators_fields_beside_the_components() {
    let host = Scene::new()
        .host()
        .option("--sensitive", "/locale,/ip,/battery");
    let run = host.word("check").run();
    let line = "reads /user_id, /app_version, /device_type; \
                sensitive: /ip, /device_id, /locale, /battery";
    assert!(run.stdout.contains(line), "{}", run.stdout);
}

/// It stands in its row as it was sent: `203.0.0.0/16`. Which of the network's
/// addresses it was is what the row must not tell, and here it might.
#[test]
fn an_address_that_is_its_own_network_is_refused_and_the_others_pass() {
    let scene = Scene::new();
    let mut logins = Login::several("leak_network", 4);
    for (login, ip) in
        logins
            .iter_mut()
            .zip(["203.0.113.7", "203.0.0.0", "203.0.0.16", "2001:db8:77::"])
    {
        login.ip = ip.to_owned();
    }
    let bodies: Vec<String> = logins.iter().map(Login::body).collect();
    let sent = scene.send(&bodies);

    let run = scene
        .host()
        .option("--transform", guest("truncate_mask.wasm"))
        .option("--param", "ipv4_prefix_bits=16")
        .until_empty()
        .run()
        .exited(0);

    for n in [1, 3] {
        assert_leak(&scene, &sent.ids[n], Some("/ip"));
    }
    let mut honest = rows(&[logins[0].clone(), logins[2].clone()], sent.day);
    for row in &mut honest {
        row.masked_ip = Some("203.0.0.0/16".to_owned());
        row.masked_device_id = None;
    }
    // The two that are refused are in the rows of others, as their network.
    let searched = [logins[0].clone(), logins[2].clone()];
    scene.assert_well(&honest, 2, &searched, &[&run]);
}
