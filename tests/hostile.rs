//! Components that are hostile before the first message: each is refused with
//! what to do about it, within the limits, and nothing is received. What is
//! just within a limit runs.

use wasm_encoder::{Instruction, MemoryType, Module};

use crate::components::{refused_bytes, refused_with};
use crate::support::bytes::{
    ScratchFile, component_importing, misbehaving, misbehaving_when_loaded,
    module_that_is_slow_to_compile, module_that_starts_with, module_with_memories,
    module_with_table, nested_components, nested_types, padded, pages, renamed,
    with_core_instances,
};
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, bodies, rows};
use crate::support::queue::Queue;

/// The largest file that is loaded.
const FILE_BYTES_MAX: usize = 64 << 20;
/// The host's defaults.
const MEMORY_PAGES_MAX: u64 = 1_024;
const TABLE_ELEMENTS_MAX: u64 = 100_000;
const CORE_INSTANCES_MAX: usize = 64;
/// Deep enough for any recursion to end on the stack.
const NESTED: usize = 200_000;
/// How many pages the default component has itself, at the most.
const OWN_PAGES_MAX: u64 = 64;

fn uncached(host: Host) -> Host {
    host.option("--cache-dir", "off")
}

/// Refused soon where it would go on for ever; whatever else it does, a loaded
/// machine may need long for.
#[track_caller]
fn refused_when_loaded(asked: &str) -> Run {
    let file = ScratchFile::new("hostile.wasm", misbehaving_when_loaded(asked));
    let ms_max = match asked.ends_with("spins") {
        true => "300",
        false => "60000",
    };
    refused_with(&file.path, |host| {
        uncached(host).option("--transform-message-ms-max", ms_max)
    })
}

#[test]
fn a_description_that_is_hostile_is_refused() {
    for (asked, words) in [
        (
            "describe spins",
            ["time-limit", "--transform-message-ms-max"],
        ),
        ("describe traps", ["`describe` fails", "trap"]),
        ("describe recurses", ["`describe` fails", "trap"]),
        (
            "describe grows",
            ["memory-limit", "--transform-memory-mib-max"],
        ),
        ("describe has many columns", ["more than 1600 columns", ""]),
        ("describe has a long name", ["no identifier", "63 bytes"]),
        (
            "describe is no text",
            ["`describe` fails", "broken-interface"],
        ),
    ] {
        let run = refused_when_loaded(asked).says(&words);
        assert!(
            run.stderr.len() < 2_000,
            "{asked}: it repeats what it heard"
        );
    }
}

#[test]
fn a_configuration_that_is_hostile_is_refused() {
    for (asked, words) in [
        (
            "configure spins",
            ["time-limit", "--transform-message-ms-max"],
        ),
        ("configure traps", ["`configure` fails", "trap"]),
        (
            "configure grows",
            ["memory-limit", "--transform-memory-mib-max"],
        ),
        ("configure refuses", ["does not declare", ""]),
        ("configure talks", ["refuses --param words", "1024 bytes"]),
    ] {
        let run = refused_when_loaded(asked).says(&words);
        assert!(
            run.stderr.len() < 2_000,
            "{asked}: it repeats what it heard"
        );
    }
}

/// The default component, with more core instances of this module.
fn extended(module: &Module, copies: usize) -> Vec<u8> {
    let component = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    with_core_instances(component, module, copies)
}

#[test]
fn a_start_that_is_hostile_is_refused() {
    use wasm_encoder::BlockType::Empty;
    let spin = [
        Instruction::Loop(Empty),
        Instruction::Br(0),
        Instruction::End,
    ];
    // A page after the other, until it gets no more, and then a trap.
    let grow = [
        Instruction::Loop(Empty),
        Instruction::I32Const(1),
        Instruction::MemoryGrow(0),
        Instruction::I32Const(-1),
        Instruction::I32Ne,
        Instruction::BrIf(0),
        Instruction::End,
        Instruction::Unreachable,
    ];
    let starts: [(&[Instruction], &str); 4] = [
        (&spin, "time-limit"),
        (&grow, "memory-limit"),
        (&[Instruction::Unreachable], "trap"),
        (&[Instruction::Call(0)], "trap"),
    ];
    for (start, reason) in starts {
        let file = ScratchFile::new("hostile.wasm", extended(&module_that_starts_with(start), 1));
        let run = refused_with(&file.path, |host| {
            uncached(host).option("--transform-message-ms-max", "300")
        });
        run.says(&["it cannot be started", reason]);
    }
}

/// Runs logins through a component, in both isolation modes.
#[track_caller]
fn assert_runs(component: impl AsRef<[u8]>, settings: impl Fn(Host) -> Host) {
    let file = ScratchFile::new("within.wasm", component);
    for isolation in ["batch", "message"] {
        let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
        let logins = Login::several("within_the_limits", 3);
        let sent = queue.send(&bodies(&logins));
        let host = Host::new(&queue, &database)
            .option("--transform", &file.path)
            .option("--isolation", isolation);
        settings(uncached(host)).until_empty().run().exited(0);
        database.assert_rows(&rows(&logins, sent.day));
        queue.assert_empty();
    }
}

#[test]
fn memories_of_several_core_instances_are_no_fault_within_the_limit() {
    let half = module_with_memories([pages(MEMORY_PAGES_MAX - OWN_PAGES_MAX)]);
    assert_runs(extended(&half, 1), |host| host);
}

#[test]
fn memories_of_several_core_instances_count_together_over_the_limit() {
    // Each is within the limit on its own.
    let whole = module_with_memories([pages(MEMORY_PAGES_MAX)]);
    refused_bytes(extended(&whole, 1)).says(&["memory-limit", "--transform-memory-mib-max"]);
    assert_runs(extended(&whole, 1), |host| {
        host.option("--transform-memory-mib-max", "128")
    });
}

#[test]
fn a_memory_that_no_limit_allows_is_refused() {
    let limit = "--transform-memory-mib-max";
    let large = module_with_memories([pages(MEMORY_PAGES_MAX + 1)]);
    refused_bytes(extended(&large, 1)).says(&[limit]);
    let several = module_with_memories([pages(1)]);
    refused_bytes(extended(&several, 4)).says(&["memories"]);
    let shared = MemoryType {
        shared: true,
        maximum: Some(1),
        ..pages(1)
    };
    refused_bytes(extended(&module_with_memories([shared]), 1)).says(&["threads"]);
}

#[test]
fn tables_are_no_fault_within_the_limit() {
    // It has a few of its own.
    let table = module_with_table(TABLE_ELEMENTS_MAX / 2 - 500);
    assert_runs(extended(&table, 2), |host| host);
}

#[test]
fn tables_count_together_over_the_limit() {
    let option = "--transform-table-elements-max";
    let half = module_with_table(TABLE_ELEMENTS_MAX / 2 + 1);
    refused_bytes(extended(&half, 2)).says(&["memory-limit", option]);
    let whole = module_with_table(TABLE_ELEMENTS_MAX + 1);
    refused_bytes(extended(&whole, 1)).says(&[option]);
    assert_runs(extended(&whole, 2), |host| host.option(option, "300000"));
}

#[test]
fn core_instances_are_no_fault_within_the_limit() {
    // One of them is its own.
    assert_runs(extended(&Module::new(), CORE_INSTANCES_MAX - 1), |host| {
        host
    });
}

#[test]
fn core_instances_are_refused_over_the_limit() {
    let option = "--transform-core-instances-max";
    let many = extended(&Module::new(), CORE_INSTANCES_MAX);
    refused_bytes(&many).says(&[option, "64"]);
    assert_runs(&many, |host| host.option(option, "65"));
}

#[test]
fn limits_that_make_no_sense_are_usage_errors() {
    for (option, values) in [
        ("--transform-memory-mib-max", ["0", "4097"]),
        ("--transform-stack-kib-max", ["63", "1025"]),
        ("--transform-table-elements-max", ["0", "10000001"]),
        ("--transform-core-instances-max", ["0", "101"]),
        ("--transform-message-ms-max", ["0", "43200001"]),
        ("--transform-batch-ms-max", ["0", "18446744073709551615"]),
        ("--transform-rows-per-message-max", ["0", "4294967296"]),
        ("--transform-result-kib-max", ["0", "1048577"]),
        ("--transform-compile-secs-max", ["0", "3601"]),
    ] {
        for value in values {
            let run = Host::bare().option(option, value).run().exited(2);
            run.says(&[option, value]);
        }
    }
}

#[test]
fn the_largest_limits_are_such_that_a_component_runs() {
    let component = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    assert_runs(component, |host| {
        host.option("--transform-memory-mib-max", "4096")
            .option("--transform-stack-kib-max", "1024")
            .option("--transform-table-elements-max", "10000000")
            .option("--transform-core-instances-max", "100")
            .option("--transform-message-ms-max", "43200000")
            .option("--transform-batch-ms-max", "43200000")
            .option("--transform-rows-per-message-max", "4294967295")
            .option("--transform-result-kib-max", "1048576")
            .option("--transform-compile-secs-max", "3600")
    });
}

#[test]
fn a_component_of_another_version_is_refused_with_both() {
    let (this, other) = ("etl:transform/policy@0.1.0", "etl:transform/policy@0.2.0");
    refused_bytes(renamed(misbehaving(), this, other)).says(&[this, other]);
}

#[test]
fn a_component_of_other_types_is_refused() {
    let other = renamed(misbehaving(), "sensitive", "sensitife");
    refused_bytes(other).says(&["it exports other types than wit/ has", "sensitive"]);
}

#[test]
fn a_component_that_imports_everything_is_refused_by_the_imports_names() {
    let everything = [
        "wasi:filesystem/types@0.2.0",
        "wasi:sockets/tcp@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:clocks/wall-clock@0.2.0",
        "wasi:random/random@0.2.0",
        "wasi:cli/environment@0.2.0",
        "wasi:cli/stdout@0.2.0",
        "etl:transform/keyed-hash@0.1.0",
    ];
    refused_bytes(component_importing(&everything)).says(&everything);

    // As many as wasmtime reads.
    let many: Vec<String> = (0..1_000).map(|n| format!("a:b/c{n}@1.0.0")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let run = refused_bytes(component_importing(&many));
    let run = run.says(&["a:b/c0@1.0.0", "980 more"]);
    assert!(run.stderr.len() < 2_000, "it repeats all that it heard");
}

#[test]
fn a_file_of_100_mb_is_refused_without_being_compiled() {
    let good = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    let file = ScratchFile::new("hostile.wasm", good).stretched_to(100_000_000);
    refused_with(&file.path, uncached).says(&["64 MiB"]);
}

#[test]
fn a_component_may_be_as_large_as_the_limit_and_no_larger() {
    let good = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    assert_runs(padded(good.clone(), FILE_BYTES_MAX), |host| host);
    refused_bytes(padded(good, FILE_BYTES_MAX + 1)).says(&["64 MiB"]);
}

/// Its size does not bound the time: this one has some 100 kB.
#[test]
fn a_file_that_takes_too_long_to_compile_is_refused() {
    let file = ScratchFile::new(
        "hostile.wasm",
        extended(&module_that_is_slow_to_compile(10_000), 1),
    );
    refused_with(&file.path, |host| {
        uncached(host).option("--transform-compile-secs-max", "2")
    })
    .says(&["longer than 2 s", "--transform-compile-secs-max"]);
}

#[test]
fn types_within_types_without_end_are_refused() {
    // Each is one byte more of the file; doubled, 60 are 10¹⁸ values.
    refused_bytes(nested_types(500_000, false)).says(&["type nesting is too deep"]);
    refused_bytes(nested_types(60, true)).says(&["compile it"]);
}

#[test]
fn components_within_components_without_end_are_refused() {
    refused_bytes(nested_components(NESTED)).says(&["more than 32 deep"]);
}
