//! One real PostgreSQL server for the whole test process, from the installed
//! binaries, in a temporary directory, on a free port of the loopback address.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tokio_postgres::{Client, NoTls};

use super::account::Account;
use super::patience::Deadline;
use super::supervised::{Supervised, free_port, make_directory, on_path};
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

pub struct Server {
    pub port: u16,
    program: Supervised,
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
        match SERVER.get_or_init(|| start("fsync=off")) {
            Ok(server) => server,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// A server of one's own that keeps what it acknowledges, whatever befalls
    /// the machine, and is otherwise as installed.
    #[allow(dead_code, reason = "for benchmarks: tests need no such care")]
    pub fn durable() -> Server {
        start("fsync=on").unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// The process above all of the server's own.
    #[allow(dead_code, reason = "for benchmarks, which measure its CPU time")]
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// Everything the server has written to its log so far.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Stops the server and starts it again, which goes on after this returns.
    #[allow(
        dead_code,
        reason = "only a server of a test's own, or the soak's, may be restarted"
    )]
    pub fn restart(&self, restart: Restart) {
        self.program.restart(match restart {
            Restart::Fast => "INT",
            Restart::Immediate => "QUIT",
        });
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

    /// A connection, where the server takes one at the moment.
    #[allow(dead_code, reason = "for the soak, whose server restarts")]
    pub fn connect_if_up(&self, database: &str) -> Option<Client> {
        block_on(self.try_connect(database, OWNER, OWNER_PASSWORD)).ok()
    }

    async fn try_connect(
        &self,
        database: &str,
        user: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        connect(self.port, database, user, password).await
    }

    /// Whether the server takes connections, or the reason why it never will.
    fn is_up(&mut self) -> Result<bool, String> {
        self.program.still_runs()?;
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

/// Connects to whoever listens at this port.
pub async fn connect(
    port: u16,
    database: &str,
    user: &str,
    password: &str,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::Config::new()
        .host("127.0.0.1")
        .port(port)
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

fn start(sync: &str) -> Result<Server, String> {
    let binaries = find_binaries().ok_or(WHAT_TO_INSTALL)?;
    let mut failure = String::new();
    for _ in 0..START_ATTEMPTS_MAX {
        match start_once(&binaries, sync) {
            Ok(server) => return Ok(server),
            Err(reason) => failure = reason,
        }
    }
    Err(format!("PostgreSQL does not start:\n{failure}"))
}

fn start_once(binaries: &Path, sync: &str) -> Result<Server, String> {
    let account = Account::for_server()?;
    let directory = make_directory(account.as_ref())?;
    initialise(binaries, &directory, account.as_ref())?;
    let port = free_port();
    let mut postgres = Command::new(binaries.join("postgres"));
    postgres.arg("-D").arg(directory.join("data"));
    for setting in [
        &format!("port={port}"),
        "listen_addresses=127.0.0.1",
        &format!("unix_socket_directories={}", directory.display()),
        sync,
        "max_connections=200",
        "log_line_prefix=%m [%p] %d ",
    ] {
        postgres.args(["-c", setting]);
    }
    let mut server = Server {
        port,
        program: Supervised::start(&postgres, directory, account.as_ref(), "INT")?,
    };
    let deadline = Deadline::after_secs(START_SECS_MAX);
    while !server.is_up()? {
        if deadline.is_over() {
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
    named_by_pg_config
        .into_iter()
        .chain(on_path())
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
    let output = Account::run_as(account, &mut initdb)
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
