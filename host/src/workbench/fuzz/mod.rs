//! Mutated and hostile inputs, made of the cases: none may bring a component to
//! a fault, to a leak, or to another answer a second time.
//!
//! ```text
//! cases ── mutate ──▶ inputs ── judge ──▶ fault ── shrink ──▶ a case file
//! ```

mod mutate;
mod shrink;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use self::mutate::{HOSTILE, mutated};
use self::shrink::shrunk;
use super::case::{Case, alike, outcome};
use super::update;
use crate::message::{AttributeValue, Message};
use crate::row::{Row, Value};
use crate::sandbox::{STRIPPED_BYTES_MIN, Sandbox};
use crate::verdict::{Reason, Rejection, Verdict};

/// How many inputs are made, and out of what.
#[derive(Clone, Copy, Debug)]
pub struct Fuzz {
    /// The number of inputs.
    pub inputs: usize,
    /// The same seed and cases give the same inputs.
    pub seed: u64,
}

/// What fuzzing has shown.
#[derive(Debug, Serialize)]
pub struct FuzzReport {
    /// How many inputs were tried.
    pub inputs: usize,
    /// The seed that gives them again.
    pub seed: u64,
    /// What went wrong, each kind once.
    pub failures: Vec<FuzzFailure>,
}

/// A kind of thing that went wrong.
#[derive(Debug, Serialize)]
pub struct FuzzFailure {
    /// What was seen.
    pub seen: String,
    /// How many inputs showed it.
    pub inputs: usize,
    /// The case file that holds the smallest one.
    pub case: PathBuf,
}

/// What is said of an input whose second answer is another.
const UNSTEADY: &str = "another answer a second time";

impl Fuzz {
    /// Tries its inputs, and keeps what fails in a folder, a case file each.
    ///
    /// # Errors
    /// A case file cannot be written.
    pub(super) fn run(
        self,
        sandbox: &Sandbox,
        cases: &[Case],
        folder: &Path,
    ) -> Result<FuzzReport> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let bases: Vec<Message> = cases.iter().map(|case| base(&case.message)).collect();
        let sensitive: Vec<&str> = sandbox.guarded().iter().map(|p| p.as_str()).collect();
        let mut found: BTreeMap<String, (usize, Message)> = BTreeMap::new();
        for number in 0..self.inputs {
            let Some(base) = bases.get(number % bases.len().max(1)) else {
                break;
            };
            let body = match HOSTILE.get(number) {
                Some(hostile) => hostile(),
                None => mutated(&base.body, &sensitive, &mut random),
            };
            let message = Message {
                body,
                ..base.clone()
            };
            if let Some(seen) = fault(sandbox, &message) {
                found.entry(seen).or_insert((0, message)).0 += 1;
            }
        }
        let failure = |(seen, (inputs, message)): (String, (usize, Message))| -> Result<_> {
            let body = shrunk(&message.body, |body| {
                let body = body.to_owned();
                let smaller = Message {
                    body,
                    ..message.clone()
                };
                fault(sandbox, &smaller).as_ref() == Some(&seen)
            });
            let case = keep(
                folder,
                &seen,
                &Message {
                    body,
                    ..message.clone()
                },
            )?;
            Ok(FuzzFailure { seen, inputs, case })
        };
        Ok(FuzzReport {
            inputs: self.inputs,
            seed: self.seed,
            failures: found.into_iter().map(failure).collect::<Result<_>>()?,
        })
    }
}

/// A case's message with what a case file can say of it.
fn base(message: &Message) -> Message {
    let mut base = message.clone();
    base.attributes.retain(|attribute| match &attribute.value {
        AttributeValue::Text(_) => true,
        AttributeValue::Number(digits) => digits.parse::<i64>().is_ok(),
        AttributeValue::Bytes(_) => false,
    });
    base
}

/// What is wrong with a component's answer to a message, if anything is.
fn fault(sandbox: &Sandbox, message: &Message) -> Option<String> {
    let alone = || {
        let verdict = sandbox.judge(std::slice::from_ref(message)).pop();
        verdict.unwrap_or_else(|| Verdict::Reject(Reason::BrokenInterface.into()))
    };
    let verdict = alone();
    if let Verdict::Reject(rejection) = &verdict
        && rejection.reason.is_fault()
    {
        let leak = rejection.reason == Reason::Leak;
        let told = !leak || tells(sandbox, message, rejection);
        return told.then(|| outcome(&verdict));
    }
    (!alike(&verdict, &alone())).then(|| UNSTEADY.to_owned())
}

/// Whether a leak tells something of the component. It does not where the body
/// itself has the sensitive value in another place, which the component may
/// store, nor where the value is so short that it equals an honest one.
fn tells(sandbox: &Sandbox, message: &Message, rejection: &Rejection) -> bool {
    let Ok(body) = serde_json::from_str::<Json>(&message.body) else {
        // Rows of what is no JSON.
        return true;
    };
    let leaked = rejection.field.as_deref();
    let leaked = leaked.and_then(|pointer| body.pointer(pointer));
    let mut texts = Vec::new();
    leaked
        .into_iter()
        .for_each(|value| scalars(value, &mut texts));
    let telling =
        |text: &String| text.chars().filter(|c| c.is_alphanumeric()).count() >= STRIPPED_BYTES_MIN;
    if !texts.is_empty() && !texts.iter().all(telling) {
        return false;
    }
    let mut plain = body.clone();
    for pointer in sandbox.guarded() {
        if let Some(value) = plain.pointer_mut(pointer.as_str()) {
            *value = Json::Null;
        }
    }
    let mut texts = Vec::new();
    scalars(&plain, &mut texts);
    let row: Row = texts.into_iter().map(Value::Text).collect();
    let mut inspector = sandbox.guard().inspector();
    inspector.inspect(&message.body, &[row]).is_ok()
}

/// All scalars of a value that say something, as texts; names of members too.
fn scalars(value: &Json, texts: &mut Vec<String>) {
    match value {
        Json::Null | Json::Bool(_) => {}
        Json::Number(number) => texts.push(number.to_string()),
        Json::String(text) => texts.push(text.clone()),
        Json::Array(elements) => elements.iter().for_each(|element| scalars(element, texts)),
        Json::Object(members) => {
            for (name, member) in members {
                texts.push(name.clone());
                scalars(member, texts);
            }
        }
    }
}

/// Keeps an input as a case that expects nothing but that all properties hold.
fn keep(folder: &Path, seen: &str, message: &Message) -> Result<PathBuf> {
    let digest = Sha256::digest(&message.body);
    let words = seen.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let [first, second, ..] = <[u8; 32]>::from(digest);
    let name = format!("fuzz-{}-{first:02x}{second:02x}.toml", words.join("-"));
    let path = folder.join(name);
    let text = update::case_text(&format!("fuzz: {seen}"), message);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Capabilities, Compiler, Conditions, Isolation, Limits};

    fn mask() -> Sandbox {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let conditions = Conditions {
            parameters: Vec::new(),
            digests: Vec::new(),
            sensitive: Vec::new(),
            limits: Limits::default(),
            isolation: Isolation::Batch,
            capabilities: Capabilities::default(),
            cache: None,
            compiler: Compiler::InProcess,
        };
        Sandbox::load(&root.join("../guests/sha256_mask.wasm"), &conditions, 1).unwrap()
    }

    fn message(body: String) -> Message {
        Message {
            queue_id: "m".into(),
            origin_id: "m".into(),
            body,
            sent_ms: 0,
            attributes: Vec::new(),
            fifo: None,
        }
    }

    fn login(ip: &str, user: &str) -> Message {
        message(format!(
            r#"{{"user_id":"{user}","app_version":"1","device_type":"ios","ip":"{ip}",
                "device_id":"invented-device"}}"#
        ))
    }

    #[test]
    fn a_value_that_stands_elsewhere_too_tells_nothing_of_the_component() {
        let mask = mask();
        for (ip, user) in [
            ("203.0.113.77", "203.0.113.77"),
            ("203.0.113.77", "from 203-0-113-77"),
            ("ios", "u"),
        ] {
            let message = login(ip, user);
            let verdict = mask.judge(std::slice::from_ref(&message)).remove(0);
            assert_eq!(outcome(&verdict), "reject leak at /ip");
            assert_eq!(fault(&mask, &message), None, "{ip} {user}");
        }
        let leak = Rejection {
            reason: Reason::Leak,
            field: Some("/ip".to_owned()),
        };
        assert!(tells(&mask, &login("203.0.113.77", "u"), &leak));
        assert!(!tells(&mask, &login("1", "u"), &leak));
        assert!(tells(&mask, &message("no JSON".to_owned()), &leak));
    }
}
