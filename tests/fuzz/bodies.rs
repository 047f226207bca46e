//! Bytes as a message's body, through each of the components here: no fault, no
//! raw value, the right hashes, and the same verdict alone and in company.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::components::{conditions, message, repository};
use super::runner::{Target, corpus};
use crate::message::Message;
use crate::row::{Row, Value};
use crate::sandbox::{Limits, Sandbox};
use crate::verdict::{Reason, Verdict};

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1_000;
/// Fewer are found as a part of a text by chance.
const LETTERS_AND_DIGITS_MIN: usize = 8;

/// What mutations put in.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"\xf0\x9f\x98\x80",
    b"{",
    b"}",
    b"[",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b",",
    b":",
    b"null",
    b"1e999",
    b"-0.0",
    b"18446744073709551616",
    b"\"ip\":\"203.0.113.7\",",
    b"\"device_id\":null,",
    b"\"\\u0069p\":\"198.51.100.9\",",
    b"\"user_id\":\"203.0.113.77\",",
    b"\"locale\":\"de\",",
    b"0.0.0.0",
    b"::ffff:203.0.113.7",
    b"2147.483.648",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
];

/// A component, and what it makes of an address and a device.
struct Policy {
    sandbox: Sandbox,
    mask: fn(&str, &str) -> [Value; 2],
}

fn policies() -> [Policy; 3] {
    let policy = |name: &str, mask| {
        let file = repository().join("guests").join(name);
        let limits = Limits {
            // A debug build on a loaded machine.
            message_ms_max: 60_000,
            batch_ms_max: 60_000,
            check_ms_max: 60_000,
            ..Limits::default()
        };
        let sandbox = Sandbox::load(&file, &conditions(limits), 1);
        Policy {
            sandbox: sandbox.expect("load a component"),
            mask,
        }
    };
    [
        policy("sha256_mask.wasm", |ip, device| {
            [ip, device].map(|value| Value::Text(hex(&Sha256::digest(value))))
        }),
        policy("hmac_mask.wasm", |ip, device| {
            [ip, device].map(|value| {
                let key = [0x5a; 32];
                let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
                mac.update(value.as_bytes());
                Value::Text(hex(&mac.finalize().into_bytes()))
            })
        }),
        policy("truncate_mask.wasm", |ip, _| {
            [Value::Text(network(ip)), Value::Null]
        }),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first 24 bits of an IPv4 address, 48 of another.
fn network(ip: &str) -> String {
    match ip.parse::<IpAddr>().expect("an address").to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// The row of a good body, by the rules as the README has them.
fn row(message: &Message, body: &Json, mask: fn(&str, &str) -> [Value; 2]) -> Row {
    let text = |name: &str| body[name].as_str().expect("a text");
    let own = |name: &str| Value::Text(text(name).to_owned());
    let mut parts = text("app_version").split('.');
    let mut part = || -> i64 { parts.next().map_or(0, |part| part.parse().expect("digits")) };
    let version = part() * 1_000_000 + part() * 1_000 + part();
    let [ip, device_id] = mask(text("ip"), text("device_id"));
    let locale = match &body["locale"] {
        Json::Null => Value::Null,
        _ => own("locale"),
    };
    let day = i32::try_from(message.sent_ms / MS_PER_DAY).expect("a day");
    vec![
        own("user_id"),
        own("device_type"),
        ip,
        device_id,
        locale,
        Value::Integer(version),
        Value::Date(day),
    ]
}

/// A raw value that stands in a row, found without the guard.
fn leaked(rows: &[Row], body: &Json) -> Option<String> {
    let secrets = ["ip", "device_id"].map(|name| body[name].as_str().unwrap_or_default());
    let long_enough = |secret: &&str| {
        let counted = secret.chars().filter(|c| c.is_ascii_alphanumeric());
        counted.count() >= LETTERS_AND_DIGITS_MIN
    };
    let texts = rows.iter().flatten().filter_map(|value| match value {
        Value::Text(text) => Some(text),
        _ => None,
    });
    let texts: Vec<&String> = texts.collect();
    let mut secrets = secrets.into_iter().filter(long_enough);
    let found = secrets.find(|secret| texts.iter().any(|text| text.contains(secret)));
    found.map(str::to_owned)
}

fn same(one: &Verdict, other: &Verdict) -> bool {
    match (one, other) {
        (Verdict::Rows(one), Verdict::Rows(other)) => one == other,
        (Verdict::Reject(one), Verdict::Reject(other)) => one == other,
        (Verdict::Skip, Verdict::Skip) => true,
        _ => false,
    }
}

fn check(policies: &[Policy], bytes: &[u8]) {
    let good = r#"{"user_id":"u","app_version":"1","device_type":"ios","ip":"192.0.2.1","device_id":"invented-device"}"#;
    let message_of = message;
    let message = message(&String::from_utf8_lossy(bytes));
    for Policy { sandbox, mask } in policies {
        let name = &sandbox.description().name;
        let alone = sandbox.judge(std::slice::from_ref(&message));
        let [alone] = &alone[..] else {
            panic!("{name}: {} verdicts", alone.len());
        };
        let good = || message_of(good);
        let batch = sandbox.judge(&[good(), message.clone(), good(), good()]);
        let [before, in_company, after @ ..] = &batch[..] else {
            panic!("{name}: {} verdicts of four", batch.len());
        };
        assert!(same(alone, in_company), "{name}: {alone:?}, {in_company:?}");
        assert_eq!(after.len(), 2, "{name}");
        for neighbour in after {
            assert!(same(before, neighbour), "{name}");
        }
        assert!(matches!(before, Verdict::Rows(_)), "{name}");
        match alone {
            Verdict::Rows(rows) => {
                let Ok(body) = serde_json::from_str(&message.body) else {
                    // The parser here is stricter about what nobody reads.
                    continue;
                };
                assert_eq!(rows[..], [row(&message, &body, *mask)], "{name}");
                assert_eq!(leaked(rows, &body), None, "{name}");
            }
            Verdict::Skip => {}
            Verdict::Reject(rejection) => {
                let reason = &rejection.reason;
                let fault = reason.is_fault() && *reason != Reason::Leak;
                assert!(!fault, "{name}: {reason}");
            }
        }
    }
}

#[test]
fn no_body_makes_a_component_fault_leak_or_judge_by_its_company() {
    let policies = policies();
    Target {
        folder: corpus("bodies"),
        cases: 200,
        more: Vec::new(),
        words: WORDS,
    }
    .fuzz(|bytes| check(&policies, bytes));
}
