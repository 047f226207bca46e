//! Compiled components are kept between runs, and nothing but what a host has
//! compiled from this very file is ever run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::guest;
use crate::support::host::Host;
use crate::support::login::{Login, bodies, rows};
use crate::support::queue::Queue;

const KEPT: &str = "its compiled code is in the cache";
const ANEW: &str = "compiled anew";

/// A queue and a database, and a cache of the test's own.
struct Scene {
    queue: Queue,
    database: Database,
    cache: Folder,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            queue: Queue::with_dead_letters(),
            database: Database::with_table(),
            cache: Folder::new("cache"),
        }
    }

    fn host(&self) -> Host {
        Host::new(&self.queue, &self.database).option("--cache-dir", self.cache.path())
    }

    /// What `check` says of where the component's code came from.
    #[track_caller]
    fn assert_loads(&self, component: &str, whence: &str) {
        let host = Host::new(&self.queue, &self.database).word("check");
        let host = host.option("--cache-dir", self.cache.path());
        // truncate_mask does not fit the table, which is another check's business.
        let run = host.option("--transform", guest(component)).run();
        assert!(run.stdout.contains(whence), "{}", run.stdout);
    }

    fn entries(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.cache.path()).expect("read the folder");
        files.map(|file| file.expect("a file").path()).collect()
    }

    /// The entry of the default component, and the only one.
    fn entry(&self) -> PathBuf {
        self.assert_loads("sha256_mask.wasm", ANEW);
        let mut entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }
}

fn mode(path: &Path) -> u32 {
    let found = fs::metadata(path).expect("it is there");
    found.permissions().mode() & 0o777
}

#[test]
fn what_was_compiled_once_is_loaded_and_does_the_same_work() {
    let scene = Scene::new();
    let entry = scene.entry();
    assert_eq!(mode(&entry), 0o600);
    scene.assert_loads("sha256_mask.wasm", KEPT);

    let logins = Login::several("cached", 12);
    let sent = scene.queue.send(&bodies(&logins));
    let run = scene.host().until_empty().run().exited(0);

    run.says(&["\"from_cache\":true"]);
    scene.database.assert_rows(&rows(&logins, sent.day));
    assert_eq!(scene.entries(), [entry]);
}

#[test]
fn a_poisoned_or_truncated_entry_is_compiled_anew_and_replaced() {
    let scene = Scene::new();
    let entry = scene.entry();
    let whole = fs::read(&entry).expect("read the entry");
    let mut poisoned = whole.clone();
    // Somewhere in the code.
    poisoned[whole.len() / 2] ^= 1;
    for bad in [&poisoned[..], &whole[..whole.len() / 2], &[]] {
        fs::write(&entry, bad).expect("spoil the entry");
        scene.assert_loads("sha256_mask.wasm", ANEW);
        scene.assert_loads("sha256_mask.wasm", KEPT);
        assert!(fs::read(&entry).expect("read the entry") == whole);
    }
}

#[test]
fn another_components_code_is_not_run_under_this_ones_name() {
    let scene = Scene::new();
    let entry = scene.entry();
    scene.assert_loads("truncate_mask.wasm", ANEW);
    let entries = scene.entries();
    let other = entries.iter().find(|other| **other != entry);
    fs::copy(other.expect("a second entry"), &entry).expect("swap the code");

    scene.assert_loads("sha256_mask.wasm", ANEW);
}

#[test]
fn a_folder_that_others_may_use_is_refused_with_its_remedy() {
    let scene = Scene::new();
    fs::set_permissions(scene.cache.path(), fs::Permissions::from_mode(0o755))
        .expect("open the folder");
    let run = scene.host().until_empty().run().exited(78);
    run.says(&["chmod 700"]);
    assert_eq!(scene.queue.calls("ReceiveMessage"), 0);
}

#[test]
fn a_default_folder_that_cannot_be_used_is_done_without() {
    let scene = Scene::new();
    let home = scene.cache.path().join("home");
    fs::write(&home, "no folder").expect("write a file");
    let run = Host::new(&scene.queue, &scene.database)
        .unset("ETL_HOST_CACHE_DIR")
        .env("HOME", &home)
        .until_empty()
        .run()
        .exited(0);
    run.says(&["compiled components are not kept", "--cache-dir"]);
}

#[test]
fn a_folder_that_is_swapped_under_a_running_host_is_not_used_again() {
    let scene = Scene::new();
    let home = Folder::new("swapped");
    let component = home.path().join("component.wasm");
    let becomes = |name: &str| {
        let draft = home.path().join("draft");
        fs::copy(guest(name), &draft).expect("copy a component");
        fs::rename(&draft, &component).expect("put it in place");
    };
    becomes("sha256_mask.wasm");
    let cache = home.path().join("cache");
    let mut host = Host::new(&scene.queue, &scene.database)
        .option("--transform", &component)
        .option("--cache-dir", &cache)
        .start();
    host.wait_until_it_says("started");
    let log = host.log();

    // Somebody who could change a folder above puts another one in its place,
    // with an entry for what comes next.
    let theirs = home.path().join("theirs");
    fs::rename(&cache, &theirs).expect("move the folder away");
    std::os::unix::fs::symlink(&theirs, &cache).expect("put a link in its place");
    fs::copy(scene_component(), &component).expect("change the component");
    host.hang_up();
    host.wait_until("it has replaced", || log.count("component replaced") == 1);
    assert!(log.says("the cache is not used"), "no warning");
    let loaded = log.count("\"from_cache\":true");
    assert_eq!(loaded, 0, "code was taken from a folder that was swapped");

    // Put right, it is used again.
    fs::remove_file(&cache).expect("remove the link");
    fs::rename(&theirs, &cache).expect("move the folder back");
    becomes("sha256_mask.wasm");
    host.hang_up();
    host.wait_until("it has replaced", || log.count("component replaced") == 2);
    assert_eq!(log.count("\"from_cache\":true"), 1);
    host.terminate();
    host.finish().exited(0);
}

fn scene_component() -> PathBuf {
    crate::support::repository().join("tests/guests/misbehave.wasm")
}

#[test]
fn a_folder_below_one_that_everybody_may_change_is_refused_with_its_remedy() {
    let scene = Scene::new();
    let above = scene.cache.path().join("above");
    fs::create_dir(&above).expect("make a folder");
    fs::set_permissions(&above, fs::Permissions::from_mode(0o777)).expect("open it");
    let host = Host::new(&scene.queue, &scene.database);
    let run = host
        .option("--cache-dir", above.join("cache"))
        .until_empty();
    run.run().exited(78).says(&["chmod go-w", "above"]);
    assert_eq!(scene.queue.calls("ReceiveMessage"), 0);
}

#[test]
fn an_entry_that_became_a_link_or_open_to_others_is_compiled_anew_and_replaced() {
    let scene = Scene::new();
    let entry = scene.entry();
    let elsewhere = scene.cache.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).expect("move the entry away");
    std::os::unix::fs::symlink(&elsewhere, &entry).expect("put a link in its place");
    scene.assert_loads("sha256_mask.wasm", ANEW);
    scene.assert_loads("sha256_mask.wasm", KEPT);
    let found = fs::symlink_metadata(&entry).expect("it is there");
    assert!(found.is_file(), "the link is still there");

    fs::set_permissions(&entry, fs::Permissions::from_mode(0o644)).expect("open the entry");
    scene.assert_loads("sha256_mask.wasm", ANEW);
    assert_eq!(mode(&entry), 0o600);
}
