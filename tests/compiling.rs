//! Compiling in a process of its own: what a hostile component makes the
//! compiler do ends with the compiler, and a running host does not notice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use wasm_encoder::Module;

use crate::components::refused_with;
use crate::support::bytes::{
    ScratchFile, bomb, module_that_is_slow_to_compile, module_with_functions, with_core_instances,
};
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::host::{Host, Running};
use crate::support::login::{Login, bodies};
use crate::support::queue::{Queue, SECRET_ACCESS_KEY};
use crate::support::{guest, repository, wait_until};

const MEMORY: &str = "--transform-compile-mib-max";
const TIME: &str = "--transform-compile-secs-max";
const NOT_REPLACED: &str = "component not replaced: the running one goes on";
/// Parts of a bomb: two to this power of instances, which nothing can hold.
const PARTS: u32 = 50;
/// How often a bomb is loaded into a running host.
const RELOADS: usize = 10;
/// Of some 60 bytes each: 54 MB.
const FUNCTIONS: u32 = 870_000;
/// What a host's memory may grow by, in KiB, whatever else it does meanwhile:
/// a debug build that stores a few messages takes some hundreds more.
const GROWTH_KIB_MAX: u64 = 16 << 10;

/// A queue and a database, and the file of a component that changes.
struct Scene {
    queue: Queue,
    database: Database,
    folder: Folder,
    component: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let folder = Folder::new("compiling");
        let component = folder.path().join("component.wasm");
        let scene = Scene {
            queue: Queue::with_dead_letters(),
            database: Database::with_table(),
            folder,
            component,
        };
        scene.becomes(fs::read(guest("sha256_mask.wasm")).expect("read the component"));
        scene
    }

    fn host(&self) -> Host {
        Host::new(&self.queue, &self.database).option("--transform", &self.component)
    }

    fn started(&self, settings: impl Fn(Host) -> Host) -> Running {
        let mut host = settings(self.host()).start();
        host.wait_until_it_says("started");
        host
    }

    fn becomes(&self, bytes: impl AsRef<[u8]>) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, bytes).expect("write a file");
        fs::rename(&draft, &self.component).expect("put it in place");
    }

    /// Whether a message that is sent now is stored now.
    fn stores(&self, host: &mut Running, subject: &str) {
        let login = Login::invented(subject, 0);
        self.queue.send(&[login.body()]);
        let row = format!("user_logins WHERE user_id = '{}'", login.user_id);
        host.wait_until("it is stored", || self.database.count(&row) == 1);
    }
}

fn slow() -> Vec<u8> {
    extended(&module_that_is_slow_to_compile(10_000))
}

/// The default component, with one more core instance.
fn extended(module: &Module) -> Vec<u8> {
    let component = fs::read(guest("sha256_mask.wasm")).expect("read the component");
    with_core_instances(component, module, 1)
}

fn misbehaving() -> Vec<u8> {
    let file = repository().join("tests/guests/misbehave.wasm");
    fs::read(file).expect("read the component")
}

/// The process that compiles for this one, while there is one.
fn compiler_of(parent: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").expect("list the processes");
    let ids = processes.filter_map(|process| process.ok()?.file_name().to_str()?.parse().ok());
    let mut ids = ids.filter(|id: &u32| *id != parent);
    ids.find(|id| {
        let about = |what: &str| fs::read(format!("/proc/{id}/{what}")).unwrap_or_default();
        let of_this = String::from_utf8_lossy(&about("status"))
            .lines()
            .any(|line| line.split_whitespace().eq(["PPid:", &parent.to_string()]));
        of_this && String::from_utf8_lossy(&about("cmdline")).contains("compile-for-host")
    })
}

fn wait_for_compiler(host: &mut Running) -> u32 {
    let parent = host.id();
    let mut found = None;
    host.wait_until("it compiles", || {
        found = compiler_of(parent);
        found.is_some()
    });
    found.expect("it was found")
}

fn is_gone(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    // One that nobody has buried yet is gone, too.
    status.map_or(true, |status| status.contains("State:\tZ"))
}

fn handles_of(process: u32) -> Vec<String> {
    let handles = fs::read_dir(format!("/proc/{process}/fd")).expect("list its handles");
    let mut handles: Vec<String> = handles
        .filter_map(|handle| handle.ok()?.file_name().into_string().ok())
        .collect();
    handles.sort();
    handles
}

#[test]
fn a_bomb_of_two_kilobytes_ends_with_the_compilers_memory() {
    let bomb = bomb(PARTS);
    assert!(bomb.len() < 2_048, "{} bytes", bomb.len());
    let file = ScratchFile::new("bomb.wasm", bomb);
    for cache in ["off", "on"] {
        let run = refused_with(&file.path, |host| {
            let host = host.option(MEMORY, "128");
            match cache {
                "off" => host.option("--cache-dir", "off"),
                _ => host,
            }
        });
        run.says(&["more memory than 128 MiB", MEMORY]);
    }
}

#[test]
fn a_bomb_of_two_kilobytes_ends_with_the_compilers_time() {
    let file = ScratchFile::new("bomb.wasm", bomb(PARTS));
    let run = refused_with(&file.path, |host| {
        host.option(TIME, "1").option(MEMORY, "65536")
    });
    run.says(&["longer than 1 s", TIME]);
}

#[test]
fn whatever_loads_a_component_is_safe_from_a_bomb() {
    let file = ScratchFile::new("bomb.wasm", bomb(PARTS));
    let good = guest("sha256_mask.wasm");
    let bodies = ScratchFile::new("bodies.jsonl", "{}\n");
    let input = bodies.path.to_str().expect("a name");
    let asked: [(&[&str], &[&Path]); 6] = [
        (&["inspect"], &[&file.path]),
        (&["test"], &[&file.path]),
        (&["run-once"], &[&file.path]),
        (&["bench", "--input", input], &[&file.path]),
        (&["compare", "--input", input], &[&good, &file.path]),
        (&["compare", "--input", input], &[&file.path, &good]),
    ];
    for (words, files) in asked {
        let command = Host::bare().word(words[0]);
        let host = files.iter().fold(command, |host, file| host.word(*file));
        let host = words[1..].iter().fold(host, |host, word| host.word(*word));
        let run = host.option(MEMORY, "64").run();
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(
            said.contains("more memory than 64 MiB"),
            "{words:?}: {said}"
        );
        assert_ne!(run.code(), Some(0), "{words:?}");
    }
    let scene = Scene::new();
    let host = scene.host().option("--shadow", &file.path);
    let run = host.option(MEMORY, "128").until_empty().run().exited(78);
    run.says(&["load the shadow", "more memory than 128 MiB"]);
}

#[test]
fn ten_reloads_of_a_bomb_cost_a_running_host_a_log_line_each() {
    let scene = Scene::new();
    let mut host = scene.started(|host| host.option(MEMORY, "64"));
    scene.stores(&mut host, "before_the_bombs");
    let before = host.memory_kib_max();
    scene.becomes(bomb(PARTS));
    let log = host.log();
    for reload in 1..=RELOADS {
        host.hang_up();
        scene.stores(&mut host, &format!("beside_bomb_{reload}"));
        host.wait_until("it refuses", || log.count(NOT_REPLACED) == reload);
    }
    let after = host.memory_kib_max();
    if let (Some(before), Some(after)) = (before, after) {
        assert!(
            after < before + GROWTH_KIB_MAX,
            "from {before} to {after} KiB"
        );
    }
    let told = log.count("more memory than 64 MiB");
    assert_eq!(told, RELOADS, "a line for each");
    assert_eq!(compiler_of(host.id()), None);
    host.terminate();
    host.finish().exited(0);
}

#[test]
fn messages_are_stored_while_a_bomb_goes_off() {
    let scene = Scene::new();
    let mut host = scene.started(|host| host.option(MEMORY, "65536").option(TIME, "3600"));
    scene.becomes(slow());
    host.hang_up();
    let compiler = wait_for_compiler(&mut host);
    for n in 0..5 {
        scene.stores(&mut host, &format!("meanwhile_{n}"));
    }
    assert!(!is_gone(compiler), "it was over before it was tested");
    host.terminate();
    host.finish().exited(0);
    wait_until("the compiler is gone", || is_gone(compiler));
}

#[test]
fn a_file_of_54_mb_of_small_functions_costs_a_running_host_its_size_at_most() {
    let scene = Scene::new();
    let mut host = scene.started(|host| host.option(MEMORY, "256"));
    scene.stores(&mut host, "before_the_file");
    let before = host.memory_kib_max();
    let large = extended(&module_with_functions(FUNCTIONS));
    let kib = large.len() as u64 >> 10;
    assert!((50_000..60_000).contains(&kib), "{kib} KiB");
    scene.becomes(large);
    host.hang_up();
    host.wait_until_it_says(NOT_REPLACED);
    scene.stores(&mut host, "after_the_file");
    let after = host.memory_kib_max();
    if let (Some(before), Some(after)) = (before, after) {
        let most = before + kib + GROWTH_KIB_MAX;
        assert!(after < most, "from {before} to {after} KiB");
    }
    host.terminate();
    host.finish().exited(0).says(&["more memory than 256 MiB"]);
}

#[test]
fn a_newer_file_wins_over_one_that_is_being_compiled() {
    let scene = Scene::new();
    let mut host = scene.started(|host| host.option(TIME, "3600"));
    scene.becomes(slow());
    host.hang_up();
    let first = wait_for_compiler(&mut host);
    // Asked for again, what is being compiled goes on.
    host.hang_up();
    scene.stores(&mut host, "between");
    assert!(!is_gone(first), "the same file was begun anew");
    scene.becomes(misbehaving());
    host.hang_up();
    host.wait_until_it_says("component replaced");
    assert!(is_gone(first));
    host.terminate();
    let run = host.finish().exited(0);
    assert!(!run.stderr.contains(NOT_REPLACED), "{}", run.stderr);
}

#[test]
fn a_stop_does_not_wait_for_the_compiler() {
    let scene = Scene::new();
    scene.becomes(slow());
    let mut host = scene.host().option(TIME, "3600").start();
    let compiler = wait_for_compiler(&mut host);
    let asked = Instant::now();
    host.terminate();
    host.finish().exited(0);
    assert!(asked.elapsed().as_secs() < 60, "it has waited");
    wait_until("the compiler is gone", || is_gone(compiler));
}

#[test]
fn the_compiler_has_no_secret_and_no_handle_and_dies_with_the_host() {
    let scene = Scene::new();
    scene.becomes(slow());
    let mut host = scene
        .host()
        .option(TIME, "3600")
        .env("PGPASSWORD", "invented-password")
        .env("RUST_LOG", "trace")
        .start();
    let compiler = wait_for_compiler(&mut host);
    let about = |what: &str| fs::read(format!("/proc/{compiler}/{what}")).expect("it is there");
    // As soon as it has limited itself.
    host.wait_until("it is limited", || {
        String::from_utf8_lossy(&about("limits")).contains("2147483648")
    });
    let limits = String::from_utf8_lossy(&about("limits")).into_owned();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name));
        let line = line.expect("a limit").trim_start_matches(name);
        line.split_whitespace().next().expect("a value").to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_ne!(limit("Max cpu time"), "unlimited");
    assert_ne!(limit("Max file size"), "unlimited");
    let environment = String::from_utf8_lossy(&about("environ")).into_owned();
    let names: Vec<&str> = environment
        .split('\0')
        .filter_map(|variable| Some(variable.split_once('=')?.0))
        .collect();
    let allocators = |name: &&str| !name.starts_with("MIMALLOC_");
    let others: Vec<&str> = names.into_iter().filter(allocators).collect();
    assert_eq!(others, ["RAYON_NUM_THREADS"]);
    for secret in [SECRET_ACCESS_KEY, "invented-password"] {
        assert!(!String::from_utf8_lossy(&about("cmdline")).contains(secret));
    }
    // A file that it looks at for a moment aside.
    host.wait_until("it has its three handles", || {
        handles_of(compiler) == ["0", "1", "2"]
    });
    host.kill();
    wait_until("the compiler is gone", || is_gone(compiler));
}

#[test]
fn a_host_whose_file_was_replaced_by_an_upgrade_compiles_with_its_own() {
    let scene = Scene::new();
    // Beside the binary: a link does not lead to another file system.
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("etl-host-{}-upgraded", std::process::id()));
    let _ = fs::remove_file(&binary);
    fs::hard_link(env!("CARGO_BIN_EXE_etl-host"), &binary).expect("link the binary");
    let settings = |host: Host| host.by_name(&binary).option("--cache-dir", "off");
    let mut host = scene.started(settings);
    fs::remove_file(&binary).expect("remove the binary");
    fs::write(&binary, "another version").expect("write another one");
    scene.becomes(misbehaving());
    host.hang_up();
    host.wait_until_it_says("component replaced");
    host.terminate();
    host.finish().exited(0);
    fs::remove_file(&binary).expect("clear up");
}

#[test]
fn what_is_typed_like_a_compiler_is_refused() {
    let run = Host::bare().word("compile-for-host").run();
    run.exited(70).says(&["for etl-host itself"]);
    let digest = "0".repeat(64);
    let words = ["compile-for-host", &digest, "counted", "64", "1", "1", "1"];
    let host = words.into_iter().fold(Host::bare(), Host::word);
    host.run().exited(70).says(&["the host has gone"]);
}

#[test]
fn several_components_in_a_row_are_compiled_and_do_their_work() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let cache = Folder::new("compiled");
    let sent = queue.send(&bodies(&Login::several("compiled", 4)));
    let run = Host::new(&queue, &database)
        .option("--shadow", guest("truncate_mask.wasm"))
        .option("--cache-dir", cache.path())
        .until_empty()
        .run()
        .exited(0);
    assert_eq!((database.count("user_logins"), sent.ids.len()), (4, 4));
    run.says(&["\"from_cache\":false"]);
    let kept = fs::read_dir(cache.path()).expect("list the cache");
    assert_eq!(kept.count(), 2);
}
