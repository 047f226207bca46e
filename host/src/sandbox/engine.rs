//! The engine: how wasmtime compiles and where instances live.

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::{Limits, MEMORIES_MAX, TABLES_MAX};
use super::ticker::tick;

/// What stays mapped of an instance's memory between two instances: what a
/// large batch takes of a small guest; resetting the pages that were written to
/// costs less than faulting them in.
const MEMORY_KEPT_BYTES: usize = 1024 * 1024;
/// The same of its tables, which have some hundred entries of 8 bytes.
const TABLE_KEPT_BYTES: usize = 64 * 1024;
/// An instance beside those at work: the one that judges a message again.
const INSTANCES_SPARE: u32 = 1;

/// Whether a guest's instructions are counted, which takes about a fifth of its
/// speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    Counted,
    Uncounted,
}

/// Makes an engine with room for `instances` at a time.
pub(super) fn engine(
    limits: &Limits,
    instances: usize,
    instructions: Instructions,
) -> wasmtime::Result<Engine> {
    let instances = u32::try_from(instances)
        .unwrap_or(u32::MAX / 2)
        .saturating_add(INSTANCES_SPARE);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .max_core_instances_per_component(limits.core_instances_max)
        .total_core_instances(instances.saturating_mul(limits.core_instances_max))
        .max_memories_per_component(MEMORIES_MAX)
        .total_memories(instances.saturating_mul(MEMORIES_MAX))
        .max_tables_per_component(TABLES_MAX)
        .total_tables(instances.saturating_mul(TABLES_MAX))
        // Asynchronous calls and garbage collection are not used. By default
        // there is room for a thousand, and a system call for each stack.
        .total_stacks(0)
        .total_gc_heaps(0)
        .table_elements(limits.table_elements_max)
        .max_memory_size(limits.memory_bytes_max)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .pagemap_scan(Enabled::Auto);

    let mut config = config(instructions);
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .max_wasm_stack(limits.stack_bytes_max);
    let engine = Engine::new(&config)?;
    tick(&engine)?;
    Ok(engine)
}

/// Makes an engine that compiles for such a one, and runs nothing: where
/// instances live does not show in their code.
pub(super) fn compiling(instructions: Instructions) -> wasmtime::Result<Engine> {
    Engine::new(&config(instructions))
}

/// What shows in the code, and how it is called.
fn config(instructions: Instructions) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(instructions == Instructions::Counted)
        // A guest has one thread; one that waits could not be interrupted.
        .wasm_threads(false)
        // A trap's backtrace is never shown, and collecting it costs.
        .wasm_backtrace_max_frames(None::<NonZeroUsize>)
        // Calls are synchronous, on threads of their own; a call costs less
        // than half without the bookkeeping for concurrent ones.
        .concurrency_support(false)
        .wasm_gc(false);
    config
}
