//! A second PostgreSQL server, which speaks TLS. Its certificate is for
//! `localhost` and not for 127.0.0.1, where it listens.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::block_on;
use crate::support::wait_until;

use super::authority::Authority;
use super::second_server::{OWNER, Server};

/// The host that the server's certificate is for.
pub const RIGHT_NAME: &str = "localhost";
/// The same server under a name that its certificate does not have.
pub const WRONG_NAME: &str = "127.0.0.1";

/// A role that gets in with a password, over TLS only.
pub const ENCRYPTED: &str = "encrypted";
/// A role that gets in with a password, in plain text only.
pub const PLAIN: &str = "plain";
/// A role that gets in with a client certificate only.
pub const CERTIFIED: &str = "certified";
/// A role like `ENCRYPTED`, whose password changes.
pub const ROTATING: &str = "rotating";
pub const PASSWORD: &str = "invented-tls-password";

/// The first line that fits decides.
const WHO_GETS_IN: &str = "\
host all etl_superuser all scram-sha-256
host all etl_owner all scram-sha-256
hostssl all encrypted,rotating all scram-sha-256
hostnossl all plain all scram-sha-256
hostssl all certified all cert";

/// The authority of the server's certificate and of the clients'.
pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("authority of the tests"))
}

/// A database of one test on that server.
pub struct SecretDatabase {
    name: String,
}

impl SecretDatabase {
    pub fn new() -> SecretDatabase {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("secret_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server().administer(&[&format!("CREATE DATABASE {name} OWNER {OWNER}")]);
        SecretDatabase { name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn port(&self) -> u16 {
        server().port
    }

    /// Where it is, as this role and without a password.
    pub fn url(&self, role: &str, host: &str, options: &str) -> String {
        let port = server().port;
        format!("postgres://{role}@{host}:{port}/{}?{options}", self.name)
    }

    pub fn administer(&self, statements: &[&str]) {
        server().administer(statements);
    }

    /// Runs statements in this database.
    pub fn execute(&self, statements: &str) {
        let client = server().connect(&self.name);
        block_on(client.batch_execute(statements)).expect("run a statement");
    }

    /// How many rows the target has.
    pub fn count(&self) -> i64 {
        let client = server().connect(&self.name);
        let there = "SELECT to_regclass('user_logins') IS NOT NULL";
        let ask = |sql: &'static str| block_on(client.query_one(sql, &[])).expect("run a query");
        if ask(there).get::<_, bool>(0) {
            ask("SELECT count(*) FROM user_logins").get(0)
        } else {
            0
        }
    }

    /// Whether the server has complained in such words.
    pub fn server_has_logged(&self, words: &str) -> bool {
        server().log().contains(words)
    }

    /// Whether it has complained so about this database.
    pub fn has_logged(&self, words: &str) -> bool {
        let log = server().log();
        let mut lines = log.lines().filter(|line| line.contains(&self.name));
        lines.any(|line| line.contains(words))
    }
}

fn server() -> &'static Server {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(prepare);
    Server::get()
}

fn prepare() {
    let server = Server::get();
    let of_server = authority().issue(RIGHT_NAME);
    // The server writes its own files: it may run as another account.
    let write = |file: &str, text: &str| {
        let line_by_line = format!("SELECT unnest(string_to_array('{text}', E'\\n'))");
        let program = format!("umask 077; cat >{file}");
        server.administer(&[&format!("COPY ({line_by_line}) TO PROGRAM '{program}'")]);
    };
    write("server.crt", &of_server.certificate);
    write("server.key", &of_server.key);
    write("clients.crt", &authority().pem());
    write("pg_hba.conf", WHO_GETS_IN);
    for role in [ENCRYPTED, PLAIN, CERTIFIED, ROTATING] {
        server.administer(&[
            &format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}' IN ROLE {OWNER}"),
            // What it creates is the owner's.
            &format!("ALTER ROLE {role} SET role = {OWNER}"),
        ]);
    }
    server.administer(&[
        "ALTER SYSTEM SET ssl_ca_file = 'clients.crt'",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    ]);
    wait_until("the server speaks TLS", || {
        let client = server.connect("postgres");
        let answer = block_on(client.query_one("SHOW ssl", &[])).expect("ask for ssl");
        answer.get::<_, &str>(0) == "on"
    });
}
