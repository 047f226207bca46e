//! What every test stands on: a real PostgreSQL server, an SQS server over
//! HTTP, the real binary, invented logins, and the search for leaked values.
//!
//! No test sleeps to let something happen: it waits for a condition, and
//! `wait_until` bounds that wait. (Without the demo there is no SQS server over
//! HTTP, nor what needs one.)
//!
//! How to bound time in a test, so that a busy machine never fails it:
//! 1. Wait with `wait_until` or the host's `wait_until`; a future with
//!    `patience::within`, a channel with `patience::receive`, a loop of your own
//!    with `patience::Deadline`. What follows an event, such as a count, a log
//!    line or an entry of a journal, is awaited too, not read once.
//! 2. "Ends within 5 s" is measured with `patience::Stopwatch`, not `Instant`.
//!    Only a lower bound ("not before 1 s") is measured in wall time.
//! 3. Do not look for a moment that passes: make it last (a fault that goes on
//!    until it is stopped), or look for the trace that it leaves.

pub mod account;
pub mod browser;
pub mod bytes;
#[cfg(feature = "demo")]
pub mod canary;
pub mod credentials;
pub mod database;
pub mod folder;
#[cfg(feature = "demo")]
pub mod host;
#[cfg(feature = "demo")]
pub mod http;
pub mod login;
pub mod page;
pub mod patience;
pub mod postgres;
#[cfg(feature = "demo")]
pub mod queue;
pub mod source;
pub mod supervised;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;

use self::patience::Deadline;

/// How long any condition may take, in fair time. Generous: the tests share two
/// cores, and a debug build compiles each component anew.
pub const WAIT_SECS_MAX: u64 = 60;

/// The one runtime behind every server and client of this process.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("start the tests' runtime")
});

pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    RUNTIME.spawn(future);
}

/// Waits until the condition holds. Panics, saying what it waited for.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::after_secs(WAIT_SECS_MAX);
    // The deadline first: a condition that has become true meanwhile counts.
    loop {
        let over = deadline.is_over();
        if condition() {
            return;
        }
        assert!(!over, "waited {WAIT_SECS_MAX} s in vain until {what}");
        pause();
    }
}

/// Between two looks at a condition.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
        .to_path_buf()
}

/// A built component, as committed.
pub fn guest(name: &str) -> PathBuf {
    repository().join("guests").join(name)
}

/// An address of this machine where nobody listens, nor will: its port is kept
/// from everybody else for as long as the process lives.
pub fn deserted_address() -> String {
    let socket = tokio::net::TcpSocket::new_v4().expect("make a socket");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("find a free port");
    let address = socket.local_addr().expect("a bound address");
    std::mem::forget(socket);
    address.to_string()
}

/// An address of this machine where somebody may listen.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("find a free port").to_string()
}
