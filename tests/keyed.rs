//! The keyed hash: who has the key can tell whom a row is about, the ledger
//! tells which key that was, and the key shows nowhere.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::support::bytes::ScratchFile;
use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::guest;
use crate::support::host::Host;
use crate::support::login::{Login, Row, bodies, rows};
use crate::support::queue::Queue;

/// Invented keys, and their ids.
const NEW: [u8; 32] = [0xa7; 32];
const OLD: [u8; 48] = [0x31; 48];
const NEW_ID: &str = "2026-11";
const OLD_ID: &str = "2025-07";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(id: &str, key: &[u8]) -> String {
    format!("{id}:{}\n", hex(key))
}

/// Computed here, by a crate's own one-shot interface.
fn hashed(key: &[u8], value: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(value.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn keyed_rows(logins: &[Login], day: i32, key: &[u8]) -> Vec<Row> {
    let keyed = |(row, login): (Row, &Login)| Row {
        masked_ip: Some(hashed(key, &login.ip)),
        masked_device_id: Some(hashed(key, &login.device_id)),
        ..row
    };
    rows(logins, day)
        .into_iter()
        .zip(logins)
        .map(keyed)
        .collect()
}

fn host(queue: &Queue, database: &Database) -> Host {
    Host::new(queue, database).option("--transform", guest("hmac_mask.wasm"))
}

#[test]
fn rows_are_keyed_and_the_ledger_tells_by_which_key() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let old_keys = ScratchFile::private("old-keys", line(OLD_ID, &OLD));
    let logins = Login::several("keyed", 10);
    let first = queue.send(&bodies(&logins[..4]));
    let one = host(&queue, &database)
        .option("--key-file", &old_keys.path)
        .env("RUST_LOG", "trace")
        .until_empty()
        .run()
        .exited(0)
        .says(&["keyed hash", OLD_ID]);

    // Rotated: a new key comes before the old one.
    let both = line(NEW_ID, &NEW) + &line(OLD_ID, &OLD);
    let second = queue.send(&bodies(&logins[4..]));
    let other = host(&queue, &database)
        .env("ETL_HOST_KEY", &both)
        .env("RUST_LOG", "trace")
        .until_empty()
        .run()
        .exited(0)
        .says(&["keyed hash", NEW_ID]);

    let mut expected = keyed_rows(&logins[..4], first.day, &OLD);
    expected.extend(keyed_rows(&logins[4..], second.day, &NEW));
    database.assert_rows(&expected);
    let by = |id| database.count(&format!("etl_host.ledger WHERE key_id = '{id}'"));
    assert_eq!((by(OLD_ID), by(NEW_ID)), (4, 6));
    nothing_leaked(&logins, &[&one, &other], &database);
    let tables = database.text_of_every_table();
    for key in [hex(&NEW), hex(&OLD)] {
        assert!(!tables.contains(&key), "a key stands in a table");
    }
    for run in [one, other] {
        run.never_says(&hex(&NEW)).never_says(&hex(&OLD));
    }
}

#[test]
fn a_keyed_component_without_a_key_is_refused_with_its_remedy() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let run = host(&queue, &database).until_empty().run().exited(78);
    run.says(&["etl:transform/keyed-hash", "--key-file"]);
    assert_eq!(queue.calls("ReceiveMessage"), 0);
}

#[test]
fn keys_that_cannot_be_read_are_named_and_not_shown() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let spoiled = ScratchFile::private("spoiled-keys", line(OLD_ID, &OLD) + "2026-11=c0ffee\n");
    let refused = |host: Host, words: &[&str]| {
        let run = host.until_empty().run().exited(78).says(words);
        run.never_says("c0ffee").never_says(&hex(&OLD));
    };
    let with_file = |file: &std::path::Path| host(&queue, &database).option("--key-file", file);
    refused(with_file(&spoiled.path), &["spoiled-keys", "line 2"]);
    refused(
        with_file(std::path::Path::new("no-such-file")),
        &["no-such-file"],
    );
    refused(
        with_file(&spoiled.path).env("ETL_HOST_KEY", line(OLD_ID, &OLD)),
        &["given twice", "ETL_HOST_KEY"],
    );
    assert_eq!(queue.calls("ReceiveMessage"), 0);
}

#[test]
fn keys_that_others_may_read_are_refused_with_the_remedy() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let folder = Folder::new("open-keys");
    let link = folder.path().join("link");
    symlink("keys", &link).expect("make a link");
    for (mode, accepted) in [
        (0o644, false),
        (0o604, false),
        (0o620, false),
        (0o666, false),
        (0o600, true),
        (0o400, true),
    ] {
        folder.keep("keys", &line(OLD_ID, &OLD), mode);
        for file in [folder.path().join("keys"), link.clone()] {
            let asked = Host::bare().word("keyed-hash").option("--key-file", &file);
            match accepted {
                true => drop(asked.run().exited(0)),
                false => {
                    let run = host(&queue, &database).option("--key-file", &file);
                    for run in [asked.run(), run.until_empty().run()] {
                        run.exited(78)
                            .says(&["chmod 600", &format!("mode {mode:o}")])
                            .never_says(&hex(&OLD));
                    }
                }
            }
        }
    }
    assert_eq!(queue.calls("ReceiveMessage"), 0);
}

#[test]
fn keys_that_others_may_read_do_not_take_over() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let folder = Folder::new("opened-keys");
    let keys = folder.keep("keys", &line(OLD_ID, &OLD), 0o600);
    let mut running = host(&queue, &database).option("--key-file", &keys).start();
    running.wait_until_it_says("started");
    folder.keep("keys", &(line(NEW_ID, &NEW) + &line(OLD_ID, &OLD)), 0o644);
    running.hang_up();
    running.wait_until_it_says("component not replaced: the running one goes on");
    queue.send(&bodies(&Login::several("opened_keys", 2)));
    let stored = format!("etl_host.ledger WHERE key_id = '{OLD_ID}'");
    running.wait_until("they are stored under the old key", || {
        database.count(&stored) == 2
    });
    running.terminate();
    running.finish().exited(0).says(&["chmod 600"]);
}

#[test]
fn a_component_without_a_key_is_told_of_once() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    queue.send(&bodies(&Login::several("unkeyed", 3)));
    let run = Host::new(&queue, &database).until_empty().run().exited(0);
    let told = run.stderr.matches("the component has no key").count();
    assert_eq!(told, 1, "{}", run.stderr);
}

#[test]
fn somebodys_rows_are_found_under_each_key() {
    let keys = ScratchFile::private("keys", line(NEW_ID, &NEW) + &line(OLD_ID, &OLD));
    let mut asked = Command::new(env!("CARGO_BIN_EXE_etl-host"))
        .arg("keyed-hash")
        .arg("--key-file")
        .arg(&keys.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start it");
    let mut values = asked.stdin.take().expect("a pipe");
    values
        .write_all(b"203.0.113.7\ninvented-device\n")
        .expect("ask");
    drop(values);
    let answer = asked.wait_with_output().expect("it ends");
    let expected: String = ["203.0.113.7", "invented-device"]
        .iter()
        .flat_map(|value| {
            [
                format!("{NEW_ID} {}\n", hashed(&NEW, value)),
                format!("{OLD_ID} {}\n", hashed(&OLD, value)),
            ]
        })
        .collect();
    assert!(answer.status.success());
    assert_eq!(String::from_utf8_lossy(&answer.stdout), expected);
}
