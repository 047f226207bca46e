//! Replacing the component while the host runs.
//!
//! Asked to, it loads the file anew beside the running component, with the keys
//! as they are now, and checks it as at start-up. What passes everything takes
//! over at the next batch; whatever does not leaves the running one in place,
//! and the log says why. One is loaded at a time: where the file changes again
//! meanwhile, what is being loaded is given up for the newer one.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::decider::Successor;
use super::start::{Changes, OutputFault, Plan, warn};
use super::watch::{Watch, stamps};
use crate::backoff::Backoff;
use crate::event::Event;
use crate::exit::{Ends, Failure, Kind};
use crate::output::DatabaseError;
use crate::sandbox::{Digest, GivenUp, Sandbox};
use crate::telemetry::Replacement;
use crate::telemetry::Telemetry;

/// The wish to replace the component. Clones wish for the same; several wishes
/// at a time are one.
#[derive(Clone, Debug, Default)]
pub struct Wish(Arc<Notify>);

impl Wish {
    /// Wishes.
    pub fn express(&self) {
        self.0.notify_one();
    }

    async fn expressed(&self) {
        self.0.notified().await;
    }
}

/// Replaces the component of a run.
pub struct Replacer {
    pub(super) plan: Plan,
    /// The component that decides at present.
    pub(super) running: Identity,
    pub(super) successor: Successor,
    pub(super) wish: Wish,
    /// What wishes by itself.
    pub(super) watch: Option<Watch>,
    pub(super) telemetry: Telemetry,
}

/// By what two components differ for a run: their bytes, or the key.
pub(super) type Identity = (Digest, Option<String>);

/// Why the running component stays.
enum Kept {
    /// The other one is wrong.
    Wrong(Failure),
    /// Whether the other one fits cannot be told now.
    Database(DatabaseError),
    /// There is a newer one.
    Outdated,
}

impl From<Failure> for Kept {
    fn from(failure: Failure) -> Self {
        Self::Wrong(failure)
    }
}

impl Replacer {
    /// Replaces the component as often as it is wished for, and does not end.
    pub async fn run(mut self) {
        if let Some(watch) = self.watch.take() {
            tokio::spawn(watch.run(self.wish.clone()));
        }
        loop {
            self.wish.expressed().await;
            self.replace().await;
        }
    }

    /// Tries until the database has told whether the component fits, or until
    /// there is another wish.
    async fn replace(&mut self) {
        let mut backoff = Backoff::default();
        let mut logged = String::new();
        loop {
            let kept = match self.try_to_replace().await {
                Ok(()) => return,
                Err(Kept::Outdated) => continue,
                Err(Kept::Wrong(failure)) => failure.message(),
                Err(Kept::Database(error)) if !error.may_pass() => error.to_string(),
                Err(Kept::Database(error)) => {
                    let cause = error.to_string();
                    if logged != cause {
                        logged.clone_from(&cause);
                        let place = &self.plan.database.place();
                        Event::WaitingFor {
                            service: "database",
                            place,
                            cause,
                        }
                        .log();
                    }
                    tokio::select! {
                        () = backoff.wait() => {}
                        () = self.wish.expressed() => {}
                    }
                    continue;
                }
            };
            self.telemetry.metrics.replaced(Replacement::Refused);
            Event::ComponentKept {
                digest: self.running.0.to_string(),
                cause: kept,
            }
            .log();
            return;
        }
    }

    async fn try_to_replace(&mut self) -> Result<(), Kept> {
        let sandbox = self.loaded().await?;
        let identity = identity(&sandbox);
        if identity == self.running {
            Event::ComponentUnchanged(identity.0.to_string()).log();
            return Ok(());
        }
        let checked = self.plan.checked_output(&sandbox, Changes::Made).await;
        let output = checked.map_err(|fault| match fault {
            OutputFault::Wrong(failure) => Kept::Wrong(failure),
            OutputFault::Database(error) => Kept::Database(error),
        })?;
        warn(&sandbox, output.warnings.iter());
        let decider = self.plan.decider(sandbox, &output.table, &self.telemetry)?;
        self.successor.takes_over(decider);
        self.telemetry.metrics.replaced(Replacement::Done);
        let before = std::mem::replace(&mut self.running, identity);
        Event::ComponentReplaced {
            before: before.0.to_string(),
            now: self.running.0.to_string(),
        }
        .log();
        Ok(())
    }

    /// Loads the component on a thread where that may take its time. Further
    /// wishes are this one's, unless there is a newer file.
    async fn loaded(&mut self) -> Result<Sandbox, Kept> {
        let files = self.plan.files();
        let begun = stamps(&files);
        let given_up = GivenUp::default();
        let mut plan = self.plan.clone();
        plan.conditions.compiler = plan.conditions.compiler.beside_another(given_up.clone());
        let mut loading = spawn_blocking(move || {
            plan.read_keys()?;
            plan.sandbox().map(|sandbox| (sandbox, plan))
        });
        let loaded = loop {
            tokio::select! {
                loaded = &mut loading => break loaded,
                () = self.wish.expressed() => {
                    if stamps(&files) != begun {
                        given_up.give_up();
                    }
                }
            }
        };
        if given_up.is_given_up() {
            return Err(Kept::Outdated);
        }
        let (sandbox, plan) = loaded.ends_as(Kind::Internal)??;
        self.plan = plan;
        Ok(sandbox)
    }
}

/// What a run knows a component by.
pub(super) fn identity(sandbox: &Sandbox) -> Identity {
    (sandbox.digest(), sandbox.key_id().map(str::to_owned))
}
