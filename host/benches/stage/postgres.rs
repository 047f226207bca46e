//! A real PostgreSQL server with durable settings, started as the tests start
//! theirs.

#[path = "../../../tests/support/account.rs"]
mod account;
#[path = "../../../tests/support/patience.rs"]
#[allow(dead_code, reason = "what the tests need is more")]
mod patience;
#[path = "../../../tests/support/postgres.rs"]
#[allow(dead_code, reason = "what the tests need is more")]
mod server;
#[path = "../../../tests/support/supervised.rs"]
#[allow(dead_code, reason = "what the tests need is more")]
mod supervised;

use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

pub use server::{OWNER, OWNER_PASSWORD, Server};

/// Between two looks at a condition.
const PAUSE_MS: u64 = 20;

/// The one runtime behind every connection of this process. One thread moves
/// it: whoever waits for an answer.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("start a runtime")
});

pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    RUNTIME.spawn(future);
}

fn pause() {
    std::thread::sleep(Duration::from_millis(PAUSE_MS));
}
