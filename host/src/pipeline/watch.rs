//! Watching files for a change.
//!
//! They are looked at, not subscribed to: a mounted volume of an orchestrator
//! changes by a link in a folder above, a network file system tells nobody, and
//! a look a second costs microseconds.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::replace::Wish;

/// Between two looks, in milliseconds.
const LOOK_MS: u64 = 1_000;

/// What changes when a file does, through all links: its device and number,
/// its size, the time of its last change.
pub(super) type Stamp = (u64, u64, u64, i64, i64);

/// Files, and what they were when the watching began.
pub(super) struct Watch {
    files: Vec<PathBuf>,
    known: Vec<Option<Stamp>>,
}

impl Watch {
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let known = stamps(&files);
        Self { files, known }
    }

    /// Wishes for the replacement whenever one of the files has changed, once
    /// all have stayed the same between two looks: one may still be written.
    pub(super) async fn run(mut self, wish: Wish) {
        let mut last = Vec::new();
        loop {
            let now = stamps(&self.files);
            // A file that is away for a moment is about to be replaced.
            if now == last && now != self.known && now.iter().all(Option::is_some) {
                self.known.clone_from(&now);
                wish.express();
            }
            last = now;
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}

/// What these files are at present; None for one that is away.
pub(super) fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = fs::metadata(file).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
    ))
}
