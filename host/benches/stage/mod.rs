//! What the benchmarks share: invented logins, and components loaded as a host
//! loads them.

mod login;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etl_host::message::Message;
use etl_host::sandbox::{
    Cache, Capabilities, Compiler, Conditions, Isolation, Keys, Limits, Sandbox,
};

/// When the queue accepted the messages: 2026-11-23T00:00:00Z.
const SENT_MS: u64 = 1_795_392_000_000;
/// The key that policies have natively, `etl_transform::keyed_hash::TEST_KEY`.
const KEY: &str = "bench:0707070707070707070707070707070707070707070707070707070707070707";

/// So many logins as the queue delivers them, some 170 bytes each, no two alike.
pub fn messages(count: usize) -> Vec<Message> {
    (0..count).map(message).collect()
}

fn message(n: usize) -> Message {
    let id = format!("{:032x}", login::digits(n, 1 << 100));
    Message {
        queue_id: id.clone(),
        origin_id: id,
        body: login::body(n),
        sent_ms: SENT_MS,
        attributes: Vec::new(),
        fifo: None,
    }
}

/// A committed component, loaded for `instances` at a time.
pub fn sandbox(guest: &str, isolation: Isolation, instances: usize) -> Sandbox {
    Sandbox::load(&file(guest), &conditions(isolation), instances).expect("load the component")
}

/// The file of a committed component.
pub fn file(guest: &str) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    repository.join("guests").join(guest)
}

/// How it is run: as by default, with a cache of the benchmarks' own.
pub fn conditions(isolation: Isolation) -> Conditions {
    let keys = Keys::parse(KEY).expect("a key");
    Conditions {
        parameters: Vec::new(),
        digests: Vec::new(),
        sensitive: Vec::new(),
        limits: Limits::default(),
        isolation,
        capabilities: Capabilities::new(Some(keys), false),
        cache: Some(cache()),
        compiler: Compiler::InProcess,
    }
}

fn cache() -> Cache {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("speed-cache");
    fs::create_dir_all(&folder).expect("make the cache's folder");
    let private = Permissions::from_mode(0o700);
    fs::set_permissions(&folder, private).expect("close the cache's folder to others");
    Cache::open(&folder).expect("open the cache")
}
