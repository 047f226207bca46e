//! Compiling: the one thing that a component makes the host do without a bound.
//!
//! A file of two kilobytes can ask for any amount of time and memory, and
//! nothing can stop a compiler from inside. So the program compiles in a child
//! process with limits of both: its own executable, started anew, with no
//! environment and no handle but its three. It dies with its limit, or with the
//! host, and costs the host a log line.
//!
//! Tests and whoever embeds the sandbox have no such executable: they compile
//! in their own process.

mod child;
mod order;
mod parent;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};

pub use child::compile_if_asked;
pub(super) use order::Order;

use super::cache::Key;
use super::component::{shown, told};
use super::engine;
use super::nesting::ensure_shallow;

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process, which nothing but time bounds: for tests, and for
    /// components that are trusted.
    InProcess,
    /// In a child process, with limits of memory and time: for a program that
    /// calls [`compile_if_asked`] before anything else.
    Child(ChildCompiler),
}

/// How a child process compiles.
#[derive(Clone, Debug, Default)]
pub struct ChildCompiler {
    threads: Threads,
    given_up: GivenUp,
}

/// How many threads a compiler has.
#[derive(Clone, Copy, Debug, Default)]
enum Threads {
    /// One for each core.
    #[default]
    All,
    /// One for every second core: the others are for who else is at work.
    Half,
}

impl Threads {
    fn number(self) -> usize {
        let all = available_parallelism().map_or(1, usize::from);
        match self {
            Self::All => all,
            Self::Half => (all / 2).max(1),
        }
    }
}

/// Whether somebody still waits for what is compiled. Clones say the same.
#[derive(Clone, Debug, Default)]
pub struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    /// Nobody waits any more.
    pub fn give_up(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits any more.
    pub fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why there is no code.
enum Refusal {
    /// The component is at fault, or its limits.
    Wrong(Error),
    /// The memory that the compiler may have is used up.
    NoMemory(Error),
    /// What was compiled cannot be written.
    NotWritten(Error),
    /// The compiler cannot work.
    Unable(Error),
}

/// What became of compiling.
pub(super) enum Compiled {
    /// The code is written.
    Done,
    /// It could not be written.
    NotWritten(Error),
}

impl Compiler {
    /// The program's: a child process.
    pub fn child() -> Self {
        Self::Child(ChildCompiler::default())
    }

    /// The same beside a component at work, which keeps half of the cores, and
    /// for as long as nobody has given up.
    pub fn beside_another(&self, given_up: GivenUp) -> Self {
        match self {
            Self::InProcess => Self::InProcess,
            Self::Child(_) => Self::Child(ChildCompiler {
                threads: Threads::Half,
                given_up,
            }),
        }
    }

    /// Compiles a component, and writes its code as an entry of the cache.
    ///
    /// # Errors
    /// It is no component, needs more than the limits allow, or the compiler
    /// cannot be started: in words, with the remedy.
    pub(super) fn compile(&self, order: &Order, component: &[u8], out: File) -> Result<Compiled> {
        let compiled = match self {
            Self::InProcess => in_process(order, component.to_vec(), out),
            Self::Child(ChildCompiler { threads, given_up }) => {
                parent::compile(order, component, out, *threads, given_up)
            }
        };
        match compiled {
            Ok(()) => Ok(Compiled::Done),
            Err(Refusal::NotWritten(error)) => Ok(Compiled::NotWritten(error)),
            Err(Refusal::Wrong(error) | Refusal::NoMemory(error) | Refusal::Unable(error)) => {
                Err(error)
            }
        }
    }
}

/// Compiles on a thread of its own, which is left alone where it takes too long:
/// nothing can stop it.
fn in_process(order: &Order, component: Vec<u8>, out: File) -> Result<(), Refusal> {
    let (done, compiled) = mpsc::channel();
    let ordered = *order;
    let started = thread::Builder::new()
        .name("compile".to_owned())
        .spawn(move || done.send(write_code(&ordered, &component, out)));
    started
        .context("start a thread to compile it")
        .map_err(Refusal::Unable)?;
    match compiled.recv_timeout(Duration::from_secs(order.secs_max)) {
        Ok(Err(Refusal::Wrong(error))) => Err(Refusal::Wrong(refused(&format!("{error:#}")))),
        Ok(compiled) => compiled,
        Err(RecvTimeoutError::Timeout) => Err(Refusal::Wrong(too_long(order))),
        Err(RecvTimeoutError::Disconnected) => Err(Refusal::Wrong(broken())),
    }
}

/// Compiles here and now, and writes what an entry of the cache holds.
fn write_code(order: &Order, component: &[u8], mut out: impl Write) -> Result<(), Refusal> {
    ensure_shallow(component).map_err(Refusal::Wrong)?;
    let engine =
        engine::compiling(order.instructions).map_err(|error| Refusal::Unable(told(error)))?;
    let code = engine
        .precompile_component(component)
        .map_err(|error| match error.is::<wasmtime::OutOfMemory>() {
            true => Refusal::NoMemory(told(error)),
            false => Refusal::Wrong(told(error)),
        })?;
    let key = Key::new(&engine, &order.digest);
    out.write_all(&key.head(&code))
        .and_then(|()| out.write_all(&code))
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => Refusal::Wrong(anyhow!("its compiled code is too large")),
            _ => Refusal::NotWritten(error.into()),
        })
}

/// The compiler's own words, and what can be done about them.
fn refused(words: &str) -> Error {
    anyhow!("{}", shown(words)).context(
        "compile it: the file is damaged, uses what this host does not run, or needs more than \
         --transform-memory-mib-max, --transform-table-elements-max or \
         --transform-core-instances-max allows",
    )
}

fn too_long(order: &Order) -> Error {
    anyhow!(
        "compiling it takes longer than {} s: it must be mended, or allowed more \
         (--transform-compile-secs-max)",
        order.secs_max
    )
}

fn too_large(order: &Order) -> Error {
    anyhow!(
        "compiling it takes more memory than {} MiB: it must be mended, or allowed more \
         (--transform-compile-mib-max)",
        order.mib_max
    )
}

fn broken() -> Error {
    anyhow!("the compiler breaks on it")
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::sandbox::component::Digest;
    use crate::sandbox::engine::Instructions;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn compile(component: &[u8], out: File) -> Result<Compiled> {
        let order = Order {
            digest: Digest::of(component),
            instructions: Instructions::Uncounted,
            mib_max: 64,
            secs_max: 60,
        };
        Compiler::InProcess.compile(&order, component, out)
    }

    #[test]
    fn a_file_that_cannot_be_written_to_is_told_from_a_component_that_is_wrong() {
        let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
        let compiled = compile(COMPONENT, full());
        assert!(matches!(compiled, Ok(Compiled::NotWritten(_))));
        let error = compile(b"\0asm\x0d\0\x01\0\xff", full()).err().unwrap();
        assert!(format!("{error:#}").contains("compile it: the file is damaged"));
        let void = OpenOptions::new().write(true).open("/dev/null").unwrap();
        assert!(matches!(compile(COMPONENT, void), Ok(Compiled::Done)));
    }
}
