//! What is written: logins that the default component has judged.

use etl_host::output::{Identity, Key, TableName};
use etl_host::row::Row;
use etl_host::sandbox::Isolation;
use etl_host::verdict::Verdict;

use crate::stage;

/// Messages judged at a time.
const BATCH: usize = 500;

/// A login as the host has it when it comes to be written.
pub struct Login {
    pub id: String,
    pub key: Key,
    pub rows: Vec<Row>,
}

/// So many logins, no two alike, on their way to a table.
pub fn judged(count: usize, target: &TableName) -> Vec<Login> {
    let sandbox = stage::sandbox("sha256_mask.wasm", Isolation::Batch, 1);
    let messages = stage::messages(count);
    let judged = messages
        .chunks(BATCH)
        .flat_map(|messages| sandbox.judge(messages));
    messages
        .iter()
        .zip(judged)
        .map(|(message, verdict)| Login {
            id: message.origin_id.clone(),
            key: Key::new(target, Identity::Message(&message.origin_id)),
            rows: match verdict {
                Verdict::Rows(rows) => rows,
                other => panic!("a good login is {other:?}"),
            },
        })
        .collect()
}
