//! `etl-host run-once`: one message, what comes of it, and what that took. What
//! went in is never shown.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::bytes::{CORE_MODULE, EMPTY_COMPONENT, ScratchFile};
use crate::support::folder::Folder;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, sha256_hex};
use crate::support::{guest, repository};

fn run_once(component: &Path, input: &str) -> Host {
    Host::bare().word("run-once").word(component).word(input)
}

fn misbehaving(body: &Value) -> (Run, Value) {
    let file = ScratchFile::new("body.json", body.to_string());
    let component = repository().join("tests/guests/misbehave.wasm");
    let input = file.path.display().to_string();
    let run = run_once(&component, &input)
        .option("--output", "json")
        .run();
    let report = run.summary();
    (run, report)
}

/// What the report says of one limit: what was used of it, and it.
fn limit(report: &Value, name: &str) -> (u64, u64) {
    let limits = report["limits"].as_array().expect("limits");
    let limit = limits.iter().find(|limit| limit["name"] == name);
    let limit = limit.unwrap_or_else(|| panic!("no {name} in {report}"));
    let number = |member: &str| limit[member].as_u64().expect("a number");
    (number("used"), number("max"))
}

/// With this on standard input.
fn fed(component: &Path, words: &[&str], input: &[u8]) -> Output {
    let mut running = Command::new(env!("CARGO_BIN_EXE_etl-host"))
        .arg("run-once")
        .arg(component)
        .args(words)
        .env("ETL_HOST_CACHE_DIR", "off")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start it");
    let mut pipe = running.stdin.take().expect("a pipe");
    pipe.write_all(input).expect("say it");
    drop(pipe);
    running.wait_with_output().expect("it ends")
}

#[test]
fn a_body_gives_its_rows_typed_and_masked() {
    let login = Login::invented("run_once", 1);
    let file = ScratchFile::new("body.json", login.body());
    let input = file.path.display().to_string();
    let mask = guest("sha256_mask.wasm");
    let run = run_once(&mask, &input)
        .option("--output", "json")
        .run()
        .exited(0);
    let report = run.summary();
    assert_eq!(
        (&report["outcome"], &report["input"]),
        (&json!("rows"), &json!("body"))
    );
    let cell = |column: &str| {
        let row = report["rows"][0].as_array().expect("a row");
        let cell = row.iter().find(|cell| cell["column"] == column);
        cell.expect("a cell").clone()
    };
    let masked = sha256_hex(login.ip.as_bytes());
    let expected = json!({"column": "masked_ip", "type": "text", "value": masked});
    assert_eq!(cell("masked_ip"), expected);
    let version = json!({"column": "app_version", "type": "integer", "value": login.version.1});
    assert_eq!(cell("app_version"), version);
    // A body has no time of its own.
    assert_eq!(cell("create_date")["value"], "2026-01-01");
    assert_eq!(limit(&report, "rows"), (1, 1_000));
    let (used, max) = limit(&report, "memory");
    assert!(used > 0 && max == 64 << 20);
    run.never_says(&login.ip).never_says(&login.device_id);

    let run = run_once(&mask, &input).run().exited(0);
    for words in [
        "1 row\n",
        "masked_ip",
        &masked,
        "used of the limits",
        "67,108,864 bytes",
    ] {
        assert!(
            run.stdout.contains(words),
            "no {words:?} in\n{}",
            run.stdout
        );
    }
    run.never_says(&login.ip).never_says(&login.device_id);
}

#[test]
fn standard_input_is_read_as_a_file_is_but_for_its_last_line_end() {
    let login = Login::invented("run_once_stdin", 1);
    let mask = guest("sha256_mask.wasm");
    let line = format!("{}\r\n", login.body());
    for words in [&["-", "--output", "json"][..], &["--output", "json"]] {
        let ended = fed(&mask, words, line.as_bytes());
        assert!(ended.status.success(), "{ended:?}");
        let report: Value = serde_json::from_slice(&ended.stdout).expect("a report");
        assert_eq!(report["outcome"], "rows");
    }
}

#[test]
fn what_sqs_writes_of_a_message_is_taken_as_it_is() {
    let folder = Folder::new("run-once");
    let login = Login::invented("run_once_sqs", 1);
    let message = json!({
        "MessageId": "0f6c3d1e", "ReceiptHandle": "AQEB", "MD5OfBody": "…",
        "Body": login.body(),
        "Attributes": {"SentTimestamp": "1795422600000"},
    });
    let several = json!({"Messages": [message, message]});
    let received = json!({"Messages": [message]});
    let mask = guest("sha256_mask.wasm");
    for text in [&message, &received] {
        let file = folder.keep("received.json", &text.to_string(), 0o600);
        let run = run_once(&mask, &file)
            .option("--output", "json")
            .run()
            .exited(0);
        let report = run.summary();
        assert_eq!(report["input"], "sqs-message");
        let row = report["rows"][0].to_string();
        assert!(row.contains("2026-11-23"), "{row}");
    }
    let file = folder.keep("received.json", &several.to_string(), 0o600);
    run_once(&mask, &file)
        .run()
        .exited(65)
        .says(&["received.json:1:1: these are 2 messages"]);
    let spoiled = json!({"MessageId": "m", "Body": 3}).to_string();
    let file = folder.keep("received.json", &spoiled, 0o600);
    let run = run_once(&mask, &file).run().exited(65);
    run.says(&["received.json:1:1:", "as SQS writes them"]);
}

#[test]
fn a_rejection_is_told_with_its_reason_and_field_and_exits_65() {
    let mask = guest("sha256_mask.wasm");
    let mut login = Login::invented("run_once_rejected", 1);
    login.version.0 = "one.two";
    let file = ScratchFile::new("body.json", login.body());
    let input = file.path.display().to_string();
    let run = run_once(&mask, &input).run().exited(65);
    assert!(run.stdout.contains("at /app_version"), "{}", run.stdout);
    let run = run.says(&["the message is rejected: ", "at /app_version"]);
    run.never_says("one.two").never_says(&login.ip);

    let file = ScratchFile::new("no.json", "no JSON at all");
    let input = file.path.display().to_string();
    let run = run_once(&mask, &input).option("--output", "json").run();
    let report = run.exited(65).summary();
    assert_eq!(
        (&report["outcome"], &report["reason"]),
        (&json!("reject"), &json!("malformed"))
    );
}

#[test]
fn a_fault_is_told_and_nothing_of_the_message_with_it() {
    let login = Login::invented("run_once_fault", 1);
    for (ask, reason) in [
        ("trap", "trap"),
        ("panic-with-value", "trap"),
        ("leak-reversed", "leak"),
        ("give-extra-column", "broken-interface"),
    ] {
        let mut body = login.json();
        body["do"] = json!(ask);
        let (run, report) = misbehaving(&body);
        assert_eq!(text(&report, "reason"), reason, "{ask}: {report}");
        assert_eq!(report["rows"], json!([]));
        run.exited(65)
            .never_says(&login.ip)
            .never_says(&login.device_id)
            .never_says(&login.device_id.chars().rev().collect::<String>());
    }
}

fn text<'a>(report: &'a Value, member: &str) -> &'a str {
    report[member].as_str().unwrap_or_default()
}

#[test]
fn what_is_used_of_a_limit_grows_with_what_is_asked_for() {
    let asked = |ask: &str, amount: usize| {
        let body = json!({"do": ask, "amount": amount.to_string(), "user_id": "u"});
        misbehaving(&body).1
    };
    let used = |ask, amount, name| limit(&asked(ask, amount), name).0;
    assert!(used("spin", 20_000, "instructions") > used("spin", 10_000, "instructions") + 10_000);
    let mib = |amount| used("grow", amount, "memory") >> 20;
    let (eight, twenty) = (mib(8), mib(20));
    assert!((8..16).contains(&eight), "{eight} MiB");
    assert!((20..32).contains(&twenty), "{twenty} MiB");
    assert_eq!(used("give-rows", 7, "rows"), 7);
    let (used_bytes, _) = limit(&asked("give-large-text", 5_000), "result");
    assert!((5_000..6_000).contains(&used_bytes), "{used_bytes}");
    let over = asked("give-rows", 1_001);
    assert_eq!(text(&over, "reason"), "result-limit");
    assert_eq!(limit(&over, "rows"), (1_001, 1_000));
}

#[test]
fn a_skipped_message_exits_0() {
    let (run, report) = misbehaving(&json!({"do": "skip", "user_id": "u"}));
    run.exited(0);
    assert_eq!(
        (&report["outcome"], &report["rows"]),
        (&json!("skip"), &json!([]))
    );
}

#[test]
fn many_rows_and_long_values_are_cut_for_a_person_and_not_for_a_program() {
    let login = Login::invented("run_once_rows", 1);
    let mut body = login.json();
    body["do"] = json!("give-rows");
    body["amount"] = json!("30");
    let (_, report) = misbehaving(&body);
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(30));
    let file = ScratchFile::new("body.json", body.to_string());
    let component = repository().join("tests/guests/misbehave.wasm");
    let run = run_once(&component, &file.path.display().to_string())
        .run()
        .exited(0);
    assert!(run.stdout.contains("and 10 more rows"), "{}", run.stdout);
    let long = json!({"do": "give-large-text", "amount": "100000", "user_id": "u"});
    let file = ScratchFile::new("body.json", long.to_string());
    let run = run_once(&component, &file.path.display().to_string())
        .run()
        .exited(0);
    assert!(run.stdout.len() < 3_000 && run.stdout.contains("(100002 bytes)"));
}

#[test]
fn input_that_is_no_message_is_told_with_its_place() {
    let mask = guest("sha256_mask.wasm");
    let file = ScratchFile::new("latin1.json", b"{\n  \"user_id\": \"\xe9\"}");
    let run = run_once(&mask, &file.path.display().to_string()).run();
    run.exited(65).says(&["latin1.json:2:15: this is no UTF-8"]);
    run_once(&mask, "no-such-body.json")
        .run()
        .exited(65)
        .says(&["no-such-body.json"]);
    let large = ScratchFile::new("large.json", "x").stretched_to((16 << 20) + 1);
    run_once(&mask, &large.path.display().to_string())
        .run()
        .exited(65)
        .says(&["16 MiB"]);
}

#[test]
fn a_component_that_does_not_load_is_refused_as_by_a_run() {
    let body = ScratchFile::new("body.json", "{}");
    let body = body.path.display().to_string();
    let bytes = |bytes: &[u8]| ScratchFile::new("component.wasm", bytes);
    for (file, words) in [
        (bytes(b"invented"), "no WebAssembly"),
        (bytes(&CORE_MODULE), "core module"),
        (bytes(&EMPTY_COMPONENT), "another world"),
    ] {
        let host = run_once(&file.path, &body).option("--cache-dir", "off");
        host.run().exited(78).says(&["component.wasm", words]);
    }
    for (component, words) in [
        (guest("hmac_mask.wasm"), "--key-file"),
        (
            repository().join("tests/guests/with_wasi.wasm"),
            "--allow wasi",
        ),
        (Path::new("none.wasm").to_owned(), "none.wasm"),
    ] {
        run_once(&component, &body).run().exited(78).says(&[words]);
    }
    let host = run_once(&guest("truncate_mask.wasm"), &body);
    host.option("--param", "salt=x")
        .run()
        .exited(78)
        .says(&["salt"]);
}
