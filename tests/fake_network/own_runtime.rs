//! A runtime with a thread of its own, so that a server of the tests goes on
//! while the test itself blocks. It ends with its owner, and its tasks with it.
//! What runs on it is not its business.

use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::support::patience::receive;

/// The longest that an order to a server of the tests may take.
const RUN_SECS_MAX: u64 = 30;

pub struct OwnRuntime {
    /// Present until it is dropped.
    runtime: Option<Runtime>,
}

impl OwnRuntime {
    pub fn start(name: &str) -> OwnRuntime {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .enable_all()
            .build();
        OwnRuntime {
            runtime: Some(runtime.expect("start a runtime for a server of the tests")),
        }
    }

    pub fn handle(&self) -> &Handle {
        let runtime = self.runtime.as_ref();
        runtime.expect("present until it is dropped").handle()
    }

    /// Runs the future there and waits for it here, whatever thread this is:
    /// `block_on` would panic inside another runtime.
    pub fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = mpsc::channel();
        self.handle().spawn(async move {
            // Nobody is left to tell where the wait below gave up.
            let _ = sender.send(future.await);
        });
        receive(&receiver, Duration::from_secs(RUN_SECS_MAX))
            .expect("a server of the tests does what it is told")
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for it would panic where a test drops it in a task.
            runtime.shutdown_background();
        }
    }
}
