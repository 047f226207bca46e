//! The shape of the repository, checked: who may import whom, where each
//! third-party API lives, and what never stands in the host's code.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::repository;
use crate::support::source::{Source, identifiers};

/// The stages of the path. They meet in the pipeline and nowhere else.
const STAGES: [&str; 3] = ["queue", "sandbox", "output"];

/// Each third-party API by its crates (a name that ends in `_` stands for all
/// that begin with it), and the parts of the host that may know it.
const HOMES: [(&[&str], &[&str]); 7] = [
    (&["aws_"], &["queue", "demo"]),
    (&["wasmtime", "wasmtime_wasi", "wasmparser"], &["sandbox"]),
    (
        &[
            "tokio_postgres",
            "tokio_postgres_rustls",
            "rustls",
            "rustls_native_certs",
        ],
        &["output", "demo"],
    ),
    (&["hyper"], &["admin", "demo"]),
    // The queue asks it which proxy is whose.
    (&["hyper_util"], &["admin", "demo", "queue"]),
    (&["prometheus_client"], &["telemetry"]),
    (&["pglite_oxide", "rustack_", "virtual_"], &["demo"]),
];

/// Who prints results for a person to read.
const PRINTERS: [&str; 3] = ["main", "summary", "demo"];

/// Files of the host that are compiled for tests only, as their parents say.
const TEST_FILES: [&str; 5] = [
    "admin/tests.rs",
    "pipeline/simulation.rs",
    "sandbox/guard/costs.rs",
    "sandbox/guard/tests.rs",
    "sandbox/loaded_machine.rs",
];

fn host() -> Vec<Source> {
    let mut sources = Source::all_in(&repository().join("host/src"));
    sources.retain(|source| !TEST_FILES.contains(&source.path.as_str()));
    sources
}

#[track_caller]
fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

fn away_from_home(sources: &[Source]) -> Vec<String> {
    let away = |source: &Source| {
        let foreign: Vec<&str> = HOMES
            .iter()
            .filter(|(_, homes)| !homes.contains(&source.part()))
            .flat_map(|(crates, _)| crates.iter().copied())
            .collect();
        let names_one = |word: &str| {
            foreign.iter().any(|name| match name.strip_suffix('_') {
                Some(_) => word.starts_with(name),
                None => word == *name,
            })
        };
        source.lines_where(|line| identifiers(line).any(names_one))
    };
    sources.iter().flat_map(away).collect()
}

#[test]
fn each_third_party_api_stays_in_its_own_place() {
    assert_none(&away_from_home(&host()));
}

#[test]
fn a_third_party_api_in_a_wrong_place_is_found() {
    let offence = "use tokio_postgres::Client;\nuse crate::row::Row;\n";
    let sources = [
        Source::new("pipeline/mod.rs", offence),
        Source::new("output/mod.rs", offence),
        Source::new("row.rs", "type E = wasmtime::Engine;"),
    ];
    let found = away_from_home(&sources);
    assert_eq!(
        found,
        [
            "pipeline/mod.rs:1: use tokio_postgres::Client;",
            "row.rs:1: type E = wasmtime::Engine;"
        ]
    );
}

fn stages_that_know_each_other(sources: &[Source]) -> Vec<String> {
    let stages = sources
        .iter()
        .filter(|source| STAGES.contains(&source.part()));
    let others = |source: &Source| {
        source.lines_where(|line| {
            STAGES
                .iter()
                .filter(|stage| **stage != source.part())
                .any(|stage| names_module(line, stage))
        })
    };
    stages.flat_map(others).collect()
}

/// Whether the line names the module by its path from the crate's root. (A
/// path through `super` would have to climb out of the stage to get there.)
fn names_module(line: &str, module: &str) -> bool {
    let close: String = line.split_whitespace().collect();
    [
        format!("crate::{module}"),
        format!("super::super::{module}"),
        format!("etl_host::{module}"),
    ]
    .iter()
    .any(|path| close.contains(path))
        || (close.contains("crate::{") && identifiers(&close).any(|word| word == module))
}

#[test]
fn the_stages_do_not_import_each_other() {
    assert_none(&stages_that_know_each_other(&host()));
}

#[test]
fn a_stage_that_imports_another_is_found() {
    let sources = [
        Source::new("queue/lease.rs", "use crate::output::Writer;"),
        Source::new("sandbox/mod.rs", "use crate::{queue::Lease, row::Row};"),
        Source::new("output/mod.rs", "use crate::row::Row; use super::sandbox;"),
        Source::new("pipeline/mod.rs", "use crate::{output, queue, sandbox};"),
    ];
    assert_eq!(stages_that_know_each_other(&sources).len(), 2);
}

fn forbidden_calls(sources: &[Source]) -> Vec<String> {
    let calls = |source: &Source| {
        source.lines_where(|line| {
            let printing = ["println!", "print!", "eprintln!", "eprint!"];
            line.contains(".unwrap()")
                || line.contains("dbg!")
                || (!PRINTERS.contains(&source.part())
                    && printing.iter().any(|call| line.contains(call)))
        })
    };
    sources.iter().flat_map(calls).collect()
}

#[test]
fn the_host_neither_unwraps_nor_prints_in_passing() {
    assert_none(&forbidden_calls(&host()));
}

#[test]
fn an_unwrap_or_a_print_is_found() {
    let offence = "fn f() { g().unwrap(); }\nfn h() { println!(\"{x}\"); }\n\
                   #[cfg(test)]\nmod tests { fn t() { g().unwrap(); } }\n";
    let in_a_stage = forbidden_calls(&[Source::new("queue/mod.rs", offence)]);
    assert_eq!(in_a_stage.len(), 2);
    let in_main = forbidden_calls(&[Source::new("main.rs", offence)]);
    assert_eq!(in_main, ["main.rs:1: fn f() { g().unwrap(); }"]);
}

/// Files of the tests that are none: programs that measure, components, and
/// the servers' own way of being slow.
const NO_TESTS: [&str; 6] = [
    "fake_network/relay.rs",
    "fuzz/",
    "guests/",
    "languages/",
    "memory/",
    "soak/",
];

/// A bound in wall time, which a busy machine overruns.
fn bounds_in_wall_time(sources: &[Source]) -> Vec<String> {
    let home = "support/patience.rs";
    let sources = sources.iter().filter(|source| {
        let path = source.path.as_str();
        path != home && !NO_TESTS.iter().any(|other| path.starts_with(other))
    });
    let bounds = |source: &Source| {
        source.lines_where(|line| {
            let waits = |word| ["timeout", "timeout_at"].contains(&word);
            line.contains("Instant::now() +")
                || identifiers(line).any(|word| word == "recv_timeout")
                || (line.contains("tokio::time::") && identifiers(line).any(waits))
        })
    };
    sources.flat_map(bounds).collect()
}

#[test]
fn every_bound_of_a_test_is_in_fair_time() {
    assert_none(&bounds_in_wall_time(&Source::all_in(
        &repository().join("tests"),
    )));
}

#[test]
fn a_bound_in_wall_time_is_found() {
    let offence = "let end = Instant::now() + WAIT;\nlet got = receiver.recv_timeout(WAIT);\n\
                   use tokio::time::{sleep, timeout};\nlet lease = visibility_timeout(30);\n";
    let sources = [
        Source::new("delivery/lease.rs", offence),
        Source::new("support/patience.rs", offence),
        Source::new("soak/watch.rs", offence),
    ];
    assert_eq!(bounds_in_wall_time(&sources).len(), 3);
}

fn without_introduction(sources: &[Source]) -> Vec<String> {
    let silent = sources
        .iter()
        .filter(|source| !source.text.starts_with("//! "));
    silent.map(|source| source.path.clone()).collect()
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    for folder in ["host", "guests", "tests"] {
        let silent = without_introduction(&Source::all_in(&repository().join(folder)));
        assert!(silent.is_empty(), "in {folder}: {silent:?}");
    }
}

#[test]
fn a_file_without_an_introduction_is_found() {
    let sources = [
        Source::new("a.rs", "//! What it owns.\n"),
        Source::new("b.rs", "use std::fs;\n"),
    ];
    assert_eq!(without_introduction(&sources), ["b.rs"]);
}

/// What a page names as `module::test` and no file below `tests/` has.
fn missing_tests(page: &str) -> (usize, Vec<&str>) {
    let is_name = |text: &&str| {
        let mut letters = text.bytes();
        text.contains("::")
            && letters.all(|byte| byte == b':' || byte == b'_' || byte.is_ascii_lowercase())
    };
    let quoted = page.split('`').skip(1).step_by(2);
    let names: Vec<&str> = quoted.filter(is_name).collect();
    let is_missing = |name: &&str| {
        let Some((module, test)) = name.rsplit_once("::") else {
            return true;
        };
        let file = format!("tests/{}.rs", module.replace("::", "/"));
        let source = fs::read_to_string(repository().join(file)).unwrap_or_default();
        !source.contains(&format!("fn {test}()"))
    };
    let missing = names.iter().copied().filter(|name| is_missing(name));
    (names.len(), missing.collect())
}

#[test]
fn every_test_that_the_page_of_threats_names_is_there() {
    let page = repository().join("host/src/sandbox/README.md");
    let page = fs::read_to_string(page).expect("read the page");
    let (named, missing) = missing_tests(&page);
    assert!(named >= 15, "{named} tests are named");
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_test_that_is_not_there_is_found() {
    let page = "`structure::a_test_that_is_not_there_is_found`, `structure::no_such`, `a::b`";
    assert_eq!(missing_tests(page), (3, vec!["structure::no_such", "a::b"]));
}

/// The names of the exercise's table are the component's business.
fn names_of_the_exercise(sources: &[Source]) -> Vec<String> {
    let names = [
        "user_id",
        "device_type",
        "masked_ip",
        "masked_device_id",
        "locale",
        "app_version",
        "create_date",
    ];
    let theirs = |source: &Source| -> Vec<String> {
        let lines = source.production.lines().enumerate();
        lines
            .filter(|(_, line)| identifiers(line).any(|word| names.contains(&word)))
            .map(|(n, line)| format!("{}:{}: {}", source.path, n + 1, line.trim()))
            .collect()
    };
    // The demo plays the exercise, so it creates the exercise's table.
    let sources = sources.iter().filter(|source| source.part() != "demo");
    sources.flat_map(theirs).collect()
}

#[test]
fn no_column_of_the_exercise_stands_in_the_host() {
    assert_none(&names_of_the_exercise(&host()));
}

#[test]
fn a_column_of_the_exercise_is_found() {
    let offence = "const COLUMN: &str = \"masked_ip\";";
    let sources = [
        Source::new("output/table.rs", offence),
        Source::new("demo/mod.rs", offence),
    ];
    assert_eq!(names_of_the_exercise(&sources).len(), 1);
}

/// What a test environment needs and production must never carry.
fn heavy(tree: &str) -> Vec<String> {
    let heavy = ["wasmer", "pglite", "rustack", "virtual-fs", "virtual-net"];
    let lines = tree.lines();
    lines
        .filter(|line| heavy.iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_production_binary_carries_no_emulator() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "-p", "etl-host", "-e", "normal", "--prefix", "none"])
        .args(["--offline", "--locked"])
        .current_dir(repository())
        .output()
        .expect("run cargo");
    let tree = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree fails: {complaint}");
    assert!(tree.contains("wasmtime v48."), "this is no tree: {tree}");
    assert_none(&heavy(&tree));
}

#[test]
fn an_emulator_in_the_tree_is_found() {
    assert_eq!(
        heavy("tokio v1.0.0\nwasmer-vfs v0.1.0\n"),
        ["wasmer-vfs v0.1.0"]
    );
}

#[test]
fn the_top_level_holds_what_the_readme_shows() {
    let names: BTreeSet<String> = std::fs::read_dir(repository())
        .expect("read the repository's folder")
        .map(|entry| entry.expect("read an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    for name in [
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "docker-compose.yml",
        "guests",
        "host",
        "rust-toolchain.toml",
        "tests",
        "wit",
    ] {
        assert!(names.contains(name), "no {name} at the top level");
    }
    let expected = ["guests", "host", "target", "tests", "wit"];
    let other_folders: Vec<&String> = names
        .iter()
        .filter(|name| repository().join(name).is_dir() && !name.starts_with('.'))
        .filter(|name| !expected.contains(&name.as_str()))
        .collect();
    assert!(
        other_folders.is_empty(),
        "folders that nobody described: {other_folders:?}"
    );
}
