//! A pgbouncer of one test's own, in front of the shared PostgreSQL server:
//! from the installed program, on a free port of the loopback address.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_postgres::Client;

use crate::support::account::Account;
use crate::support::patience::Deadline;
use crate::support::postgres::{OWNER, OWNER_PASSWORD, Server, connect};
use crate::support::supervised::{Supervised, free_port, make_directory, on_path};
use crate::support::{block_on, pause};

/// Fewer server connections than one host has sessions.
pub const SERVER_CONNECTIONS: i64 = 2;

const START_SECS_MAX: u64 = 10;
/// Another program may take the free port before pgbouncer does.
const START_ATTEMPTS_MAX: u32 = 3;

const WHAT_TO_INSTALL: &str = "These tests need pgbouncer. Install it, for example \
     `apt-get install pgbouncer` on Debian or Ubuntu, `dnf install pgbouncer` on Fedora, \
     `brew install pgbouncer` on macOS; PATH or /usr/sbin must lead to it.";

pub struct Pgbouncer {
    pub port: u16,
    program: Supervised,
}

impl Pgbouncer {
    /// In this pool mode: session, transaction or statement.
    pub fn start(pool_mode: &str) -> Pgbouncer {
        let binary = find_binary().unwrap_or_else(|| panic!("{WHAT_TO_INSTALL}"));
        let mut failure = String::new();
        for _ in 0..START_ATTEMPTS_MAX {
            match start_once(&binary, pool_mode) {
                Ok(pooler) => return pooler,
                Err(reason) => failure = reason,
            }
        }
        panic!("pgbouncer does not start:\n{failure}");
    }

    /// Another client of its, in the pool that the host uses.
    pub fn connect(&self, database: &str) -> Client {
        block_on(connect(self.port, database, OWNER, OWNER_PASSWORD))
            .expect("connect to the pooler")
    }

    /// Everything it has written to its log so far.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Ends it at once, with what it is doing, and starts it again.
    pub fn crash(&self) {
        self.program.restart("KILL");
    }

    /// How often it has come up so far.
    pub fn starts(&self) -> usize {
        self.log().matches("process up").count()
    }
}

fn start_once(binary: &Path, pool_mode: &str) -> Result<Pgbouncer, String> {
    let account = Account::for_server()?;
    let directory = make_directory(account.as_ref())?;
    let port = free_port();
    let mut pgbouncer = Command::new(binary);
    pgbouncer.arg(configure(&directory, port, pool_mode)?);
    let mut pooler = Pgbouncer {
        port,
        program: Supervised::start(&pgbouncer, directory, account.as_ref(), "KILL")?,
    };
    let deadline = Deadline::after_secs(START_SECS_MAX);
    while pooler.starts() == 0 {
        pooler.program.still_runs()?;
        let log = pooler.log();
        if log.contains("FATAL") || deadline.is_over() {
            return Err(log);
        }
        pause();
    }
    Ok(pooler)
}

/// Writes its configuration, and says where.
fn configure(directory: &Path, port: u16, pool_mode: &str) -> Result<PathBuf, String> {
    let users = directory.join("users");
    let configuration = directory.join("pgbouncer.ini");
    let settings = format!(
        "[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {pool_mode}
default_pool_size = {SERVER_CONNECTIONS}
",
        server = Server::get().port,
        users = users.display(),
    );
    fs::write(&users, format!("\"{OWNER}\" \"{OWNER_PASSWORD}\"\n"))
        .and_then(|()| fs::write(&configuration, settings))
        .map_err(|error| format!("write into {}: {error}", directory.display()))?;
    Ok(configuration)
}

/// Debian keeps it where PATH does not lead everybody.
fn find_binary() -> Option<PathBuf> {
    on_path()
        .into_iter()
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join("pgbouncer"))
        .find(|binary| binary.exists())
}
