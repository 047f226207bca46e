//! Where the figures were measured.

use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;

use crate::database::Databases;

/// What a reader has to know of it.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub postgresql: String,
    /// The settings that decide whether a commit survives a power cut.
    pub durability: String,
}

impl Machine {
    pub fn look(databases: &mut Databases) -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let processor = model.and_then(|line| line.split(": ").nth(1));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let durability = [
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "wal_sync_method",
        ];
        let durability = durability.map(|name| format!("{name}={}", databases.setting(name)));
        Machine {
            processor: processor.unwrap_or("unknown").trim().to_owned(),
            cores: available_parallelism().map_or(0, usize::from),
            kernel: kernel.trim().to_owned(),
            postgresql: databases.setting("server_version"),
            durability: durability.join(", "),
        }
    }
}
