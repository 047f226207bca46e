//! An empty WASI 0.2, for guests whose language runtime cannot do without one
//! (Go, Rust with `std`): no file, variable, argument or socket; what is
//! written is dropped, nothing is there to read, time stands still, and
//! randomness repeats itself.
//!
//! It has no state, and it never waits. So what a guest is told depends on
//! nothing that it, or another message of its batch, did before; and there is
//! nothing in the host that it could fill or sleep in, where neither the memory
//! limit nor the time limit would reach it. Of wasmtime-wasi only the types are
//! used: its own implementation sleeps, reads and keeps tables in the host.

mod absent;
mod fixed;
mod streams;

use wasmtime::Engine;
use wasmtime::component::{Component, HasData, Linker};
use wasmtime_wasi::p2::bindings::sync::io;
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};

use super::limits::Meter;

/// What it is made of: the imports of world `wasi:cli/imports` without sockets.
const INTERFACES: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];
/// A released version of WASI 0.2, of which the linker takes any patch for any
/// other; previews and other minor versions are other interfaces.
const VERSION: &str = "@0.2.";

/// What answers, whatever is asked: without state, so that it has nothing to
/// remember or to fill.
struct EmptyWasi;

impl HasData for EmptyWasi {
    type Data<'a> = Self;
}

/// Whether the empty WASI has what is imported under this name.
pub(super) fn has(import: &str) -> bool {
    interface(import).is_some()
}

/// The name without its version, of an interface that the empty WASI has.
fn interface(import: &str) -> Option<&str> {
    let (interface, patch) = import.split_once(VERSION)?;
    let released = !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit());
    (released && INTERFACES.contains(&interface)).then_some(interface)
}

/// Gives a component all of it.
pub(super) fn add(
    engine: &Engine,
    component: &Component,
    linker: &mut Linker<Meter>,
) -> wasmtime::Result<()> {
    fn empty(_: &mut Meter) -> EmptyWasi {
        EmptyWasi
    }
    cli::environment::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    cli::exit::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    cli::stdin::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    cli::stdout::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    cli::stderr::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    cli::terminal_stdin::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    cli::terminal_stdout::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    cli::terminal_stderr::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    clocks::monotonic_clock::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    clocks::wall_clock::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    filesystem::preopens::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    io::poll::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    io::streams::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    random::insecure::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    random::insecure_seed::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    random::random::add_to_linker::<_, EmptyWasi>(linker, empty)?;
    absent::add(engine, component, linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_known_by_its_name_and_by_a_released_version() {
        for given in ["wasi:cli/stdout@0.2.0", "wasi:io/poll@0.2.12"] {
            assert!(has(given), "{given}");
        }
        for other in [
            "wasi:cli/stdout",
            "wasi:cli/stdout@0.2",
            "wasi:cli/stdout@0.2.",
            "wasi:cli/stdout@0.2.0-rc-2023-12-05",
            "wasi:cli/stdout@0.20.0",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@0.3.0@0.2.0",
            "wasi:cli/stdout2@0.2.0",
            "invented:cli/stdout@0.2.0",
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:clocks/timezone@0.2.0",
        ] {
            assert!(!has(other), "{other}");
        }
    }
}
