//! Held: the environment is at fault, and receiving pauses until it is mended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::Cause;
use crate::event::Event;
use crate::telemetry::Telemetry;

/// What is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Trouble {
    /// The database is away, refuses everybody, or is not configured for us.
    Database,
    /// The dead-letter queue takes nothing.
    DeadLetterQueue,
    /// The source queue deletes nothing.
    Deletion,
    /// The component faults too often.
    Component,
}

impl Trouble {
    fn cause(self) -> Cause {
        match self {
            Self::Database => Cause::Database,
            Self::DeadLetterQueue => Cause::DeadLetterQueue,
            Self::Deletion => Cause::Queue,
            Self::Component => Cause::Component,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::DeadLetterQueue => "dead-letter queue",
            Self::Deletion => "deletion",
            Self::Component => "component",
        })
    }
}

/// Who is held: a worker by its number, the deleter, or whoever runs the
/// component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    /// A worker.
    Worker(usize),
    /// The deleter.
    Deleter,
    /// Whoever runs the component.
    Component,
}

/// Who is held, and why. A line is logged when it begins, when the cause
/// changes, and when it ends; not for every try.
#[derive(Clone)]
pub(super) struct Hold {
    held: Arc<Mutex<Held>>,
    receiving: watch::Sender<bool>,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct Held {
    holders: BTreeMap<Holder, Trouble>,
    since: Option<Instant>,
    logged: String,
}

impl Hold {
    /// Nobody is held.
    pub(super) fn new(telemetry: Telemetry) -> Self {
        Self {
            held: Arc::default(),
            receiving: watch::Sender::new(true),
            telemetry,
        }
    }

    /// Somebody cannot go on. `sqlstate` is PostgreSQL's code, where it gave one.
    pub(super) fn enter(
        &self,
        holder: Holder,
        trouble: Trouble,
        cause: &dyn fmt::Display,
        sqlstate: Option<&str>,
    ) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.holders.insert(holder, trouble);
        held.since.get_or_insert_with(Instant::now);
        let words = format!("{trouble}: {cause}");
        if held.logged != words {
            let cause = &words;
            Event::Held { cause, sqlstate }.log();
            self.telemetry.held(trouble.cause(), &words);
            held.logged = words;
        }
        self.receiving.send_replace(false);
    }

    /// Somebody goes on.
    pub(super) fn leave(&self, holder: Holder) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.holders.remove(&holder).is_none() || !held.holders.is_empty() {
            return;
        }
        held.logged.clear();
        if let Some(since) = held.since.take() {
            let after = since.elapsed();
            Event::Resumed { after }.log();
            self.telemetry.resumed();
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
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn receiving_pauses_until_the_last_one_goes_on() {
        let hold = Hold::new(Telemetry::new(Duration::from_secs(30)));
        hold.enter(Holder::Worker(0), Trouble::Database, &"down", None);
        hold.enter(Holder::Deleter, Trouble::Deletion, &"down", None);
        hold.leave(Holder::Worker(0));
        assert!(!*hold.receiving.borrow());
        hold.leave(Holder::Deleter);
        hold.released().await;
    }
}
