//! Loading a component: from a file to something that can judge messages.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::bindings::TransformPre;
use super::description::Description;
use super::engine;
use super::guard::{Guard, Pointer};
use super::judge::Instance;
use super::limits::{Isolation, Limits, Meter};

/// The largest component file that is read: the largest known guest, a whole
/// Python, has 18 MB.
const FILE_MIB_MAX: u64 = 64;
/// The interface that this host runs.
const INTERFACE: &str = "etl:transform/policy@0.1.0";
/// The first bytes of a WebAssembly file: the magic number, then the version
/// and layer, which tell a component from a core module.
const MAGIC: [u8; 4] = *b"\0asm";
const LAYER_MODULE: [u8; 4] = [1, 0, 0, 0];

/// The SHA-256 of a component's bytes: what was asked to decide.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A component, compiled and linked: instances come out of it.
pub(super) struct Program {
    pub(super) engine: Engine,
    pub(super) pre: TransformPre<Meter>,
    pub(super) limits: Limits,
}

impl Program {
    fn load(file: &Path, limits: Limits, instances: usize) -> Result<(Self, Digest)> {
        let bytes = read(file)?;
        let engine = engine::engine(&limits, instances)
            .map_err(told)
            .context("start the sandbox")?;
        let component = compile(&engine, &bytes)?;
        let program = Self {
            pre: link(&engine, &component)?,
            engine,
            limits,
        };
        Ok((program, Digest(Sha256::digest(&bytes).into())))
    }
}

/// A component, described and configured: it judges messages.
pub struct Sandbox {
    pub(super) program: Program,
    pub(super) arguments: Vec<(String, String)>,
    pub(super) isolation: Isolation,
    pub(super) guard: Guard,
    description: Description,
    digest: Digest,
}

impl Sandbox {
    /// Loads the component of a file for `instances` at a time. Beside what it
    /// declares sensitive, the fields `sensitive` are guarded.
    ///
    /// # Errors
    /// The file cannot be read, is no component, is of another world, or does
    /// not accept the parameters. The message says which, and the remedy.
    pub fn load(
        file: &Path,
        parameters: &[(String, String)],
        sensitive: &[Pointer],
        limits: Limits,
        isolation: Isolation,
        instances: usize,
    ) -> Result<Self> {
        let load = || -> Result<Self> {
            let (program, digest) = Program::load(file, limits, instances)?;
            let description = Instance::describe(&program)?;
            let arguments = description.arguments(parameters)?;
            Instance::try_arguments(&program, &arguments, &description)?;
            Ok(Self {
                program,
                arguments,
                isolation,
                guard: Guard::new(&description, sensitive),
                description,
                digest,
            })
        };
        load().with_context(|| format!("load component {}", file.display()))
    }

    /// What the component of a file says of itself, without parameters.
    ///
    /// # Errors
    /// As [`Sandbox::load`].
    pub fn describe(file: &Path, limits: Limits) -> Result<Description> {
        let describe = || {
            let (program, _) = Program::load(file, limits, 1)?;
            Instance::describe(&program)
        };
        describe().with_context(|| format!("load component {}", file.display()))
    }

    /// What the component says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The fields whose raw values must not get out: those that the component
    /// declares, then the operator's own.
    pub fn guarded(&self) -> &[Pointer] {
        self.guard.pointers()
    }

    /// The SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = File::open(file).context("open the file")?;
    let read = opened
        .take((FILE_MIB_MAX << 20) + 1)
        .read_to_end(&mut bytes)
        .context("read the file")?;
    ensure!(
        read as u64 <= FILE_MIB_MAX << 20,
        "the file is larger than {FILE_MIB_MAX} MiB"
    );
    Ok(bytes)
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component> {
    if !bytes.starts_with(&MAGIC) {
        bail!("this is no WebAssembly file: give a component (.wasm)");
    }
    if bytes[MAGIC.len()..].starts_with(&LAYER_MODULE) {
        bail!(
            "this is a core module, not a component: encode it with \
             `wasm-tools component new`, or build it as guests/README.md says"
        );
    }
    Component::from_binary(engine, bytes)
        .map_err(told)
        .context("compile it: the file is damaged, or uses what this host does not run")
}

/// Binds the component to the world `transform`, whose imports are none.
fn link(engine: &Engine, component: &Component) -> Result<TransformPre<Meter>> {
    let component_type = component.component_type();
    let imports: Vec<String> = component_type
        .imports(engine)
        .map(|(name, _)| name.to_string())
        .collect();
    if !imports.is_empty() {
        bail!(
            "it imports {}: refused; a component of world `transform` imports nothing, \
             so that it reaches no file, clock, network or variable",
            imports.join(", ")
        );
    }
    let exports: Vec<String> = component_type
        .exports(engine)
        .map(|(name, _)| name.to_string())
        .collect();
    if !exports.iter().any(|name| name == INTERFACE) {
        let stem = "etl:transform/policy@";
        match exports.iter().find(|name| name.starts_with(stem)) {
            Some(other) => bail!(
                "it exports {other}, and this host runs {INTERFACE}: build it against \
                 this host's wit/"
            ),
            None => bail!(
                "it does not export {INTERFACE}: it is a component of another world; \
                 build it against wit/transform.wit, world `transform`"
            ),
        }
    }
    let pre = Linker::new(engine)
        .instantiate_pre(component)
        .map_err(told)?;
    TransformPre::new(pre)
        .map_err(told)
        .with_context(|| format!("it exports {INTERFACE} with other types than wit/ has"))
}

/// wasmtime's own error, which is not anyhow's. Only for errors met before the
/// component has seen a message: they speak of the component alone.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
