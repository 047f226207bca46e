//! Runs the real binary, in an environment of its own, for a bounded time, and
//! keeps all that it says.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::database::Database;
use super::patience::Deadline;
use super::queue::{ACCESS_KEY_ID, Queue, REGION, SECRET_ACCESS_KEY};
use super::{WAIT_SECS_MAX, guest, pause, repository};

/// The binary replaces the shell, so its process id is the child's. The
/// watcher beside it kills it if the test process ends without a word.
const LAUNCHER: &str = r#"
exec 3<&0 </dev/null
(read -r _ <&3 || kill -KILL $$) >/dev/null 2>&1 &
exec "$@" 3<&-
"#;

/// Where the hosts keep compiled components, all of them together.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled");

/// The binary, about to be run.
pub struct Host {
    options: Vec<(String, OsString)>,
    words: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    folder: PathBuf,
    binary: PathBuf,
}

impl Host {
    /// The main job on this queue and this database: the default component,
    /// and nothing else set.
    pub fn new(queue: &Queue, database: &Database) -> Host {
        Host::bare()
            .option("--transform", guest("sha256_mask.wasm"))
            .option("--queue-url", &queue.url)
            .option("--database-url", database.url())
            .env("AWS_ENDPOINT_URL_SQS", &queue.endpoint)
    }

    /// No argument at all, and only what the AWS SDK needs in the environment.
    pub fn bare() -> Host {
        let host = Host {
            options: Vec::new(),
            words: Vec::new(),
            environment: Vec::new(),
            // Where a person runs it: the demo looks for its component there.
            folder: repository(),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_etl-host")),
        };
        host.env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            // Nothing outside this machine is ever asked for credentials.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // Each component is compiled once for all tests.
            .env("ETL_HOST_CACHE_DIR", CACHE)
    }

    /// Sets an option, or replaces its value.
    pub fn option(mut self, name: &str, value: impl Into<OsString>) -> Host {
        self = self.without(name);
        self.options.push((name.to_owned(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Host {
        self.options.retain(|(option, _)| option != name);
        self
    }

    /// Adds a word as it is: a flag, a subcommand, a repeated option.
    pub fn word(mut self, word: impl Into<OsString>) -> Host {
        self.words.push(word.into());
        self
    }

    /// Runs this file, which is the binary by another name.
    pub fn by_name(mut self, binary: impl Into<PathBuf>) -> Host {
        self.binary = binary.into();
        self
    }

    /// Runs it in another folder than the repository.
    pub fn inside(mut self, folder: impl Into<PathBuf>) -> Host {
        self.folder = folder.into();
        self
    }

    pub fn until_empty(self) -> Host {
        self.word("--until-empty")
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Host {
        self = self.unset(name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    pub fn unset(mut self, name: &str) -> Host {
        self.environment.retain(|(variable, _)| variable != name);
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Run {
        self.start().finish()
    }

    /// Runs it in the background.
    pub fn start(self) -> Running {
        let mut command = Command::new("sh");
        command
            .args(["-c", LAUNCHER, "sh"])
            .arg(&self.binary)
            .args(&self.words)
            .args(
                self.options
                    .iter()
                    .flat_map(|(name, value)| [OsString::from(name), value.clone()]),
            )
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A signal from the terminal is the tests' to pass on, not its own.
            .process_group(0);
        let mut child = command.spawn().expect("run sh");
        Running {
            stdout: Capture::of(child.stdout.take().expect("a pipe")),
            stderr: Capture::of(child.stderr.take().expect("a pipe")),
            watcher: child.stdin.take(),
            child,
        }
    }
}

/// The binary while it runs.
pub struct Running {
    child: Child,
    watcher: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
}

/// The log of a binary that may be running.
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn says(&self, words: &str) -> bool {
        let bytes = self.0.lock().expect("no reader panics");
        String::from_utf8_lossy(&bytes).contains(words)
    }

    /// Whether one line has all of these words.
    pub fn line_says(&self, words: &[&str]) -> bool {
        let bytes = self.0.lock().expect("no reader panics");
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    }

    /// How often it has said these words.
    pub fn count(&self, words: &str) -> usize {
        let bytes = self.0.lock().expect("no reader panics");
        String::from_utf8_lossy(&bytes).matches(words).count()
    }
}

/// What the binary said and how it ended.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    /// Waits until the condition holds, while the binary keeps running.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Deadline::after_secs(WAIT_SECS_MAX);
        // What decides to give up is read first: a condition that has become
        // true meanwhile counts.
        loop {
            let (ended, over) = (self.ended(), deadline.is_over());
            if ended.is_some() {
                // Its last words may still be on their way.
                self.stdout.read_to_end();
                self.stderr.read_to_end();
            }
            if condition() {
                return;
            }
            if ended.is_some() || over {
                self.give_up(&format!("waited in vain until {what} (ended: {ended:?})"));
            }
            pause();
        }
    }

    /// Waits until it has logged these words.
    pub fn wait_until_it_says(&mut self, words: &str) {
        let said = Arc::clone(&self.stderr.bytes);
        self.wait_until(&format!("it says {words:?}"), || {
            let said = said.lock().expect("no reader panics");
            String::from_utf8_lossy(&said).contains(words)
        });
    }

    /// Asks it to stop, as an orchestrator does.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    pub fn interrupt(&self) {
        self.signal("-INT");
    }

    /// Asks it to load its component anew.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Stops it where it is, as a suspended machine does.
    pub fn suspend(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on where it was stopped.
    pub fn wake(&self) {
        self.signal("-CONT");
    }

    /// The most memory that it has had so far, in KiB. Only Linux tells.
    pub fn memory_kib_max(&self) -> Option<u64> {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// What it writes to its log, to be looked at while it runs.
    pub fn log(&self) -> Log {
        Log(Arc::clone(&self.stderr.bytes))
    }

    /// Ends it at once, without a chance to put anything right.
    pub fn kill(self) -> Run {
        self.signal("-KILL");
        self.finish()
    }

    /// Asks again and again, as an impatient person does, until it ends.
    pub fn insist(mut self) -> Run {
        let deadline = Deadline::after_secs(WAIT_SECS_MAX);
        while self.ended().is_none() {
            if deadline.is_over() {
                self.give_up("the binary does not end, however often it is asked");
            }
            self.terminate();
            pause();
        }
        self.finish()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status();
        assert!(status.expect("run kill").success(), "kill {signal} {id}");
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Run {
        let deadline = Deadline::after_secs(WAIT_SECS_MAX);
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            if deadline.is_over() {
                self.give_up("the binary does not end");
            }
            pause();
        };
        self.dismiss_watcher();
        Run {
            status,
            stdout: self.stdout.read_to_end(),
            stderr: self.stderr.read_to_end(),
        }
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("look at the binary")
    }

    fn give_up(&mut self, why: &str) -> ! {
        let (stdout, stderr) = (self.stdout.so_far(), self.stderr.so_far());
        panic!("{why}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    }

    /// The process id may go to another process now: nobody must signal it.
    fn dismiss_watcher(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            // The watcher may have gone with the binary's process group.
            let _ = watcher.write_all(b"done\n");
        }
    }
}

#[allow(dead_code, reason = "for the soak and the memory benchmark")]
impl Running {
    /// Its process id, for as long as it has not ended.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.ended().is_some()
    }
}

impl Drop for Running {
    /// A test that failed leaves no binary behind.
    fn drop(&mut self) {
        if self.watcher.is_some() {
            let _ = self.child.kill();
            let _ = self.child.try_wait();
            self.dismiss_watcher();
        }
    }
}

impl Run {
    /// The exit code; a signal has none.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Panics with all that was said unless it ended like this.
    #[track_caller]
    pub fn exited(self, code: i32) -> Run {
        assert_eq!(
            self.code(),
            Some(code),
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Panics unless the message to the user has all of these words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Run {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "the message lacks {word:?}:\n{}",
                self.stderr
            );
        }
        self
    }

    /// Panics if this stands anywhere in its output.
    #[track_caller]
    pub fn never_says(self, word: &str) -> Run {
        for text in [&self.stdout, &self.stderr] {
            assert!(!text.contains(word), "{word:?} stands in\n{text}");
        }
        self
    }

    /// The summary of `--output json`.
    #[track_caller]
    pub fn summary(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "{error} in the summary on standard output:\n{}",
                self.stdout
            )
        })
    }
}

/// A pipe, read by its own thread so that the binary never waits for a reader.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    fn of(mut pipe: impl Read + Send + 'static) -> Capture {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                sink.lock()
                    .expect("no reader panics")
                    .extend(&chunk[..count]);
            }
        });
        Capture {
            bytes,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> String {
        let bytes = self.bytes.lock().expect("no reader panics");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn read_to_end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
        self.so_far()
    }
}
