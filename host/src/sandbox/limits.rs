//! What a component may use, each bound with its unit last, and what it does use.

use wasmtime::ResourceLimiter;

use super::allowance::Allowance;

/// The bounds of one sandbox, set by the operator.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together, in bytes.
    pub memory_bytes_max: usize,
    /// The stack of a call, in bytes.
    pub stack_bytes_max: usize,
    /// The elements of one instance's tables, all of them together.
    pub table_elements_max: usize,
    /// Core instances inside one component: its own and its adapters'.
    pub core_instances_max: u32,
    /// One message on its own, in milliseconds of processor time.
    pub message_ms_max: u64,
    /// One call with a batch, in milliseconds of processor time.
    pub batch_ms_max: u64,
    /// What the host does with the result for one message (the leak guard), in
    /// milliseconds of processor time.
    pub check_ms_max: u64,
    /// One message on its own, in instructions, where they are counted: by a
    /// [`MeteredSandbox`](super::MeteredSandbox).
    pub message_instructions_max: u64,
    /// Rows out of one message.
    pub rows_per_message_max: usize,
    /// The values out of one message, in bytes.
    pub result_bytes_max: usize,
    /// Compiling the component, in seconds of wall-clock time.
    pub compile_secs_max: u64,
    /// The memory of compiling the component, in MiB, where a child process
    /// compiles.
    pub compile_mib_max: u64,
}

/// The default bound on memory: room for ten bodies of 1 MiB, which is the
/// most that one SQS response holds, several times over.
pub const MEMORY_MIB_DEFAULT: u16 = 64;
/// All that a 32-bit memory can have.
pub const MEMORY_MIB_MAX: u16 = 4_096;
/// The default bound on the stack: wasmtime's own.
pub const STACK_KIB_DEFAULT: u16 = 512;
/// Less would be used up by an honest parser.
pub const STACK_KIB_MIN: u16 = 64;
/// The guest's stack is its thread's, which has 2 MiB: half is the host's.
pub const STACK_KIB_MAX: u16 = 1_024;
/// The default bound on table elements: function pointers, of which real guests
/// have some hundreds (JavaScript engines some thousands).
pub const TABLE_ELEMENTS_DEFAULT: u32 = 100_000;
/// The most that a WebAssembly file may declare.
pub const TABLE_ELEMENTS_MAX: u32 = 10_000_000;
/// The default bound on core instances: a component of one module has up to
/// four, with an adapter of WASI some ten, a whole Python 38.
pub const CORE_INSTANCES_DEFAULT: u32 = 64;
/// Address space is set aside for each.
pub const CORE_INSTANCES_MAX: u32 = 100;
/// The default bound on one message: some ten thousand times what the default
/// component takes for one.
pub const MESSAGE_MS_DEFAULT: u64 = 1_000;
/// The default bound on a batch.
pub const BATCH_MS_DEFAULT: u64 = 5_000;
/// The default bound on checking what comes out for a message: as long as a
/// message may take to be transformed. Rows of a KiB take some microseconds.
pub const CHECK_MS_DEFAULT: u64 = MESSAGE_MS_DEFAULT;
/// As long as SQS keeps a message hidden: nobody waits longer for a verdict.
pub const CALL_MS_MAX: u64 = 12 * 60 * 60 * 1_000;
/// The default bound on instructions: about what a core does in the default
/// time.
pub const MESSAGE_INSTRUCTIONS_DEFAULT: u64 = 2_000_000_000;
/// The default bound on rows out of one message.
pub const ROWS_PER_MESSAGE_DEFAULT: u32 = 1_000;
/// The default bound on the size of a result: a body of 1 MiB, which is the
/// most that SQS takes, four times over.
pub const RESULT_KIB_DEFAULT: u32 = 4_096;
/// The default bound on compiling: the largest known guest, a whole Python, takes
/// less than a minute.
pub const COMPILE_SECS_DEFAULT: u64 = 300;
/// Whoever starts a host waits no longer.
pub const COMPILE_SECS_MAX: u64 = 60 * 60;
/// The default bound on the memory of compiling: the largest known guest, a
/// whole Python, takes a quarter of it on two cores, and more on many.
pub const COMPILE_MIB_DEFAULT: u32 = 2_048;
/// Less would not do for the compiler itself.
pub const COMPILE_MIB_MIN: u32 = 64;
/// No machine that this runs on has more to give.
pub const COMPILE_MIB_MAX: u32 = 1_048_576;
/// PostgreSQL takes no value of 1 GiB.
pub const RESULT_KIB_MAX: u32 = 1_048_576;

/// Memories of one component: its own, and those of what stands in for a WASI,
/// of which QuickJS has two. For each of them, address space is set aside.
pub(super) const MEMORIES_MAX: u32 = 4;
/// Tables of one component: its own and those of its adapters.
pub(super) const TABLES_MAX: u32 = 16;
/// Handles that one instance may hold at a time, its own resources' and those
/// of the empty WASI, lent ones too: the host keeps some bytes for each.
pub(super) const HANDLES_MAX: usize = 10_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: usize::from(MEMORY_MIB_DEFAULT) << 20,
            stack_bytes_max: usize::from(STACK_KIB_DEFAULT) << 10,
            table_elements_max: TABLE_ELEMENTS_DEFAULT as usize,
            core_instances_max: CORE_INSTANCES_DEFAULT,
            message_ms_max: MESSAGE_MS_DEFAULT,
            batch_ms_max: BATCH_MS_DEFAULT,
            check_ms_max: CHECK_MS_DEFAULT,
            message_instructions_max: MESSAGE_INSTRUCTIONS_DEFAULT,
            rows_per_message_max: ROWS_PER_MESSAGE_DEFAULT as usize,
            result_bytes_max: (RESULT_KIB_DEFAULT as usize) << 10,
            compile_secs_max: COMPILE_SECS_DEFAULT,
            compile_mib_max: u64::from(COMPILE_MIB_DEFAULT),
        }
    }
}

/// What a host's value takes, against the bytes that it counts with in a
/// result: 32 for the eight of a number.
const LIFTED_PER_RESULT_BYTE: usize = 4;
/// What a list takes beside its elements, in bytes: a row, or an outcome.
const LIFTED_LIST_BYTES: usize = 32;
/// Whatever the limits: the result of a batch, in bytes, as the host holds it.
const LIFTED_BATCH_BYTES_MAX: usize = 128 << 20;

impl Limits {
    /// What a call with so many messages may bring the host to allocate, in
    /// bytes. A guest can give one text as the value of a thousand rows, so
    /// that its own memory does not bound it.
    pub(super) fn lifted_bytes_max(&self, messages: usize) -> usize {
        let one = self.result_bytes_max * LIFTED_PER_RESULT_BYTE
            + (self.rows_per_message_max + 1) * LIFTED_LIST_BYTES;
        // A batch that needs more is judged message by message.
        one.saturating_mul(messages)
            .min(LIFTED_BATCH_BYTES_MAX.max(one))
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

/// Counts what one instance takes, and remembers that it was denied something:
/// the guest sees a failed growth and traps in its own way, so the trap does
/// not tell.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) allowance: Allowance,
    pub(super) memory_bytes: Gauge,
    pub(super) table_elements: Gauge,
}

impl Meter {
    pub(super) fn new(limits: &Limits, ms_max: u64) -> Self {
        Self {
            allowance: Allowance::new(ms_max),
            memory_bytes: Gauge::new(limits.memory_bytes_max),
            table_elements: Gauge::new(limits.table_elements_max),
        }
    }

    /// Whether the instance wanted more than the limits allow.
    pub(super) fn denied(&self) -> bool {
        self.memory_bytes.denied || self.table_elements.denied
    }
}

/// What an instance has of something that it never gives back.
#[derive(Debug)]
pub(super) struct Gauge {
    max: usize,
    pub(super) taken: usize,
    denied: bool,
}

impl Gauge {
    fn new(max: usize) -> Self {
        Self {
            max,
            taken: 0,
            denied: false,
        }
    }

    /// Whether one of the instance's parts may grow. What is beyond the bound
    /// that the part itself declares fails without being taken or denied.
    fn grow(&mut self, current: usize, desired: usize, declared_max: Option<usize>) -> bool {
        let taken = self.taken.saturating_add(desired.saturating_sub(current));
        if taken > self.max {
            self.denied = true;
            return false;
        }
        if declared_max.is_some_and(|declared_max| desired > declared_max) {
            return false;
        }
        self.taken = taken;
        true
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        declared_max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.memory_bytes.grow(current, desired, declared_max))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        declared_max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table_elements.grow(current, desired, declared_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        CodeSection, ExportKind, ExportSection, Function, FunctionSection, HeapType, Instruction,
        MemorySection, MemoryType, Module, RefType, TableSection, TableType, TypeSection, ValType,
    };
    use wasmtime::{Engine, Instance, Store, TypedFunc};

    const PAGE_BYTES: usize = 64 << 10;
    const DECLARED_MAX: u64 = 5;

    /// A module of two tables and a memory, the second table and the memory with
    /// a bound of their own, and a function to grow each.
    fn module() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], [ValType::I32]);
        let mut tables = TableSection::new();
        for maximum in [None, Some(DECLARED_MAX)] {
            tables.table(TableType {
                element_type: RefType::FUNCREF,
                table64: false,
                minimum: 1,
                maximum,
                shared: false,
            });
        }
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 1,
            maximum: Some(DECLARED_MAX),
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let (mut functions, mut exports) = (FunctionSection::new(), ExportSection::new());
        let mut code = CodeSection::new();
        let null = Instruction::RefNull(HeapType::FUNC);
        let local = Instruction::LocalGet(0);
        for (n, (name, body)) in [
            (
                "table",
                vec![null.clone(), local.clone(), Instruction::TableGrow(0)],
            ),
            (
                "bounded",
                vec![null, local.clone(), Instruction::TableGrow(1)],
            ),
            ("memory", vec![local, Instruction::MemoryGrow(0)]),
        ]
        .into_iter()
        .enumerate()
        {
            functions.function(0);
            exports.export(name, ExportKind::Func, n as u32);
            let mut function = Function::new([]);
            for instruction in body {
                function.instruction(&instruction);
            }
            function.instruction(&Instruction::End);
            code.function(&function);
        }
        let mut module = Module::new();
        module
            .section(&types)
            .section(&functions)
            .section(&tables)
            .section(&memories)
            .section(&exports)
            .section(&code);
        module.finish()
    }

    struct Guest {
        store: Store<Meter>,
        instance: Instance,
    }

    impl Guest {
        fn new(table_elements_max: usize, pages_max: usize) -> Self {
            let limits = Limits {
                memory_bytes_max: pages_max * PAGE_BYTES,
                table_elements_max,
                ..Limits::default()
            };
            let engine = Engine::default();
            let module = wasmtime::Module::new(&engine, module()).unwrap();
            let mut store = Store::new(&engine, Meter::new(&limits, limits.message_ms_max));
            store.limiter(|meter| meter);
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            Self { store, instance }
        }

        /// What was there before, or none where it does not grow.
        fn grow(&mut self, part: &str, by: i32) -> Option<i32> {
            let grow: TypedFunc<i32, i32> =
                self.instance.get_typed_func(&mut self.store, part).unwrap();
            let before = grow.call(&mut self.store, by).unwrap();
            (before >= 0).then_some(before)
        }

        fn denied(&self) -> bool {
            self.store.data().denied()
        }
    }

    #[test]
    fn tables_grow_together_to_the_limit_and_no_further() {
        let mut guest = Guest::new(10, 10);
        assert_eq!(guest.grow("table", 4), Some(1));
        assert_eq!(guest.grow("bounded", 4), Some(1));
        assert_eq!(guest.store.data().table_elements.taken, 10);
        assert!(!guest.denied());
        assert_eq!(guest.grow("table", 1), None);
        assert!(guest.denied());
        assert_eq!(guest.store.data().table_elements.taken, 10);
    }

    #[test]
    fn memory_grows_to_the_limit_and_no_further() {
        let mut guest = Guest::new(10, 3);
        assert_eq!(guest.grow("memory", 2), Some(1));
        assert_eq!(guest.store.data().memory_bytes.taken, 3 * PAGE_BYTES);
        assert!(!guest.denied());
        assert_eq!(guest.grow("memory", 1), None);
        assert!(guest.denied());
    }

    #[test]
    fn a_part_that_is_at_its_own_end_takes_nothing_and_is_not_denied() {
        let mut guest = Guest::new(100, 100);
        for part in ["bounded", "memory"] {
            assert_eq!(guest.grow(part, 5), None, "{part}");
        }
        assert!(!guest.denied());
        assert_eq!(guest.store.data().table_elements.taken, 2);
        assert_eq!(guest.store.data().memory_bytes.taken, PAGE_BYTES);
    }

    #[test]
    fn what_is_lifted_is_bounded_for_a_message_and_for_a_batch() {
        let limits = Limits::default();
        let one = limits.lifted_bytes_max(1);
        assert!(one > limits.result_bytes_max);
        assert_eq!(limits.lifted_bytes_max(2), 2 * one);
        assert_eq!(limits.lifted_bytes_max(500), LIFTED_BATCH_BYTES_MAX);
        let large = Limits {
            result_bytes_max: LIFTED_BATCH_BYTES_MAX,
            ..limits
        };
        // Whoever allows a message so much gets it, and no more for a batch.
        assert!(large.lifted_bytes_max(1) > LIFTED_BATCH_BYTES_MAX);
        assert_eq!(large.lifted_bytes_max(500), large.lifted_bytes_max(1));
    }
}
