//! Two components that are the same policy: each message has the same verdict
//! of both, whatever its body.

use etl_host::message::Message;
use etl_host::sandbox::{Capabilities, Conditions, Isolation, Limits, Sandbox};
use etl_host::verdict::Verdict;

use crate::project::{Component, cases};
use crate::runner::{Target, corpus};
use crate::stage;

/// Mutated bodies of one run.
const BODIES: u32 = 2_000;
/// An interpreter is slow, and this is no test of its speed.
const MESSAGE_MS_MAX: u64 = 60_000;

/// What mutations put in.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud83e",
    b"\\udd80",
    b"\xf0\x9f\xa6\x80",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-0.5e+3",
    b"1e99999",
    b"\"ip\":",
    b"\"locale\":null,",
    b"\"\\u0069p\":{\"a\":1},",
    b"\"device_id\":[],",
    b"2147.483.648",
    b"\0",
    b"\xff",
];

/// Judges mutated bodies with a component and with `guests/sha256_mask.wasm`.
/// Panics at the first of which they differ, and keeps it.
pub fn on_mutated_bodies(component: &Component) {
    let load = |component: &Component| {
        let conditions = conditions(component.wasi);
        Sandbox::load(&component.file, &conditions, 1).expect("load a component")
    };
    let (reference, other) = (load(&Component::reference()), load(component));
    let target = Target {
        folder: corpus("bodies"),
        cases: BODIES,
        more: bodies_of_cases(),
        words: WORDS,
    };
    target.fuzz(|bytes| {
        let message = [message(String::from_utf8_lossy(bytes).into_owned())];
        let (one, other) = (reference.judge(&message), other.judge(&message));
        assert!(same(&one, &other), "{one:?} and not {other:?}");
    });
}

/// As by default, and with all the time in the world.
pub fn conditions(wasi: bool) -> Conditions {
    let limits = Limits {
        message_ms_max: MESSAGE_MS_MAX,
        batch_ms_max: MESSAGE_MS_MAX,
        check_ms_max: MESSAGE_MS_MAX,
        ..Limits::default()
    };
    Conditions {
        limits,
        capabilities: Capabilities::new(None, wasi),
        ..stage::conditions(Isolation::Batch)
    }
}

fn message(body: String) -> Message {
    Message {
        body,
        ..stage::messages(1).remove(0)
    }
}

fn same(one: &[Verdict], other: &[Verdict]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|pair| match pair {
            (Verdict::Rows(one), Verdict::Rows(other)) => one == other,
            (Verdict::Reject(one), Verdict::Reject(other)) => one == other,
            (Verdict::Skip, Verdict::Skip) => true,
            _ => false,
        })
}

/// The bodies of the shared cases.
fn bodies_of_cases() -> Vec<Vec<u8>> {
    let file = cases().join("logins.toml");
    let text = std::fs::read_to_string(file).expect("read the cases");
    let table: toml::Table = text.parse().expect("cases");
    let cases = table["case"].as_array().expect("a list of cases");
    let bodies = cases.iter().map(|case| case["body"].as_str());
    bodies
        .map(|body| body.expect("a body").as_bytes().to_vec())
        .collect()
}
