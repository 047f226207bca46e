//! Loading a component: from a file to something that can judge messages.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::bindings::TransformPre;
use super::cache::Cache;
use super::description::Description;
use super::engine::{self, Instructions};
use super::guard::{Guard, Pointer};
use super::judge::Instance;
use super::limits::{Isolation, Limits, Meter};
use super::link::{Capabilities, Capability, link};
use super::nesting::ensure_shallow;
use crate::event::Event;
use crate::foreign::component_words;

/// The largest component file that is read: the largest known guest, a whole
/// Python, has 18 MB.
const FILE_MIB_MAX: u64 = 64;
/// The first bytes of a WebAssembly file: the magic number, then the version
/// and layer, which tell a component from a core module.
const MAGIC: [u8; 4] = *b"\0asm";
const LAYER_MODULE: [u8; 4] = [1, 0, 0, 0];

/// The SHA-256 of a component's bytes: what was asked to decide.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits, as `sha256sum` prints them. None where the
    /// text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = crate::hex::bytes_of(text)?;
        bytes.try_into().ok().map(Self)
    }
}

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
    pub(super) instructions: Instructions,
    granted: Vec<Capability>,
    digest: Digest,
    from_cache: bool,
}

impl Program {
    pub(super) fn load(
        file: &Path,
        limits: Limits,
        instances: usize,
        instructions: Instructions,
        wanted: &[Digest],
        capabilities: &Capabilities,
        cache: Option<&Cache>,
    ) -> Result<Self> {
        let bytes = read(file)?;
        let digest = Digest::of(&bytes);
        if !wanted.is_empty() && !wanted.contains(&digest) {
            // Before anything of it is looked at.
            let wanted: Vec<String> = wanted.iter().map(Digest::to_string).collect();
            bail!(
                "its SHA-256 is {digest}, and --transform-sha256 wants {}",
                wanted.join(" or ")
            );
        }
        let engine = engine::engine(&limits, instances, instructions)
            .map_err(told)
            .context("start the sandbox")?;
        let kept = cache.and_then(|cache| cache.load(&engine, &digest));
        let from_cache = kept.is_some();
        let component = match kept {
            Some(component) => component,
            None => compile(&engine, bytes, &digest, limits.compile_secs_max, cache)?,
        };
        let (pre, granted) = link(&engine, &component, capabilities)?;
        Ok(Self {
            pre,
            engine,
            limits,
            instructions,
            granted,
            digest,
            from_cache,
        })
    }
}

impl Program {
    /// A program that is asked what it is, and judges nothing: that needs
    /// nothing of what it may import.
    fn asked(file: &Path, limits: Limits, cache: Option<&Cache>) -> Result<Self> {
        let all = Capabilities::all();
        Self::load(file, limits, 1, Instructions::Uncounted, &[], &all, cache)
    }
}

/// How the operator wants a component to be run.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Its parameters.
    pub parameters: Vec<(String, String)>,
    /// One of these its bytes must have as SHA-256, unless there are none.
    pub digests: Vec<Digest>,
    /// The fields that are guarded beside those it declares sensitive.
    pub sensitive: Vec<Pointer>,
    /// What it may use.
    pub limits: Limits,
    /// How long its instances live.
    pub isolation: Isolation,
    /// What it may reach beside its messages.
    pub capabilities: Capabilities,
    /// Where compiled components are kept.
    pub cache: Option<Cache>,
}

/// A component, described and configured: it judges messages.
pub struct Sandbox {
    pub(super) program: Program,
    pub(super) arguments: Vec<(String, String)>,
    pub(super) isolation: Isolation,
    pub(super) guard: Guard,
    description: Description,
}

impl Sandbox {
    /// Loads the component of a file, for `instances` at a time. Compiled code
    /// is taken from the cache, and kept there.
    ///
    /// # Errors
    /// The file cannot be read, is no component, is of another world, or does
    /// not accept the parameters. The message says which, and the remedy.
    pub fn load(file: &Path, conditions: &Conditions, instances: usize) -> Result<Self> {
        Self::load_into(file, conditions, instances, Instructions::Uncounted)
    }

    pub(super) fn load_into(
        file: &Path,
        conditions: &Conditions,
        instances: usize,
        instructions: Instructions,
    ) -> Result<Self> {
        let Conditions {
            parameters,
            digests,
            sensitive,
            limits,
            isolation,
            capabilities,
            cache,
        } = conditions;
        let load = || -> Result<Self> {
            let program = Program::load(
                file,
                *limits,
                instances,
                instructions,
                digests,
                capabilities,
                cache.as_ref(),
            )?;
            let description = Instance::describe(&program)?;
            let arguments = description.arguments(parameters)?;
            let description = Instance::describe_configured(&program, &arguments, &description)?;
            Ok(Self {
                program,
                arguments,
                isolation: *isolation,
                guard: Guard::new(&description, sensitive, limits.check_ms_max),
                description,
            })
        };
        load().with_context(|| format!("load component {}", file.display()))
    }

    /// What the component of a file says of itself with these parameters: its
    /// columns may follow from them.
    ///
    /// # Errors
    /// As [`Sandbox::load`].
    pub fn describe(
        file: &Path,
        parameters: &[(String, String)],
        limits: Limits,
        cache: Option<&Cache>,
    ) -> Result<Description> {
        let describe = || {
            let program = Program::asked(file, limits, cache)?;
            let description = Instance::describe(&program)?;
            let arguments = description.arguments(parameters)?;
            Instance::describe_configured(&program, &arguments, &description)
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

    /// What looks into the rows that it gives.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.program.digest
    }

    /// Its name, version and SHA-256, by which people know it.
    pub fn label(&self) -> String {
        let Description { name, version, .. } = &self.description;
        format!("{name} {version} {}", self.digest())
    }

    /// What it reaches beside its messages: nothing, in most cases.
    pub fn capabilities(&self) -> &[Capability] {
        &self.program.granted
    }

    /// The id of the key under which it hashes, if it can.
    pub fn key_id(&self) -> Option<&str> {
        self.capabilities()
            .iter()
            .find_map(|capability| match capability {
                Capability::KeyedHash { key_id } => Some(key_id.as_str()),
                Capability::EmptyWasi => None,
            })
    }

    /// Whether its compiled code was taken from the cache.
    pub fn from_cache(&self) -> bool {
        self.program.from_cache
    }
}

/// Reads a component's file.
///
/// # Errors
/// It cannot be read, or is larger than any component.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
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

fn compile(
    engine: &Engine,
    bytes: Vec<u8>,
    digest: &Digest,
    secs_max: u64,
    cache: Option<&Cache>,
) -> Result<Component> {
    if !bytes.starts_with(&MAGIC) {
        bail!("this is no WebAssembly file: give a component (.wasm)");
    }
    if bytes[MAGIC.len()..].starts_with(&LAYER_MODULE) {
        bail!(
            "this is a core module, not a component: encode it with \
             `wasm-tools component new`, or build it as guests/README.md says"
        );
    }
    ensure_shallow(&bytes)?;
    let component = compiled_within(secs_max, engine, bytes)?;
    if let Some(cache) = cache
        && let Err(error) = cache.keep(engine, digest, &component)
    {
        Event::Warning(&format!("the compiled component is not kept: {error:#}")).log();
    }
    Ok(component)
}

/// Compiles on a thread of its own, which is left alone where it takes too long:
/// nothing can stop it. A start ends then, and the thread with it; beside a
/// running component it goes on for as long as it takes.
fn compiled_within(secs_max: u64, engine: &Engine, bytes: Vec<u8>) -> Result<Component> {
    let (done, compiled) = mpsc::channel();
    let engine = engine.clone();
    thread::Builder::new()
        .name("compile".to_owned())
        .spawn(move || done.send(Component::from_binary(&engine, &bytes)))
        .context("start a thread to compile it")?;
    match compiled.recv_timeout(Duration::from_secs(secs_max)) {
        Ok(component) => component.map_err(told).context(
            "compile it: the file is damaged, uses what this host does not run, or needs more \
             than --transform-memory-mib-max, --transform-table-elements-max or \
             --transform-core-instances-max allows",
        ),
        Err(RecvTimeoutError::Timeout) => bail!(
            "compiling it takes longer than {secs_max} s: it must be mended, or allowed more \
             (--transform-compile-secs-max)"
        ),
        Err(RecvTimeoutError::Disconnected) => bail!("the compiler breaks on it"),
    }
}

/// wasmtime's own error, which is not anyhow's. Only for errors met before the
/// component has seen a message: they speak of the component alone.
pub(super) fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{}", shown(&format!("{error:#}")))
}

/// Words that may be a component's own, as far as anybody reads them, and
/// nothing that a terminal would obey or an eye would miss. On one line.
pub(super) fn shown(words: &str) -> String {
    component_words(&words.replace(['\n', '\t'], " "))
}
