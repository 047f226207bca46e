//! A server program of the tests, in a temporary directory of its own.
//!
//! It ends with the process, however that ends: a shell holds one end of a
//! pipe, the process holds the other, and when that closes the shell stops the
//! server and removes its directory. Until then it restarts it when asked.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::account::Account;

/// Each line that it reads is a signal: the server is stopped with it and
/// started again. The port may be gone for a moment, hence the attempts.
const SUPERVISOR: &str = r#"
directory=$1 last_signal=$2
shift 2
start() {
  "$@" >>"$directory/log" 2>&1 &
  server=$!
}
start "$@"
while read -r signal; do
  kill -"$signal" $server
  wait $server
  for attempt in 1 2 3 4 5 6 7 8 9; do
    start "$@"
    sleep 0.2
    kill -0 $server 2>/dev/null && break
  done
done
kill -"$last_signal" $server
wait $server
rm -rf "$directory"
"#;

pub struct Supervised {
    directory: PathBuf,
    /// Holds the pipe whose end stops the server.
    supervisor: Child,
}

impl Supervised {
    /// Runs a program that logs to its standard output and error; this signal
    /// stops it in the end.
    pub fn start(
        program: &Command,
        directory: PathBuf,
        account: Option<&Account>,
        last_signal: &str,
    ) -> Result<Supervised, String> {
        let mut supervisor = Command::new("sh");
        supervisor
            .args(["-c", SUPERVISOR, "sh"])
            .arg(&directory)
            .arg(last_signal)
            .arg(program.get_program())
            .args(program.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at a terminal must not take the supervisor before its turn.
            .process_group(0);
        let supervisor = Account::run_as(account, &mut supervisor).spawn();
        Ok(Supervised {
            directory,
            supervisor: supervisor.map_err(|error| format!("run sh: {error}"))?,
        })
    }

    /// The process that is above the server's.
    #[allow(dead_code, reason = "for benchmarks, which measure its CPU time")]
    pub fn id(&self) -> u32 {
        self.supervisor.id()
    }

    /// Everything the server has written to its log so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Stops the server and starts it again, which goes on after this returns.
    pub fn restart(&self, signal: &str) {
        let mut pipe = self.supervisor.stdin.as_ref().expect("a pipe");
        pipe.write_all(format!("{signal}\n").as_bytes())
            .expect("tell the server's supervisor");
    }

    /// An error if nobody looks after the server any more.
    pub fn still_runs(&mut self) -> Result<(), String> {
        match self.supervisor.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("its supervisor ended ({status})")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A directory that only the account can enter.
pub fn make_directory(account: Option<&Account>) -> Result<PathBuf, String> {
    let directory = scratch_name();
    let explain = |error| format!("create {}: {error}", directory.display());
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .map_err(explain)?;
    if let Some(account) = account {
        chown(&directory, Some(account.user), Some(account.group)).map_err(explain)?;
    }
    Ok(directory)
}

/// A name in the temporary directory that no other process takes.
pub fn scratch_name() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("the clock is past 1970");
    // Kept short: a socket's path has 107 bytes at most.
    std::env::temp_dir().join(format!(
        "etl-host-{}-{}-{}",
        std::process::id(),
        now.subsec_nanos(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    ))
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("find a free port")
        .port()
}

/// The directories of PATH in which programs are looked for.
pub fn on_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}
