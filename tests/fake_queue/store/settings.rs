//! A queue's attributes: what may be set, within which bounds, and what is
//! told. A maxReceiveCount may be a number or a text, as with SQS.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fake_queue::refusal::Refusal;

/// What may be set to a number, from where to where, and the default.
const NUMBERS: [(&str, u64, u64, u64); 5] = [
    ("VisibilityTimeout", 0, 43_200, 30),
    ("DelaySeconds", 0, 900, 0),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, 0),
    (
        "MaximumMessageSize",
        1_024,
        BODY_BYTES_MAX as u64,
        BODY_BYTES_MAX as u64,
    ),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
];
/// What may be set to `true` or `false`.
const SWITCHES: [&str; 2] = ["FifoQueue", "ContentBasedDeduplication"];
/// What is taken and means nothing here.
const IDLE: [&str; 7] = [
    "Policy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "RedriveAllowPolicy",
    "DeduplicationScope",
    "FifoThroughputLimit",
];
const REDRIVE_POLICY: &str = "RedrivePolicy";
const RECEIVES_MAX: std::ops::RangeInclusive<u64> = 1..=1_000;

/// A message's body and attributes, and all those of a batch (SQS quota).
pub const BODY_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    given: BTreeMap<String, String>,
    pub redrive: Option<Redrive>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    pub target_arn: String,
    /// How often a message is given out before it goes there.
    pub receives_max: u32,
}

impl Settings {
    /// The settings with these in their place.
    pub fn with(&self, attributes: &BTreeMap<String, String>) -> Result<Settings, Refusal> {
        let mut changed = self.clone();
        for (name, value) in attributes {
            check(name, value)?;
            if name == REDRIVE_POLICY {
                changed.redrive = redrive(value)?;
            }
            if value.is_empty() {
                changed.given.remove(name);
            } else {
                changed.given.insert(name.clone(), value.clone());
            }
        }
        Ok(changed)
    }

    fn number(&self, name: &str) -> u64 {
        let given = self.given.get(name).and_then(|value| value.parse().ok());
        given.unwrap_or_else(|| {
            let known = NUMBERS.iter().find(|(known, ..)| *known == name);
            known.map_or(0, |(.., default)| *default)
        })
    }

    fn is_on(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(|value| value == "true")
    }

    pub fn visibility_secs(&self) -> u32 {
        self.number("VisibilityTimeout") as u32
    }

    pub fn delay_secs(&self) -> u32 {
        self.number("DelaySeconds") as u32
    }

    pub fn wait_secs(&self) -> u32 {
        self.number("ReceiveMessageWaitTimeSeconds") as u32
    }

    pub fn body_bytes_max(&self) -> usize {
        self.number("MaximumMessageSize") as usize
    }

    pub fn fifo(&self) -> bool {
        self.is_on("FifoQueue")
    }

    pub fn content_based_deduplication(&self) -> bool {
        self.is_on("ContentBasedDeduplication")
    }

    /// Everything that GetQueueAttributes tells of them.
    pub fn told(&self) -> BTreeMap<String, String> {
        let defaults = NUMBERS
            .iter()
            .map(|(name, .., default)| ((*name).to_owned(), default.to_string()));
        let mut told: BTreeMap<String, String> = defaults.collect();
        told.extend(self.given.clone());
        told
    }
}

fn check(name: &str, value: &str) -> Result<(), Refusal> {
    let invalid = || Refusal::invalid_attribute_value(name);
    if let Some((_, least, most, _)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
        let number: u64 = value.parse().map_err(|_| invalid())?;
        let within = (*least..=*most).contains(&number);
        return within.then_some(()).ok_or_else(invalid);
    }
    if SWITCHES.contains(&name) {
        let known = ["true", "false"].contains(&value);
        return known.then_some(()).ok_or_else(invalid);
    }
    match name == REDRIVE_POLICY || IDLE.contains(&name) {
        true => Ok(()),
        false => Err(Refusal::invalid_attribute(name)),
    }
}

fn redrive(policy: &str) -> Result<Option<Redrive>, Refusal> {
    if policy.is_empty() {
        return Ok(None);
    }
    let invalid = || Refusal::invalid_attribute_value(REDRIVE_POLICY);
    let policy: Value = serde_json::from_str(policy).map_err(|_| invalid())?;
    let target = policy["deadLetterTargetArn"].as_str().ok_or_else(invalid)?;
    let receives = &policy["maxReceiveCount"];
    let as_text = receives.as_str().and_then(|text| text.parse().ok());
    let receives = receives.as_u64().or(as_text).ok_or_else(invalid)?;
    if !RECEIVES_MAX.contains(&receives) {
        return Err(invalid());
    }
    Ok(Some(Redrive {
        target_arn: target.to_owned(),
        receives_max: receives as u32,
    }))
}
