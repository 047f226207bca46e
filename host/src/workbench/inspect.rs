//! `etl-host inspect`: what a component is, what it wants, and whether this host
//! would run it, before anybody gives it a message.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::shares::grouped;
use crate::cli::{ComponentArgs, Output, TABLE_DEFAULT, database, table};
use crate::exit::{Ends, Failure, Kind, failure};
use crate::foreign::{component_name, component_words};
use crate::output::{Database, DatabaseError, STATEMENT_SECS_DEFAULT, Table, fit};
use crate::row::Column;
use crate::sandbox::{
    Description, FileKind, Grant, Inspection, Package, Pointer, Readiness, Sandbox,
};

/// What a person is shown of a long list; `--output json` has all of it.
const SHOWN_MAX: usize = 50;
/// How wide the names before the lines are.
const NAME_WIDTH: usize = 12;

/// What the inspect subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  etl-host inspect guests/hmac_mask.wasm
  etl-host inspect guests/sha256_mask.wasm --table user_logins \\
      --database-url postgres://user:password@localhost/logins

It exits 0 where this host would run the component, perhaps with more options,
which it names; 78 where it would not, or where the table does not fit.")]
pub struct InspectArgs {
    /// The transform component (.wasm).
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// Compare its columns with the table of this database: as
    /// ETL_HOST_DATABASE_URL it keeps the password out of the process list. With
    /// --table alone, the database is the one of DATABASE_URL or of PG*.
    #[arg(
        long,
        value_name = "URL",
        env = "ETL_HOST_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// The table, [schema.]table, to compare its columns with; default:
    /// user_logins.
    #[arg(long, value_name = "NAME", env = "ETL_HOST_TABLE")]
    table: Option<String>,
    #[command(flatten)]
    conditions: ComponentArgs,
    /// How the result is printed.
    #[arg(long, env = "ETL_HOST_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// What was found out about a component.
#[derive(Debug, Serialize)]
pub struct Report {
    file: PathBuf,
    kind: FileKind,
    name: Option<String>,
    version: Option<String>,
    sha256: String,
    bytes: usize,
    interface: Option<String>,
    world: Option<&'static str>,
    imports: Vec<Import>,
    columns: Vec<ReportedColumn>,
    fields: Vec<ReportedField>,
    parameters: Vec<ReportedParameter>,
    metadata: BTreeMap<String, String>,
    producers: BTreeMap<String, BTreeMap<String, String>>,
    packages: Option<BTreeSet<Package>>,
    damage: Vec<String>,
    runs: bool,
    options: Vec<String>,
    refused: Option<String>,
    table: Option<TableReport>,
}

/// Something that the component wants from its host.
#[derive(Debug, Serialize)]
struct Import {
    name: String,
    /// The option that gives it, unless nothing does.
    option: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct ReportedColumn {
    name: String,
    #[serde(rename = "type")]
    value_type: String,
    nullable: bool,
}

#[derive(Debug, Serialize)]
struct ReportedField {
    pointer: String,
    sensitive: bool,
}

#[derive(Debug, Serialize)]
struct ReportedParameter {
    name: String,
    required: bool,
    default: Option<String>,
    help: String,
}

/// Whether the component's columns fit a table.
#[derive(Debug, Serialize)]
struct TableReport {
    table: String,
    fits: bool,
    /// What may refuse single rows; or why it does not fit, with the remedy.
    notes: Vec<String>,
    /// How a run would end.
    #[serde(skip)]
    fault: Option<(Kind, String)>,
}

impl TableReport {
    fn unfit(table: String, kind: Kind, words: String, notes: Vec<String>) -> Self {
        Self {
            table,
            fits: false,
            notes,
            fault: Some((kind, words)),
        }
    }
}

impl InspectArgs {
    /// Inspects.
    ///
    /// # Errors
    /// The file cannot be read, or what was typed makes no sense (78).
    pub fn run(self) -> Result<Report, Failure> {
        let target = match (self.database_url, self.table) {
            (None, None) => None,
            (url, name) => {
                let name = table(name.unwrap_or_else(|| TABLE_DEFAULT.to_owned()))?;
                Some((database(url, STATEMENT_SECS_DEFAULT)?, name))
            }
        };
        let conditions = self.conditions.conditions(Vec::new())?;
        let found = Sandbox::inspect(&self.component, &conditions).ends_as(Kind::Configuration)?;
        let table = match (target, &found.description) {
            (Some((database, name)), Some(description)) => {
                Some(compared(&database, name, &description.columns)?)
            }
            _ => None,
        };
        Ok(report(self.component, found, &conditions.sensitive, table))
    }
}

/// Compares columns with those of a table.
///
/// # Errors
/// The system gives no runtime (70).
fn compared(database: &Database, name: String, columns: &[Column]) -> Result<TableReport, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let found = runtime
        .ends_as(Kind::Internal)?
        .block_on(find(database, &name));
    let place = database.place();
    let wrong = Kind::Configuration;
    Ok(match found {
        Err(error) => {
            let failure = Failure::from(error);
            let words = format!("use database {place}: {}", failure.message());
            TableReport::unfit(name, failure.kind(), words.clone(), vec![words])
        }
        Ok(None) => {
            let words = format!("table {name} does not exist in {place}");
            let remedy = "create it, or have a run do so (--create-table)";
            let notes = vec![format!("{words}: {remedy}")];
            TableReport::unfit(name, wrong, words, notes)
        }
        Ok(Some(table)) => match fit(&table, columns) {
            Ok(warnings) => TableReport {
                table: name,
                fits: true,
                notes: warnings,
                fault: None,
            },
            Err(misfits) => {
                let words = format!("table {name} does not fit the component");
                TableReport::unfit(name, wrong, words, misfits)
            }
        },
    })
}

async fn find(database: &Database, name: &str) -> Result<Option<Table>, DatabaseError> {
    let connection = database.connect().await?;
    let table = Table::find(&connection, name).await;
    connection.close().await;
    table
}

fn report(
    file: PathBuf,
    found: Inspection,
    guarded: &[Pointer],
    table: Option<TableReport>,
) -> Report {
    let (interface, world) = (found.interface().map(str::to_owned), found.world());
    let Inspection {
        digest,
        bytes,
        contents,
        description,
        readiness,
    } = found;
    let (runs, options, refused) = match readiness {
        Readiness::Runs(options) => (true, options, None),
        Readiness::Refused(why) => (false, Vec::new(), Some(why)),
    };
    let is_component = contents.kind == FileKind::Component;
    let imports = contents.imports.into_iter().map(|name| Import {
        option: Grant::of(&name).option().filter(|_| is_component),
        name,
    });
    let described = description.as_ref();
    Report {
        file,
        kind: contents.kind,
        name: described.map(|described| described.name.clone()),
        version: described.map(|described| described.version.clone()),
        sha256: digest.to_string(),
        bytes,
        interface,
        world,
        imports: imports.collect(),
        columns: described.map(columns).unwrap_or_default(),
        fields: described
            .map(|described| fields(described, guarded))
            .unwrap_or_default(),
        parameters: described.map(parameters).unwrap_or_default(),
        metadata: contents.texts,
        producers: contents.producers,
        packages: contents.packages,
        damage: contents.damage,
        runs,
        options,
        refused,
        table,
    }
}

fn columns(described: &Description) -> Vec<ReportedColumn> {
    let columns = described.columns.iter().map(|column| ReportedColumn {
        name: column.name.clone(),
        value_type: column.value_type.to_string(),
        nullable: column.nullable,
    });
    columns.collect()
}

/// Those that it reads, then those that only the operator guards.
fn fields(described: &Description, guarded: &[Pointer]) -> Vec<ReportedField> {
    let declared = described.fields.iter().map(|field| ReportedField {
        pointer: field.pointer.as_str().to_owned(),
        sensitive: field.sensitive || guarded.contains(&field.pointer),
    });
    let is_declared = |pointer: &&Pointer| {
        let mut fields = described.fields.iter();
        fields.any(|field| field.pointer == **pointer)
    };
    let more = guarded.iter().filter(|pointer| !is_declared(pointer));
    let more = more.map(|pointer| ReportedField {
        pointer: pointer.as_str().to_owned(),
        sensitive: true,
    });
    declared.chain(more).collect()
}

fn parameters(described: &Description) -> Vec<ReportedParameter> {
    let parameters = described
        .parameters
        .iter()
        .map(|parameter| ReportedParameter {
            name: parameter.name.clone(),
            required: parameter.required,
            default: parameter.default.clone(),
            help: parameter.help.clone(),
        });
    parameters.collect()
}

impl Report {
    /// What the program ends with: nothing where this host would run it.
    pub fn failure(&self) -> Option<Failure> {
        let file = self.file.display();
        if let Some(why) = &self.refused {
            let words = format!("this host does not run {file}: {why}");
            return Some(failure(Kind::Configuration, words));
        }
        let (kind, words) = self.table.as_ref()?.fault.clone()?;
        Some(failure(kind, words))
    }

    /// Several lines, for a person.
    pub fn text(&self) -> String {
        let mut lines = Lines::default();
        let (name, version) = (self.name.as_deref(), self.version.as_deref());
        let title = match (name, version) {
            (Some(name), Some(version)) => format!("{name} {version}"),
            _ => self.kind_words().to_owned(),
        };
        lines.add("component", [title]);
        lines.add("file", [self.file.display().to_string()]);
        lines.add("SHA-256", [self.sha256.clone()]);
        lines.add("size", [format!("{} bytes", grouped(self.bytes as u64))]);
        if self.kind == FileKind::Component {
            lines.add("interface", [self.interface_words()]);
        }
        lines.add("wants", self.wants());
        lines.add("columns", self.columns.iter().map(ReportedColumn::text));
        lines.add("reads", self.pointers(false));
        lines.add("sensitive", self.pointers(true));
        let parameters = self.parameters.iter().map(ReportedParameter::text);
        lines.add("parameters", parameters);
        for (name, text) in &self.metadata {
            lines.add(name, [text.clone()]);
        }
        for (field, tools) in &self.producers {
            let tools = tools.iter();
            let tools = tools.map(|(tool, version)| format!("{tool} {version}").trim().to_owned());
            lines.add(field, [tools.collect::<Vec<_>>().join(", ")]);
        }
        if let Some(packages) = &self.packages {
            let count = match packages.len() {
                1 => "1 package".to_owned(),
                count => format!("{count} packages"),
            };
            let packages = packages.iter().map(package_text);
            lines.add("SBOM", std::iter::once(count).chain(packages));
        }
        lines.add("damaged", self.damage.iter().cloned());
        if let Some(table) = &self.table {
            let fits = if table.fits { "fits" } else { "does not fit" };
            let verdict = format!("{} {fits}", table.table);
            let notes = table.notes.iter().cloned();
            lines.add("table", std::iter::once(verdict).chain(notes));
        }
        lines.add("runs here", [self.verdict()]);
        lines.0
    }

    fn kind_words(&self) -> &'static str {
        match self.kind {
            FileKind::Component => "a component",
            FileKind::CoreModule => "a core module, of which a component has yet to be made",
            FileKind::Other => "no WebAssembly",
        }
    }

    fn interface_words(&self) -> String {
        match (&self.interface, self.world) {
            (Some(interface), Some(world)) => {
                let wasi = Grant::AllowWasi.option();
                let wants_wasi = self.imports.iter().any(|import| import.option == wasi);
                let beside = if wants_wasi {
                    " and a WASI beside it"
                } else {
                    ""
                };
                format!("{interface}, world {world}{beside}")
            }
            (Some(interface), None) => format!("{interface}, of no world of this host's"),
            (None, _) => "none of this host's".to_owned(),
        }
    }

    fn wants(&self) -> Vec<String> {
        let of_component = self.kind == FileKind::Component;
        if self.imports.is_empty() && of_component {
            return vec!["nothing: it reaches its messages alone".to_owned()];
        }
        let wants = self
            .imports
            .iter()
            .map(|Import { name, option }| match option {
                Some(option) => format!("{name}: {option}"),
                None if of_component => format!("{name}: refused, nothing gives it"),
                None => name.clone(),
            });
        wants.collect()
    }

    fn pointers(&self, sensitive: bool) -> Option<String> {
        let fields = self
            .fields
            .iter()
            .filter(|field| field.sensitive == sensitive);
        let pointers: Vec<String> = fields
            .map(|field| component_words(&field.pointer))
            .collect();
        (!pointers.is_empty()).then(|| pointers.join(", "))
    }

    fn verdict(&self) -> String {
        match (&self.refused, &self.options[..]) {
            (Some(why), _) => format!("no: {why}"),
            (None, []) => "yes".to_owned(),
            (None, options) => format!("yes, with {}", options.join(" ")),
        }
    }
}

impl ReportedColumn {
    fn text(&self) -> String {
        let may_be_null = if self.nullable { ", may be null" } else { "" };
        format!(
            "{:<24} {}{may_be_null}",
            component_name(&self.name),
            self.value_type
        )
    }
}

impl ReportedParameter {
    fn text(&self) -> String {
        let Self {
            name,
            required,
            default,
            help,
        } = self;
        let default = match (required, default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("default {}", component_words(default)),
            (false, None) => "may be left out".to_owned(),
        };
        format!("{name:<24} {default}: {help}")
    }
}

fn package_text(package: &Package) -> String {
    let Package {
        name,
        version,
        source,
        kind,
    } = package;
    let kind = if kind == "runtime" {
        ""
    } else {
        ", to build it"
    };
    format!("{name} {version} ({source}{kind})")
}

/// Names at the left, what stands for them at the right.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, texts: impl IntoIterator<Item = String>) {
        let mut name = name;
        let mut more = 0;
        for (number, text) in texts.into_iter().enumerate() {
            if number >= SHOWN_MAX {
                more += 1;
                continue;
            }
            let _ = writeln!(self.0, "{name:<NAME_WIDTH$} {text}");
            name = "";
        }
        if more > 0 {
            let _ = writeln!(
                self.0,
                "{name:<NAME_WIDTH$} and {more} more: --output json has them all"
            );
        }
    }
}
