//! What is not there: variables, arguments, terminals, files, and a process
//! that could exit.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, Resource, ResourceType};
use wasmtime::{Engine, Result, Trap};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::IoError;
use wasmtime_wasi::p2::bindings::cli::terminal_input::TerminalInput;
use wasmtime_wasi::p2::bindings::cli::terminal_output::TerminalOutput;
use wasmtime_wasi::p2::bindings::cli::{
    environment, exit, terminal_stderr, terminal_stdin, terminal_stdout,
};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::DirectoryEntryStream;

use super::{EmptyWasi, interface};
use crate::sandbox::limits::Meter;

/// Interfaces whose every function takes a handle of a kind that nothing here
/// gives out.
const WITHOUT_HANDLES: [&str; 4] = [
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:filesystem/types",
    "wasi:io/error",
];

/// Gives a component the interfaces without handles, as it imports them.
pub(super) fn add(
    engine: &Engine,
    component: &Component,
    linker: &mut Linker<Meter>,
) -> Result<()> {
    for (import, found) in component.component_type().imports(engine) {
        let interface = interface(import).filter(|name| WITHOUT_HANDLES.contains(name));
        let (Some(interface), ComponentItem::ComponentInstance(found)) = (interface, found.ty)
        else {
            continue;
        };
        let mut given = linker.instance(import)?;
        for (name, item) in found.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => {
                    given.func_new(name, |_, _, _, _| Err(Trap::UnreachableCodeReached.into()))?;
                }
                ComponentItem::Resource(_) => {
                    if let Some(kind) = kind(interface, name) {
                        given.resource(name, kind, |_, _| Ok(()))?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The kind of handle that an interface defines; those that it only uses are
/// other interfaces' to define.
fn kind(interface: &str, name: &str) -> Option<ResourceType> {
    match (interface, name) {
        ("wasi:cli/terminal-input", "terminal-input") => {
            Some(ResourceType::host::<TerminalInput>())
        }
        ("wasi:cli/terminal-output", "terminal-output") => {
            Some(ResourceType::host::<TerminalOutput>())
        }
        ("wasi:filesystem/types", "descriptor") => Some(ResourceType::host::<Descriptor>()),
        ("wasi:filesystem/types", "directory-entry-stream") => {
            Some(ResourceType::host::<DirectoryEntryStream>())
        }
        ("wasi:io/error", "error") => Some(ResourceType::host::<IoError>()),
        _ => None,
    }
}

impl environment::Host for EmptyWasi {
    fn get_environment(&mut self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// A component that wants to end is stopped as by a trap: its message is
/// charged with it, and the host goes on.
impl exit::Host for EmptyWasi {
    fn exit(&mut self, _: Result<(), ()>) -> Result<()> {
        Err(Trap::UnreachableCodeReached.into())
    }

    fn exit_with_code(&mut self, _: u8) -> Result<()> {
        Err(Trap::UnreachableCodeReached.into())
    }
}

impl terminal_stdin::Host for EmptyWasi {
    fn get_terminal_stdin(&mut self) -> Result<Option<Resource<TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for EmptyWasi {
    fn get_terminal_stdout(&mut self) -> Result<Option<Resource<TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for EmptyWasi {
    fn get_terminal_stderr(&mut self) -> Result<Option<Resource<TerminalOutput>>> {
        Ok(None)
    }
}

impl preopens::Host for EmptyWasi {
    fn get_directories(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        Ok(Vec::new())
    }
}
