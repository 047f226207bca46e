//! A consumer that runs, and what it takes.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::consumer::folder;
use crate::cpu;

/// How much of what it said is shown where it fails.
const WORDS_BYTES_MAX: usize = 4_000;

pub struct Running {
    child: Child,
    log: PathBuf,
    peak_rss_kib: u64,
    ended: Option<Used>,
}

/// What a process took from its start to its end.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub cpu: Duration,
    pub peak_rss_kib: u64,
    /// When it was seen to have ended.
    pub at: Instant,
}

impl Running {
    /// The n-th of a run.
    pub fn start(mut command: Command, n: usize) -> Running {
        let log = folder().join(format!("{n}.log"));
        let file = File::create(&log).expect("make a log file");
        let twin = file.try_clone().expect("a second handle of the log");
        let child = command
            .stdin(Stdio::null())
            .stdout(twin)
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("run {:?}: {error}", command.get_program()));
        Running {
            child,
            log,
            peak_rss_kib: 0,
            ended: None,
        }
    }

    /// What it took, once it has ended. Panics if it failed.
    pub fn look(&mut self) -> Option<Used> {
        if self.ended.is_some() {
            return self.ended;
        }
        let id = self.child.id();
        let peak = status(id, "VmHWM:").unwrap_or_default();
        self.peak_rss_kib = self.peak_rss_kib.max(peak);
        if status(id, "Threads:").is_some() && !is_zombie(id) {
            return None;
        }
        // Its time is told for as long as nobody has waited for it.
        let used = Used {
            cpu: cpu::of(id),
            peak_rss_kib: self.peak_rss_kib,
            at: Instant::now(),
        };
        let status = self.child.wait().expect("wait for a consumer");
        assert!(status.success(), "{status}:\n{}", self.words());
        self.ended = Some(used);
        self.ended
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").arg(id).status();
        assert!(status.expect("run kill").success(), "kill a consumer");
    }

    /// The last of what it said.
    pub fn words(&self) -> String {
        let words = fs::read(&self.log).unwrap_or_default();
        let from = words.len().saturating_sub(WORDS_BYTES_MAX);
        String::from_utf8_lossy(&words[from..]).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn is_zombie(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tZ"))
}

/// A number of a process, as Linux tells it.
fn status(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
