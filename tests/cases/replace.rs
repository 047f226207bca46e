//! Another component takes over while the host runs: nothing is lost, nothing
//! comes twice, each row is of the component that the ledger names. What would
//! have been refused at the start is refused now, and the running one goes on.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::scene::{Kind, Scene, bare_row};
use crate::fake_queue::store::message::Outgoing;
use crate::support::bytes::{CORE_MODULE, component_importing};
use crate::support::folder::Folder;
use crate::support::host::{Host, Run, Running};
use crate::support::login::{Login, Row, bodies, sha256_hex};
use crate::support::{guest, repository};

/// Times that another component takes over under load.
const SUCCESSIONS: usize = 8;
/// Messages between two of them, in several batches.
const WAVE: usize = 60;

/// A file that a running host has loaded, to be changed under it.
struct Component {
    folder: Folder,
    path: PathBuf,
}

impl Component {
    fn of(file: &Path) -> Component {
        let folder = Folder::new("replaced");
        let path = folder.path().join("component.wasm");
        let component = Component { folder, path };
        component.becomes(fs::read(file).expect("read a component"));
        component
    }

    /// As a careful person renews a file: nobody reads the half of it.
    fn becomes(&self, bytes: impl AsRef<[u8]>) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, bytes).expect("write a file");
        fs::rename(&draft, &self.path).expect("put it in place");
    }

    fn becomes_file(&self, file: &Path) {
        self.becomes(fs::read(file).expect("read a component"));
    }
}

fn misbehaving() -> PathBuf {
    repository().join("tests/guests/misbehave.wasm")
}

fn digest_of(file: &Path) -> String {
    sha256_hex(&fs::read(file).expect("read a component"))
}

fn replaced(host: &mut Running, times: usize) {
    let log = host.log();
    host.wait_until(&format!("it has replaced {times} times"), || {
        log.count("component replaced") >= times
    });
}

fn ended(host: Running) -> Run {
    host.terminate();
    host.finish().exited(0)
}

/// Whether the ledger says that this component has stored the message.
fn stored_by(scene: &Scene, id: &str, digest: &str) -> bool {
    let entry = format!(
        "etl_host.ledger WHERE message_id = '{id}' AND outcome = 'stored'
            AND policy = '\\x{digest}'::bytea"
    );
    scene.database.count(&entry) == 1
}

/// In three groups, in turn.
fn in_groups(logins: &[Login]) -> Vec<Outgoing> {
    let groups = ["red", "green", "blue"].iter().cycle();
    let messages = logins.iter().zip(groups).map(|(login, group)| {
        let message = Outgoing::new(login.body()).group(group);
        message.deduplication_id(&login.user_id)
    });
    messages.collect()
}

fn under_load(kind: Kind) {
    let scene = Scene::of_kind(kind);
    let files = [guest("sha256_mask.wasm"), misbehaving()];
    let digests = files.each_ref().map(|file| digest_of(file));
    let component = Component::of(&files[0]);
    let mut host = scene
        .host()
        .option("--transform", &component.path)
        .option("--batch-messages-max", "7")
        .start();
    host.wait_until_it_says("started");
    let logins = Login::several("replaced_under_load", WAVE * SUCCESSIONS);
    let mut sent = Vec::new();
    let mut day = 0;
    for (n, wave) in logins.chunks(WAVE).enumerate() {
        let wave = match kind {
            Kind::Fifo => scene.put(in_groups(wave)),
            _ => scene.send(&bodies(wave)),
        };
        sent.extend(wave.ids);
        day = wave.day;
        component.becomes_file(&files[(n + 1) % 2]);
        host.hang_up();
        replaced(&mut host, n + 1);
    }
    host.wait_until("all is stored", || scene.left() == 0);
    let run = ended(host);

    let mut by_each = [0, 0];
    let rows: Vec<Row> = logins
        .iter()
        .zip(&sent)
        .map(|(login, id)| match stored_by(&scene, id, &digests[0]) {
            true => {
                by_each[0] += 1;
                login.row(day)
            }
            false => {
                assert!(stored_by(&scene, id, &digests[1]), "nobody has stored {id}");
                by_each[1] += 1;
                bare_row(login)
            }
        })
        .collect();
    assert!(by_each.iter().all(|stored| *stored > 0), "{by_each:?}");
    scene.assert_well(&rows, 0, &logins, &[&run]);
}

#[test]
fn under_load_nothing_is_lost_and_each_row_is_of_the_component_that_the_ledger_names() {
    under_load(Kind::Patient);
}

#[test]
fn in_groups_too() {
    under_load(Kind::Fifo);
}

#[test]
fn what_would_be_refused_at_the_start_is_refused_and_the_running_one_goes_on() {
    let scene = Scene::new();
    let file = guest("sha256_mask.wasm");
    let component = Component::of(&file);
    let mut host = scene
        .host()
        .option("--transform", &component.path)
        .option(
            "--transform-sha256",
            format!(
                "{},{}",
                digest_of(&file),
                sha256_hex(&component_importing(&["invented:network/socket@1.0.0"])),
            ),
        )
        .start();
    host.wait_until_it_says("started");
    let log = host.log();
    let mut refused = 0;
    let mut refuses = |host: &mut Running, words: &str| {
        host.hang_up();
        refused += 1;
        host.wait_until(&format!("it refuses for {words:?}"), || {
            log.count("component not replaced: the running one goes on") == refused
                && log.says(words)
        });
    };
    component.becomes(CORE_MODULE);
    refuses(&mut host, "--transform-sha256 wants");
    component.becomes_file(&misbehaving());
    refuses(&mut host, &digest_of(&misbehaving()));
    component.becomes(component_importing(&["invented:network/socket@1.0.0"]));
    refuses(&mut host, "invented:network/socket");
    fs::remove_file(&component.path).expect("remove the component");
    refuses(&mut host, "open the file");
    component.becomes_file(&file);
    host.hang_up();
    host.wait_until_it_says("it is the one that runs");

    let logins = Login::several("refused_successor", 20);
    let sent = scene.send(&bodies(&logins));
    host.wait_until("all is stored", || scene.left() == 0);
    let run = ended(host);
    let rows: Vec<Row> = logins.iter().map(|login| login.row(sent.day)).collect();
    scene.assert_well(&rows, 0, &logins, &[&run]);
}

#[test]
fn a_component_that_does_not_fit_table_or_parameters_does_not_take_over() {
    let scene = Scene::new();
    let component = Component::of(&misbehaving());
    scene
        .database
        .execute("ALTER TABLE user_logins DROP COLUMN masked_ip");
    let mut host = scene.host().option("--transform", &component.path).start();
    host.wait_until_it_says("started");
    component.becomes_file(&guest("sha256_mask.wasm"));
    host.hang_up();
    host.wait_until_it_says("does not fit component sha256_mask");
    component.becomes_file(&guest("hmac_mask.wasm"));
    host.hang_up();
    host.wait_until_it_says("give --key-file");

    let login = Login::invented("misfit_successor", 0);
    scene.send(&[login.body()]);
    host.wait_until("it is stored", || scene.left() == 0);
    let run = ended(host);
    assert_eq!(scene.database.count("user_logins"), 1);
    assert_eq!(run.stderr.matches("component replaced").count(), 0);
}

#[test]
fn what_a_changed_table_holds_up_is_judged_by_the_component_that_fits_it() {
    let scene = Scene::of_kind(Kind::Patient);
    let component = Component::of(&guest("sha256_mask.wasm"));
    let mut host = scene.host().option("--transform", &component.path).start();
    host.wait_until_it_says("started");
    scene
        .database
        .execute("ALTER TABLE user_logins RENAME COLUMN masked_ip TO hashed_ip");
    let logins = Login::several("changed_table", 20);
    scene.send(&bodies(&logins));
    host.wait_until_it_says("held");
    component.becomes_file(&misbehaving());
    host.hang_up();
    host.wait_until("all is stored", || scene.left() == 0);
    let run = ended(host);

    scene
        .database
        .execute("ALTER TABLE user_logins RENAME COLUMN hashed_ip TO masked_ip");
    let rows: Vec<Row> = logins.iter().map(bare_row).collect();
    scene.assert_well(&rows, 0, &logins, &[&run]);
}

#[test]
fn a_successor_waits_for_a_database_that_is_away() {
    let scene = Scene::new();
    let component = Component::of(&guest("sha256_mask.wasm"));
    let mut host = scene.host().option("--transform", &component.path).start();
    host.wait_until_it_says("started");
    let away = scene.network.refuse();
    component.becomes_file(&misbehaving());
    host.hang_up();
    host.wait_until_it_says("waiting for a service");
    away.assert_fired();
    scene.network.admit();
    replaced(&mut host, 1);
    let login = Login::invented("patient_successor", 0);
    scene.send(&[login.body()]);
    host.wait_until("it is stored", || scene.left() == 0);
    let run = ended(host);
    scene.assert_well(&[bare_row(&login)], 0, &[login], &[&run]);
}

#[test]
fn a_mended_component_ends_the_quarantine_of_its_predecessor_and_judges_what_that_left() {
    let scene = Scene::new();
    let component = Component::of(&misbehaving());
    let logins = Login::several("mended", 30);
    let traps: Vec<String> = logins
        .iter()
        .map(|login| {
            let mut body = login.json();
            body["do"] = json!("trap");
            body.to_string()
        })
        .collect();
    let sent = scene.send(&traps);
    let mut host = scene
        .host()
        .option("--transform", &component.path)
        .option("--transform-faults-percent-max", "0")
        .start();
    host.wait_until_it_says("component: it faults on more than 0 %");
    component.becomes_file(&guest("sha256_mask.wasm"));
    host.hang_up();
    host.wait_until("all is settled", || scene.left() == 0);
    let run = ended(host).says(&["resumed"]);

    // One fault is always allowed.
    let rejected = sent.ids.iter().position(|id| {
        let entry = format!("etl_host.ledger WHERE message_id = '{id}' AND outcome = 'rejected'");
        scene.database.count(&entry) == 1
    });
    let rejected = rejected.expect("one is rejected");
    let mut rows: Vec<Row> = logins.iter().map(|login| login.row(sent.day)).collect();
    rows.remove(rejected);
    scene.assert_well(&rows, 1, &logins, &[&run]);
}

/// A host that watches its files.
fn watching(scene: &Scene, component: &Component) -> Host {
    scene
        .host()
        .option("--transform", &component.path)
        .word("--watch")
}

#[test]
fn a_watched_component_is_replaced_without_being_asked() {
    let scene = Scene::new();
    let component = Component::of(&guest("sha256_mask.wasm"));
    let mut host = watching(&scene, &component).start();
    host.wait_until_it_says("started");
    component.becomes_file(&misbehaving());
    replaced(&mut host, 1);
    let login = Login::invented("watched", 0);
    scene.send(&[login.body()]);
    host.wait_until("it is stored", || scene.left() == 0);
    let run = ended(host);
    scene.assert_well(&[bare_row(&login)], 0, &[login], &[&run]);
}

#[test]
fn a_key_is_rotated_while_the_host_runs() {
    let scene = Scene::new();
    let component = Component::of(&guest("hmac_mask.wasm"));
    let line = |id: &str, byte: &str| format!("{id}:{}\n", byte.repeat(32));
    let keys = component.folder.keep("keys", &line("2025-07", "31"), 0o600);
    let mut host = watching(&scene, &component)
        .option("--key-file", &keys)
        .start();
    let logins = Login::several("rotated", 2);
    scene.send(&[logins[0].body()]);
    host.wait_until("the first is stored", || scene.left() == 0);
    let both = line("2026-11", "a7") + &line("2025-07", "31");
    component.folder.keep("keys", &both, 0o600);
    replaced(&mut host, 1);
    scene.send(&[logins[1].body()]);
    host.wait_until("the second is stored", || scene.left() == 0);
    ended(host);
    for id in ["2025-07", "2026-11"] {
        let by = format!("etl_host.ledger WHERE key_id = '{id}'");
        assert_eq!(scene.database.count(&by), 1, "{id}");
    }
}
