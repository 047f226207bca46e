//! Policies in all languages: `etl-host new` in each gives a project that builds
//! and passes its own cases, and with at most five commands a change of its mask
//! comes to stand in a table. The policy of `sha256_mask`, written in each, gives
//! the rows and rejections that `guests/sha256_mask.wasm` gives, over
//! `guests/cases/` and over mutations of its bodies; mutants of that one are found
//! out by `etl-host test`. `cargo languages`, or `cargo languages -- python c`.
//!
//! What the projects are built with comes from the registries, so this is a
//! command of its own: `cargo verify` needs neither. What is missing fails, and
//! says what to install. It also prints what each language costs.

#[path = "../fake_network/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod fake_network;
#[path = "../fake_queue/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod fake_queue;
#[path = "../fuzz/mutation.rs"]
mod mutation;
#[path = "../fuzz/runner.rs"]
#[allow(unused_imports, reason = "its own test needs more")]
mod runner;
#[path = "../../host/benches/stage/mod.rs"]
#[allow(dead_code, reason = "what the benchmarks need is more")]
mod stage;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests need is more")]
mod support;

mod five_commands;
mod guide;
mod measured;
mod mutants;
mod project;
mod same;
mod services;

use std::env;
use std::panic::catch_unwind;
use std::process::ExitCode;

use measured::Measured;
use project::{Component, LANGUAGES, Language, Project};

fn main() -> ExitCode {
    // cargo itself adds `--bench`.
    let wanted: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    for word in &wanted {
        let known = LANGUAGES.iter().any(|language| language.name == word);
        assert!(known, "{word} is no language of a guest");
    }
    project::begin();
    let mut measured = vec![Measured::of("Rust", &Component::reference())];
    let (mut passed, mut failed) = (0, 0);
    let is_wanted =
        |language: &&Language| wanted.is_empty() || wanted.iter().any(|word| word == language.name);
    for language in LANGUAGES.iter().filter(is_wanted) {
        // Each language is tried, whatever became of the one before.
        match catch_unwind(|| tried(language)) {
            Ok(found) => {
                passed += 1;
                measured.extend(found);
            }
            Err(_) => {
                println!("FAILED  {}", language.name);
                failed += 1;
            }
        }
    }
    println!("\n{}", Measured::table(&measured));
    println!("{passed} passed, {failed} failed");
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// All that is claimed of one language, and what its guest costs.
fn tried(language: &'static Language) -> Option<Measured> {
    let first = Project::new("first_policy", language);
    first.build().test_and_fuzz("cases");
    println!(
        "ok      {}: a new project passes its own cases, and is fuzzed without a fault",
        language.name
    );
    five_commands::lead_to_a_changed_mask(language);
    println!(
        "ok      {}: five commands lead to a changed mask in a table",
        language.name
    );
    if language.in_guide {
        guide::leads_to_rows(language);
        println!(
            "ok      {}: so does the guide, word for word",
            language.name
        );
    }

    let Some(guest) = Project::new("sha256_mask", language).of_the_guest() else {
        mutants::are_found_out();
        println!(
            "ok      {}: mutants of its guest are found out",
            language.name
        );
        return None;
    };
    let component = guest.build();
    component.test(project::cases());
    println!(
        "ok      {}: its guest passes the shared cases",
        language.name
    );
    same::on_mutated_bodies(&component);
    println!("ok      {}: on mutated bodies too", language.name);
    Some(Measured::of(language.title, &component))
}
