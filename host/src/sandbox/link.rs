//! Binding a component to what it may reach: nothing, unless the operator
//! allows it and the component asks for it.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, StoreContextMut, Trap};

use super::allowance::Allowance;
use super::bindings::TransformPre;
use super::component::told;
use super::keys::Keys;
use super::limits::Meter;
use super::wasi;
use crate::foreign::component_name;

/// The interface that this host runs.
pub(super) const INTERFACE: &str = "etl:transform/policy@0.1.0";
/// The one import of world `keyed-transform`.
const KEYED_HASH: &str = "etl:transform/keyed-hash@0.1.0";
const HMAC_SHA256: &str = "hmac-sha256";
/// A component may import a million interfaces, by names of 100,000 bytes.
const NAMES_SHOWN_MAX: usize = 20;
/// Hashes between two looks at the clock: a look costs a tenth of a hash, and so
/// many take some 20 microseconds.
const HASHES_PER_LOOK: usize = 64;
/// What an empty WASI is, in words.
const EMPTY_WASI: &str = "no file, variable, argument or socket; output is dropped; clocks and \
                          randomness are fixed";

/// What the operator lets a component reach.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    keyed_hash: Option<Arc<Keys>>,
    wasi: bool,
    /// Whether there is a trap in place of anything else, so that a component
    /// can be asked what it is although it will not be run.
    traps: bool,
}

/// Something beside its messages that a component reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Hashes under the operator's key.
    KeyedHash {
        /// Which key.
        key_id: String,
    },
    /// A WASI in which nothing is.
    EmptyWasi,
}

/// By which option a component gets what it imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// `--key-file`, or the keys as a variable.
    KeyFile,
    /// `--allow wasi`.
    AllowWasi,
    /// By none: it is refused.
    Never,
}

impl Grant {
    /// What gives a component this import.
    pub fn of(import: &str) -> Self {
        match import {
            KEYED_HASH => Self::KeyFile,
            _ if wasi::has(import) => Self::AllowWasi,
            _ => Self::Never,
        }
    }

    /// The option, as it is typed.
    pub fn option(self) -> Option<&'static str> {
        match self {
            Self::KeyFile => Some("--key-file FILE"),
            Self::AllowWasi => Some("--allow wasi"),
            Self::Never => None,
        }
    }
}

impl Capabilities {
    /// The keyed hash with these keys, where there are any, and the empty WASI
    /// where it is allowed.
    pub fn new(keys: Option<Keys>, wasi: bool) -> Self {
        Self {
            keyed_hash: keys.map(Arc::new),
            wasi,
            traps: false,
        }
    }

    /// The same with other keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self {
            keyed_hash: Some(Arc::new(keys)),
            ..self
        }
    }

    /// Everything, for a component that is only asked what it is: the key is
    /// no secret, and nothing is hashed under it.
    pub(super) fn all() -> Self {
        Self::new(Some(Keys::public()), true)
    }

    /// Everything, and a trap for whoever uses what nothing gives.
    pub(super) fn all_and_traps() -> Self {
        Self {
            traps: true,
            ..Self::all()
        }
    }

    /// Whether it includes what gives an import.
    pub(super) fn have(&self, grant: Grant) -> bool {
        match grant {
            Grant::KeyFile => self.keyed_hash.is_some(),
            Grant::AllowWasi => self.wasi,
            Grant::Never => false,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyedHash { key_id } => write!(f, "keyed hash, key {key_id}"),
            Self::EmptyWasi => write!(f, "an empty WASI ({EMPTY_WASI})"),
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
    let component_type = component.component_type();
    for (name, _) in component_type.imports(engine) {
        match &capabilities.keyed_hash {
            Some(keys) if name == KEYED_HASH => {
                grant_keyed_hash(linker, keys).map_err(told)?;
                granted.push(Capability::KeyedHash {
                    key_id: keys.current_id().to_owned(),
                });
            }
            _ if capabilities.wasi && wasi::has(name) => {
                if !granted.contains(&Capability::EmptyWasi) {
                    wasi::add(engine, component, linker).map_err(told)?;
                    granted.push(Capability::EmptyWasi);
                }
            }
            _ => refused.push(name),
        }
    }
    // Only where they are needed: a trap may take the place of a WASI's function
    // whose version is another patch.
    match capabilities.traps && !refused.is_empty() {
        true => linker
            .define_unknown_imports_as_traps(component)
            .map_err(told)?,
        false => ensure_none(&refused)?,
    }
    Ok(granted)
}

/// Refuses a component with imports that it is not given.
pub(super) fn ensure_none(refused: &[&str]) -> Result<()> {
    match refused.is_empty() {
        true => Ok(()),
        false => bail!(
            "it imports {}: refused; {}",
            listed(refused),
            remedy(refused)
        ),
    }
}

/// What would have to be allowed, or that nothing would help.
fn remedy(refused: &[&str]) -> String {
    let (grantable, hopeless): (Vec<&str>, Vec<&str>) = refused
        .iter()
        .partition(|name| Grant::of(name) != Grant::Never);
    if !hopeless.is_empty() {
        return format!(
            "nothing gives it {}: a component of world `transform` imports nothing, so that it \
             reaches no file, clock, network or variable",
            listed(&hopeless)
        );
    }
    let mut remedies = Vec::new();
    if grantable.contains(&KEYED_HASH) {
        remedies.push("it hashes under a key of yours: give --key-file FILE".to_owned());
    }
    if grantable.iter().any(|name| wasi::has(name)) {
        remedies.push(format!(
            "its language runtime wants a WASI: --allow wasi gives it an empty one ({EMPTY_WASI})"
        ));
    }
    remedies.join("; ")
}

/// Names of a component's own choice, as far as anybody reads them.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX);
    let shown: Vec<String> = shown.map(|name| component_name(name)).collect();
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn grant_keyed_hash(linker: &mut Linker<Meter>, keys: &Arc<Keys>) -> wasmtime::Result<()> {
    let keys = Arc::clone(keys);
    linker.instance(KEYED_HASH)?.func_wrap(
        HMAC_SHA256,
        move |mut store: StoreContextMut<'_, Meter>, (values,): (Vec<Vec<u8>>,)| {
            Ok((hashes(&keys, &values, &mut store.data_mut().allowance)?,))
        },
    )
}

/// The hashes, unless the guest's time ends: it may ask for millions at once.
fn hashes(
    keys: &Keys,
    values: &[Vec<u8>],
    allowance: &mut Allowance,
) -> wasmtime::Result<Vec<Vec<u8>>> {
    let mut hashes = Vec::with_capacity(values.len());
    for values in values.chunks(HASHES_PER_LOOK) {
        if allowance.is_over() {
            return Err(Trap::Interrupt.into());
        }
        hashes.extend(values.iter().map(|value| keys.hash(value)));
    }
    Ok(hashes)
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
            component_name(other)
        ),
        None => bail!(
            "it does not export {INTERFACE}: it is a component of another world; build it against \
             wit/transform.wit, world `transform`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sandbox::fuzz::{conditions, message};
    use crate::sandbox::judge::Instance;
    use crate::sandbox::{Limits, Sandbox};
    use crate::verdict::Reason;

    #[test]
    fn hashes_end_with_the_time_of_who_asked_for_them() {
        let keys = Keys::parse(&format!("invented:{}", "07".repeat(32))).unwrap();
        let values = vec![Vec::new(); 3 * HASHES_PER_LOOK];
        let in_time = hashes(&keys, &values, &mut Allowance::new(600_000)).unwrap();
        assert_eq!(in_time, vec![keys.hash(b""); values.len()]);
        let late = hashes(&keys, &values, &mut Allowance::new(0)).unwrap_err();
        assert_eq!(late.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
    }

    #[test]
    fn who_asks_for_hashes_when_its_time_is_over_has_met_its_time_limit() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/hmac_mask.wasm");
        // Epochs interrupt nothing here: whoever waits for a loaded machine is not at fault.
        let limits = Limits {
            message_ms_max: 600_000,
            ..Limits::default()
        };
        let sandbox = Sandbox::load(&file, &conditions(limits), 1).unwrap();
        let login = message(
            r#"{"user_id":"user","app_version":"1","device_type":"ios",
                "ip":"192.0.2.7","device_id":"invented-device"}"#,
        );
        let judged = |over: bool| {
            let mut instance = Instance::fresh(&sandbox.program, 600_000).ok().unwrap();
            if over {
                instance.store.data_mut().allowance = Allowance::new(0);
            }
            let judged = instance.judge(&sandbox, std::slice::from_ref(&login));
            judged.map(|outcomes| outcomes.len())
        };
        assert_eq!(judged(false), Ok(1));
        assert_eq!(judged(true), Err(Reason::TimeLimit));
    }
}
