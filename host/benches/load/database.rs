//! A database for each run, and what must stand in it afterwards.

use tokio_postgres::Client;

use crate::login;
use crate::postgres::{OWNER, OWNER_PASSWORD, Server, block_on};

/// The exercise's table, and what a consumer without a ledger of its own keeps
/// so that a message that comes twice is stored once.
const TABLES: &str = "
    CREATE TABLE user_logins(
        user_id varchar(128), device_type varchar(32), masked_ip varchar(256),
        masked_device_id varchar(256), locale varchar(32), app_version integer, create_date date);
    CREATE TABLE processed_messages(message_id text PRIMARY KEY)";
/// What stands in the table, as one number: the order of the rows is nothing.
const SUM: &str = "coalesce(sum(hashtextextended(row::text, 0)), 0)::text";
/// What is to stand there, worked out by PostgreSQL from the bodies.
const EXPECTED: &str = "
    SELECT body->>'user_id', body->>'device_type',
           encode(sha256(convert_to(body->>'ip', 'UTF8')), 'hex'),
           encode(sha256(convert_to(body->>'device_id', 'UTF8')), 'hex'),
           body->>'locale',
           split_part(body->>'app_version', '.', 1)::integer * 1000000
               + split_part(body->>'app_version', '.', 2)::integer * 1000
               + split_part(body->>'app_version', '.', 3)::integer,
           date '2026-11-23'
      FROM (SELECT text::jsonb AS body FROM bodies) AS bodies";
/// Bodies a statement.
const BODIES: usize = 10_000;

/// The server of all runs.
pub struct Databases {
    pub server: Server,
    made: usize,
}

/// The database of one run.
pub struct Database {
    name: String,
    client: Client,
}

/// What must stand in a database after a run of so many messages.
pub struct Expected {
    messages: usize,
    sum: String,
}

impl Databases {
    pub fn start() -> Databases {
        let server = Server::durable();
        Databases { server, made: 0 }
    }

    /// A new one. What earlier ones left to be written is written, so that no
    /// run pays for another.
    pub fn create(&mut self) -> Database {
        self.made += 1;
        let name = format!("load_{}", self.made);
        let create = format!("CREATE DATABASE {name} OWNER {OWNER}");
        self.server.administer(&[&create]);
        let client = self.server.connect(&name);
        let database = Database { name, client };
        database.execute(TABLES);
        self.server.administer(&["CHECKPOINT"]);
        database
    }

    pub fn drop(&self, database: Database) {
        let Database { name, client } = database;
        drop(client);
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        self.server.administer(&[&drop]);
    }

    /// A setting of the server.
    pub fn setting(&mut self, name: &str) -> String {
        let client = self.server.connect("template1");
        let shown = block_on(client.query_one("SELECT current_setting($1)", &[&name]));
        shown.expect("read a setting").get(0)
    }

    /// What so many messages must come to.
    pub fn expected(&mut self, messages: usize) -> Expected {
        let database = self.create();
        database.execute("CREATE TEMPORARY TABLE bodies(text text)");
        let bodies: Vec<String> = (0..messages).map(login::body).collect();
        for bodies in bodies.chunks(BODIES) {
            let insert = "INSERT INTO bodies SELECT unnest($1::text[])";
            let inserted = block_on(database.client.execute(insert, &[&bodies]));
            inserted.expect("insert bodies");
        }
        let sum = database.text(&format!("SELECT {SUM} FROM ({EXPECTED}) AS row"));
        self.drop(database);
        Expected { messages, sum }
    }
}

impl Database {
    /// How to reach it over this port.
    pub fn url(&self, port: u16) -> String {
        let name = &self.name;
        format!("postgres://{OWNER}:{OWNER_PASSWORD}@127.0.0.1:{port}/{name}?sslmode=disable")
    }

    /// Panics unless each message has given its row, and exactly one entry in
    /// what is kept of messages that have been stored.
    pub fn verify(&self, expected: &Expected, kept_in: &str) {
        let messages = expected.messages.to_string();
        let rows = self.text("SELECT count(*)::text FROM user_logins");
        assert_eq!(rows, messages, "rows");
        let sum = self.text(&format!("SELECT {SUM} FROM user_logins AS row"));
        assert_eq!(sum, expected.sum, "the sum of the rows");
        let kept = self.text(&format!(
            "SELECT count(DISTINCT message_id)::text || ' of ' || count(*) FROM {kept_in}"
        ));
        assert_eq!(kept, format!("{messages} of {messages}"), "{kept_in}");
    }

    /// Whether a row is committed.
    pub fn has_rows(&self) -> bool {
        self.text("SELECT EXISTS (SELECT FROM user_logins)::text") == "true"
    }

    fn execute(&self, statements: &str) {
        block_on(self.client.batch_execute(statements)).expect("run a statement");
    }

    fn text(&self, query: &str) -> String {
        let row = block_on(self.client.query_one(query, &[]));
        row.expect("run a query").get(0)
    }
}
