//! The hosts: started, killed, told to end, suspended, and started again. What
//! each of them said is searched for sensitive values, and then dropped.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::stage::Stage;
use crate::support::host::{Run, Running};
use crate::verdict::leaked;

/// A signal may come before it is listened for: while the program starts.
const START_SECS_MAX: u64 = 10;
/// One host in so many tells all that it can.
const LOUD_EVERY: usize = 8;
/// Of a host that ended by itself, as much of its log is shown.
const LINES_SHOWN: usize = 12;
const SIGTERM: i32 = 15;

pub struct Fleet<'s> {
    stage: &'s Stage,
    size: usize,
    members: Vec<Member>,
    leaving: Vec<JoinHandle<(Duration, Run)>>,
    started: usize,
    pub killed: usize,
    /// Of them, while they were suspended.
    killed_asleep: usize,
    terminated: usize,
    terminated_at_start: usize,
    suspended: usize,
    pub peak_kib: u64,
    /// Log lines, and the seconds in which quiet hosts wrote them.
    pub log_lines: usize,
    pub quiet_secs: f64,
    pub output_bytes: usize,
    pub leaks: Vec<String>,
    /// Hosts that ended otherwise than they were told.
    pub strange_ends: Vec<String>,
}

struct Member {
    running: Running,
    born: Instant,
    loud: bool,
    suspended_until: Option<Instant>,
}

impl<'s> Fleet<'s> {
    pub fn start(stage: &'s Stage, size: usize) -> Fleet<'s> {
        let mut fleet = Fleet {
            stage,
            size,
            members: Vec::new(),
            leaving: Vec::new(),
            started: 0,
            killed: 0,
            killed_asleep: 0,
            terminated: 0,
            terminated_at_start: 0,
            suspended: 0,
            peak_kib: 0,
            log_lines: 0,
            quiet_secs: 0.0,
            output_bytes: 0,
            leaks: Vec::new(),
            strange_ends: Vec::new(),
        };
        for _ in 0..size {
            let member = fleet.recruit();
            fleet.members.push(member);
        }
        fleet
    }

    pub fn size(&self) -> usize {
        self.size
    }

    fn recruit(&mut self) -> Member {
        self.started += 1;
        let loud = self.started.is_multiple_of(LOUD_EVERY);
        let mut host = self.stage.host();
        if loud {
            host = host.env("RUST_LOG", "trace");
        }
        Member {
            running: host.start(),
            born: Instant::now(),
            loud,
            suspended_until: None,
        }
    }

    /// Puts a new one in the place of one that goes.
    fn replace(&mut self, position: usize) -> Member {
        let recruit = self.recruit();
        std::mem::replace(&mut self.members[position], recruit)
    }

    pub fn kill(&mut self, position: usize) {
        let member = self.replace(position);
        self.killed += 1;
        self.killed_asleep += usize::from(member.suspended_until.is_some());
        let (age, loud) = (member.born.elapsed(), member.loud);
        let run = member.running.kill();
        self.hear(&run, age, loud);
    }

    /// Asks one to end, which it may do in its own time.
    pub fn terminate(&mut self, position: usize) {
        if self.members[position].suspended_until.is_some() {
            return;
        }
        let member = self.replace(position);
        self.dismiss(member);
    }

    fn dismiss(&mut self, member: Member) {
        let age = member.born.elapsed();
        member.running.terminate();
        self.terminated += 1;
        let wait = move || (age, member.running.finish());
        self.leaving.push(std::thread::spawn(wait));
    }

    /// Lets one do nothing for a while.
    pub fn suspend(&mut self, position: usize, pause: Duration) {
        let member = &mut self.members[position];
        if member.suspended_until.is_none() && !member.running.has_ended() {
            member.running.suspend();
            member.suspended_until = Some(Instant::now() + pause);
            self.suspended += 1;
        }
    }

    /// Wakes those whose time has come, measures, and replaces those that have
    /// ended by themselves, which none should.
    pub fn look_after(&mut self) {
        let now = Instant::now();
        for position in 0..self.members.len() {
            let member = &mut self.members[position];
            if member.suspended_until.is_some_and(|until| now >= until) {
                member.running.wake();
                member.suspended_until = None;
            }
            let peak_kib = member.running.memory_kib_max().unwrap_or(0);
            self.peak_kib = self.peak_kib.max(peak_kib);
            if member.running.has_ended() {
                let member = self.replace(position);
                let (age, loud) = (member.born.elapsed(), member.loud);
                let run = member.running.finish();
                self.strange_end("by itself", age, &run);
                self.hear(&run, age, loud);
            }
        }
        let (ended, leaving) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(JoinHandle::is_finished);
        self.leaving = leaving;
        self.say_goodbye(ended);
    }

    fn say_goodbye(&mut self, ended: Vec<JoinHandle<(Duration, Run)>>) {
        use std::os::unix::process::ExitStatusExt;
        for thread in ended {
            let Ok((age, run)) = thread.join() else {
                let what = "a host did not end within a minute of SIGTERM";
                self.strange_ends.push(what.to_owned());
                continue;
            };
            let starting = age < Duration::from_secs(START_SECS_MAX);
            if run.status.signal() == Some(SIGTERM) && starting {
                self.terminated_at_start += 1;
            } else if run.code() != Some(0) {
                self.strange_end("after SIGTERM", age, &run);
            }
            // Its level is not known here: its lines are not counted.
            self.hear(&run, age, true);
        }
    }

    fn strange_end(&mut self, when: &str, age: Duration, run: &Run) {
        let lines: Vec<&str> = run.stderr.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
        self.strange_ends.push(format!(
            "{when}, {:.1} s old, {}:\n{}",
            age.as_secs_f64(),
            run.status,
            last.join("\n")
        ));
    }

    fn hear(&mut self, run: &Run, age: Duration, loud: bool) {
        if !loud {
            self.log_lines += run.stderr.lines().count();
            self.quiet_secs += age.as_secs_f64();
        }
        for (place, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
            self.output_bytes += text.len();
            self.leaks
                .extend(leaked(&format!("a host's {place}"), text));
        }
        if run.stderr.contains("panicked at") {
            self.strange_end("with a panic", age, run);
        }
    }

    /// Nothing is done to them any more.
    pub fn leave_in_peace(&mut self) {
        for member in &mut self.members {
            if member.suspended_until.take().is_some() {
                member.running.wake();
            }
        }
    }

    /// Ends them all in order.
    pub fn end(&mut self) {
        self.look_after();
        for member in std::mem::take(&mut self.members) {
            self.dismiss(member);
        }
        let leaving = std::mem::take(&mut self.leaving);
        self.say_goodbye(leaving);
    }

    pub fn report(&self) {
        println!(
            "hosts: started {}, killed {} ({} of them while suspended), suspended {}, told to end \
             {} ({} of them before they listened), ended strangely {}",
            self.started,
            self.killed,
            self.killed_asleep,
            self.suspended,
            self.terminated,
            self.terminated_at_start,
            self.strange_ends.len()
        );
    }
}
