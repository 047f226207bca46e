//! The sandbox: runs a transform component over messages.
//!
//! It alone knows wasmtime. What it keeps: a component reaches nothing but the
//! messages it is given; every message gets exactly one verdict; a fault is
//! charged to the one message that causes it, and no instance that has seen a
//! fault is used again; rows that hold a raw value of a sensitive field are
//! refused. What becomes of a verdict is the pipeline's business.

mod allowance;
mod bindings;
mod cache;
mod clock;
mod compiler;
mod component;
mod contents;
mod description;
mod engine;
mod guard;
mod inspect;
mod judge;
mod key_file;
mod keys;
mod limits;
mod link;
#[cfg(test)]
mod loaded_machine;
mod metered;
mod nesting;
mod outcome;
mod threads;
mod ticker;
mod wasi;

#[cfg(test)]
#[path = "../../../tests/fuzz/mod.rs"]
mod fuzz;

pub use cache::Cache;
pub use compiler::{Compiler, GivenUp, compile_if_asked};
pub use component::{Conditions, Digest, Sandbox};
pub use contents::{Contents, FileKind, Package};
pub use description::{Description, Field, Parameter};
pub(crate) use guard::STRIPPED_BYTES_MIN;
pub use guard::{Guard, Inspector, Pointer};
pub use inspect::{Inspection, Readiness};
pub use keys::{KEY_BYTES_MIN, Keys};
pub use limits::{
    BATCH_MS_DEFAULT, CALL_MS_MAX, CHECK_MS_DEFAULT, COMPILE_MIB_DEFAULT, COMPILE_MIB_MAX,
    COMPILE_MIB_MIN, COMPILE_SECS_DEFAULT, COMPILE_SECS_MAX, CORE_INSTANCES_DEFAULT,
    CORE_INSTANCES_MAX, Isolation, Limits, MEMORY_MIB_DEFAULT, MEMORY_MIB_MAX,
    MESSAGE_INSTRUCTIONS_DEFAULT, MESSAGE_MS_DEFAULT, RESULT_KIB_DEFAULT, RESULT_KIB_MAX,
    ROWS_PER_MESSAGE_DEFAULT, STACK_KIB_DEFAULT, STACK_KIB_MAX, STACK_KIB_MIN,
    TABLE_ELEMENTS_DEFAULT, TABLE_ELEMENTS_MAX,
};
pub use link::{Capabilities, Capability, Grant};
pub use metered::{MeteredSandbox, Share, Usage};
pub use threads::{Judge, Judged, Judging, SandboxThreads};
