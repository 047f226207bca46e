//! One real PostgreSQL server for the whole test process, from the installed
//! binaries, in a temporary directory, on a free port of the loopback address.
//!
//! It ends with the process, however that ends: a shell holds one end of a
//! pipe, the process holds the other, and when that closes the shell stops the
//! server and removes its directory. Until then it restarts it when asked.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::{Client, NoTls};

use super::{block_on, pause, spawn};

/// A role that owns the tests' databases and nothing else, as in production.
pub const OWNER: &str = "etl_owner";
pub const OWNER_PASSWORD: &str = "invented-owner-password";
/// A role that may connect, and owns nothing.
pub const STRANGER: &str = "etl_stranger";
pub const STRANGER_PASSWORD: &str = "invented-stranger-password";
const SUPERUSER: &str = "etl_superuser";
const SUPERUSER_PASSWORD: &str = "invented-superuser-password";

const START_SECS_MAX: u64 = 30;
/// Another program may take the free port before the server does.
const START_ATTEMPTS_MAX: u32 = 3;

const WHAT_TO_INSTALL: &str = "These tests need a PostgreSQL server (initdb and postgres). Install one, for example \
     `apt-get install postgresql` on Debian or Ubuntu, `dnf install postgresql-server` on Fedora, \
     `brew install postgresql` on macOS; `pg_config`, PATH or /usr/lib/postgresql must lead to it.";

/// Each line that it reads is a signal: the server is stopped with it and
/// started again. The port may be gone for a moment, hence the attempts.
const SUPERVISOR: &str = r#"
start() {
  "$1/postgres" -D "$2/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$2" \
    -c fsync=off -c max_connections=200 -c log_line_prefix='%m [%p] %d ' >>"$2/log" 2>&1 &
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
kill -INT $server
wait $server
rm -rf "$2"
"#;

pub struct Server {
    pub port: u16,
    directory: PathBuf,
    /// Holds the pipe whose end stops the server.
    supervisor: Child,
}

/// How the server is stopped before it is started again.
#[allow(
    dead_code,
    reason = "only a server of a test's own, or the soak's, may be restarted"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Sessions are ended in order.
    Fast,
    /// As by a crash: it recovers from its log.
    Immediate,
}

impl Server {
    /// The server of this process, started when it is first asked for.
    pub fn get() -> &'static Server {
        static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
        match SERVER.get_or_init(start) {
            Ok(server) => server,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// Everything the server has written to its log so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Stops the server and starts it again, which goes on after this returns.
    #[allow(
        dead_code,
        reason = "only a server of a test's own, or the soak's, may be restarted"
    )]
    pub fn restart(&self, restart: Restart) {
        let mut pipe = self.supervisor.stdin.as_ref().expect("a pipe");
        let signal = match restart {
            Restart::Fast => "INT\n",
            Restart::Immediate => "QUIT\n",
        };
        pipe.write_all(signal.as_bytes())
            .expect("tell the server's supervisor");
    }

    /// Runs statements as the superuser.
    pub fn administer(&self, statements: &[&str]) {
        block_on(async {
            let client = self
                .try_connect("postgres", SUPERUSER, SUPERUSER_PASSWORD)
                .await
                .expect("connect as the superuser");
            for statement in statements {
                client
                    .batch_execute(statement)
                    .await
                    .expect("run an administrative statement");
            }
        });
    }

    /// Whether it takes connections at the moment.
    #[allow(dead_code, reason = "only a server of a test's own may be ended")]
    pub fn is_ready(&self) -> bool {
        block_on(self.try_connect("postgres", SUPERUSER, SUPERUSER_PASSWORD)).is_ok()
    }

    pub fn connect(&self, database: &str) -> Client {
        block_on(self.try_connect(database, OWNER, OWNER_PASSWORD))
            .expect("connect to the test's database")
    }

    async fn try_connect(
        &self,
        database: &str,
        user: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .dbname(database)
            .user(user)
            .password(password)
            .connect(NoTls)
            .await?;
        spawn(async move {
            // Ends when the client is dropped; an error shows at the client.
            let _ = connection.await;
        });
        Ok(client)
    }

    /// Whether the server takes connections, or the reason why it never will.
    fn is_up(&mut self) -> Result<bool, String> {
        let ended = self.supervisor.try_wait();
        if let Some(status) = ended.map_err(|error| error.to_string())? {
            return Err(format!("its supervisor ended ({status})"));
        }
        if block_on(self.try_connect("postgres", SUPERUSER, SUPERUSER_PASSWORD)).is_ok() {
            return Ok(true);
        }
        let log = self.log();
        if log.contains("FATAL:  could not") {
            return Err(log);
        }
        Ok(false)
    }
}

fn start() -> Result<Server, String> {
    let binaries = find_binaries().ok_or(WHAT_TO_INSTALL)?;
    let mut failure = String::new();
    for _ in 0..START_ATTEMPTS_MAX {
        match start_once(&binaries) {
            Ok(server) => return Ok(server),
            Err(reason) => failure = reason,
        }
    }
    Err(format!("PostgreSQL does not start:\n{failure}"))
}

fn start_once(binaries: &Path) -> Result<Server, String> {
    let account = Account::for_server()?;
    let directory = make_directory(account.as_ref())?;
    initialise(binaries, &directory, account.as_ref())?;
    let port = free_port();
    let mut supervisor = Command::new("sh");
    supervisor
        .args(["-c", SUPERVISOR, "sh"])
        .args([binaries, &directory])
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C at a terminal must not take the supervisor before its turn.
        .process_group(0);
    let supervisor = run_as(&mut supervisor, account.as_ref()).spawn();
    let mut server = Server {
        port,
        supervisor: supervisor.map_err(|error| format!("run sh: {error}"))?,
        directory,
    };
    let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
    while !server.is_up()? {
        if Instant::now() > deadline {
            return Err(server.log());
        }
        pause();
    }
    server.administer(&[
        &format!("CREATE ROLE {OWNER} LOGIN PASSWORD '{OWNER_PASSWORD}'"),
        &format!("CREATE ROLE {STRANGER} LOGIN PASSWORD '{STRANGER_PASSWORD}'"),
    ]);
    Ok(server)
}

/// Where `initdb` and `postgres` lie: Debian keeps them out of PATH.
fn find_binaries() -> Option<PathBuf> {
    let named_by_pg_config = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    named_by_pg_config
        .into_iter()
        .chain(std::env::split_paths(&on_path))
        .filter_map(|directory| fs::canonicalize(directory.join("postgres")).ok())
        .filter_map(|postgres| Some(postgres.parent()?.to_path_buf()))
        .chain(debian_binaries())
        .find(|directory| directory.join("postgres").exists() && directory.join("initdb").exists())
}

/// The newest first.
fn debian_binaries() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path).collect()
}

/// Another account, where the tests run as root: PostgreSQL refuses root.
struct Account {
    user: u32,
    group: u32,
}

impl Account {
    fn for_server() -> Result<Option<Account>, String> {
        let made_by_us = scratch_name();
        fs::create_dir(&made_by_us)
            .map_err(|error| format!("create {}: {error}", made_by_us.display()))?;
        let we_are_root = std::os::unix::fs::MetadataExt::uid(
            &fs::metadata(&made_by_us).map_err(|error| error.to_string())?,
        ) == 0;
        fs::remove_dir(&made_by_us).map_err(|error| error.to_string())?;
        if !we_are_root {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Account::find(&accounts, name))
            .map(Some)
            .ok_or_else(|| {
                "PostgreSQL refuses to run as root, and there is no account `postgres` or \
                 `nobody` to run it as: add one, or run the tests as another user"
                    .to_owned()
            })
    }

    fn find(accounts: &str, name: &str) -> Option<Account> {
        let line = accounts
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Account {
            user: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

fn run_as<'c>(command: &'c mut Command, account: Option<&Account>) -> &'c mut Command {
    if let Some(account) = account {
        command.uid(account.user).gid(account.group);
    }
    // The account may not be allowed to enter the directory of the tests.
    command.current_dir("/")
}

fn initialise(binaries: &Path, directory: &Path, account: Option<&Account>) -> Result<(), String> {
    let password_file = directory.join("password");
    fs::write(&password_file, SUPERUSER_PASSWORD).map_err(|error| error.to_string())?;
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o644))
        .map_err(|error| error.to_string())?;
    let mut initdb = Command::new(binaries.join("initdb"));
    initdb
        .arg("-D")
        .arg(directory.join("data"))
        .arg(format!("--pwfile={}", password_file.display()))
        .args(["-U", SUPERUSER, "-A", "scram-sha-256"])
        .args(["-E", "UTF8", "--locale=C", "--no-sync"]);
    let output = run_as(&mut initdb, account)
        .output()
        .map_err(|error| format!("run initdb: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "initdb fails: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn make_directory(account: Option<&Account>) -> Result<PathBuf, String> {
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
fn scratch_name() -> PathBuf {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("the clock is past 1970");
    // Kept short: a socket's path has 107 bytes at most.
    std::env::temp_dir().join(format!(
        "etl-host-{}-{}",
        std::process::id(),
        now.subsec_nanos()
    ))
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("find a free port")
        .port()
}
