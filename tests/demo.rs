//! `etl-host demo`: the whole path on a machine with nothing else on it.

use crate::support::bytes::ScratchFile;
use crate::support::host::Host;
use crate::support::login::{Login, bodies, sha256_hex};

#[test]
fn the_demo_shows_masked_rows_and_the_dead_lettered_message_and_ends_with_0() {
    let run = Host::bare().word("demo").run().exited(0);

    let rows = run.stdout.lines().filter(|line| masked_values(line) >= 2);
    assert!(rows.count() >= 3, "no masked rows in\n{}", run.stdout);
    let words: Vec<&str> = run.stdout.split_whitespace().collect();
    let words = words.join(" ");
    for result in [
        "stored 100 ",
        "rejected 1 unsupported 1",
        "dead-letter queue",
    ] {
        assert!(words.contains(result), "no {result:?} in\n{}", run.stdout);
    }
}

#[test]
fn the_demo_loads_bodies_from_a_file() {
    let logins = Login::several("demo_input", 3);
    let file = ScratchFile::new("input.jsonl", bodies(&logins).join("\n"));

    let run = Host::bare()
        .word("demo")
        .word("--input")
        .word(&file.path)
        .run()
        .exited(0);

    for login in &logins {
        // The table of the first rows may cut a value.
        assert!(run.stdout.contains(&sha256_hex(login.ip.as_bytes())[..8]));
        for value in login.sensitive() {
            assert!(!run.stdout.contains(value) && !run.stderr.contains(value));
        }
    }
}

#[test]
fn the_demo_names_an_input_file_that_is_not_there() {
    Host::bare()
        .word("demo")
        .word("--input")
        .word("no-such-input.jsonl")
        .run()
        .exited(65)
        .says(&["no-such-input.jsonl"]);
}

/// How many words of the line look like a hash, or the beginning of one.
fn masked_values(line: &str) -> usize {
    line.split(|character: char| !character.is_ascii_hexdigit())
        .filter(|word| word.len() >= 8 && word.chars().any(|c| c.is_ascii_digit()))
        .count()
}
