//! The child process: it limits itself, compiles what it is given, and ends.
//!
//! It is started with an empty environment and three handles: the component's
//! bytes come in as its standard input, the code goes out as its standard
//! output, and words for the parent go to its standard error. Whatever happens
//! to it happens to nobody else.

use std::env;
use std::fs;
use std::io::{Read, Write, stderr, stdin, stdout};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getppid, getrlimit, setrlimit};

use super::order::{ARGUMENT, Task};
use super::{Refusal, write_code};
use crate::sandbox::cache::ENTRY_MIB_MAX;

/// How a child ends that has something to say; other ends are deaths.
pub(super) const REFUSED: u8 = 65;
pub(super) const UNABLE: u8 = 70;
pub(super) const NO_MEMORY: u8 = 71;
pub(super) const NOT_WRITTEN: u8 = 74;

/// Input, output and errors come first.
const LAST_HANDLE: i32 = 2;
/// The score by which the kernel chooses whom it ends where memory runs out:
/// this process before any other.
const OUT_OF_MEMORY_SCORE_MAX: &str = "1000";

/// Compiles, where this process was started for that: what it then ends with.
/// The program calls it before anything else.
pub fn compile_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let ended = Task::of(arguments)
        .and_then(|task| limit_itself(&task).map(|()| task))
        .map_err(Refusal::Unable)
        .and_then(|task| compile(&task));
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            let (code, error) = match refusal {
                Refusal::Wrong(error) => (REFUSED, error),
                Refusal::NoMemory(error) => (NO_MEMORY, error),
                Refusal::NotWritten(error) => (NOT_WRITTEN, error),
                Refusal::Unable(error) => (UNABLE, error),
            };
            // Nobody is left to be told where the parent has gone.
            let _ = write!(stderr(), "{error:#}");
            ExitCode::from(code)
        }
    })
}

fn compile(task: &Task) -> Result<(), Refusal> {
    let mut component = Vec::new();
    let read = stdin().lock().read_to_end(&mut component);
    read.context("read the component")
        .map_err(Refusal::Unable)?;
    write_code(&task.order, &component, stdout().lock())
}

/// Bounds what this process may take, and ends it with its parent.
fn limit_itself(task: &Task) -> Result<()> {
    end_with_parent(task)?;
    close_others();
    at_most(Resource::Core, 0)?;
    // Data is what is written to and not shared: the heap, and the threads'
    // stacks. Address space that is only set aside does not count.
    at_most(Resource::Data, task.order.mib_max << 20)?;
    at_most(Resource::Fsize, ENTRY_MIB_MAX << 20)?;
    // The parent looks at the clock. This holds should it be stopped.
    let threads = u64::try_from(task.threads).unwrap_or(u64::MAX);
    at_most(Resource::Cpu, task.order.secs_max.saturating_mul(threads))?;
    // Not every system has it.
    let _ = fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE_MAX);
    Ok(())
}

fn end_with_parent(task: &Task) -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // It may have gone before that.
    let parent = getppid().map(|id| id.as_raw_nonzero().get().unsigned_abs());
    ensure!(parent == Some(task.parent), "the host has gone");
    Ok(())
}

/// Closes what the host has inherited from whoever started it, and passed on.
/// Handles of the host's own are closed already.
fn close_others() {
    // It lists its own handle, too, which is closed once the list is whole.
    let listed = fs::read_dir("/dev/fd").into_iter().flatten();
    let handles: Vec<i32> = listed
        .filter_map(|handle| handle.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for handle in handles.into_iter().filter(|handle| *handle > LAST_HANDLE) {
        if fs::symlink_metadata(format!("/dev/fd/{handle}")).is_err() {
            continue;
        }
        // SAFETY: this process has begun a moment ago, has one thread, and has
        // opened nothing that it still uses but its three handles: nobody else
        // here owns this one.
        #[allow(unsafe_code)]
        drop(unsafe { OwnedFd::from_raw_fd(handle) });
    }
}

/// Lowers a limit, where it is not as low already.
fn at_most(resource: Resource, most: u64) -> Result<()> {
    let before = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let most = Some(most.min(before));
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(resource, limit).context("limit what the compiler may take")
}
