//! `etl-host test` and the files around it: cases that are changed to what came
//! out, inputs that fuzzing leaves behind, reports for a CI.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::folder::Folder;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, bodies, sha256_hex};
use crate::support::{guest, repository};

fn test(component: &Path, inputs: &[&str]) -> Host {
    let host = Host::bare().word("test").word(component);
    inputs.iter().fold(host, |host, input| host.word(*input))
}

fn mask() -> PathBuf {
    guest("sha256_mask.wasm")
}

fn misbehaving() -> PathBuf {
    repository().join("tests/guests/misbehave.wasm")
}

fn report(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).expect("a report")
}

#[test]
fn an_update_writes_what_came_out_and_leaves_the_rest_as_it_was() {
    let folder = Folder::new("update");
    let login = Login::invented("update", 1);
    let body = login.body();
    let text = format!(
        "# Logins, as they came in.\n\n\
         [[case]]  # the usual one\n\
         body = '{body}'\n\n\
         [[case]]\nname = 'broken'\nbody = 'no JSON'\nreject = 'missing' # why?\n\n\
         # The end.\n"
    );
    let file = folder.keep("logins.toml", &text, 0o600);
    test(&mask(), &[&file]).run().exited(65);
    assert_eq!(fs::read_to_string(&file).expect("the file"), text);

    let run = test(&mask(), &[&file]).word("--update").run().exited(0);
    let ip = sha256_hex(login.ip.as_bytes());
    for words in [
        "UPDATED case 1",
        &format!("masked_ip: \"{ip}\""),
        "UPDATED broken",
        "outcome: expected reject missing, got reject malformed",
    ] {
        assert!(run.stdout.contains(words), "no {words:?} in {}", run.stdout);
    }
    run.never_says(&login.ip);
    let updated = fs::read_to_string(&file).expect("the file");
    for words in [
        "# Logins, as they came in.\n\n[[case]]  # the usual one\n",
        &format!("masked_ip = \"{ip}\"\n"),
        "reject = \"malformed\" # why?\n\n# The end.\n",
    ] {
        assert!(updated.contains(words), "no {words:?} in {updated}");
    }
    let run = test(&mask(), &[&file]).run().exited(0);
    assert!(run.stdout.contains("2 of 2 cases passed"), "{}", run.stdout);
    // A second update finds nothing to do.
    test(&mask(), &[&file]).word("--update").run().exited(0);
    assert_eq!(fs::read_to_string(&file).expect("the file"), updated);
}

#[test]
fn an_update_leaves_a_link_a_link_and_a_file_to_those_who_may_read_it() {
    let folder = Folder::new("update-link");
    let text = "[[case]]\nbody = 'no JSON'\n";
    let file = folder.keep("logins.toml", text, 0o640);
    let link = folder.path().join("link.toml");
    symlink(&file, &link).expect("a link");
    let link = link.display().to_string();
    test(&mask(), &[&link]).word("--update").run().exited(0);
    let updated = fs::read_to_string(&file).expect("the file");
    assert!(updated.contains("reject = \"malformed\""), "{updated}");
    let met = |path: &str| fs::symlink_metadata(path).expect("it is there");
    assert!(met(&link).is_symlink());
    assert_eq!(met(&file).permissions().mode() & 0o777, 0o640);
    // Nothing is left beside them.
    let left = fs::read_dir(folder.path()).expect("the folder");
    assert_eq!(left.count(), 2);
}

#[test]
fn an_update_never_makes_a_fault_what_is_expected() {
    let folder = Folder::new("update-fault");
    let text = "[[case]]\nbody = '{\"do\":\"trap\"}'\n\
                [[case]]\nbody = '{\"do\":\"trap\"}'\nskip = true\n";
    let file = folder.keep("faults.toml", text, 0o600);
    let run = test(&misbehaving(), &[&file]).word("--update").run();
    let run = run.exited(65);
    assert!(run.stdout.contains("FAILED  case 2"), "{}", run.stdout);
    assert!(!run.stdout.contains("UPDATED"), "{}", run.stdout);
    assert_eq!(fs::read_to_string(&file).expect("the file"), text);
}

#[test]
fn the_components_here_withstand_mutated_and_hostile_bodies() {
    let folder = Folder::new("fuzz-good");
    let lines = bodies(&Login::several("fuzz", 10)).join("\n");
    let logins = folder.keep("logins.jsonl", &lines, 0o600);
    let key = format!("2026-11:{}", "a7".repeat(32));
    for component in ["sha256_mask.wasm", "hmac_mask.wasm"] {
        let run = test(&guest(component), &[&logins])
            .env("ETL_HOST_KEY", &key)
            .option("--fuzz", "1000")
            .option("--seed", "7")
            .option("--output", "json")
            .run()
            .exited(0);
        let fuzz = &report(&run)["fuzz"];
        assert_eq!(*fuzz, json!({"inputs": 1000, "seed": 7, "failures": []}));
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").collect();
    assert_eq!(left.len(), 1, "nothing but the logins: {left:?}");
}

/// What fuzzing finds of the component that faults where it is asked to.
fn fuzzed(folder: &Folder, seed: &str) -> Vec<Value> {
    let ask = |what: &str| json!({"do": what, "user_id": "u", "more": [1, {"x": "y"}]});
    let lines = [ask("trap"), ask("give-extra-column"), ask("nothing")];
    let lines = lines.map(|line| line.to_string()).join("\n");
    let file = folder.keep("asked.jsonl", &lines, 0o600);
    let run = test(&misbehaving(), &[&file])
        .option("--fuzz", "200")
        .option("--seed", seed)
        .option("--output", "json")
        .run()
        .exited(65);
    let report = report(&run);
    report["fuzz"]["failures"]
        .as_array()
        .expect("failures")
        .clone()
}

#[test]
fn what_fuzzing_finds_is_made_small_and_kept_as_a_case() {
    let folder = Folder::new("fuzz-bad");
    let failures = fuzzed(&folder, "1");
    for (seen, smallest) in [
        // What looks for its orders in anything finds them in the least of it.
        ("reject trap", r#""do":"trap""#),
        // Rows of what is no JSON, which nobody can look through.
        ("reject leak", ""),
    ] {
        let failure = failures.iter().find(|failure| failure["seen"] == seen);
        let failure = failure.unwrap_or_else(|| panic!("no {seen} in {failures:?}"));
        assert!(failure["inputs"].as_u64() > Some(1), "{failure}");
        let case = failure["case"].as_str().expect("a file");
        assert!(Path::new(case).starts_with(folder.path()), "{case}");
        let text = fs::read_to_string(case).expect("the case");
        let kept: toml::Table = text.parse().expect("a case file");
        assert_eq!(kept["case"][0]["body"].as_str(), Some(smallest), "{text}");
        // From now on it fails without any fuzzing.
        let run = test(&misbehaving(), &[case]).run().exited(65);
        assert!(run.stdout.contains(seen), "{}", run.stdout);
    }
}

#[test]
fn the_same_seed_finds_the_same() {
    let (one, other) = (Folder::new("fuzz-seed"), Folder::new("fuzz-seed"));
    let names = |folder: &Folder| -> Vec<String> {
        let failures = fuzzed(folder, "5");
        let files = failures.iter().map(|failure| {
            let file = failure["case"].as_str().expect("a file");
            let name = Path::new(file).file_name().expect("a name");
            format!("{} {}", failure["inputs"], name.to_string_lossy())
        });
        files.collect()
    };
    assert_eq!(names(&one), names(&other));
    let folder = Folder::new("fuzz-seed");
    let file = folder.keep("a.jsonl", "{}", 0o600);
    let seed_alone = test(&mask(), &[&file]).option("--seed", "5").run();
    seed_alone.exited(2).says(&["--fuzz"]);
}

#[test]
fn a_report_for_a_ci_names_each_case_and_each_property() {
    let folder = Folder::new("junit");
    let text = "[[case]]\nname = 'good <&>'\nbody = 'no JSON'\nreject = 'malformed'\n\
                [[case]]\nname = 'bad'\nbody = 'no JSON'\nreject = 'missing'\n";
    let file = folder.keep("cases.toml", text, 0o600);
    let junit = folder.path().join("junit.xml");
    test(&mask(), &[&file])
        .option("--junit", &junit)
        .run()
        .exited(65);
    let xml = fs::read_to_string(&junit).expect("the report");
    for words in [
        r#"<testsuites name="etl-host test" tests="8" skipped="0" failures="1" errors="0""#,
        r#"<testcase name="good &lt;&amp;&gt;" classname=""#,
        r#"<failure message="outcome: expected reject missing, got reject malformed""#,
        r#"<testcase name="null stays null" classname="sha256_mask "#,
    ] {
        assert!(xml.contains(words), "no {words} in {xml}");
    }
    let nowhere = folder.path().join("none/junit.xml");
    let run = test(&mask(), &[&file]).option("--junit", &nowhere).run();
    run.exited(73).says(&["junit.xml"]);
}

#[test]
fn the_room_that_limits_leave_is_told_with_the_case_that_took_most() {
    let folder = Folder::new("room");
    // One row several times over is no fault where its case expects that.
    let ask = |name: &str, rows: usize| {
        let expected = "[[case.rows]]\nuser_id = 'u'\n".repeat(rows);
        format!(
            "[[case]]\nname = '{name}'\nbody = '{{\"do\":\"give-rows\",\"amount\":\"{rows}\",\"user_id\":\"u\"}}'\n{expected}"
        )
    };
    let file = folder.keep("rows.toml", &(ask("few", 2) + &ask("many", 9)), 0o600);
    let tested = || test(&misbehaving(), &[&file]).option("--transform-rows-per-message-max", "9");
    let run = tested().option("--output", "json").run().exited(0);
    let report = report(&run);
    let limits = report["limits"].as_array().expect("limits");
    let names: Vec<&str> = limits
        .iter()
        .filter_map(|limit| limit["limit"].as_str())
        .collect();
    assert_eq!(
        names,
        ["time", "instructions", "memory", "tables", "rows", "result"]
    );
    let rows = json!({"limit": "rows", "unit": "", "used": 9, "max": 9, "case": "many"});
    assert_eq!(limits[4], rows);
    assert!(limits[2]["used"].as_u64() >= Some(65_536), "{}", limits[2]);
    let run = tested().run().exited(0);
    assert!(run.stdout.contains("100 %  9 of 9"), "{}", run.stdout);
}
