//! Loading a component: from a file to something that can judge messages.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::bindings::TransformPre;
use super::cache::{Cache, Draft, Key, OpenCache};
use super::compiler::{Compiled, Compiler, Order};
use super::description::Description;
use super::engine::{self, Instructions};
use super::guard::{Guard, Pointer};
use super::judge::Instance;
use super::limits::{Isolation, Limits, Meter};
use super::link::{Capabilities, Capability, link};
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
        conditions: &Conditions,
        instances: usize,
        instructions: Instructions,
    ) -> Result<Self> {
        let Conditions {
            digests: wanted,
            limits,
            capabilities,
            ..
        } = conditions;
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
        let engine = engine::engine(limits, instances, instructions)
            .map_err(told)
            .context("start the sandbox")?;
        let key = Key::new(&engine, &digest);
        let cache = conditions.cache.as_ref().and_then(opened);
        let kept = cache.as_ref().and_then(|cache| kept(cache, &engine, &key));
        let from_cache = kept.is_some();
        let component = match kept {
            Some(component) => component,
            None => {
                let order = Order {
                    digest,
                    instructions,
                    mib_max: limits.compile_mib_max,
                    secs_max: limits.compile_secs_max,
                };
                let code = compiled(&conditions.compiler, &order, bytes, cache)?;
                let component = code.component(&engine, &key).context(NO_ROOM)?;
                warn_unless("the compiled component is not kept", code.keep(&key));
                component
            }
        };
        let (pre, granted) = link(&engine, &component, capabilities)?;
        Ok(Self {
            pre,
            engine,
            limits: *limits,
            instructions,
            granted,
            digest,
            from_cache,
        })
    }

    /// A program that is asked what it is, and judges nothing: that needs
    /// nothing of what it may import.
    fn asked(file: &Path, conditions: &Conditions) -> Result<Self> {
        let conditions = Conditions {
            digests: Vec::new(),
            capabilities: Capabilities::all(),
            ..conditions.clone()
        };
        Self::load(file, &conditions, 1, Instructions::Uncounted)
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
    /// Where it is compiled.
    pub compiler: Compiler,
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
            sensitive,
            limits,
            isolation,
            ..
        } = conditions;
        let load = || -> Result<Self> {
            let program = Program::load(file, conditions, instances, instructions)?;
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

    /// What the component of a file says of itself under these conditions: its
    /// columns may follow from its parameters.
    ///
    /// # Errors
    /// As [`Sandbox::load`].
    pub fn describe(file: &Path, conditions: &Conditions) -> Result<Description> {
        let describe = || {
            let program = Program::asked(file, conditions)?;
            let description = Instance::describe(&program)?;
            let arguments = description.arguments(&conditions.parameters)?;
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
    let opened = File::open(file).context("open the file")?;
    let length = opened.metadata().map_or(0, |found| found.len());
    // All at once: a buffer that grows is copied, and takes twice as much.
    let length = length.min(FILE_MIB_MAX << 20);
    let mut bytes = Vec::with_capacity(usize::try_from(length)? + 1);
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

/// What the engine refuses of code that was compiled well.
const NO_ROOM: &str = "make room for it: it needs more than --transform-memory-mib-max, \
    --transform-table-elements-max or --transform-core-instances-max allows";

/// The cache for one use, where it can be used now.
fn opened(cache: &Cache) -> Option<OpenCache> {
    let opened = cache.opened();
    if let Err(error) = &opened {
        let words = format!("the cache is not used: {error:#}");
        Event::Warning(&words).log();
    }
    opened.ok()
}

/// The component's code out of the cache, where it can be trusted.
fn kept(cache: &OpenCache, engine: &Engine, key: &Key) -> Option<Component> {
    match cache.load(engine, key) {
        Ok(component) => component,
        Err(error) => {
            let words = format!("compiled code in the cache is not used: {error:#}");
            Event::Warning(&words).log();
            None
        }
    }
}

fn warn_unless(what: &str, done: Result<()>) {
    if let Err(error) = done {
        Event::Warning(&format!("{what}: {error:#}")).log();
    }
}

/// Compiles a component into a file of the cache, or where that cannot be
/// written, into one in memory.
fn compiled(
    compiler: &Compiler,
    order: &Order,
    bytes: Vec<u8>,
    cache: Option<OpenCache>,
) -> Result<Draft> {
    if !bytes.starts_with(&MAGIC) {
        bail!("this is no WebAssembly file: give a component (.wasm)");
    }
    if bytes[MAGIC.len()..].starts_with(&LAYER_MODULE) {
        bail!(
            "this is a core module, not a component: encode it with \
             `wasm-tools component new`, or build it as guests/README.md says"
        );
    }
    if let Some(cache) = cache {
        let draft = cache.draft();
        let not_written = match &draft {
            Ok(draft) => match compiler.compile(order, &bytes, draft.file()?)? {
                Compiled::Done => None,
                Compiled::NotWritten(error) => Some(error),
            },
            Err(error) => Some(anyhow!("{error:#}")),
        };
        match (not_written, draft) {
            (None, Ok(draft)) => return Ok(draft),
            (error, _) => {
                let error = error.unwrap_or_else(|| anyhow!("its folder cannot be written to"));
                warn_unless("the compiled component is not kept", Err(error));
            }
        }
    }
    let draft = Draft::in_memory()?;
    match compiler.compile(order, &bytes, draft.file()?)? {
        Compiled::Done => Ok(draft),
        Compiled::NotWritten(error) => Err(error.context("write the compiled component")),
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
