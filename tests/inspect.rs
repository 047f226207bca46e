//! `etl-host inspect`: whatever a file is, it is told what it is, what it wants,
//! and whether this host would run it, with which options.

use std::path::Path;

use serde_json::{Value, json};
use wasm_encoder::{Component, CustomSection, ProducersField, ProducersSection};

use crate::support::bytes::{
    CORE_MODULE, EMPTY_COMPONENT, ScratchFile, component_importing, misbehaving,
    misbehaving_when_loaded, module_with_memories, nested_components, pages, renamed,
    with_core_instances,
};
use crate::support::database::Database;
use crate::support::host::{Host, Run};
use crate::support::login::sha256_hex;
use crate::support::{deserted_address, guest, repository};

const INTERFACE: &str = "etl:transform/policy@0.1.0";
const KEYED_HASH: &str = "etl:transform/keyed-hash@0.1.0";

fn inspect(component: &Path) -> Host {
    Host::bare().word("inspect").word(component)
}

#[track_caller]
fn inspected(component: &Path, code: i32, settings: impl Fn(Host) -> Host) -> Value {
    let host = settings(inspect(component)).option("--output", "json");
    host.run().exited(code).summary()
}

/// What is found of a file that nobody else will ever load.
#[track_caller]
fn inspected_bytes(bytes: impl AsRef<[u8]>, code: i32) -> Value {
    let file = ScratchFile::new("component.wasm", bytes);
    inspected(&file.path, code, |host| host.option("--cache-dir", "off"))
}

fn text<'a>(report: &'a Value, member: &str) -> &'a str {
    report[member].as_str().unwrap_or_default()
}

#[track_caller]
fn shows(run: &Run, words: &[&str]) {
    for word in words {
        assert!(run.stdout.contains(word), "no {word:?} in\n{}", run.stdout);
    }
}

fn appended(mut component: Vec<u8>, sections: Component) -> Vec<u8> {
    let sections = sections.finish();
    component.extend(&sections[EMPTY_COMPONENT.len()..]);
    component
}

#[test]
fn a_component_is_told_as_it_describes_itself() {
    let file = guest("sha256_mask.wasm");
    let report = inspected(&file, 0, |host| host);
    let bytes = std::fs::read(&file).expect("read the component");
    assert_eq!(text(&report, "name"), "sha256_mask");
    assert_eq!(text(&report, "sha256"), sha256_hex(&bytes));
    assert_eq!(report["bytes"], bytes.len());
    assert_eq!(text(&report, "kind"), "component");
    assert_eq!(text(&report, "interface"), INTERFACE);
    assert_eq!(text(&report, "world"), "transform");
    assert_eq!(report["imports"], json!([]));
    assert_eq!(
        (&report["runs"], &report["options"]),
        (&json!(true), &json!([]))
    );
    let column = |name: &str| {
        let columns = report["columns"].as_array().expect("columns");
        let found = columns.iter().find(|column| column["name"] == name);
        found.expect("a column").clone()
    };
    let app_version = json!({"name": "app_version", "type": "integer", "nullable": false});
    assert_eq!(column("app_version"), app_version);
    assert_eq!(column("locale")["nullable"], true);
    let fields = report["fields"].as_array().expect("fields");
    assert!(fields.contains(&json!({"pointer": "/ip", "sensitive": true})));
    assert!(fields.contains(&json!({"pointer": "/user_id", "sensitive": false})));

    let run = inspect(&file).run().exited(0);
    shows(&run, &["component    sha256_mask", "wants        nothing"]);
    shows(
        &run,
        &["sensitive    /ip, /device_id", "runs here    yes\n"],
    );
}

#[test]
fn a_field_that_the_operator_guards_is_told_as_sensitive() {
    let run = inspect(&guest("sha256_mask.wasm")).option("--sensitive", "/user_id,/payment/card");
    shows(
        &run.run().exited(0),
        &["sensitive    /user_id, /ip, /device_id, /payment/card"],
    );
}

#[test]
fn what_a_component_wants_is_told_with_the_option_that_gives_it() {
    let keyed = inspected(&guest("hmac_mask.wasm"), 0, |host| host);
    assert_eq!(text(&keyed, "world"), "keyed-transform");
    let import = json!({"name": KEYED_HASH, "option": "--key-file FILE"});
    assert_eq!(keyed["imports"], json!([import]));
    assert_eq!(keyed["options"], json!(["--key-file FILE"]));

    let key = format!("2026-11:{}", "a7".repeat(32));
    let with_key = |host: Host| host.env("ETL_HOST_KEY", &key);
    let given = inspected(&guest("hmac_mask.wasm"), 0, with_key);
    assert_eq!(given["options"], json!([]));

    let with_wasi = repository().join("tests/guests/with_wasi.wasm");
    let report = inspected(&with_wasi, 0, |host| host);
    assert_eq!(text(&report, "name"), "with_wasi");
    assert_eq!(report["options"], json!(["--allow wasi"]));
    let given = inspected(&with_wasi, 0, |host| host.option("--allow", "wasi"));
    assert_eq!(given["options"], json!([]));
    let run = inspect(&with_wasi).run().exited(0);
    shows(&run, &["world transform and a WASI beside it"]);
    shows(
        &run,
        &[
            "wasi:cli/stdout@0.2.",
            ": --allow wasi",
            "yes, with --allow wasi",
        ],
    );
}

#[test]
fn parameters_are_told_and_tried() {
    let file = guest("truncate_mask.wasm");
    let report = inspected(&file, 0, |host| host);
    let parameter = &report["parameters"][0];
    assert_eq!(parameter["name"], "ipv4_prefix_bits");
    assert_eq!(
        (&parameter["default"], &parameter["required"]),
        (&json!("24"), &json!(false))
    );
    for (given, words) in [
        ("ipv4_prefix_bits=99", "1 to 32"),
        ("salt=x", "unknown to it"),
    ] {
        let refused = inspected(&file, 78, |host| host.option("--param", given));
        assert!(text(&refused, "refused").contains(words), "{refused}");
        assert_eq!(text(&refused, "name"), "truncate_mask");
    }
}

#[test]
fn an_import_that_nothing_gives_leaves_the_component_readable() {
    let (from, to) = ("etl:transform/keyed-hash", "out:transform/keyed-hash");
    let keyed = std::fs::read(guest("hmac_mask.wasm")).expect("read the component");
    let report = inspected_bytes(renamed(keyed, from, to), 78);
    assert_eq!(text(&report, "name"), "hmac_mask");
    assert_eq!(
        (&report["runs"], &report["world"]),
        (&json!(false), &Value::Null)
    );
    let import = json!({"name": "out:transform/keyed-hash@0.1.0", "option": null});
    assert_eq!(report["imports"], json!([import]));
    let why = text(&report, "refused");
    assert!(
        why.contains("out:transform/keyed-hash@0.1.0: refused; nothing gives it"),
        "{why}"
    );
    assert!(!report["columns"].as_array().expect("columns").is_empty());
}

#[test]
fn whatever_this_host_refuses_is_told_with_the_reason() {
    let (this, other) = ("etl:transform/policy@0.1.0", "etl:transform/policy@0.2.0");
    for (bytes, kind, reason) in [
        (
            b"these bytes are invented".to_vec(),
            "other",
            "no WebAssembly",
        ),
        (Vec::new(), "other", "no WebAssembly"),
        (CORE_MODULE.to_vec(), "core-module", "core module"),
        (EMPTY_COMPONENT.to_vec(), "component", "another world"),
        (
            component_importing(&["wasi:sockets/tcp@0.2.0"]),
            "component",
            "wasi:sockets/tcp",
        ),
        (renamed(misbehaving(), this, other), "component", this),
        (
            misbehaving_when_loaded("describe traps"),
            "component",
            "trap",
        ),
        (
            misbehaving_when_loaded("configure traps"),
            "component",
            "trap",
        ),
        (misbehaving()[..30_000].to_vec(), "component", "compile it"),
        (nested_components(1_000), "component", "more than 32 deep"),
    ] {
        let report = inspected_bytes(&bytes, 78);
        assert_eq!(text(&report, "kind"), kind, "{report}");
        assert_eq!(report["runs"], false, "{report}");
        assert!(text(&report, "refused").contains(reason), "{report}");
        assert_eq!(text(&report, "sha256"), sha256_hex(&bytes));
    }
    let of_other_version = inspected_bytes(renamed(misbehaving(), this, other), 78);
    assert_eq!(text(&of_other_version, "interface"), other);
}

#[test]
fn a_component_that_needs_more_than_the_limits_runs_with_more() {
    const PAGES_OF_64_MIB: u64 = 1_024;
    let large = module_with_memories([pages(PAGES_OF_64_MIB + 1)]);
    let bytes = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    let file = ScratchFile::new("large.wasm", with_core_instances(bytes, &large, 1));
    let option = "--transform-memory-mib-max";
    let uncached = |host: Host| host.option("--cache-dir", "off");
    let refused = inspected(&file.path, 78, uncached);
    assert!(text(&refused, "refused").contains(option), "{refused}");
    let allowed = inspected(&file.path, 0, |host| uncached(host).option(option, "128"));
    assert_eq!(allowed["runs"], true);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = inspect(Path::new("no-such-component.wasm"));
    missing.run().exited(78).says(&["no-such-component.wasm"]);
    inspect(&std::env::temp_dir()).run().exited(78);
    Host::bare()
        .word("inspect")
        .run()
        .exited(2)
        .says(&["COMPONENT"]);
}

#[test]
fn what_its_makers_wrote_into_it_is_told_without_control_characters() {
    let text_of = |name: &'static str, text: &'static [u8]| CustomSection {
        name: name.into(),
        data: text.into(),
    };
    let mut field = ProducersField::new();
    field.value("invented-linker", "1.2.3");
    let mut producers = ProducersSection::new();
    producers.field("processed-by", &field);
    let packages = br#"{"packages":[{"name":"invented","version":"4.5.6","source":"crates.io"}]}"#;
    // zlib without compression: a header, one stored block, the checksum.
    let length = u16::try_from(packages.len()).expect("a small one");
    let mut sbom = vec![0x78, 0x01, 0x01];
    sbom.extend(length.to_le_bytes());
    sbom.extend((!length).to_le_bytes());
    sbom.extend(packages);
    sbom.extend(adler32(packages).to_be_bytes());
    let mut sections = Component::new();
    sections
        .section(&text_of("authors", b"Somebody\x1b[31m"))
        .section(&text_of("licenses", b"Apache-2.0"))
        .section(&text_of("source", b"\xff\xfe"))
        .section(&producers)
        .section(&CustomSection {
            name: ".dep-v0".into(),
            data: sbom.into(),
        });
    let bytes = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    let file = ScratchFile::new("told.wasm", appended(bytes, sections));
    let uncached = |host: Host| host.option("--cache-dir", "off");

    let report = inspected(&file.path, 0, uncached);
    assert_eq!(report["metadata"]["authors"], r"Somebody\u{1b}[31m");
    assert_eq!(report["metadata"]["licenses"], "Apache-2.0");
    assert_eq!(
        report["producers"]["processed-by"]["invented-linker"],
        "1.2.3"
    );
    assert_eq!(report["packages"][0]["name"], "invented");
    assert_eq!(report["damage"], json!(["its section source is damaged"]));

    let run = uncached(inspect(&file.path)).run().exited(0);
    shows(
        &run,
        &[r"authors      Somebody\u{1b}[31m", "invented-linker 1.2.3"],
    );
    shows(
        &run,
        &["SBOM         1 package\n", "invented 4.5.6 (crates.io)"],
    );
    run.never_says("\x1b");
}

/// The checksum of RFC 1950.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (one, two) = bytes.iter().fold((1, 0), |(one, two), byte| {
        let one = (one + u32::from(*byte)) % MODULUS;
        (one, (two + one) % MODULUS)
    });
    two << 16 | one
}

#[test]
fn a_table_is_compared_where_one_is_named() {
    let database = Database::with_table();
    let with = |name: &'static str| {
        let url = database.url();
        move |host: Host| {
            let host = host.env("ETL_HOST_DATABASE_URL", &url);
            host.option("--table", name)
        }
    };
    let file = guest("sha256_mask.wasm");
    let fits = inspected(&file, 0, with("user_logins"));
    assert_eq!(
        fits["table"],
        json!({"table": "user_logins", "fits": true, "notes": []})
    );

    database.execute("CREATE TABLE other (user_id text)");
    let run = with("other")(inspect(&file)).run().exited(78);
    shows(
        &run,
        &["other does not fit", "ADD COLUMN \"app_version\" bigint"],
    );
    shows(&run, &["runs here    yes"]);
    run.says(&["table other does not fit the component"]);

    let run = with("no_such_table")(inspect(&file)).run().exited(78);
    shows(
        &run,
        &["table no_such_table does not exist in", "--create-table"],
    );
    // Whatever the table is like, a component that cannot be asked has none.
    let report = inspected(Path::new("README.md"), 78, with("user_logins"));
    assert_eq!(report["table"], Value::Null);
    assert!(!database.has("etl_host.ledger"), "it changed something");
}

#[test]
fn a_database_that_is_away_leaves_the_component_told() {
    let url = format!(
        "postgres://nobody@{}/none?sslmode=disable",
        deserted_address()
    );
    let file = guest("sha256_mask.wasm");
    let run = inspect(&file)
        .option("--database-url", url)
        .run()
        .exited(69);
    shows(&run, &["component    sha256_mask", "Connection refused"]);
    run.says(&["use database", "Connection refused"]);
    // Nobody asks a database that is only there.
    inspect(&file)
        .env("DATABASE_URL", "no URL at all")
        .run()
        .exited(0);
    let named = inspect(&file)
        .option("--table", "a; b")
        .env("DATABASE_URL", "postgres://h/d");
    named.run().exited(78).says(&["--table"]);
}

#[test]
fn each_command_that_looks_at_a_component_shows_an_example() {
    for command in ["inspect", "run-once", "bench"] {
        let run = Host::bare().word(command).word("--help").run().exited(0);
        let example = format!("  etl-host {command} guests/");
        shows(&run, &["Examples:", &example]);
    }
}
