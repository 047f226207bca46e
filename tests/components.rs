//! The component: any of the right world may take the place, and nothing else
//! gets as far as the first message.

use std::path::Path;

use crate::support::bytes::{CORE_MODULE, EMPTY_COMPONENT, ScratchFile, component_importing};
use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::{Host, Run};
use crate::support::login::{Locale, Login, Row, bodies, rows, sha256_hex};
use crate::support::queue::Queue;

/// Runs the host with a component, or settings, that it must refuse before it
/// receives anything.
#[track_caller]
pub fn refused_with(component: &Path, settings: impl Fn(Host) -> Host) -> Run {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    queue.send(&bodies(&Login::several("refused_component", 1)));
    let host = Host::new(&queue, &database).option("--transform", component);
    let run = settings(host).until_empty().run().exited(78);
    assert_eq!(
        queue.calls("ReceiveMessage"),
        0,
        "it received before it failed"
    );
    run
}

#[track_caller]
fn refused(component: &Path, parameters: &[&str]) -> Run {
    refused_with(component, |host| {
        let words = parameters.iter().flat_map(|words| ["--param", words]);
        words.fold(host, Host::word)
    })
}

/// A component that nobody else will ever load.
#[track_caller]
pub fn refused_bytes(bytes: impl AsRef<[u8]>) -> Run {
    let file = ScratchFile::new("component.wasm", bytes);
    let uncached = |host: Host| host.option("--cache-dir", "off");
    refused_with(&file.path, uncached).says(&["component.wasm"])
}

#[test]
fn a_component_file_that_is_not_there_is_named() {
    refused(Path::new("no-such-component.wasm"), &[]).says(&["no-such-component.wasm"]);
}

#[test]
fn a_directory_is_not_a_component() {
    refused(&std::env::temp_dir(), &[]);
}

#[test]
fn a_file_of_anything_else_is_not_a_component() {
    refused_bytes("these bytes are invented").says(&["WebAssembly"]);
    refused_bytes("").says(&["WebAssembly"]);
}

#[test]
fn a_component_cut_short_is_refused() {
    let mut bytes = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    bytes.truncate(bytes.len() / 2);
    refused_bytes(bytes);
}

#[test]
fn a_core_module_is_told_from_a_component() {
    refused_bytes(CORE_MODULE).says(&["core module", "component"]);
}

#[test]
fn a_component_without_the_export_is_of_another_world() {
    refused_bytes(EMPTY_COMPONENT).says(&["etl:transform/policy", "world"]);
}

#[test]
fn a_component_that_wants_more_than_its_world_gives_is_refused_by_the_imports_name() {
    for import in [
        "wasi:cli/environment@0.2.0",
        "invented:network/socket@1.0.0",
    ] {
        refused_bytes(component_importing(&[import])).says(&[import]);
    }
}

/// The imports of a component that exports nothing, so that nothing is ever run.
fn refused_imports(imports: &[&str], settings: impl Fn(Host) -> Host) -> Run {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let file = ScratchFile::new("component.wasm", component_importing(imports));
    let host = Host::new(&queue, &database).option("--transform", &file.path);
    settings(host.until_empty()).run().exited(78)
}

#[test]
fn an_allowed_wasi_has_no_sockets_and_no_other_version() {
    for import in [
        "wasi:sockets/tcp@0.2.0",
        "wasi:sockets/instance-network@0.2.6",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:cli/stdout@0.2.0-rc-2023-12-05",
        "wasi:cli/stdout@0.3.0",
        "wasi:cli/stdout",
        "wasi:cli/stdoutt@0.2.0",
        "wasi:clocks/timezone@0.2.0",
        "wasi:filesystem/types@1.0.0",
        "invented:cli/stdout@0.2.0",
    ] {
        let refusal = format!("imports {import}: refused; nothing gives it {import}:");
        let beside = ["wasi:cli/stdin@0.2.0", import];
        refused_imports(&beside, |host| host.option("--allow", "wasi")).says(&[&refusal]);
    }
}

#[test]
fn a_wasi_and_the_keyed_hash_are_allowed_each_for_itself() {
    const KEYED_HASH: &str = "etl:transform/keyed-hash@0.1.0";
    // Any patch of the version will do.
    const STDOUT: &str = "wasi:cli/stdout@0.2.99";
    let imports = [STDOUT, KEYED_HASH];
    let key = format!("2026-11:{}", "a7".repeat(32));
    let with_key = |host: Host| host.env("ETL_HOST_KEY", &key);
    let with_wasi = |host: Host| host.env("ETL_HOST_ALLOW", "wasi");

    refused_imports(&imports, |host| host).says(&[
        STDOUT,
        KEYED_HASH,
        "--allow wasi",
        "--key-file",
    ]);
    refused_imports(&imports, with_wasi)
        .says(&[KEYED_HASH, "--key-file"])
        .never_says(STDOUT);
    refused_imports(&imports, with_key)
        .says(&[STDOUT, "--allow wasi"])
        .never_says(KEYED_HASH);
    // Nothing is missing but what makes a policy of it.
    refused_imports(&imports, |host| with_wasi(with_key(host)))
        .says(&["it does not export etl:transform/policy"]);
}

#[test]
fn a_parameter_that_the_component_does_not_know_is_refused_with_those_it_knows() {
    refused(&guest("truncate_mask.wasm"), &["ipv4_bits=16"]).says(&[
        "ipv4_bits",
        "ipv4_prefix_bits",
        "ipv6_prefix_bits",
    ]);
    refused(&guest("sha256_mask.wasm"), &["salt=x"]).says(&["salt"]);
}

#[test]
fn a_parameter_that_makes_no_sense_is_refused_with_what_is_expected() {
    for value in ["99", "0", "many", "-1", ""] {
        refused(
            &guest("truncate_mask.wasm"),
            &[&format!("ipv4_prefix_bits={value}")],
        )
        .says(&["ipv4_prefix_bits", "1 to 32"]);
    }
}

#[test]
fn a_parameter_given_twice_is_refused() {
    refused(
        &guest("truncate_mask.wasm"),
        &["ipv4_prefix_bits=16", "ipv4_prefix_bits=24"],
    )
    .says(&["ipv4_prefix_bits", "twice"]);
}

#[test]
fn another_component_takes_the_place_without_touching_the_host() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let mut logins = Login::several("other_component", 2);
    logins[0].ip = "203.0.113.77".to_owned();
    logins[1].ip = "2001:db8:77:1:2:3:4:5".to_owned();
    let sent = queue.send(&bodies(&logins));

    let run = Host::new(&queue, &database)
        .option("--transform", guest("truncate_mask.wasm"))
        .option("--param", "ipv4_prefix_bits=16")
        .until_empty()
        .run()
        .exited(0);

    let networks = ["203.0.0.0/16", "2001:db8:77::/48"];
    let expected: Vec<Row> = logins
        .iter()
        .zip(networks)
        .map(|(login, network)| Row {
            masked_ip: Some(network.to_owned()),
            masked_device_id: None,
            ..login.row(sent.day)
        })
        .collect();
    database.assert_rows(&expected);
    queue.assert_empty();
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_fresh_instance_for_each_message_gives_the_same_rows() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let mut login = Login::invented("isolation", 1);
    login.locale = Locale::Given("DE");
    let sent = queue.send(&[login.body()]);

    Host::new(&queue, &database)
        .option("--isolation", "message")
        .until_empty()
        .run()
        .exited(0);

    database.assert_rows(&[login.row(sent.day)]);
}

#[test]
fn only_the_file_of_the_demanded_digest_is_run() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("digest", 2);
    let sent = queue.send(&bodies(&logins));
    let host = |digest: &str| Host::new(&queue, &database).option("--transform-sha256", digest);
    let file = std::fs::read(guest("sha256_mask.wasm")).expect("read the component");
    let digest = sha256_hex(&file);
    let another = digest.chars().rev().collect::<String>();

    let run = host(&another).until_empty().run().exited(78);
    run.says(&[&digest, &another, "--transform-sha256"]);
    for no_digest in ["", "abc", &digest[1..], &format!("{digest}00")] {
        host(no_digest).until_empty().run().exited(2);
    }
    assert_eq!(queue.calls("ReceiveMessage"), 0);
    host(&digest.to_uppercase()).until_empty().run().exited(0);
    database.assert_rows(&rows(&logins, sent.day));
}
