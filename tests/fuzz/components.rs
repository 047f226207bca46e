//! Bytes as a component's file: they are refused in words, or judge messages
//! within their limits.

use std::fs;
use std::path::{Path, PathBuf};

use super::runner::{Target, corpus};
use crate::message::Message;
use crate::sandbox::{Capabilities, Compiler, Conditions, Isolation, Keys, Limits, MeteredSandbox};
use crate::verdict::Verdict;

/// The longest refusal: nobody reads more, and a component may have chosen the
/// words.
const REFUSAL_BYTES_MAX: usize = 8_192;

/// What mutations put in: numbers at their ends, and whole sections.
const WORDS: &[&[u8]] = &[
    b"\0asm\x01\0\0\0",
    b"\0asm\x0d\0\x01\0",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\0",
    b"etl:transform/policy@0.1.0",
    b"etl:transform/keyed-hash@0.1.0",
    b"wasi:cli/stdout@0.2.0",
    b"when loaded: describe spins",
    b"when loaded: configure grows",
    // A core module with a memory of 2 GiB, and one that calls itself when it
    // starts, each as a section of a component.
    b"\x01\x0f\0asm\x01\0\0\0\x05\x05\x01\0\x80\x80\x02",
    b"\x01\x1d\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x08\x01\0\x0a\x06\x01\x04\0\x10\0\x0b",
    // One more instance of the second core module.
    b"\x02\x04\x01\0\x01\0",
];

fn limits() -> Limits {
    Limits {
        memory_bytes_max: 4 << 20,
        message_ms_max: 200,
        batch_ms_max: 200,
        message_instructions_max: 10_000_000,
        rows_per_message_max: 10,
        result_bytes_max: 64 << 10,
        ..Limits::default()
    }
}

pub fn conditions(limits: Limits) -> Conditions {
    let keys = format!("fuzz:{}", "5a".repeat(32));
    Conditions {
        parameters: Vec::new(),
        digests: Vec::new(),
        sensitive: Vec::new(),
        limits,
        isolation: Isolation::Batch,
        capabilities: Capabilities::new(Keys::parse(&keys).ok(), true),
        cache: None,
        compiler: Compiler::InProcess,
    }
}

pub fn message(body: &str) -> Message {
    Message {
        queue_id: "queue-id".to_owned(),
        origin_id: "origin-id".to_owned(),
        body: body.to_owned(),
        sent_ms: 1_790_000_000_000,
        attributes: Vec::new(),
        fifo: None,
    }
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(bytes: &[u8]) -> Self {
        let name = format!("etl-host-fuzz-{}.wasm", std::process::id());
        let scratch = Self(std::env::temp_dir().join(name));
        fs::write(&scratch.0, bytes).expect("write a scratch file");
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn check(bytes: &[u8]) {
    let file = Scratch::new(bytes);
    let sandbox = match MeteredSandbox::load(&file.0, &conditions(limits())) {
        Ok(sandbox) => sandbox,
        Err(refusal) => {
            let words = format!("{refusal:#}");
            assert!(words.starts_with("load component"), "{words:.500}");
            assert!(words.len() <= REFUSAL_BYTES_MAX, "{words:.500}");
            assert!(!words.contains(|c: char| c.is_control() && c != '\n'));
            return;
        }
    };
    for asked in ["nothing", "grow", "recurse", "spin", "give-rows"] {
        let body = format!(r#"{{"do":"{asked}","amount":"11","user_id":"u","ip":"192.0.2.7"}}"#);
        let (verdict, usage) = sandbox.judge(&message(&body));
        let is_stored = matches!(verdict, Verdict::Rows(_));
        for share in usage.shares(sandbox.limits()) {
            let is_within = match share.name {
                // How late an interrupt comes depends on the machine.
                "time" => true,
                // They are measured also where they are refused.
                "rows" | "result" => !is_stored || share.used <= share.max,
                _ => share.used <= share.max,
            };
            assert!(is_within, "{share}");
        }
    }
}

#[test]
fn no_file_makes_the_sandbox_panic_or_run_over_its_limits() {
    let guests = ["guests/hmac_mask.wasm", "tests/guests/misbehave.wasm"];
    Target {
        folder: corpus("components"),
        cases: 16,
        more: guests
            .map(|guest| fs::read(repository().join(guest)).expect("read a component"))
            .to_vec(),
        words: WORDS,
    }
    .fuzz(check);
}
