//! Looking into a component: what stands in its file, what it says of itself,
//! and whether this host would run it. One that would be refused is still
//! looked into as far as it goes.

use std::path::Path;

use anyhow::{Context, Result};

use super::component::{Conditions, Digest, Program, Sandbox, read};
use super::contents::{Contents, FileKind};
use super::description::Description;
use super::engine::Instructions;
use super::judge::Instance;
use super::link::{Capabilities, Grant, INTERFACE, ensure_none};

/// What an interface of this host's begins with, in any version.
const ANY_INTERFACE: &str = "etl:transform/policy@";

/// What was found out about a component.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The SHA-256 of its file.
    pub digest: Digest,
    /// The size of its file, in bytes.
    pub bytes: usize,
    /// What stands in its file.
    pub contents: Contents,
    /// What it says of itself, where it can be asked.
    pub description: Option<Description>,
    /// Whether this host would run it.
    pub readiness: Readiness,
}

/// Whether this host would run a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It would, with these options beside those that are given; there are none
    /// where it needs no more.
    Runs(Vec<String>),
    /// It would not.
    Refused(String),
}

impl Sandbox {
    /// Looks into the component of a file, and would run it under these
    /// conditions. Whatever it imports that can be allowed is given to it here,
    /// because it is only asked what it is; whatever else it imports is a trap.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn inspect(file: &Path, conditions: &Conditions) -> Result<Inspection> {
        let bytes = read(file).with_context(|| format!("load component {}", file.display()))?;
        let contents = Contents::of(&bytes);
        let mut description = None;
        let readiness = match ready(file, &contents, conditions, &mut description) {
            Ok(options) => Readiness::Runs(options),
            Err(error) => Readiness::Refused(format!("{error:#}")),
        };
        Ok(Inspection {
            digest: Digest::of(&bytes),
            bytes: bytes.len(),
            contents,
            description,
            readiness,
        })
    }
}

/// The options that are missing.
///
/// # Errors
/// Why it would be refused, whatever options are added.
fn ready(
    file: &Path,
    contents: &Contents,
    conditions: &Conditions,
    description: &mut Option<Description>,
) -> Result<Vec<String>> {
    let Conditions {
        parameters,
        capabilities,
        ..
    } = conditions;
    let asked = Conditions {
        digests: Vec::new(),
        capabilities: Capabilities::all_and_traps(),
        ..conditions.clone()
    };
    let program = Program::load(file, &asked, 1, Instructions::Uncounted);
    let program = program.map_err(|error| refused(contents).err().unwrap_or(error))?;
    let described = Instance::describe(&program);
    *description = described.as_ref().ok().cloned();
    refused(contents)?;
    let described = described?;
    let mut grants: Vec<Grant> = grants(contents).collect();
    grants.sort();
    grants.dedup();
    let lacking = grants
        .into_iter()
        .filter(|grant| !capabilities.have(*grant));
    let mut options: Vec<String> = lacking
        .filter_map(|grant| Some(grant.option()?.to_owned()))
        .collect();
    let missing = described.missing(parameters)?;
    if missing.is_empty() {
        let arguments = described.arguments(parameters)?;
        // With its parameters it may have columns that it has not without them.
        let configured = Instance::describe_configured(&program, &arguments, &described)?;
        *description = Some(configured);
    }
    options.extend(missing.iter().map(|name| format!("--param {name}=VALUE")));
    Ok(options)
}

/// Refuses imports that nothing gives, in the words of a start.
fn refused(contents: &Contents) -> Result<()> {
    let names = contents.imports.iter().map(String::as_str);
    let refused: Vec<&str> = names
        .filter(|name| Grant::of(name) == Grant::Never)
        .collect();
    match contents.kind {
        FileKind::Component => ensure_none(&refused),
        FileKind::CoreModule | FileKind::Other => Ok(()),
    }
}

/// What gives it its imports.
fn grants(contents: &Contents) -> impl Iterator<Item = Grant> {
    contents.imports.iter().map(|name| Grant::of(name))
}

impl Inspection {
    /// The interface that it exports: this host's, or another version of it.
    pub fn interface(&self) -> Option<&str> {
        let names = self.contents.exports.iter().map(String::as_str);
        names
            .clone()
            .find(|name| *name == INTERFACE)
            .or_else(|| names.clone().find(|name| name.starts_with(ANY_INTERFACE)))
    }

    /// The world of `wit/` that it is of, whatever WASI it wants beside.
    pub fn world(&self) -> Option<&'static str> {
        let imports = |grant| grants(&self.contents).any(|needed| needed == grant);
        if self.interface() != Some(INTERFACE) || imports(Grant::Never) {
            return None;
        }
        Some(match imports(Grant::KeyFile) {
            true => "keyed-transform",
            false => "transform",
        })
    }
}
