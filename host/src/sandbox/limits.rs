//! What a component may use, each bound with its unit last.

use wasmtime::ResourceLimiter;

/// The bounds of one sandbox, set by the operator.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory_bytes_max: usize,
    /// One message on its own, in milliseconds of wall-clock time.
    pub message_ms_max: u64,
    /// One call with a batch, in milliseconds of wall-clock time.
    pub batch_ms_max: u64,
    /// Rows out of one message.
    pub rows_per_message_max: usize,
    /// The values out of one message, in bytes.
    pub result_bytes_max: usize,
}

/// The default bound on memory: room for ten bodies of 1 MiB, which is the
/// most that one SQS response holds, several times over.
pub const MEMORY_MIB_DEFAULT: usize = 64;
/// The default bound on one message: some ten thousand times what the default
/// component takes for one.
pub const MESSAGE_MS_DEFAULT: u64 = 1_000;
/// The default bound on a batch.
pub const BATCH_MS_DEFAULT: u64 = 5_000;
/// The default bound on rows out of one message.
pub const ROWS_PER_MESSAGE_DEFAULT: usize = 1_000;
/// The default bound on the size of a result: a body of 1 MiB, which is the
/// most that SQS takes, four times over.
pub const RESULT_KIB_DEFAULT: usize = 4_096;

/// Elements of one table: function pointers, of which real guests have some
/// hundreds (JavaScript engines some thousands).
pub(super) const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Core instances inside one component: its own and its adapters'.
pub(super) const CORE_INSTANCES_MAX: u32 = 16;
/// Handles that one instance may hold at a time, its own resources' and those
/// of the empty WASI, lent ones too: the host keeps some bytes for each.
pub(super) const HANDLES_MAX: usize = 10_000;
/// The guest's stack, in bytes.
pub(super) const STACK_BYTES_MAX: usize = 512 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: MEMORY_MIB_DEFAULT << 20,
            message_ms_max: MESSAGE_MS_DEFAULT,
            batch_ms_max: BATCH_MS_DEFAULT,
            rows_per_message_max: ROWS_PER_MESSAGE_DEFAULT,
            result_bytes_max: RESULT_KIB_DEFAULT << 10,
        }
    }
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// A fresh instance for each batch.
    #[default]
    Batch,
    /// A fresh instance for each message.
    Message,
}

/// Counts what one instance takes, and remembers what it was denied: the guest
/// sees a failed growth and traps in its own way, so the trap does not tell.
#[derive(Debug)]
pub(super) struct Meter {
    memory_bytes_max: usize,
    /// The linear memory that it has, in bytes.
    pub(super) memory_bytes: usize,
    pub(super) memory_denied: bool,
}

impl Meter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes_max: limits.memory_bytes_max,
            memory_bytes: 0,
            memory_denied: false,
        }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_bytes_max;
        match allowed {
            true => self.memory_bytes = self.memory_bytes.max(desired),
            false => self.memory_denied = true,
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}
