//! Held: the environment is at fault, and receiving pauses until it is mended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::event::Event;

/// Who is held, and why. A line is logged when it begins, when the cause
/// changes, and when it ends; not for every try.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    held: Arc<Mutex<Held>>,
    receiving: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Held {
    causes: BTreeMap<usize, String>,
    since: Option<Instant>,
    logged: String,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            held: Arc::default(),
            receiving: watch::Sender::new(true),
        }
    }
}

impl Hold {
    /// A worker cannot go on.
    pub(super) fn enter(&self, worker: usize, cause: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.causes.insert(worker, cause.to_owned());
        held.since.get_or_insert_with(Instant::now);
        if held.logged != cause {
            held.logged = cause.to_owned();
            Event::Held(cause).log();
        }
        self.receiving.send_replace(false);
    }

    /// A worker goes on.
    pub(super) fn leave(&self, worker: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.causes.remove(&worker).is_none() || !held.causes.is_empty() {
            return;
        }
        held.logged.clear();
        if let Some(since) = held.since.take() {
            let after = since.elapsed();
            Event::Resumed { after }.log();
        }
        self.receiving.send_replace(true);
    }

    /// Waits until nobody is held.
    pub(super) async fn released(&self) {
        let mut receiving = self.receiving.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = receiving.wait_for(|receiving| *receiving).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn receiving_pauses_until_the_last_one_goes_on() {
        let hold = Hold::default();
        hold.enter(0, "down");
        hold.enter(1, "down");
        hold.leave(0);
        assert!(!*hold.receiving.borrow());
        hold.leave(1);
        hold.released().await;
    }
}
