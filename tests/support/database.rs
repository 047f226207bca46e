//! A database of one test, with its own target table and its own ledger, on
//! the shared server. The role that the host uses owns it and nothing else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, Row as SqlRow};

use super::block_on;
use super::login::Row;
use super::postgres::{OWNER, OWNER_PASSWORD, Server};

/// The table of the exercise, unchanged.
const USER_LOGINS: &str = "CREATE TABLE IF NOT EXISTS user_logins(
    user_id varchar(128), device_type varchar(32), masked_ip varchar(256),
    masked_device_id varchar(256), locale varchar(32), app_version integer, create_date date)";

pub struct Database {
    pub name: String,
    port: u16,
    client: Client,
}

/// One message's fate, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    pub message_id: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub field: Option<String>,
}

impl Database {
    pub fn empty() -> Database {
        Database::made("")
    }

    /// Without a table, in an encoding that has few characters.
    pub fn in_latin1() -> Database {
        Database::made("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    }

    fn made(options: &str) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let server = Server::get();
        server.administer(&[&format!("CREATE DATABASE {name} OWNER {OWNER} {options}")]);
        Database::over(server.connect(&name), name, server.port)
    }

    /// One that is there already, on a server at this port.
    pub fn over(client: Client, name: String, port: u16) -> Database {
        Database { name, port, client }
    }

    /// With the exercise's table.
    pub fn with_table() -> Database {
        let database = Database::empty();
        database.create_table();
        database
    }

    /// Creates the exercise's table.
    pub fn create_table(&self) {
        self.execute(USER_LOGINS);
    }

    /// The same database over a new connection, as the old one does not
    /// outlive the server's restart.
    #[allow(dead_code, reason = "for the soak: tests share the server")]
    pub fn reconnected(&self) -> Database {
        Database {
            name: self.name.clone(),
            port: self.port,
            client: Server::get().connect(&self.name),
        }
    }

    pub fn url(&self) -> String {
        self.url_with_password(OWNER_PASSWORD)
    }

    pub fn url_with_password(&self, password: &str) -> String {
        self.url_as(OWNER, password)
    }

    pub fn url_as(&self, role: &str, password: &str) -> String {
        let port = self.port;
        format!(
            "postgres://{role}:{password}@127.0.0.1:{port}/{}?sslmode=disable",
            self.name
        )
    }

    pub fn execute(&self, statements: &str) {
        block_on(self.client.batch_execute(statements)).expect("run a statement");
    }

    /// Runs statements over a connection of their own; whether they were run.
    #[allow(dead_code, reason = "for the soak, whose server restarts")]
    pub fn try_execute(&self, statements: &str) -> bool {
        let session = Server::get().connect_if_up(&self.name);
        let impatient = format!("SET lock_timeout = '2s'; {statements}");
        session.is_some_and(|session| block_on(session.batch_execute(&impatient)).is_ok())
    }

    pub fn query(&self, sql: &str) -> Vec<SqlRow> {
        block_on(self.client.query(sql, &[])).expect("run a query")
    }

    pub fn count(&self, what: &str) -> i64 {
        self.query(&format!("SELECT count(*) FROM {what}"))[0].get(0)
    }

    /// Whether the relation is there at all.
    pub fn has(&self, relation: &str) -> bool {
        self.query(&format!("SELECT to_regclass('{relation}') IS NOT NULL"))[0].get(0)
    }

    /// How many rows the relation has: none where it is not there yet.
    pub fn count_if_there(&self, relation: &str) -> i64 {
        if self.has(relation) {
            self.count(relation)
        } else {
            0
        }
    }

    /// Panics unless the table holds exactly these rows.
    #[track_caller]
    pub fn assert_rows(&self, expected: &[Row]) {
        self.assert_rows_of("user_logins", expected);
    }

    #[track_caller]
    pub fn assert_rows_of(&self, table: &str, expected: &[Row]) {
        let mut missing = expected.to_vec();
        let mut surplus = self.rows_of(table);
        surplus.retain(|row| match missing.iter().position(|one| one == row) {
            Some(position) => {
                missing.remove(position);
                false
            }
            None => true,
        });
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "of {} rows {} are missing, the first {:#?}, and {} are too many, the first {:#?}",
            expected.len(),
            missing.len(),
            missing.first(),
            surplus.len(),
            surplus.first()
        );
    }

    pub fn rows_of(&self, table: &str) -> Vec<Row> {
        self.query(&format!(
            "SELECT user_id::text, device_type::text, masked_ip::text, masked_device_id::text,
                    locale::text, app_version::int4,
                    (create_date - DATE '1970-01-01')::int4
             FROM {table} ORDER BY user_id"
        ))
        .iter()
        .map(|row| Row {
            user_id: row.get(0),
            device_type: row.get(1),
            masked_ip: row.get(2),
            masked_device_id: row.get(3),
            locale: row.get(4),
            app_version: row.get(5),
            create_day: row.get(6),
        })
        .collect()
    }

    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.query(
            "SELECT message_id, outcome::text, reason::text, field FROM etl_host.ledger ORDER BY 1",
        )
        .iter()
        .map(|row| LedgerEntry {
            message_id: row.get(0),
            outcome: row.get(1),
            reason: row.get(2),
            field: row.get(3),
        })
        .collect()
    }

    /// How many messages had which fate.
    pub fn outcomes(&self) -> BTreeMap<String, usize> {
        let mut outcomes = BTreeMap::new();
        for entry in self.ledger() {
            *outcomes.entry(entry.outcome).or_default() += 1;
        }
        outcomes
    }

    /// Keeps everybody else from the table until the guard is dropped.
    pub fn lock(&self, table: &str) -> TableLock {
        let session = Server::get().connect(&self.name);
        block_on(session.batch_execute(&format!(
            "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"
        )))
        .expect("lock the table");
        TableLock { session }
    }

    /// The same, where the server takes connections and gives the lock at once.
    #[allow(dead_code, reason = "for the soak, whose server restarts")]
    pub fn try_lock(&self, table: &str) -> Option<TableLock> {
        let session = Server::get().connect_if_up(&self.name)?;
        let locking =
            format!("SET lock_timeout = '2s'; BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        block_on(session.batch_execute(&locking)).ok()?;
        Some(TableLock { session })
    }

    /// Whether a session waits for a lock in this database.
    pub fn somebody_waits_for_a_lock(&self) -> bool {
        self.count(
            "pg_locks JOIN pg_database d ON d.oid = database
             WHERE NOT granted AND datname = current_database()",
        ) > 0
    }

    /// Whether the server has complained in such words about this database.
    pub fn server_has_logged(&self, words: &[&str]) -> bool {
        let log = Server::get().log();
        let mut lines = log.lines().filter(|line| line.contains(&self.name));
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    }

    /// Ends the sessions that wait for a lock, as a failing server would.
    pub fn break_waiting_connections(&self) {
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
    }

    /// Every row of every table, the ledger included, as text.
    pub fn text_of_every_table(&self) -> String {
        let tables = self.query(
            "SELECT format('%I.%I', nspname, relname)
             FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
             WHERE relkind IN ('r', 'm', 'p')
               AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')",
        );
        tables
            .iter()
            .flat_map(|table| {
                let table: &str = table.get(0);
                self.query(&format!("SELECT t::text FROM {table} t"))
            })
            .map(|row| format!("{}\n", row.get::<_, String>(0)))
            .collect()
    }
}

pub struct TableLock {
    session: Client,
}

impl TableLock {
    pub fn release(self) {
        block_on(self.session.batch_execute("ROLLBACK")).expect("release the table");
    }
}
