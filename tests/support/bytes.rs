//! Component files that nobody should load, made from code: small enough to
//! read, so no binary fixture has to be trusted.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use wasm_encoder::{
    Alias, BlockType, CodeSection, Component, ComponentAliasSection, ComponentExportKind,
    ComponentImportSection, ComponentInstanceSection, ComponentOuterAliasKind, ComponentTypeRef,
    ComponentTypeSection, ComponentValType, CustomSection, Encode, Function, FunctionSection,
    InstanceSection, InstanceType, Instruction, MemorySection, MemoryType, Module, ModuleArg,
    ModuleSection, NestedComponentSection, PrimitiveValType, RefType, StartSection, TableSection,
    TableType, TypeSection, ValType,
};

use super::repository;

/// A component that is nothing at all: no import, no export.
pub const EMPTY_COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// What a compiler gives before anybody makes a component of it.
pub const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// What a component's section of a core module begins with.
const CORE_MODULE_SECTION: u8 = 1;

/// A component that wants these interfaces, by their full names, from its host.
pub fn component_importing(interfaces: &[&str]) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    types.instance(&InstanceType::new());
    let mut imports = ComponentImportSection::new();
    for &interface in interfaces {
        imports.import(interface, ComponentTypeRef::Instance(0));
    }
    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.finish()
}

/// The component that misbehaves on request.
pub fn misbehaving() -> Vec<u8> {
    let file = repository().join("tests/guests/misbehave.wasm");
    fs::read(file).expect("read the component")
}

/// The same, but for what it does before the first message.
pub fn misbehaving_when_loaded(asked: &str) -> Vec<u8> {
    const FOUND_BY: &str = "when loaded: ";
    const ASKED_BYTES: usize = 40 - FOUND_BY.len();
    renamed(
        misbehaving(),
        &format!("{FOUND_BY}{:ASKED_BYTES$}", "nothing"),
        &format!("{FOUND_BY}{asked:ASKED_BYTES$}"),
    )
}

/// The component with one text in place of another, wherever it stands.
pub fn renamed(mut component: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "lengths stand beside texts");
    let places: Vec<usize> = component
        .windows(from.len())
        .enumerate()
        .filter_map(|(place, text)| (text == from.as_bytes()).then_some(place))
        .collect();
    assert!(!places.is_empty(), "{from:?} is not there");
    for place in places {
        component[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    component
}

/// The component with `copies` more core instances, all of this module: made
/// whenever it is.
pub fn with_core_instances(mut component: Vec<u8>, module: &Module, copies: usize) -> Vec<u8> {
    let index = core_modules(&component);
    let mut instances = InstanceSection::new();
    for _ in 0..copies {
        let no_imports: [(&str, ModuleArg); 0] = [];
        instances.instantiate(index, no_imports);
    }
    let mut more = Component::new();
    more.section(&ModuleSection(module)).section(&instances);
    component.extend(&more.finish()[EMPTY_COMPONENT.len()..]);
    component
}

/// How many core modules stand in a component itself.
fn core_modules(component: &[u8]) -> u32 {
    let mut count = 0;
    let mut rest = &component[EMPTY_COMPONENT.len()..];
    while let [id, after @ ..] = rest {
        count += u32::from(*id == CORE_MODULE_SECTION);
        let (length, body) = leb128(after);
        rest = &body[length..];
    }
    count
}

/// An unsigned number as LEB128 has it, and what follows.
fn leb128(bytes: &[u8]) -> (usize, &[u8]) {
    let last = bytes.iter().position(|byte| byte & 0x80 == 0);
    let (digits, rest) = bytes.split_at(last.expect("it ends") + 1);
    let number = digits
        .iter()
        .rev()
        .fold(0, |number, digit| number << 7 | usize::from(digit & 0x7f));
    (number, rest)
}

/// A core module that does this when it is instantiated.
pub fn module_that_starts_with(instructions: &[Instruction]) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut memories = MemorySection::new();
    memories.memory(pages(1));
    let mut body = Function::new([]);
    for instruction in instructions {
        body.instruction(instruction);
    }
    body.instruction(&Instruction::End);
    let mut code = CodeSection::new();
    code.function(&body);
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&memories)
        .section(&StartSection { function_index: 0 })
        .section(&code);
    module
}

/// A small core module that takes very long to compile: each of so many loops
/// within loops may change each of a thousand variables.
pub fn module_that_is_slow_to_compile(loops: u32) -> Module {
    const VARIABLES: u32 = 1_000;
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut body = Function::new([(VARIABLES, ValType::I32)]);
    for n in 0..loops {
        body.instruction(&Instruction::Loop(BlockType::Empty))
            .instruction(&Instruction::LocalGet(n % VARIABLES))
            .instruction(&Instruction::LocalSet(n * 13 % VARIABLES));
    }
    for n in 0..loops {
        body.instruction(&Instruction::LocalGet(n % VARIABLES))
            .instruction(&Instruction::BrIf(0))
            .instruction(&Instruction::End);
    }
    body.instruction(&Instruction::End);
    let mut code = CodeSection::new();
    code.function(&body);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module
}

/// A core module with nothing but memories.
pub fn module_with_memories(memories: impl IntoIterator<Item = MemoryType>) -> Module {
    let mut section = MemorySection::new();
    for memory in memories {
        section.memory(memory);
    }
    let mut module = Module::new();
    module.section(&section);
    module
}

/// A memory of so many pages of 64 KiB.
pub fn pages(minimum: u64) -> MemoryType {
    MemoryType {
        minimum,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    }
}

/// A core module with nothing but a table of so many functions.
pub fn module_with_table(elements: u64) -> Module {
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: elements,
        maximum: None,
        shared: false,
    });
    let mut module = Module::new();
    module.section(&tables);
    module
}

/// A component of a type in a type, so many times: each a list of the one
/// before, or a pair of it, which doubles.
pub fn nested_types(depth: u32, doubling: bool) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    types.defined_type().primitive(PrimitiveValType::U8);
    for inner in (0..depth).map(ComponentValType::Type) {
        let defined = types.defined_type();
        match doubling {
            true => defined.tuple([inner, inner]),
            false => defined.list(inner),
        }
    }
    let mut component = Component::new();
    component.section(&types);
    component.finish()
}

/// A component in a component, so many times.
pub fn nested_components(depth: usize) -> Vec<u8> {
    const COMPONENT_SECTION: u8 = 4;
    let mut sections = Vec::new();
    let mut bytes = EMPTY_COMPONENT.len();
    for _ in 0..depth {
        let mut section = vec![COMPONENT_SECTION];
        bytes.encode(&mut section);
        bytes += section.len() + EMPTY_COMPONENT.len();
        sections.push(section);
    }
    let mut component = EMPTY_COMPONENT.to_vec();
    for section in sections.iter().rev() {
        component.extend(section);
        component.extend(EMPTY_COMPONENT);
    }
    component
}

/// A component of parts that each instantiate the one before twice, and the
/// first one a core module: so many parts are two to that power of instances.
pub fn bomb(parts: u32) -> Vec<u8> {
    let no_imports: [(&str, ModuleArg); 0] = [];
    let mut core = InstanceSection::new();
    core.instantiate(0, no_imports);
    let mut first = Component::new();
    first.section(&ModuleSection(&Module::new())).section(&core);
    let mut bomb = Component::new();
    bomb.section(&NestedComponentSection(&first));
    let no_arguments: [(&str, ComponentExportKind, u32); 0] = [];
    for before in 0..parts {
        let mut alias = ComponentAliasSection::new();
        alias.alias(Alias::Outer {
            kind: ComponentOuterAliasKind::Component,
            count: 1,
            index: before,
        });
        let mut twice = ComponentInstanceSection::new();
        twice.instantiate(0, no_arguments);
        twice.instantiate(0, no_arguments);
        let mut part = Component::new();
        part.section(&alias).section(&twice);
        bomb.section(&NestedComponentSection(&part));
    }
    let mut last = ComponentInstanceSection::new();
    last.instantiate(parts, no_arguments);
    bomb.section(&last);
    bomb.finish()
}

/// A core module of so many functions that do nothing.
pub fn module_with_functions(functions: u32) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    // Each of some fifty bytes, as small functions have.
    let mut body = Function::new([(1, ValType::I32)]);
    for n in 0..8 {
        body.instruction(&Instruction::LocalGet(0))
            .instruction(&Instruction::I32Const(n))
            .instruction(&Instruction::I32Add)
            .instruction(&Instruction::LocalSet(0));
    }
    body.instruction(&Instruction::End);
    for _ in 0..functions {
        declared.function(0);
        code.function(&body);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    module
}

/// The component with a section that nobody reads, so that it has this size.
pub fn padded(mut component: Vec<u8>, bytes: usize) -> Vec<u8> {
    // The section's id, its length and its name's length take six bytes.
    let data = vec![0; bytes - component.len() - 6];
    let mut padding = Component::new();
    padding.section(&CustomSection {
        name: "".into(),
        data: data.into(),
    });
    component.extend(&padding.finish()[EMPTY_COMPONENT.len()..]);
    assert_eq!(component.len(), bytes);
    component
}

/// A file that is gone when the test is done with it.
pub struct ScratchFile {
    pub path: PathBuf,
}

impl ScratchFile {
    pub fn new(name: &str, content: impl AsRef<[u8]>) -> ScratchFile {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = std::env::temp_dir().join(format!(
            "etl-host-{}-{}-{name}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::write(&path, content).expect("write a scratch file");
        ScratchFile { path }
    }

    /// One that is its user's alone, as a file of keys has to be.
    pub fn private(name: &str, content: impl AsRef<[u8]>) -> ScratchFile {
        let file = ScratchFile::new(name, content);
        file.with_mode(0o600)
    }

    /// With these permissions.
    pub fn with_mode(self, mode: u32) -> ScratchFile {
        let set = fs::set_permissions(&self.path, fs::Permissions::from_mode(mode));
        set.expect("set a scratch file's mode");
        self
    }

    /// With zeros after its content, which take no place on the disk.
    pub fn stretched_to(self, bytes: u64) -> ScratchFile {
        let file = File::options().write(true).open(&self.path);
        let stretched = file.and_then(|file| file.set_len(bytes));
        stretched.expect("stretch a scratch file");
        self
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
