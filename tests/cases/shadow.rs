//! A shadow judges what the running component judges: how it differs is told,
//! nothing of it is written, and nothing that it does holds anything up.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::scene::Scene;
use crate::support::bytes::CORE_MODULE;
use crate::support::bytes::ScratchFile;
use crate::support::host::Run;
use crate::support::login::{Login, Row, bodies};
use crate::support::{guest, repository};

fn misbehaving() -> PathBuf {
    repository().join("tests/guests/misbehave.wasm")
}

/// Loads these bodies with the default component, beside a shadow.
fn shadowed(scene: &Scene, shadow: PathBuf, bodies: &[String]) -> (Run, i32) {
    let sent = scene.send(bodies);
    let run = scene
        .host()
        .option("--shadow", shadow)
        .option("--transform-message-ms-max", "200")
        .env("ETL_HOST_OUTPUT", "json")
        .env("RUST_LOG", "trace")
        .until_empty()
        .run()
        .exited(0);
    (run, sent.day)
}

fn rows(logins: &[Login], day: i32) -> Vec<Row> {
    logins.iter().map(|login| login.row(day)).collect()
}

/// Messages of which the shadow's summary says so.
fn count(shadow: &Value, name: &str) -> u64 {
    shadow[name].as_u64().expect("a count")
}

#[test]
fn how_a_shadow_differs_is_told_by_column_and_nothing_of_it_is_written() {
    let scene = Scene::new();
    let logins = Login::several("shadowed", 40);
    let (run, day) = shadowed(&scene, guest("truncate_mask.wasm"), &bodies(&logins));
    let summary = run.summary();
    let shadow = &summary["shadow"];
    assert_eq!(count(shadow, "compared") + count(shadow, "left_out"), 40);
    assert_eq!(count(shadow, "same"), 0);
    let of = |column: &str, what: &str| count(&shadow["columns"][column], what);
    let compared = count(shadow, "compared");
    assert!(compared > 0, "nothing is compared: {shadow}");
    assert_eq!(of("masked_ip", "different"), compared);
    assert_eq!(of("user_id", "different"), 0);
    assert_eq!(of("user_id", "compared"), compared);
    scene.assert_well(&rows(&logins, day), 0, &logins, &[&run]);
    let policies = "(SELECT DISTINCT policy FROM etl_host.ledger) AS policies";
    assert_eq!(scene.database.count(policies), 1);
}

#[test]
fn the_same_component_is_its_own_shadow_and_differs_in_nothing() {
    let scene = Scene::new();
    let logins = Login::several("own_shadow", 10);
    let mut bodies = bodies(&logins);
    bodies.push("no JSON at all".to_owned());
    let (run, day) = shadowed(&scene, guest("sha256_mask.wasm"), &bodies);
    let shadow = &run.summary()["shadow"];
    assert_eq!(count(shadow, "same"), count(shadow, "compared"));
    assert_eq!(shadow["outcomes"], json!({}));
    scene.assert_well(&rows(&logins, day), 1, &logins, &[&run]);
}

#[test]
fn a_shadow_that_misbehaves_holds_nothing_up() {
    let scene = Scene::new();
    let logins = Login::several("misbehaving_shadow", 40);
    let asked = ["trap", "spin", "leak-as-it-is", "give-rows", "skip"];
    let bodies: Vec<String> = logins
        .iter()
        .zip(asked.iter().cycle())
        .map(|(login, asked)| {
            let mut body = login.json();
            body["do"] = json!(asked);
            body.to_string()
        })
        .collect();
    let (run, day) = shadowed(&scene, misbehaving(), &bodies);
    let shadow = &run.summary()["shadow"];
    let outcomes = shadow["outcomes"].as_object().expect("outcomes");
    for outcome in [
        "trap",
        "time-limit",
        "leak at /device_id",
        "broken-interface",
        "skip",
    ] {
        let differing = format!("rows → {outcome}");
        assert!(
            outcomes.contains_key(&differing),
            "no {differing} in {shadow}"
        );
    }
    let run = run.never_says("it faults on more than");
    scene.assert_well(&rows(&logins, day), 0, &logins, &[&run]);
}

#[test]
fn a_shadow_that_could_not_take_over_is_refused_or_told() {
    let scene = Scene::new();
    let none = ScratchFile::new("shadow.wasm", CORE_MODULE);
    let host = || scene.host().until_empty();
    let run = host().option("--shadow", &none.path).run().exited(78);
    run.says(&["load the shadow", "shadow.wasm", "core module"]);
    let check = scene.host().word("check").option("--shadow", &none.path);
    let check = check.run().exited(78);
    assert!(
        check.stdout.contains("shadow     FAILED"),
        "{}",
        check.stdout
    );

    scene
        .database
        .execute("ALTER TABLE user_logins DROP COLUMN masked_ip");
    let misfit = host()
        .option("--transform", misbehaving())
        .option("--shadow", guest("sha256_mask.wasm"));
    let run = misfit.run().exited(0);
    run.says(&["the shadow does not fit the table", "masked_ip"]);
}
