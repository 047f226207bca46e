//! The requests, read without copying what stands in them.

use std::borrow::Cow;

use serde::Deserialize;

/// As many messages as one call brings or deletes at most (SQS quota).
pub const ENTRIES_MAX: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Receive<'a> {
    #[serde(borrow)]
    pub queue_url: Cow<'a, str>,
    #[serde(default = "one")]
    pub max_number_of_messages: usize,
    #[serde(default)]
    pub wait_time_seconds: u64,
    pub visibility_timeout: Option<u64>,
    #[serde(default)]
    message_system_attribute_names: Vec<&'a str>,
    /// The older name of the same.
    #[serde(default)]
    attribute_names: Vec<&'a str>,
}

/// SQS brings one message where nobody says how many.
fn one() -> usize {
    1
}

impl Receive<'_> {
    /// Whether the answer is to have this system attribute.
    pub fn asks_for(&self, attribute: &str) -> bool {
        let names = [&self.message_system_attribute_names, &self.attribute_names];
        let mut names = names.into_iter().flatten();
        names.any(|name| *name == attribute || *name == "All")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Delete<'a> {
    #[serde(borrow)]
    pub queue_url: Cow<'a, str>,
    #[serde(borrow)]
    pub entries: Vec<DeleteEntry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteEntry<'a> {
    pub id: &'a str,
    #[serde(borrow)]
    pub receipt_handle: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Hide<'a> {
    #[serde(borrow)]
    pub queue_url: Cow<'a, str>,
    #[serde(borrow)]
    pub entries: Vec<HideEntry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HideEntry<'a> {
    pub id: &'a str,
    #[serde(borrow)]
    pub receipt_handle: Cow<'a, str>,
    pub visibility_timeout: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Send<'a> {
    #[serde(borrow)]
    pub queue_url: Cow<'a, str>,
    #[serde(borrow)]
    pub entries: Vec<SendEntry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendEntry<'a> {
    pub id: &'a str,
    #[serde(borrow)]
    pub message_body: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Named<'a> {
    #[serde(default, borrow)]
    pub queue_url: Cow<'a, str>,
    #[serde(default, borrow)]
    pub queue_name: Cow<'a, str>,
}
