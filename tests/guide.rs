//! `guests/GUIDE.md`, walked through word for word: its commands are run in
//! their order, its changes are made, and what it says comes out has to.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::queue::{ACCESS_KEY_ID, Queue, REGION, SECRET_ACCESS_KEY};
use crate::support::repository;

/// What the guide calls its project.
const PROJECT: &str = "order_mask";

/// A fenced block of a page: what stands behind its fence, and its text.
struct Block {
    kind: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(kind) => {
                inside = true;
                let (kind, text) = (kind.to_owned(), String::new());
                blocks.push(Block { kind, text });
            }
            None if inside => {
                let block = blocks.last_mut().expect("a block");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!inside, "a block does not end");
    blocks
}

/// Makes a change as a reader would: the lines with a minus and without a sign
/// are looked for, and those with a plus and without a sign take their place.
fn change(folder: &Path, diff: &str) {
    let (file, lines) = diff.split_once('\n').expect("a file");
    let file = folder.join(file.strip_prefix("+++ ").expect("a file's name"));
    let side = |other: char| -> String {
        let lines = lines.lines().filter(|line| !line.starts_with(other));
        let lines = lines.map(|line| line.get(1..).unwrap_or_default());
        lines.flat_map(|line| [line, "\n"]).collect()
    };
    let (before, after) = (side('+'), side('-'));
    let text = fs::read_to_string(&file).expect("the file");
    assert_eq!(
        text.matches(&before).count(),
        1,
        "once:\n{before}\nin\n{text}"
    );
    fs::write(&file, text.replace(&before, &after)).expect("write the file");
}

/// Follows a page in a folder, in a language: the project is a folder in it.
fn follow(page: &str, lang: &str, folder: &Path, environment: &[(&str, OsString)]) {
    let page = page.replace("--lang rust", &format!("--lang {lang}"));
    let mut said = String::new();
    let mut place = folder.to_owned();
    let mut steps = 0;
    for Block { kind, text } in blocks(&page) {
        match kind.as_str() {
            "sh" | "sh fails" => {
                steps += 1;
                let output = Command::new("sh")
                    .args(["-euc", &text])
                    .current_dir(&place)
                    .env_clear()
                    .envs(environment.iter().map(|(name, value)| (name, value)))
                    .output()
                    .expect("run sh");
                said = String::from_utf8_lossy(&output.stdout).into_owned();
                let complaint = String::from_utf8_lossy(&output.stderr);
                assert_eq!(
                    output.status.success(),
                    kind == "sh",
                    "{text}\n--- stdout\n{said}\n--- stderr\n{complaint}"
                );
                // A reader's shell stays where it was led.
                if folder.join(PROJECT).is_dir() {
                    place = folder.join(PROJECT);
                }
            }
            "text" => {
                for line in text.lines() {
                    assert!(said.contains(line.trim()), "no {line:?} in\n{said}");
                }
            }
            diff if diff == format!("diff {lang}") => change(&place, &text),
            "diff rust" | "diff javascript" => {}
            kind => panic!("nobody knows what to do with {kind}"),
        }
    }
    assert!(steps > 0, "there is nothing to do");
}

/// What a reader has: the program, a compiler, a queue, a database.
fn environment(
    folder: &Folder,
    queue: &Queue,
    database: &Database,
) -> Vec<(&'static str, OsString)> {
    let program = Path::new(env!("CARGO_BIN_EXE_etl-host"));
    let mut path = program.parent().expect("a folder").as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut environment = vec![
        ("PATH", path),
        ("ETL_HOST_CACHE_DIR", folder.path().join("cache").into()),
        ("ETL_HOST_QUEUE_URL", OsString::from(&queue.url)),
        ("DATABASE_URL", database.url().into()),
        ("AWS_ENDPOINT_URL_SQS", OsString::from(&queue.endpoint)),
        ("AWS_REGION", REGION.into()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
    ];
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "ETL_HOST_TOOLS"] {
        if let Some(value) = std::env::var_os(name) {
            environment.push((name, value));
        }
    }
    environment
}

fn leads_to_rows(lang: &str) {
    let folder = Folder::new("guide");
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    let order = r#"{"order":"o-1","email":"ada@example.com","phone":"+49 30 555 01234"}"#;
    queue.send(&[order.to_owned(), "no JSON".to_owned()]);
    let page = repository().join("guests/GUIDE.md");
    let page = fs::read_to_string(page).expect("read the guide");

    follow(
        &page,
        lang,
        folder.path(),
        &environment(&folder, &queue, &database),
    );

    assert_eq!(database.count("orders WHERE phone_end = '1234'"), 1);
    let malformed = "etl_host.ledger WHERE reason = 'malformed'";
    assert_eq!(database.count(malformed), 1);
    queue.assert_empty();
}

#[test]
fn the_guide_leads_from_nothing_to_rows_in_a_table() {
    leads_to_rows("rust");
}

#[test]
#[should_panic(expected = "no \"it goes well\"")]
fn a_page_that_promises_too_much_is_found() {
    let folder = Folder::new("guide-promise");
    let page = "```sh\necho it goes\n```\n```text\nit goes well\n```\n";
    let path = std::env::var_os("PATH").expect("a path");
    follow(page, "rust", folder.path(), &[("PATH", path)]);
}
