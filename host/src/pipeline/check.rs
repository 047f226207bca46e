//! `etl-host check`: everything that start-up looks at, and nothing received
//! or changed.

use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;

use super::start::{Changes, OutputFault, Plan, reaches, unkeyed};
use crate::exit::Failure;
use crate::output::FoundSecrets;
use crate::queue::{Found, Queue};
use crate::sandbox::{Pointer, Sandbox};

/// What was found out about everything that a run depends on.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// One for each dependency, in the order of checking.
    pub checks: Vec<Check>,
}

/// What was found out about one dependency.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What it is.
    pub dependency: &'static str,
    /// Which one.
    pub name: String,
    /// Whether a run could use it.
    pub ok: bool,
    /// How long it took to find out, in milliseconds.
    pub milliseconds: u64,
    /// What an operator should know.
    pub notes: Vec<String>,
    /// What endangers the delivery, with the remedy; or why it is not ok.
    pub warnings: Vec<String>,
    #[serde(skip)]
    exit: Option<Failure>,
}

impl Plan {
    /// Checks the component, the database with ledger and table, and the
    /// queues, each once and without waiting.
    pub async fn check(&self) -> Report {
        let mut report = Report::default();
        let began = Instant::now();
        let sandbox = self.sandbox();
        let name = self.transform.display().to_string();
        let sandbox = match sandbox {
            Ok(sandbox) => {
                report.add("component", name, began, component_notes(&sandbox), vec![]);
                Some(sandbox)
            }
            Err(failure) => {
                report.fail("component", name, began, failure);
                None
            }
        };
        self.check_shadow(&mut report);
        self.check_database(&mut report, sandbox.as_ref()).await;
        self.check_queue(&mut report).await;
        report
    }

    fn check_shadow(&self, report: &mut Report) {
        let Some(file) = &self.shadow else { return };
        let began = Instant::now();
        let name = file.display().to_string();
        match self.shadow_sandbox() {
            Ok(sandbox) => {
                let notes = sandbox.as_ref().map(component_notes).unwrap_or_default();
                report.add("shadow", name, began, notes, vec![]);
            }
            Err(failure) => report.fail("shadow", name, began, failure),
        }
    }

    async fn check_database(&self, report: &mut Report, sandbox: Option<&Sandbox>) {
        let began = Instant::now();
        let place = self.database.place();
        // Whether the table fits can be told only where the component loads.
        let Some(sandbox) = sandbox else {
            match self.database.connect().await {
                Ok(_) => report.add("database", place, began, vec![], vec![]),
                Err(error) => report.fail("database", place, began, error.into()),
            }
            return;
        };
        match self.checked_output(sandbox, Changes::Rehearsed).await {
            Ok(output) => {
                let table = output.table.name;
                let mut notes = vec![format!("table {}.{} fits", table.schema, table.name)];
                let missing = output.created.iter();
                notes.extend(missing.map(|name| format!("{name} is missing: a run creates it")));
                let FoundSecrets { secrets, warning } = output.found_secrets;
                let signs = |id| format!("dead letters are signed under secret {id}");
                notes.extend(secrets.signing_id().map(signs));
                let warnings = output.warnings.into_iter().chain(warning);
                report.add("database", place, began, notes, warnings.collect());
            }
            Err(OutputFault::Wrong(failure)) => report.fail("database", place, began, failure),
            Err(OutputFault::Database(error)) => {
                report.fail("database", place, began, error.into());
            }
        }
    }

    async fn check_queue(&self, report: &mut Report) {
        let began = Instant::now();
        let url = self.queue.url.clone();
        let found = match Queue::find(&self.queue).await {
            Ok(found) => found,
            Err(error) => return report.fail("queue", url, began, error.into()),
        };
        let mut notes = queue_notes(&found);
        if let Ok(backlog) = found.queue.backlog().await {
            notes.push(format!(
                "{} messages visible, {} in flight, {} delayed",
                backlog.visible, backlog.in_flight, backlog.delayed
            ));
        }
        report.add("queue", url, began, notes, found.warnings);
    }
}

fn component_notes(sandbox: &Sandbox) -> Vec<String> {
    let description = sandbox.description();
    let guarded = sandbox.guarded();
    let fields = description.fields.iter().map(|field| &field.pointer);
    let open: Vec<&Pointer> = fields.filter(|field| !guarded.contains(field)).collect();
    let mut notes = vec![
        format!(
            "{} {}, SHA-256 {}",
            description.name,
            description.version,
            sandbox.digest()
        ),
        format!("reads {}; sensitive: {}", list(open), list(guarded)),
        format!("reaches {}", reaches(sandbox)),
        match sandbox.from_cache() {
            true => "its compiled code is in the cache".to_owned(),
            false => "compiled anew".to_owned(),
        },
    ];
    notes.extend(unkeyed(sandbox));
    notes
}

fn list<'a>(pointers: impl IntoIterator<Item = &'a Pointer>) -> String {
    let texts: Vec<&str> = pointers.into_iter().map(Pointer::as_str).collect();
    texts.join(", ")
}

fn queue_notes(found: &Found) -> Vec<String> {
    let timing = found.queue.timing;
    let dead_letters = match &found.dead_letter_queue {
        Some(queue) => format!("rejected messages go to {}", queue.name),
        None => "rejected messages stay in it".to_owned(),
    };
    vec![
        format!(
            "lease {:?}, extended after {:?}; poll {:?}; a receive may take {:?}, any other \
             call {:?}",
            timing.lease, timing.extension_due, timing.poll, timing.receive_max, timing.call_max
        ),
        dead_letters,
    ]
}

impl Report {
    fn add(
        &mut self,
        dependency: &'static str,
        name: String,
        began: Instant,
        notes: Vec<String>,
        warnings: Vec<String>,
    ) {
        self.checks.push(Check {
            dependency,
            name,
            ok: true,
            milliseconds: milliseconds(began),
            notes,
            warnings,
            exit: None,
        });
    }

    fn fail(&mut self, dependency: &'static str, name: String, began: Instant, failure: Failure) {
        self.checks.push(Check {
            dependency,
            name,
            ok: false,
            milliseconds: milliseconds(began),
            notes: Vec::new(),
            warnings: vec![failure.message()],
            exit: Some(failure),
        });
    }

    /// The first failure, which gives the exit code.
    pub fn failure(self) -> Option<Failure> {
        self.checks.into_iter().find_map(|check| check.exit)
    }

    /// Several lines, for a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let verdict = match (check.ok, check.warnings.is_empty()) {
                (true, true) => "ok",
                (true, false) => "ok, with warnings",
                (false, _) => "FAILED",
            };
            let _ = writeln!(
                text,
                "{:<10} {verdict}, {} ms: {}",
                check.dependency, check.milliseconds, check.name
            );
            for note in &check.notes {
                let _ = writeln!(text, "             {note}");
            }
            for warning in &check.warnings {
                let _ = writeln!(text, "           ! {warning}");
            }
        }
        text
    }
}

fn milliseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
