//! The host's side of a child process that compiles: it starts it, feeds it,
//! looks at the clock, and says in words how it ended.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::child::{NO_MEMORY, NOT_WRITTEN, REFUSED, UNABLE};
use super::order::{Order, Task};
use super::{GivenUp, Refusal, Threads, broken, refused, too_large, too_long};
use crate::sandbox::cache::ENTRY_MIB_MAX;
use crate::sandbox::component::shown;

/// Between two looks whether it has ended, in milliseconds.
const LOOK_MS: u64 = 5;
/// What is read of what it says, in bytes.
const WORDS_BYTES_MAX: u64 = 8 * 1024;
/// The exit code of a panic in Rust.
const PANIC: i32 = 101;
/// Signals by their numbers, which are the same wherever this runs.
const ABORTED: i32 = 6;
const KILLED: i32 = 9;
/// By number, these two differ from system to system.
const CPU_LIMIT: i32 = rustix::process::Signal::XCPU.as_raw();
const FILE_LIMIT: i32 = rustix::process::Signal::XFSZ.as_raw();
/// What Rust says where an allocation fails, before it aborts.
const ALLOCATION_FAILED: &str = "memory allocation of";
/// What Rust and the system say where no memory is left for a thread.
const NO_ROOM: [&str; 3] = [
    ALLOCATION_FAILED,
    "Cannot allocate memory",
    "Resource temporarily unavailable",
];
/// What Rust says where a thread has used up its stack, before it aborts.
const STACK_USED_UP: &str = "has overflowed its stack";

/// One compiles at a time, whatever asks for it.
static TURN: Mutex<()> = Mutex::new(());

/// A child that is ended, whatever becomes of who waits for it.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a child ended, and what it said.
struct End {
    status: ExitStatus,
    words: String,
}

/// Has a child process compile a component, which writes the code to `out`.
///
/// # Errors
/// Why there is no code, in words.
pub(super) fn compile(
    order: &Order,
    component: &[u8],
    out: File,
    threads: Threads,
    given_up: &GivenUp,
) -> Result<(), Refusal> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let task = Task {
        order: *order,
        threads: threads.number(),
        parent: std::process::id(),
    };
    let child = started(&task, out)
        .context("start the compiler, which is this program again")
        .map_err(Refusal::Unable)?;
    let end = fed_and_awaited(child, component, order, given_up).map_err(Refusal::Wrong)?;
    ended(&end, order)
}

fn started(task: &Task, out: File) -> Result<Kept> {
    let child = Command::new(this_program()?)
        .arg0("etl-host")
        .args(task.arguments())
        // It needs no secret, and no name of anything.
        .env_clear()
        .env("RAYON_NUM_THREADS", task.threads.to_string())
        // What is taken counts, used or not, so the allocator is not to take a
        // GiB in advance; and where its limit is met, to say so at once.
        .env("MIMALLOC_ARENA_RESERVE", "0")
        .env("MIMALLOC_EAGER_COMMIT_DELAY", "0")
        .current_dir("/")
        // A terminal's interrupt is the host's to deal with.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(Kept(child))
}

/// The file that this program was started from, even where another version has
/// taken its name since.
fn this_program() -> Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    match cfg!(target_os = "linux") && link.exists() {
        true => Ok(link),
        false => Ok(std::env::current_exe()?),
    }
}

fn fed_and_awaited(
    mut child: Kept,
    component: &[u8],
    order: &Order,
    given_up: &GivenUp,
) -> Result<End> {
    let (Some(mut input), Some(errors)) = (child.0.stdin.take(), child.0.stderr.take()) else {
        bail!("the compiler has no pipes");
    };
    thread::scope(|scope| {
        // A child that ends early does not take all of it.
        scope.spawn(move || drop(input.write_all(component)));
        let words = scope.spawn(move || {
            let mut words = Vec::new();
            let _ = errors.take(WORDS_BYTES_MAX).read_to_end(&mut words);
            String::from_utf8_lossy(&words).into_owned()
        });
        let status = awaited(&mut child.0, order, given_up);
        // Ended now, if it has not by itself: else the threads would wait on.
        drop(child);
        let words = words.join().unwrap_or_default();
        status.map(|status| End { status, words })
    })
}

fn awaited(child: &mut Child, order: &Order, given_up: &GivenUp) -> Result<ExitStatus> {
    let end = Instant::now() + Duration::from_secs(order.secs_max);
    loop {
        if let Some(status) = child.try_wait().context("wait for the compiler")? {
            return Ok(status);
        }
        if given_up.is_given_up() {
            bail!("another one was asked for before it was compiled");
        }
        if Instant::now() > end {
            return Err(too_long(order));
        }
        thread::sleep(Duration::from_millis(LOOK_MS));
    }
}

/// How it ended, in words.
fn ended(end: &End, order: &Order) -> Result<(), Refusal> {
    let words = || anyhow!("{}", shown(&end.words));
    let says = |words: &str| end.words.contains(words);
    let code = |known: u8| end.status.code() == Some(i32::from(known));
    if end.status.success() {
        return Ok(());
    }
    if code(NOT_WRITTEN) {
        return Err(Refusal::NotWritten(words()));
    }
    if code(UNABLE) {
        return Err(Refusal::Unable(words()));
    }
    let out_of_memory = code(NO_MEMORY)
        || (NO_ROOM.iter().any(|room| says(room))
            && (end.status.code() == Some(PANIC) || end.status.signal() == Some(ABORTED)));
    Err(Refusal::Wrong(if code(REFUSED) {
        refused(&end.words)
    } else if out_of_memory {
        too_large(order)
    } else if says(STACK_USED_UP) {
        anyhow!("it nests too deeply to be compiled")
    } else {
        match end.status.signal() {
            Some(CPU_LIMIT) => too_long(order),
            Some(FILE_LIMIT) => anyhow!("its compiled code has more than {ENTRY_MIB_MAX} MiB"),
            Some(KILLED) => anyhow!(
                "the system has ended its compiler, most likely because it has too little memory"
            ),
            _ => broken(),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::component::Digest;
    use crate::sandbox::engine::Instructions;

    const ORDER: Order = Order {
        digest: Digest([0; 32]),
        instructions: Instructions::Uncounted,
        mib_max: 512,
        secs_max: 7,
    };

    /// As the system gives it: the signal in the low bits, the code above.
    fn told(status: i32, words: &str) -> String {
        let end = End {
            status: ExitStatus::from_raw(status),
            words: words.to_owned(),
        };
        match ended(&end, &ORDER) {
            Ok(()) => "compiled".to_owned(),
            Err(Refusal::Wrong(error)) => format!("{error:#}"),
            Err(Refusal::NotWritten(error)) => format!("not written: {error:#}"),
            Err(Refusal::NoMemory(error) | Refusal::Unable(error)) => format!("unable: {error:#}"),
        }
    }

    #[test]
    fn each_end_of_a_compiler_is_told_in_words_with_its_remedy() {
        let exit = |code: u8| i32::from(code) << 8;
        let memory = "--transform-compile-mib-max";
        for (status, words, expected) in [
            (0, "", "compiled"),
            (exit(REFUSED), "bad magic\u{1b}[2J", " bad magic\\u{1b}[2J"),
            (exit(NO_MEMORY), "", memory),
            (ABORTED, "memory allocation of 64 bytes failed", memory),
            (
                PANIC << 8,
                "spawn: Resource temporarily unavailable",
                memory,
            ),
            (
                ABORTED,
                "\nthread 'main' has overflowed its stack",
                "too deeply",
            ),
            (CPU_LIMIT, "", "--transform-compile-secs-max"),
            (FILE_LIMIT, "", "512 MiB"),
            (KILLED, "", "too little memory"),
            (exit(NOT_WRITTEN), "no space", "not written: no space"),
            (exit(UNABLE), "the host has gone", "unable: the host"),
            (
                PANIC << 8,
                "index out of bounds",
                "the compiler breaks on it",
            ),
            (11, "", "the compiler breaks on it"),
            (ABORTED, "", "the compiler breaks on it"),
        ] {
            let told = told(status, words);
            assert!(told.contains(expected), "{status} {words:?}: {told}");
            assert!(!told.contains('\u{1b}'), "{told:?}");
        }
    }
}
