//! `etl-host bench`: what is measured is there, is held against its limit, and
//! depends on the component. How long anything takes is nobody's claim here.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::bytes::{CORE_MODULE, EMPTY_COMPONENT, ScratchFile};
use crate::support::folder::Folder;
use crate::support::host::Host;
use crate::support::login::{Login, bodies};
use crate::support::{guest, repository};

fn bench(component: &Path, input: &str) -> Host {
    Host::bare()
        .word("bench")
        .word(component)
        .option("--input", input)
        .option("--secs", "1")
        .option("--batch-messages", "20")
}

fn misbehave() -> PathBuf {
    repository().join("tests/guests/misbehave.wasm")
}

fn logins(folder: &Folder) -> String {
    let lines = bodies(&Login::several("bench", 30)).join("\n");
    folder.keep("logins.jsonl", &lines, 0o600)
}

#[track_caller]
fn measured(host: Host) -> Value {
    host.option("--output", "json").run().exited(0).summary()
}

/// What the report says of one limit: what was used of it, and it.
#[track_caller]
fn limit(measured: &Value, name: &str) -> (u64, u64) {
    let limits = measured["limits"].as_array().expect("limits");
    let limit = limits.iter().find(|limit| limit["name"] == name);
    let limit = limit.unwrap_or_else(|| panic!("no {name} in {measured}"));
    let number = |member: &str| limit[member].as_u64().expect("a number");
    (number("used"), number("max"))
}

#[test]
fn a_component_is_measured_against_each_limit() {
    let folder = Folder::new("bench");
    let report = measured(bench(&guest("sha256_mask.wasm"), &logins(&folder)));
    assert_eq!(
        (&report["inputs"], &report["batch_messages"]),
        (&json!(30), &json!(20))
    );
    assert_eq!(
        (&report["baseline"], &report["ratio"]),
        (&Value::Null, &Value::Null)
    );
    let component = &report["component"];
    assert_eq!(component["outcomes"], json!({"rows": 30}));
    let spread = &component["ns_a_message"];
    let ns = |percentile: &str| spread[percentile].as_u64().expect("a number");
    assert!(ns("p50") > 0 && ns("p50") <= ns("p90") && ns("p90") <= ns("p99"));
    assert!(component["messages_per_second"].as_f64() > Some(0.0));
    assert!(component["ns_an_instance"]["p50"].as_u64() > Some(0));
    assert!(component["instructions_a_message"].as_f64() > Some(1_000.0));
    assert!(component["batches"].as_u64() > Some(0));
    assert_eq!(component["batch_fault"], Value::Null);
    for (name, max) in [
        ("time of a batch", 5_000_000),
        ("time", 1_000_000),
        ("instructions", 2_000_000_000),
        ("memory", 64 << 20),
        ("tables", 100_000),
        ("rows", 1_000),
        ("result", 4 << 20),
    ] {
        let (used, limit) = limit(component, name);
        assert_eq!(limit, max, "{name}");
        assert!(used > 0 && used <= max, "{name}: {used}");
    }
    assert_eq!(limit(component, "rows").0, 1);
}

#[test]
fn a_table_is_for_people() {
    let folder = Folder::new("bench-text");
    let mask = guest("sha256_mask.wasm");
    let host = bench(&mask, &logins(&folder)).option("--baseline", &mask);
    let run = host.run().exited(0);
    for words in [
        "component  sha256_mask 0.1.0",
        "baseline   sha256_mask 0.1.0",
        "rows 30",
        "messages a second",
        "  p99",
        "ns an instance",
        "instructions a message",
        "used of the limits, at most",
        "taking turns",
    ] {
        assert!(
            run.stdout.contains(words),
            "no {words:?} in\n{}",
            run.stdout
        );
    }
    run.never_says(&Login::invented("bench", 0).ip);
}

#[test]
fn two_components_take_turns_and_are_compared() {
    let folder = Folder::new("bench-two");
    let spinning = |turns: usize| {
        let body = json!({"do": "spin", "amount": turns.to_string(), "user_id": "u"});
        folder.keep("spin.jsonl", &body.to_string(), 0o600)
    };
    // The same twice: whatever does not depend on the clock is the same.
    let same = bench(&misbehave(), &spinning(1_000)).option("--baseline", misbehave());
    let report = measured(same);
    let ratio = &report["ratio"];
    assert_eq!(ratio["instructions_a_message"], 1.0);
    assert_eq!(ratio["memory_bytes"], 1.0);
    let batches = |which: &str| report[which]["batches"].as_u64().expect("a number");
    assert_eq!(batches("component"), batches("baseline"));

    // The default component rejects what the other one counts to a thousand for.
    let mask = guest("sha256_mask.wasm");
    let other = bench(&mask, &spinning(100_000)).option("--baseline", misbehave());
    let report = measured(other);
    let less = report["ratio"]["instructions_a_message"].as_f64();
    assert!(less.is_some_and(|less| less < 0.5), "{report}");
    let ns = report["ratio"]["ns_a_message"].as_f64();
    assert!(ns.is_some_and(|ns| ns > 0.0 && ns.is_finite()), "{report}");
    let rejected = report["component"]["outcomes"]
        .as_object()
        .expect("outcomes");
    assert!(
        rejected
            .keys()
            .all(|outcome| outcome.starts_with("reject ")),
        "{report}"
    );
    assert_eq!(report["baseline"]["outcomes"], json!({"rows": 1}));
}

#[test]
fn instructions_and_memory_are_those_of_the_batch() {
    let folder = Folder::new("bench-batch");
    let input = |ask: &str, amount: usize| {
        let body = json!({"do": ask, "amount": amount.to_string(), "user_id": "u"});
        folder.keep(&format!("{ask}-{amount}.jsonl"), &body.to_string(), 0o600)
    };
    let report = |ask, amount| measured(bench(&misbehave(), &input(ask, amount)));
    let instructions = |report: &Value| {
        let instructions = report["component"]["instructions_a_message"].as_f64();
        instructions.expect("instructions")
    };
    let (few, many) = (report("spin", 1_000), report("spin", 2_000));
    let more = instructions(&many) - instructions(&few);
    // Each turn is a few of them.
    assert!((1_000.0..20_000.0).contains(&more), "{more}");
    let (used, _) = limit(&report("grow", 8)["component"], "memory");
    assert!(used > 8 << 20, "{used}");
}

#[test]
fn a_batch_that_faults_is_said_to_be_judged_message_by_message() {
    let folder = Folder::new("bench-fault");
    let lines = "{\"do\":\"trap\",\"user_id\":\"u\"}\n{\"user_id\":\"v\"}\n";
    let input = folder.keep("faults.jsonl", lines, 0o600);
    let report = measured(bench(&misbehave(), &input));
    let component = &report["component"];
    assert_eq!(component["outcomes"], json!({"reject trap": 1, "rows": 1}));
    assert_eq!(component["batch_fault"], "trap");
}

#[test]
fn an_instance_a_message_is_measured_without_batches() {
    let folder = Folder::new("bench-alone");
    let host = bench(&guest("sha256_mask.wasm"), &logins(&folder));
    let report = measured(host.option("--isolation", "message"));
    let limits = report["component"]["limits"].as_array().expect("limits");
    assert!(
        limits
            .iter()
            .all(|limit| limit["name"] != "time of a batch")
    );
    assert!(report["component"]["instructions_a_message"].as_f64() > Some(1_000.0));
}

#[test]
fn messages_that_cannot_be_read_are_told_with_their_place() {
    let folder = Folder::new("bench-faulty");
    let mask = guest("sha256_mask.wasm");
    let toml = folder.keep(
        "a.toml",
        "[[case]]\nbody = 'x'\nrejekt = 'malformed'\n",
        0o600,
    );
    let json = folder.keep("b.json", "{\n  \"Body\": \n}", 0o600);
    let empty = folder.keep("c.jsonl", "\n", 0o600);
    let latin1 = ScratchFile::new("d.jsonl", b"{}\n{\"name\":\"\xe9\"}\n");
    let latin1 = latin1.path.display().to_string();
    for (input, words) in [
        (toml.as_str(), "a.toml:3:1: unknown field"),
        (&json, "b.json:3:1: this is no JSON"),
        (&empty, "there is no message"),
        (&latin1, "d.jsonl:2:10: this is no UTF-8"),
        ("no-such-file.jsonl", "no-such-file.jsonl"),
    ] {
        bench(&mask, input).run().exited(65).says(&[words]);
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_measured() {
    let folder = Folder::new("bench-refused");
    let (mask, input) = (guest("sha256_mask.wasm"), logins(&folder));
    Host::bare()
        .word("bench")
        .word(&mask)
        .run()
        .exited(2)
        .says(&["--input"]);
    for (option, value) in [("--secs", "0"), ("--secs", "61"), ("--batch-messages", "0")] {
        let host = bench(&mask, &input).option(option, value);
        host.run().exited(2).says(&[option]);
    }
    for (bytes, words) in [
        (&b"invented"[..], "no WebAssembly"),
        (&CORE_MODULE[..], "core module"),
        (&EMPTY_COMPONENT[..], "another world"),
    ] {
        let file = ScratchFile::new("component.wasm", bytes);
        let uncached = |host: Host| host.option("--cache-dir", "off");
        let refused = uncached(bench(&file.path, &input)).run().exited(78);
        refused.says(&["component.wasm", words]);
        let baseline = uncached(bench(&mask, &input)).option("--baseline", &file.path);
        baseline.run().exited(78).says(&["the baseline", words]);
    }
    let keyed = bench(&guest("hmac_mask.wasm"), &input);
    keyed.run().exited(78).says(&["--key-file"]);
}

#[test]
fn what_cases_expect_of_another_component_does_no_harm() {
    let folder = Folder::new("bench");
    let case = "[[case]]\nbody = '{}'\n[[case.rows]]\nno_column_of_this_one = 1\n";
    let cases = folder.keep("cases.toml", case, 0o600);
    let report = measured(bench(&guest("sha256_mask.wasm"), &cases));
    let rejected = &report["component"]["outcomes"];
    assert_eq!(
        (&report["inputs"], rejected["rows"].is_null()),
        (&json!(1), true)
    );
}
