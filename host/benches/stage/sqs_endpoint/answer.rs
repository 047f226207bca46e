//! Answers to batches: which entries succeeded, and which did not.

use std::fmt::Write;

/// As much as stands around the entries.
const FRAME_BYTES: usize = 64;
/// `{"Id":"0"},` and some.
const ENTRY_BYTES: usize = 16;

/// The answer to a batch, while it is written.
pub struct Answer {
    successful: String,
    failed: String,
}

impl Answer {
    pub fn new(entries: usize) -> Answer {
        let mut successful = String::with_capacity(FRAME_BYTES + entries * ENTRY_BYTES);
        successful.push_str(r#"{"Successful":["#);
        Answer {
            successful,
            failed: String::new(),
        }
    }

    pub fn successful(&mut self, id: &str) {
        if self.successful.ends_with('}') {
            self.successful.push(',');
        }
        let _ = write!(self.successful, r#"{{"Id":"{id}"}}"#);
    }

    pub fn failed(&mut self, id: &str) {
        if !self.failed.is_empty() {
            self.failed.push(',');
        }
        let _ = write!(
            self.failed,
            r#"{{"Id":"{id}","SenderFault":true,"Code":"ReceiptHandleIsInvalid"}}"#
        );
    }

    pub fn finish(mut self) -> String {
        let _ = write!(self.successful, r#"],"Failed":[{}]}}"#, self.failed);
        self.successful
    }
}
