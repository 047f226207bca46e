//! DeleteMessageBatch, asked and read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Direct, Tried};
use crate::queue::calls::{BATCH_ENTRIES_MAX, EntryFailure};

const OPERATION: &str = "AmazonSQS.DeleteMessageBatch";
/// What entries are called, by their position.
const IDS: [&str; BATCH_ENTRIES_MAX] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question<'a> {
    queue_url: &'a str,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    id: &'static str,
    receipt_handle: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow)]
    successful: Option<Vec<Succeeded<'a>>>,
    #[serde(borrow)]
    failed: Option<Vec<Failed<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Succeeded<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failed<'a> {
    id: &'a str,
    #[serde(default)]
    sender_fault: bool,
}

impl Direct {
    /// Deletes up to ten messages; gives the entries that failed.
    pub(in crate::queue) async fn delete(
        &self,
        url: &str,
        handles: &[&str],
        call_max: Duration,
    ) -> Tried<Vec<EntryFailure>> {
        let entries = handles.iter().zip(IDS);
        let question = Question {
            queue_url: url,
            entries: entries
                .map(|(receipt_handle, id)| Entry { id, receipt_handle })
                .collect(),
        };
        let Ok(body) = serde_json::to_vec(&question) else {
            return Tried::NotPlain;
        };
        let read = |answer: &[u8]| read(answer, handles.len());
        self.call(OPERATION, body, call_max, read).await
    }
}

/// None unless each entry has succeeded or failed.
fn read(answer: &[u8], entries: usize) -> Option<Vec<EntryFailure>> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let mut told = [false; BATCH_ENTRIES_MAX];
    let told = told.get_mut(..entries)?;
    let mut tell = |id: &str| -> Option<usize> {
        let position = IDS.iter().position(|known| *known == id)?;
        *told.get_mut(position)? = true;
        Some(position)
    };
    for succeeded in answer.successful.unwrap_or_default() {
        tell(succeeded.id)?;
    }
    let mut failures = Vec::new();
    for failed in answer.failed.unwrap_or_default() {
        failures.push(EntryFailure {
            position: tell(failed.id)?,
            refused: failed.sender_fault,
        });
    }
    told.iter().all(|told| *told).then_some(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_nothing_is_told_of_is_not_taken_for_deleted() {
        let half = br#"{"Successful":[{"Id":"0"}],"Failed":[]}"#;
        assert_eq!(read(half, 1), Some(Vec::new()));
        assert_eq!(read(half, 2), None);
        assert_eq!(read(br#"{"Successful":[{"Id":"2"}]}"#, 1), None);
        assert_eq!(read(b"{}", 1), None);
        let failed = br#"{"Failed":[{"Id":"0","SenderFault":true,"Code":"c"}]}"#;
        let failure = EntryFailure {
            position: 0,
            refused: true,
        };
        assert_eq!(read(failed, 1), Some(vec![failure]));
    }
}
