//! CPU time, user and system together: what this process has used, and what a
//! server has used that runs in processes of its own.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What `/proc` counts CPU time in; Linux promises a hundredth of a second.
const TICKS_PER_SEC: u64 = 100;

/// What this process has used so far, in all its threads, those that have
/// ended too.
pub fn own() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).expect("a time that has passed")
}

/// What a process and those below it have used so far, to a hundredth of a
/// second. Those that have ended are counted too once they have been waited
/// for.
pub fn of(id: u32) -> Duration {
    let processes: Vec<Process> = fs::read_dir("/proc")
        .expect("read what runs")
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Process::read(id)
        })
        .collect();
    let mut tree = vec![id];
    let mut ticks = 0;
    while let Some(id) = tree.pop() {
        let children = processes.iter().filter(|one| one.parent == id);
        tree.extend(children.map(|child| child.id));
        let itself = processes.iter().find(|one| one.id == id);
        ticks += itself.map_or(0, |one| one.ticks);
    }
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SEC)
}

/// A process as `/proc/PID/stat` tells it (see proc(5)).
struct Process {
    id: u32,
    parent: u32,
    /// Its own and those of the children that it has waited for.
    ticks: u64,
}

impl Process {
    /// None where it has just ended.
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The program's name, in brackets, may hold anything.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        // State, parent and, from the twelfth on, utime, stime, cutime, cstime.
        let times = fields.get(11..15)?.iter();
        Some(Self {
            id,
            parent: fields.get(1)?.parse().ok()?,
            ticks: times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum(),
        })
    }
}
