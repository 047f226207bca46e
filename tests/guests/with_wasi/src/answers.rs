//! What the component finds out about where it runs, as a text for its row.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal, Read};
use std::time::{Instant, SystemTime};
use std::{env, fs};

/// What there is of all that a process may have.
pub fn surroundings() -> String {
    let mut input = Vec::new();
    let read = io::stdin().read_to_end(&mut input);
    let files = ["/", ".", "/etc/passwd", "/proc/self/environ"]
        .iter()
        .filter(|path| fs::read_dir(path).is_ok() || fs::File::open(path).is_ok())
        .count();
    let written = fs::write("/tmp/with_wasi", "x").is_ok() || fs::write("with_wasi", "x").is_ok();
    format!(
        "{} variables, {} arguments, {files} files, written: {written}, input: {:?}, terminal: {}",
        env::vars_os().count(),
        env::args_os().count(),
        read.map_err(|error| error.kind()),
        io::stdin().is_terminal() || io::stdout().is_terminal()
    )
}

pub fn time() -> String {
    let date = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let before = Instant::now();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let date = date.map(|date| date.as_nanos()).unwrap_or_default();
    let moved = before.elapsed().as_nanos();
    let start = wasip2::clocks::monotonic_clock::now();
    format!("{date} ns since 1970, {start} ns on the clock, which moved {moved} ns")
}

pub fn randomness() -> String {
    let bytes = wasip2::random::random::get_random_bytes(16);
    let insecure = wasip2::random::insecure::get_insecure_random_bytes(16);
    let number = wasip2::random::random::get_random_u64();
    let insecure_number = wasip2::random::insecure::get_insecure_random_u64();
    let seed = wasip2::random::insecure_seed::insecure_seed();
    format!("{bytes:?} {insecure:?} {number} {insecure_number} {seed:?}")
}

/// What tells one order of a `HashMap` from another.
pub fn hash() -> String {
    let numbers: HashMap<u8, u8> = (0..20).map(|n| (n, n)).collect();
    let order: Vec<String> = numbers.keys().map(u8::to_string).collect();
    let hash = RandomState::new().hash_one("invented");
    format!("{hash:x} {}", order.join(" "))
}
