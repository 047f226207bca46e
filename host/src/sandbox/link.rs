//! Binding a component to what it may reach: nothing, unless the operator
//! allows it and the component asks for it.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::bindings::TransformPre;
use super::component::told;
use super::keys::Keys;
use super::limits::Meter;

/// The interface that this host runs.
const INTERFACE: &str = "etl:transform/policy@0.1.0";
/// The one import of world `keyed-transform`.
const KEYED_HASH: &str = "etl:transform/keyed-hash@0.1.0";
const HMAC_SHA256: &str = "hmac-sha256";
/// A component may import a million interfaces, by names of 100,000 bytes.
const NAMES_SHOWN_MAX: usize = 20;
const NAME_CHARS_SHOWN_MAX: usize = 100;

/// What the operator lets a component reach.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    keyed_hash: Option<Arc<Keys>>,
}

/// Something beside its messages that a component reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Hashes under the operator's key.
    KeyedHash {
        /// Which key.
        key_id: String,
    },
}

impl Capabilities {
    /// The keyed hash with these keys, or nothing.
    pub fn new(keys: Option<Keys>) -> Self {
        Self {
            keyed_hash: keys.map(Arc::new),
        }
    }

    /// Everything, for a component that is only asked what it is: the key is
    /// no secret, and nothing is hashed under it.
    pub(super) fn all() -> Self {
        Self::new(Some(Keys::public()))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyedHash { key_id } => write!(f, "keyed hash, key {key_id}"),
        }
    }
}

/// Binds a component to the interface, and to those of its imports that it may
/// have. Any other import is refused by its name.
pub(super) fn link(
    engine: &Engine,
    component: &Component,
    capabilities: &Capabilities,
) -> Result<(TransformPre<Meter>, Vec<Capability>)> {
    let mut linker = Linker::new(engine);
    let granted = grant(engine, component, capabilities, &mut linker)?;
    ensure_interface(engine, component)?;
    let pre = linker.instantiate_pre(component).map_err(told)?;
    let pre = TransformPre::new(pre)
        .map_err(told)
        .with_context(|| format!("it does not export all of {INTERFACE}"))?;
    Ok((pre, granted))
}

fn grant(
    engine: &Engine,
    component: &Component,
    capabilities: &Capabilities,
    linker: &mut Linker<Meter>,
) -> Result<Vec<Capability>> {
    let mut granted = Vec::new();
    let mut refused = Vec::new();
    for (name, _) in component.component_type().imports(engine) {
        match (name, &capabilities.keyed_hash) {
            (KEYED_HASH, Some(keys)) => {
                grant_keyed_hash(linker, keys).map_err(told)?;
                granted.push(Capability::KeyedHash {
                    key_id: keys.current_id().to_owned(),
                });
            }
            _ => refused.push(name.to_owned()),
        }
    }
    if refused.is_empty() {
        return Ok(granted);
    }
    let remedy = match refused.iter().all(|name| name == KEYED_HASH) {
        true => "it hashes under a key of yours: give --key-file FILE",
        false => {
            "a component of world `transform` imports nothing, so that it reaches no file, clock, \
             network or variable"
        }
    };
    bail!("it imports {}: refused; {remedy}", listed(&refused));
}

/// Names of a component's own choice, as far as anybody reads them.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX);
    let shown: Vec<String> = shown.map(|name| cut(name)).collect();
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn cut(name: &str) -> String {
    name.chars().take(NAME_CHARS_SHOWN_MAX).collect()
}

fn grant_keyed_hash(linker: &mut Linker<Meter>, keys: &Arc<Keys>) -> wasmtime::Result<()> {
    let keys = Arc::clone(keys);
    linker
        .instance(KEYED_HASH)?
        .func_wrap(HMAC_SHA256, move |_, (values,): (Vec<Vec<u8>>,)| {
            let hashes: Vec<Vec<u8>> = values.iter().map(|value| keys.hash(value)).collect();
            Ok((hashes,))
        })
}

fn ensure_interface(engine: &Engine, component: &Component) -> Result<()> {
    let component_type = component.component_type();
    let exports = component_type.exports(engine).map(|(name, _)| name);
    let policies: Vec<&str> = exports
        .filter(|name| name.starts_with("etl:transform/policy@"))
        .collect();
    match policies.first() {
        Some(_) if policies.contains(&INTERFACE) => Ok(()),
        Some(other) => bail!(
            "it exports {}, and this host runs {INTERFACE}: build it against this host's wit/",
            cut(other)
        ),
        None => bail!(
            "it does not export {INTERFACE}: it is a component of another world; build it against \
             wit/transform.wit, world `transform`"
        ),
    }
}
