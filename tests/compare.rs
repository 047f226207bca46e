//! `etl-host compare`: what would change with another component, by column and
//! by reason, in words that no engineer is needed for, and without a value that
//! nobody asked for.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::bytes::{ScratchFile, misbehaving, renamed};
use crate::support::folder::Folder;
use crate::support::guest;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, bodies, sha256_hex};

fn compare(old: &Path, new: &Path, input: &str) -> Host {
    Host::bare()
        .word("compare")
        .word(old)
        .word(new)
        .option("--input", input)
        .env("RUST_LOG", "trace")
}

fn hashing() -> PathBuf {
    guest("sha256_mask.wasm")
}

fn truncating() -> PathBuf {
    guest("truncate_mask.wasm")
}

fn report(host: Host) -> Value {
    host.option("--output", "json").run().exited(0).summary()
}

/// Logins of a test, one a line; the last but one is from no address at all,
/// which one component minds and the other does not, and the last is cut short.
struct Logins {
    folder: Folder,
    logins: Vec<Login>,
    input: String,
}

impl Logins {
    fn new(name: &'static str) -> Logins {
        let mut logins = Login::several(name, 14);
        logins[12].ip = format!("invented-address-of-{name}");
        let mut lines = bodies(&logins);
        lines[13].pop();
        Logins::over(logins, &lines)
    }

    fn over(logins: Vec<Login>, lines: &[String]) -> Logins {
        let folder = Folder::new("compare");
        let input = folder.keep("logins.jsonl", &lines.join("\n"), 0o600);
        Logins {
            folder,
            logins,
            input,
        }
    }

    /// Each with this to do for the component that misbehaves.
    fn that(name: &'static str, ask: &str) -> Logins {
        let logins = Login::several(name, 6);
        let lines: Vec<String> = logins
            .iter()
            .map(|login| {
                let mut body = login.json();
                body["do"] = json!(ask);
                body.to_string()
            })
            .collect();
        Logins::over(logins, &lines)
    }

    /// Where a page may be written, and the option that has it written there.
    fn page(&self) -> PathBuf {
        self.folder.path().join("changes.html")
    }

    fn html(&self, host: Host) -> (Run, String) {
        let run = host.option("--html", self.page()).run().exited(0);
        let page = fs::read_to_string(self.page()).expect("a page");
        (run, page)
    }

    #[track_caller]
    fn assert_hidden(&self, texts: &[&str]) {
        for value in self.logins.iter().flat_map(Login::sensitive) {
            assert!(
                texts.iter().all(|text| !text.contains(value)),
                "{value} is told"
            );
        }
    }
}

/// The column of this name.
fn column<'r>(report: &'r Value, name: &str) -> &'r Value {
    let columns = report["columns"].as_array().expect("columns");
    let found = columns.iter().find(|column| column["column"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn a_component_differs_in_nothing_from_itself() {
    let logins = Logins::new("compare_itself");
    let host = || compare(&hashing(), &hashing(), &logins.input);
    let found = report(host());
    assert_eq!(
        (&found["messages"], &found["unchanged"]),
        (&json!(14), &json!(14))
    );
    assert_eq!(found["patterns"], json!([]));
    assert_eq!(found["inputs"][0]["messages"], 14);
    let bytes = fs::read(&logins.input).expect("the input");
    assert_eq!(found["inputs"][0]["sha256"], json!(sha256_hex(&bytes)));
    let bytes = fs::read(hashing()).expect("the component");
    assert_eq!(found["new"]["sha256"], json!(sha256_hex(&bytes)));
    let (run, page) = logins.html(host());
    assert!(
        run.stdout.contains("14 of 14 messages unchanged"),
        "{}",
        run.stdout
    );
    assert!(
        page.contains("The result is the same for every message"),
        "{page}"
    );
}

#[test]
fn what_changes_is_counted_by_column_and_by_reason() {
    let logins = Logins::new("compare_counts");
    let found = report(compare(&hashing(), &truncating(), &logins.input));
    // The one that is cut short is refused by both.
    assert_eq!(
        (&found["messages"], &found["unchanged"]),
        (&json!(14), &json!(1))
    );
    let invalid = json!([{"reason": "invalid", "field": "/ip", "messages": 1}]);
    assert_eq!(found["newly_rejected"], invalid);
    assert_eq!(found["newly_accepted"], json!([]));
    let of = |name: &str| {
        let column = column(&found, name);
        (
            column["compared"].clone(),
            column["changed"].clone(),
            column["kinds"].clone(),
        )
    };
    assert_eq!(of("user_id"), (json!(12), json!(0), json!({})));
    assert_eq!(
        of("masked_ip"),
        (json!(12), json!(12), json!({"another text": 12}))
    );
    assert_eq!(
        of("masked_device_id"),
        (json!(12), json!(12), json!({"text → null": 12}))
    );
    let most = &found["patterns"][0];
    assert_eq!(most["what"], "masked_ip, masked_device_id");
    assert_eq!(most["messages"], 12);
    assert_eq!(most["examples"][0]["message"], "line-1");

    let back = report(compare(&truncating(), &hashing(), &logins.input));
    assert_eq!(back["newly_accepted"], invalid);
    assert_eq!(back["newly_rejected"], json!([]));
}

#[test]
fn the_table_says_the_same_in_words() {
    let logins = Logins::new("compare_table");
    let run = compare(&hashing(), &truncating(), &logins.input)
        .run()
        .exited(0);
    for words in [
        "1 of 14 messages unchanged in what both write",
        "1 newly rejected: invalid at /ip 1",
        "12 of 12          another text 12",
        "0 of 12",
        "1  stored → rejected: invalid at /ip",
    ] {
        assert!(run.stdout.contains(words), "no {words:?} in {}", run.stdout);
    }
    logins.assert_hidden(&[&run.stdout, &run.stderr]);
}

#[test]
fn columns_that_come_and_go_or_hold_something_else_are_told() {
    let logins = Logins::that("compare_columns", "nothing-special");
    let other = renamed(misbehaving(), "device_type", "device_kind");
    let other = ScratchFile::new("other.wasm", other);
    let found = report(compare(&hashing(), &other.path, &logins.input));
    assert_eq!(column(&found, "device_type")["new"], Value::Null);
    assert_eq!(column(&found, "device_kind")["old"], Value::Null);
    let version = column(&found, "app_version");
    assert_eq!(version["old"]["type"], "integer");
    assert_eq!(version["new"]["nullable"], true);
    assert_eq!(version["kinds"], json!({"integer → null": 6}));
    assert_eq!(column(&found, "user_id")["changed"], 0);
}

#[test]
fn no_value_is_shown_unless_it_is_asked_for_and_then_none_that_came_in() {
    let logins = Logins::new("compare_values");
    let masked = sha256_hex(logins.logins[0].ip.as_bytes());
    let host = || compare(&hashing(), &truncating(), &logins.input);
    let (silent, silent_page) = logins.html(host());
    let (telling, telling_page) = logins.html(host().word("--show-values"));
    let json = host()
        .word("--show-values")
        .option("--output", "json")
        .run()
        .exited(0);
    for text in [&silent.stdout, &silent_page] {
        assert!(!text.contains(&masked), "{text}");
        assert!(!text.contains(&logins.logins[0].user_id), "{text}");
    }
    for text in [&telling.stdout, &telling_page, &json.stdout] {
        assert!(text.contains(&masked), "no old value in {text}");
        assert!(text.contains("/24"), "no new value in {text}");
    }
    logins.assert_hidden(&[
        &silent.stdout,
        &silent.stderr,
        &silent_page,
        &telling.stdout,
        &telling.stderr,
        &telling_page,
        &json.stdout,
        &json.stderr,
    ]);
}

#[test]
fn a_component_that_gives_out_what_the_other_protects_is_told_and_its_values_withheld() {
    let logins = Logins::that("compare_exposed", "leak-as-it-is");
    let lax = ScratchFile::new(
        "lax.wasm",
        renamed(misbehaving(), "/device_id", "/device_xx"),
    );
    let host = || compare(&hashing(), &lax.path, &logins.input).word("--show-values");
    let told = host().option("--output", "json").run().exited(0);
    let found = told.summary();
    assert_eq!(found["no_longer_sensitive"], json!(["/device_id"]));
    assert_eq!(found["newly_sensitive"], json!(["/device_xx"]));
    let exposed = json!([{"by": "new", "field": "/device_id", "messages": 6}]);
    assert_eq!(found["exposed"], exposed);
    assert_eq!(found["patterns"][0]["examples"][0]["withheld"], true);
    let (run, page) = logins.html(host());
    assert!(
        run.stdout
            .contains("! /device_id is no longer held sensitive"),
        "{}",
        run.stdout
    );
    assert!(
        page.contains("In 6 messages the new component gives out the raw value"),
        "{page}"
    );
    logins.assert_hidden(&[&told.stdout, &told.stderr, &run.stdout, &run.stderr, &page]);
    // The other way round it is the one in use that gives it out.
    let back = report(compare(&lax.path, &hashing(), &logins.input));
    let exposed = json!([{"by": "old", "field": "/device_id", "messages": 6}]);
    assert_eq!(back["exposed"], exposed);
    // What it holds sensitive by the operator's word, it may not give out at all.
    let guarded = report(host().option("--sensitive", "/device_id"));
    assert_eq!(guarded["exposed"], json!([]));
    assert_eq!(guarded["newly_rejected"][0]["reason"], "leak");
}

#[test]
fn one_component_is_compared_under_two_parameters() {
    let logins = Logins::new("compare_parameters");
    let host = || compare(&truncating(), &truncating(), &logins.input);
    let found = report(host().option("--new-param", "ipv4_prefix_bits=16"));
    // Every other login is from an IPv4 address, the first one included.
    assert_eq!(column(&found, "masked_ip")["changed"], 6);
    let same = report(host().option("--param", "ipv4_prefix_bits=16"));
    assert_eq!(same["unchanged"], 14);
    host()
        .option("--old-param", "bits=16")
        .run()
        .exited(78)
        .says(&["ipv4_prefix_bits"]);
}

#[test]
fn cases_and_messages_of_sqs_are_compared_whatever_they_expect() {
    let folder = Folder::new("compare_inputs");
    let login = Login::invented("compare_inputs", 0);
    let body = login.body();
    // Of columns that neither of the two has.
    let cases = format!("[[case]]\nbody = '{body}'\n[[case.rows]]\nno_such_column = 1\n");
    folder.keep("cases/cases.toml", &cases, 0o600);
    let message = json!({"Messages": [{"MessageId": "m1", "Body": body}]});
    let message = folder.keep("received.json", &message.to_string(), 0o600);
    let cases = folder.path().join("cases");
    let found = report(
        compare(&hashing(), &truncating(), &message)
            .word("--input")
            .word(&cases),
    );
    assert_eq!(found["messages"], 2);
    assert_eq!(found["inputs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_cannot_be_compared_is_told_with_its_place() {
    let folder = Folder::new("compare_faulty");
    let lines = folder.keep(
        "a.jsonl",
        &Login::invented("compare_faulty", 0).body(),
        0o600,
    );
    let mask = hashing();
    let refused = |input: &str| compare(&mask, &mask, input).run().exited(65);
    refused("no-such-file.jsonl").says(&["no-such-file.jsonl"]);
    let json = folder.keep("c.json", "{\n  \"Body\": \n}", 0o600);
    refused(&json).says(&["c.json:3:1: this is no JSON"]);
    let toml = folder.keep("c.toml", "[[case]]\nbdy = 'x'\n", 0o600);
    refused(&toml).says(&["c.toml:2:1: unknown field"]);
    let empty = folder.keep("none.jsonl", "\n", 0o600);
    refused(&empty).says(&["there is no message"]);
    let none = folder.path().join("none.wasm");
    compare(&mask, &none, &lines)
        .run()
        .exited(78)
        .says(&["none.wasm"]);
    compare(&mask, &mask, &lines)
        .option("--html", folder.path().join("no/such/folder.html"))
        .run()
        .exited(73)
        .says(&["folder.html"]);
    Host::bare()
        .word("compare")
        .word(&mask)
        .word(&mask)
        .run()
        .exited(2)
        .says(&["--input"]);
}

/// A page of everything: a component that calls a column by a tag, values that
/// are a script, and a raw value given out.
fn hostile_page(logins: &Logins) -> String {
    let hostile = renamed(misbehaving(), "app_version", "<b>evil</b>");
    let hostile = ScratchFile::new("hostile.wasm", hostile);
    let host = compare(&hashing(), &hostile.path, &logins.input).word("--show-values");
    logins.html(host).1
}

fn scripts(name: &'static str) -> Logins {
    let mut logins = Login::several(name, 4);
    for login in &mut logins {
        login.device_type = "<script>document.title = 'run'</script>".to_owned();
    }
    let lines = bodies(&logins);
    Logins::over(logins, &lines)
}

#[test]
fn a_browser_shows_the_page_without_a_script_a_request_or_a_complaint() {
    let logins = Logins::new("compare_browser");
    let (_, page) = logins.html(compare(&hashing(), &truncating(), &logins.input));
    let browser = Browser::installed();

    let opened = browser.open(&logins.page());
    let complaints = |log: &str| log.contains("CONSOLE") || log.contains("Content Security Policy");
    assert!(!complaints(&opened.log), "{}", opened.log);
    assert!(
        opened
            .document
            .contains("<h1>What changes from sha256_mask"),
        "{}",
        opened.document
    );
    // It would complain: the page's own policy knows its style by its digest.
    let altered = page.replacen("<style>", "<style>\n", 1);
    let altered = logins.folder.keep("altered.html", &altered, 0o600);
    let altered = browser.open(Path::new(&altered));
    assert!(complaints(&altered.log), "{}", altered.log);

    let seen = browser.ask(&page, 1280, &[]);
    for words in [
        "The result changes for 13 of 14 messages (92.9 %).",
        "1 message that the old component accepts would be refused.",
        "The column masked_ip changes in 12 of 12 messages (all) that both store.",
        "a value makes no sense to it",
        "This page shows no values",
    ] {
        let text = seen["text"].as_str().expect("a text");
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert_eq!((&seen["scripts"], &seen["loaded"]), (&json!(0), &json!(0)));
    assert!(browser.print(&logins.page()).starts_with(b"%PDF"));
}

#[test]
fn a_browser_shows_the_page_on_a_narrow_screen_and_in_the_dark() {
    let logins = Logins::new("compare_screens");
    let host = compare(&hashing(), &truncating(), &logins.input).word("--show-values");
    let (_, page) = logins.html(host);
    let browser = Browser::installed();
    for width in [1280, 500] {
        let seen = browser.ask(&page, width, &[]);
        assert_eq!(seen["wide"], 0, "it is wider than {width} points");
    }
    let light = browser.ask(&page, 1280, &["--blink-settings=preferredColorScheme=1"]);
    let dark = browser.ask(&page, 1280, &["--blink-settings=preferredColorScheme=0"]);
    let colours = |seen: &Value| [seen["ground"].clone(), seen["letters"].clone()];
    assert_eq!(colours(&light), ["rgb(255, 255, 255)", "rgb(27, 31, 36)"]);
    assert_eq!(colours(&dark), ["rgb(15, 20, 25)", "rgb(230, 237, 243)"]);
}

#[test]
fn nothing_that_a_component_or_a_message_says_becomes_markup() {
    let logins = scripts("compare_hostile");
    let page = hostile_page(&logins);
    let seen = Browser::installed().ask(&page, 1280, &[]);
    let text = seen["text"].as_str().expect("a text");
    for words in ["<b>evil</b>", "<script>document.title = 'run'</script>"] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert_eq!(seen["scripts"], 0);
}
