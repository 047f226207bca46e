//! Start-up: everything is loaded, found and checked before a message is
//! received.
//!
//! A service that does not answer is waited for; what is configured wrongly
//! ends the program at once, because waiting would not mend it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::decider::{Decider, decider};
use super::replace::{Replacer, Wish, identity};
use super::shadow::Candidate;
use super::watch::Watch;
use super::{BrakeLimits, Parts, Shape};
use crate::backoff::Backoff;
use crate::event::Event;
use crate::exit::{Ends, Failure, Kind, failure};
use crate::output::{
    Database, DatabaseError, FoundSecrets, Ledger, LedgerFault, Policy, Session, Store, Table,
    Writer, dangers, fit, missing_grants,
};
use crate::queue::{Found, Queue, QueueSettings};
use crate::sandbox::{Conditions, Keys, Pointer, Sandbox, SandboxThreads};
use crate::shutdown::Shutdown;
use crate::telemetry::{Dependency, Health, Telemetry};

/// What a run is made of, as the operator asked for it.
#[derive(Clone)]
pub struct Plan {
    /// The component's file.
    pub transform: PathBuf,
    /// The file of a component that judges the same messages and writes
    /// nothing.
    pub shadow: Option<PathBuf>,
    /// Whether the component is replaced when its file changes.
    pub watch: bool,
    /// Where the keys were read from, if from a file.
    pub key_file: Option<PathBuf>,
    /// How it is run.
    pub conditions: Conditions,
    /// The source queue.
    pub queue: QueueSettings,
    /// The database.
    pub database: Database,
    /// The target, `[schema.]table`.
    pub table: String,
    /// Whether the target is created where it is missing.
    pub create_table: bool,
    /// Where a producer's own event id stands.
    pub event_id: Option<String>,
    /// For how long a service is waited for.
    pub startup_wait: Duration,
    /// For how long a drain may go on.
    pub drain_max: Duration,
    /// How often the component may fault.
    pub brakes: BrakeLimits,
    /// How much is done at once.
    pub shape: Shape,
}

impl Plan {
    /// Loads the component, finds queue and database, and checks that they fit
    /// together. None where a stop is asked for meanwhile. `wish` asks for
    /// another component later.
    ///
    /// # Errors
    /// Something is configured wrongly (78), or a service did not answer in
    /// time (69).
    pub async fn prepare(
        self,
        wish: Wish,
        telemetry: &Telemetry,
        shutdown: &mut Shutdown,
    ) -> Result<Option<(Parts, Replacer)>, Failure> {
        tokio::select! {
            prepared = self.prepared(wish, telemetry) => prepared.map(Some),
            () = shutdown.requested() => Ok(None),
        }
    }

    async fn prepared(
        self,
        wish: Wish,
        telemetry: &Telemetry,
    ) -> Result<(Parts, Replacer), Failure> {
        let deadline = Instant::now() + self.startup_wait;
        // Before the component is read, so that no change is missed.
        let watch = self.watch.then(|| Watch::new(self.files()));
        let (sandbox, shadow) = self.loaded().await?;
        let running = identity(&sandbox);
        telemetry.health.started(Dependency::Component);
        let output = self.output(&sandbox, &telemetry.health, deadline).await?;
        let found = self.queues(&telemetry.health, deadline).await?;
        let FoundSecrets { secrets, warning } = output.found_secrets;
        let found = found.with_secrets(&secrets);
        let warnings = output.warnings.iter().chain(&warning);
        warn(&sandbox, warnings.chain(&found.warnings));
        if let Some(shadow) = &shadow {
            warn_of_misfits(shadow, &output.table);
        }
        let table = output.table.name.clone();
        Event::Started {
            queue: &found.queue.name,
            table: format!("{}.{}", table.schema, table.name),
            dead_letter_queue: found
                .dead_letter_queue
                .as_ref()
                .map(|queue| queue.name.as_str()),
        }
        .log();
        let writer = || Writer::new(self.database.clone());
        let mut stores: Vec<Box<dyn Store>> = Vec::new();
        for _ in 1..self.shape.connections {
            stores.push(Box::new(writer()));
        }
        let ledger = Box::new(writer());
        let (successor, present) = decider(self.decider(sandbox, &output.table, telemetry)?);
        stores.insert(0, Box::new(writer().over(output.session)));
        let parts = Parts {
            queue: found.queue,
            dead_letter_queue: found.dead_letter_queue,
            present,
            shadow,
            stores,
            ledger,
            table,
            secrets,
            event_id: self.event_id.clone(),
            brakes: self.brakes,
            shape: self.shape,
            drain_max: self.drain_max,
        };
        let replacer = Replacer {
            plan: self,
            running,
            successor,
            wish,
            watch,
            telemetry: telemetry.clone(),
        };
        Ok((parts, replacer))
    }

    /// Loads the component and its shadow on a thread where that may take its
    /// time: a stop does not wait for it.
    async fn loaded(&self) -> Result<(Sandbox, Option<Candidate>), Failure> {
        let plan = self.clone();
        let loading = spawn_blocking(move || Ok((plan.sandbox()?, plan.candidate()?)));
        loading.await.ends_as(Kind::Internal)?
    }

    /// The files whose change asks for a replacement.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let files = [Some(&self.transform), self.key_file.as_ref()];
        files.into_iter().flatten().cloned().collect()
    }

    /// Puts a component that has been checked to work.
    ///
    /// # Errors
    /// The system gives no thread (70).
    pub(super) fn decider(
        &self,
        sandbox: Sandbox,
        table: &Table,
        telemetry: &Telemetry,
    ) -> Result<Decider, Failure> {
        let description = sandbox.description();
        let digest = sandbox.digest();
        let policy = Policy::new(
            table,
            &description.columns,
            digest.0,
            sandbox.key_id().map(str::to_owned),
        );
        telemetry
            .metrics
            .component(&description.name, &description.version, &digest.to_string());
        let judge = SandboxThreads::start(Arc::new(sandbox), self.shape.sandbox_threads)
            .context("start sandbox threads")
            .ends_as(Kind::Internal)?;
        Ok(Decider {
            judge: Arc::new(judge),
            policy: Arc::new(policy),
        })
    }

    /// The component that judges as a shadow, if there is to be one.
    pub(super) fn shadow_sandbox(&self) -> Result<Option<Sandbox>, Failure> {
        let Some(file) = &self.shadow else {
            return Ok(None);
        };
        let conditions = Conditions {
            // They speak of the component that writes.
            digests: Vec::new(),
            ..self.conditions.clone()
        };
        let sandbox = Sandbox::load(file, &conditions, 1).context("load the shadow");
        sandbox.map(Some).ends_as(Kind::Configuration)
    }

    /// Puts the shadow to work, on a thread of its own.
    fn candidate(&self) -> Result<Option<Candidate>, Failure> {
        let Some(sandbox) = self.shadow_sandbox()? else {
            return Ok(None);
        };
        let description = sandbox.description();
        let component = sandbox.label();
        Event::ShadowLoaded {
            component: &component,
            reaches: reaches(&sandbox),
        }
        .log();
        let columns = description.columns.clone();
        let judge = SandboxThreads::start(Arc::new(sandbox), 1)
            .context("start a thread for the shadow")
            .ends_as(Kind::Internal)?;
        Ok(Some(Candidate {
            component,
            judge: Arc::new(judge),
            columns,
        }))
    }

    /// Reads the keys again, where they stand in a file.
    pub(super) fn read_keys(&mut self) -> Result<(), Failure> {
        if let Some(file) = &self.key_file {
            let keys = Keys::read(file).ends_as(Kind::Configuration)?;
            let capabilities = std::mem::take(&mut self.conditions.capabilities);
            self.conditions.capabilities = capabilities.with_keys(keys);
        }
        Ok(())
    }

    pub(super) fn sandbox(&self) -> Result<Sandbox, Failure> {
        let sandbox = Sandbox::load(
            &self.transform,
            &self.conditions,
            self.shape.sandbox_threads,
        )
        .ends_as(Kind::Configuration)?;
        let description = sandbox.description();
        Event::ComponentLoaded {
            name: &description.name,
            version: &description.version,
            digest: sandbox.digest().to_string(),
            from_cache: sandbox.from_cache(),
            reaches: reaches(&sandbox),
        }
        .log();
        Ok(sandbox)
    }

    async fn output(
        &self,
        sandbox: &Sandbox,
        health: &Health,
        deadline: Instant,
    ) -> Result<Output, Failure> {
        let place = self.database.place();
        let mut waiting = Waiting::new((Dependency::Database, health), &place, deadline);
        loop {
            match self.checked_output(sandbox, Changes::Made).await {
                Ok(output) => {
                    health.started(Dependency::Database);
                    return Ok(output);
                }
                Err(OutputFault::Wrong(failure)) => return Err(failure),
                Err(OutputFault::Database(error)) => {
                    waiting.again(&error, error.may_pass()).await?;
                }
            }
        }
    }

    pub(super) async fn checked_output(
        &self,
        sandbox: &Sandbox,
        changes: Changes,
    ) -> Result<Output, OutputFault> {
        let session = self.database.connect().await?;
        if changes == Changes::Rehearsed {
            session.rehearse().await?;
        }
        let found = match Ledger::ensure(&session).await {
            Ok(found) => found,
            Err(LedgerFault::Shape(words)) => {
                return Err(OutputFault::Wrong(failure(Kind::Configuration, words)));
            }
            Err(LedgerFault::Database(error)) if !error.may_pass() => {
                return Err(OutputFault::Wrong(failure(
                    Kind::Configuration,
                    format!(
                        "the ledger cannot be created or read: {error}; have a database \
                         administrator run what `etl-host ddl` prints, with the grants in it"
                    ),
                )));
            }
            Err(LedgerFault::Database(error)) => return Err(error.into()),
        };
        let mut created: Vec<String> = found.created.into_iter().map(str::to_owned).collect();
        let table = match Table::find(&session, &self.table).await? {
            Some(table) => table,
            None => {
                let table = self.created_target(&session, sandbox).await?;
                created.push(format!("{}.{}", table.name.schema, table.name.name));
                table
            }
        };
        let mut warnings = match fit(&table, &sandbox.description().columns) {
            Ok(warnings) => warnings,
            Err(misfits) => {
                return Err(OutputFault::Wrong(failure(
                    Kind::Configuration,
                    format!(
                        "table {} does not fit component {}:\n  {}",
                        self.table,
                        sandbox.description().name,
                        misfits.join("\n  ")
                    ),
                )));
            }
        };
        let columns = &sandbox.description().columns;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let grants = missing_grants(&session, &table, &names).await?;
        if !grants.is_empty() {
            return Err(OutputFault::Wrong(failure(
                Kind::Configuration,
                format!(
                    "permissions are missing in {}; have a database administrator run:\n  {}",
                    self.database.place(),
                    grants.join(";\n  ")
                ),
            )));
        }
        warnings.extend(dangers(&session, &table).await?);
        Ok(Output {
            session,
            table,
            created,
            warnings,
            found_secrets: found.found_secrets,
        })
    }

    async fn created_target(
        &self,
        session: &Session,
        sandbox: &Sandbox,
    ) -> Result<Table, OutputFault> {
        let missing = || {
            OutputFault::Wrong(failure(
                Kind::Configuration,
                format!(
                    "table {} does not exist in {}: create it, or give --create-table to have it \
                     created from the component's description",
                    self.table,
                    self.database.place()
                ),
            ))
        };
        if !self.create_table {
            return Err(missing());
        }
        Table::create(session, &self.table, &sandbox.description().columns).await?;
        Table::find(session, &self.table).await?.ok_or_else(missing)
    }

    async fn queues(&self, health: &Health, deadline: Instant) -> Result<Found, Failure> {
        let mut waiting = Waiting::new((Dependency::Queue, health), &self.queue.url, deadline);
        loop {
            match Queue::find(&self.queue).await {
                Ok(found) => {
                    health.started(Dependency::Queue);
                    return Ok(found);
                }
                Err(error) => waiting.again(&error, error.may_pass()).await?,
            }
        }
    }
}

/// Logs what an operator should know of a component and of what it runs with.
pub(super) fn warn<'a>(sandbox: &Sandbox, warnings: impl Iterator<Item = &'a String>) {
    if let Some(words) = unkeyed(sandbox) {
        Event::Warning(&words).log();
    }
    for words in warnings {
        Event::Warning(words).log();
    }
}

/// A shadow that does not fit the table can be compared, and not take over.
fn warn_of_misfits(shadow: &Candidate, table: &Table) {
    if let Err(misfits) = fit(table, &shadow.columns) {
        let words = format!("the shadow does not fit the table: {}", misfits.join("; "));
        Event::Warning(&words).log();
    }
}

/// What the component reaches, in words.
pub(super) fn reaches(sandbox: &Sandbox) -> String {
    let capabilities = sandbox.capabilities().iter();
    let words: Vec<String> = capabilities.map(ToString::to_string).collect();
    match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.join(", "),
    }
}

/// What an operator should know of a component that masks without a key.
pub(super) fn unkeyed(sandbox: &Sandbox) -> Option<String> {
    let guarded = sandbox.guarded().iter();
    let pointers: Vec<&str> = guarded.map(Pointer::as_str).collect();
    if pointers.is_empty() || sandbox.key_id().is_some() {
        return None;
    }
    Some(format!(
        "the component has no key: what it makes of {} can be made by anyone who guesses the \
         value, and all IPv4 addresses are guessed in minutes; a keyed component, such as \
         guests/hmac_mask.wasm with --key-file, closes that",
        pointers.join(", ")
    ))
}

/// What becomes of changes that start-up makes to the database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    Made,
    /// They are tried and undone.
    Rehearsed,
}

/// The database, found and checked.
pub(super) struct Output {
    session: Session,
    pub(super) table: Table,
    /// What was missing, and is there now.
    pub(super) created: Vec<String>,
    /// What may refuse single rows, or endangers commits.
    pub(super) warnings: Vec<String>,
    /// What proves a message's origin.
    pub(super) found_secrets: FoundSecrets,
}

/// Why the database cannot be used.
pub(super) enum OutputFault {
    Database(DatabaseError),
    Wrong(Failure),
}

impl From<DatabaseError> for OutputFault {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// Waiting for a service until a deadline, with one log line a cause.
struct Waiting<'a> {
    part: Dependency,
    health: &'a Health,
    place: &'a str,
    deadline: Instant,
    backoff: Backoff,
    logged: String,
}

impl<'a> Waiting<'a> {
    fn new((part, health): (Dependency, &'a Health), place: &'a str, deadline: Instant) -> Self {
        Self {
            part,
            health,
            place,
            deadline,
            backoff: Backoff::default(),
            logged: String::new(),
        }
    }

    /// Waits for the next try; an error where there is none.
    async fn again(&mut self, error: &impl ToString, may_pass: bool) -> Result<(), Failure> {
        let service = match self.part {
            Dependency::Queue => "queue",
            Dependency::DeadLetterQueue => "dead-letter-queue",
            Dependency::Database => "database",
            Dependency::Component => "component",
        };
        let place = self.place;
        let cause = error.to_string();
        self.health.waits_for(self.part, &cause);
        if !may_pass {
            return Err(failure(
                Kind::Configuration,
                // The queue's own errors come with their remedies.
                match service {
                    "queue" => format!("use {service} {place}: {cause}"),
                    _ => format!("use {service} {place}: {cause} (check --{service}-url)"),
                },
            ));
        }
        let wait = self.backoff.next_wait();
        if Instant::now() + wait > self.deadline {
            return Err(failure(
                Kind::Unavailable,
                format!(
                    "reach {service} {place}: {cause} (waited as long as --startup-wait-secs says)"
                ),
            ));
        }
        if self.logged != cause {
            self.logged.clone_from(&cause);
            Event::WaitingFor {
                service,
                place,
                cause,
            }
            .log();
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
