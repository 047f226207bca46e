//! What the benchmarks share: invented logins, and components loaded as a host
//! loads them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etl_host::message::Message;
use etl_host::sandbox::{Cache, Capabilities, Conditions, Isolation, Keys, Limits, Sandbox};

/// When the queue accepted the messages: 2026-11-23T00:00:00Z.
const SENT_MS: u64 = 1_795_392_000_000;
/// The key that policies have natively, `etl_transform::keyed_hash::TEST_KEY`.
const KEY: &str = "bench:0707070707070707070707070707070707070707070707070707070707070707";

/// So many logins as the queue delivers them, some 170 bytes each, no two alike.
pub fn messages(count: usize) -> Vec<Message> {
    (0..count).map(message).collect()
}

fn message(n: usize) -> Message {
    let id = format!("{:032x}", digits(n, 1 << 100));
    Message {
        queue_id: id.clone(),
        origin_id: id,
        body: body(n),
        sent_ms: SENT_MS,
        attributes: Vec::new(),
        fifo: None,
    }
}

/// Addresses are of RFC 5737, devices are numbers that no authority gives.
fn body(n: usize) -> String {
    let user = format!("{:032x}", digits(n, 1 << 127));
    let (a, b, c) = (&user[..8], &user[8..12], &user[12..16]);
    let (d, e) = (&user[16..20], &user[20..]);
    let network = ["192.0.2", "198.51.100", "203.0.113"][n % 3];
    let ip = 1 + digits(n, 254);
    let (version, device) = (n % 10, ["android", "ios"][n % 2]);
    let locale = [r#""DE""#, r#""PT""#, "null"][n / 2 % 3];
    let (area, group, serial) = (n % 100, 1 + n % 49, digits(n, 9_999));
    format!(
        r#"{{"user_id":"{a}-{b}-{c}-{d}-{e}","app_version":"2.{version}.0","device_type":"{device}","ip":"{network}.{ip}","locale":{locale},"device_id":"9{area:02}-{group:02}-{serial:04}"}}"#
    )
}

/// A number below the bound that follows from `n` and looks like any other.
fn digits(n: usize, bound: u128) -> u128 {
    let mixed = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (mixed ^ mixed >> 64) % bound
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
    }
}

fn cache() -> Cache {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("speed-cache");
    fs::create_dir_all(&folder).expect("make the cache's folder");
    let private = Permissions::from_mode(0o700);
    fs::set_permissions(&folder, private).expect("close the cache's folder to others");
    Cache::open(&folder).expect("open the cache")
}
