//! What a package brings along: completions and manual pages, which say nothing
//! of the machine that they are made on.

use std::fs;
use std::process::Command;

use crate::support::folder::Folder;
use crate::support::host::Host;

fn with_secrets(words: &[&str]) -> Host {
    let host = Host::bare()
        .env("DATABASE_URL", "postgres://u:canary-password@db/x")
        .env("ETL_HOST_DATABASE_URL", "postgres://u:canary-password@db/x")
        .env("ETL_HOST_QUEUE_URL", "http://canary-queue");
    words.iter().fold(host, |host, word| host.word(*word))
}

#[test]
fn each_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = with_secrets(&["completions", shell]).run().exited(0);
        for words in ["completions", "sensitive", "fuzz"] {
            assert!(run.stdout.contains(words), "{shell}: no {words}");
        }
        run.never_says("canary");
    }
    with_secrets(&["completions", "none"])
        .run()
        .exited(2)
        .says(&["zsh"]);
}

#[test]
fn the_completions_of_bash_are_read_by_bash_and_complete() {
    let folder = Folder::new("completions");
    let run = with_secrets(&["completions", "bash"]).run().exited(0);
    let file = folder.keep("etl-host.bash", &run.stdout, 0o600);
    let ask = format!(
        ". {file}; complete=$(complete -p etl-host | sed 's/.* -F \\([^ ]*\\).*/\\1/')
         COMP_WORDS=(etl-host test --fu); COMP_CWORD=2; $complete etl-host --fu test
         echo \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash")
        .args(["-c", &ask])
        .output()
        .expect("run bash");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said.trim(),
        "--fuzz",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let run = with_secrets(&["man"]).run().exited(0);
    assert!(run.stdout.contains(".TH etl"), "{}", run.stdout);
    run.never_says("canary");

    let folder = Folder::new("man");
    let pages = folder.path().to_str().expect("a name");
    let run = with_secrets(&["man", pages]).run().exited(0);
    assert_eq!(run.stdout, "");
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).expect(name);
    assert!(page("etl-host-test.1").contains("fuzz"));
    for name in [
        "etl-host.1",
        "etl-host-check.1",
        "etl-host-ddl.1",
        "etl-host-man.1",
    ] {
        assert!(!page(name).contains("canary"), "{name}");
    }
    let nowhere = folder.path().join("none");
    let nowhere = nowhere.to_str().expect("a name");
    with_secrets(&["man", nowhere])
        .run()
        .exited(73)
        .says(&["none"]);
}
