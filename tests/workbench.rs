//! `etl-host test`: a component that does what its cases say passes; one that
//! leaks, remembers, drops a null or miscounts is found out without a case that
//! says so.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::folder::Folder;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, bodies, sha256_hex};
use crate::support::{guest, repository};

/// The places of properties in a report.
const FAULT: usize = 0;
const SAME_AGAIN: usize = 1;
const DIFFERENT: usize = 3;
const NULL: usize = 4;
const TWICE: usize = 5;

fn test(component: &Path, inputs: &[&str]) -> Host {
    let host = Host::bare().word("test").word(component);
    inputs.iter().fold(host, |host, input| host.word(*input))
}

fn misbehaving() -> PathBuf {
    repository().join("tests/guests/misbehave.wasm")
}

/// What the report says of each property, by the number of violations.
fn violations(run: &Run) -> Vec<usize> {
    let report: Value = serde_json::from_str(&run.stdout).expect("a report");
    let properties = report["properties"].as_array().expect("properties");
    let violations = properties.iter().map(|property| {
        let violations = property["violations"].as_array();
        violations.expect("violations").len()
    });
    violations.collect()
}

/// Invented logins as bodies, one a line, each with this to do.
fn logins_that(ask: &str) -> String {
    let logins = Login::several("workbench", 12);
    let lines = logins.iter().map(|login| {
        let mut body = login.json();
        body["do"] = json!(ask);
        body["amount"] = json!("3");
        body.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_components_here_keep_every_property_on_invented_logins() {
    let folder = Folder::new("good");
    let lines = bodies(&Login::several("workbench", 30)).join("\n");
    let logins = folder.keep("logins.jsonl", &lines, 0o600);
    let keys = folder.keep("keys", &format!("2026:{}\n", "a7".repeat(32)), 0o600);
    let tested = |component: &str| {
        test(&guest(component), &[&logins])
            .option("--key-file", &keys)
            .option("--output", "json")
    };
    for component in ["sha256_mask.wasm", "hmac_mask.wasm"] {
        let run = tested(component).run().exited(0);
        assert_eq!(violations(&run), [0; 6], "{component}: {}", run.stdout);
    }
    // Networks instead of addresses: that is its purpose, and has to be said.
    let truncating = || tested("truncate_mask.wasm");
    let run = truncating().run().exited(65);
    assert!(violations(&run)[DIFFERENT] > 0, "{}", run.stdout);
    truncating().option("--may-collide", "/ip").run().exited(0);
}

#[test]
fn a_component_that_fails_a_property_is_found_out_without_a_case() {
    let folder = Folder::new("mutants");
    for (ask, property) in [
        ("leak-reversed", FAULT),
        ("trap", FAULT),
        ("give-no-outcome", FAULT),
        ("give-extra-column", FAULT),
        ("tell-what-was-seen", SAME_AGAIN),
        // It writes an empty text where the name is null.
        ("nothing-special", NULL),
        ("give-rows", TWICE),
    ] {
        let file = folder.keep("logins.jsonl", &logins_that(ask), 0o600);
        let run = test(&misbehaving(), &[&file])
            .option("--output", "json")
            .run()
            .exited(65);
        assert!(violations(&run)[property] > 0, "{ask}: {}", run.stdout);
    }
}

#[test]
fn what_a_case_expects_is_compared_field_by_field() {
    let folder = Folder::new("cases");
    let login = Login::invented("workbench_case", 0);
    let (body, ip) = (login.body(), sha256_hex(login.ip.as_bytes()));
    let device = sha256_hex(login.device_id.as_bytes());
    let version = login.row(0).app_version.expect("a version");
    let locale = match login.row(0).locale {
        Some(locale) => format!("locale = {locale:?}"),
        None => String::new(),
    };
    let cases = |version: i32, reason: &str| {
        format!(
            "[[case]]
            name = 'a login'
            body = '{body}'
            sent = 2026-11-23T23:59:59Z
            [[case.rows]]
            user_id = {:?}
            device_type = {:?}
            masked_ip = '{ip}'
            masked_device_id = '{device}'
            app_version = {version}
            create_date = 2026-11-23
            {locale}

            [[case]]
            name = 'no login'
            body = 'no JSON'
            reject = '{reason}'",
            login.user_id, login.device_type
        )
    };
    folder.keep("cases/logins.toml", &cases(version, "malformed"), 0o600);
    let all = folder.path().join("cases");
    let all = all.to_str().expect("a name");
    let run = test(&guest("sha256_mask.wasm"), &[all]).run().exited(0);
    assert!(run.stdout.contains("2 of 2 cases passed"), "{}", run.stdout);

    folder.keep("cases/logins.toml", &cases(version + 1, "missing"), 0o600);
    let run = test(&guest("sha256_mask.wasm"), &[all]).run().exited(65);
    for words in [
        format!("app_version: expected {}, got {version}", version + 1),
        "outcome: expected reject missing, got reject malformed".to_owned(),
        "0 of 2 cases passed".to_owned(),
    ] {
        assert!(
            run.stdout.contains(&words),
            "no {words:?} in {}",
            run.stdout
        );
    }
    run.says(&["2 of 2 cases"]).never_says(&login.ip);
}

#[test]
fn faults_in_files_are_told_with_their_places() {
    let folder = Folder::new("faulty");
    let toml = folder.keep(
        "a.toml",
        "[[case]]\nbody = 'x'\nrejekt = 'malformed'\n",
        0o600,
    );
    let column = "[[case]]\nbody = 'x'\n[[case.rows]]\nip = 'x'\n";
    let column = folder.keep("b.toml", column, 0o600);
    let json = folder.keep("c.json", "{\n  \"Body\": \n}", 0o600);
    let mask = guest("sha256_mask.wasm");
    let refused = |inputs: &[&str]| test(&mask, inputs).run().exited(65);
    refused(&[&toml, &column, &json]).says(&[
        "a.toml:3:1: unknown field",
        "b.toml:4:6: no column is called ip",
        "c.json:3:1: this is no JSON",
    ]);
    refused(&["no-such-file.toml"]).says(&["no-such-file.toml"]);
    let other = folder.keep("cases.yaml", "", 0o600);
    refused(&[&other]).says(&["cases.yaml", ".toml"]);
    let empty = folder.keep("none.toml", "", 0o600);
    refused(&[&empty]).says(&["there is no case"]);
    test(&folder.path().join("none.wasm"), &[&toml])
        .run()
        .exited(78)
        .says(&["none.wasm"]);
}
