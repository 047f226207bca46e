//! The host's own way: its write statement, through what it writes with.

use etl_host::output::{
    Database, Decision, Entry, Ledger, Policy, STATEMENT_SECS_DEFAULT, Settings, Store, Table,
    Writer,
};
use etl_host::sandbox::Isolation;

use crate::logins::Login;
use crate::stage;

/// A writer, and what it writes to.
pub struct Ledgered {
    writer: Writer,
    policy: Policy,
    pub target: Table,
}

impl Ledgered {
    /// Connects, and makes the ledger.
    pub async fn connect(url: &str, table: &str) -> Self {
        let settings = Settings::parse(url, |_| None).expect("a database's URL");
        let database = Database::new(settings, STATEMENT_SECS_DEFAULT).expect("no TLS");
        let session = database.connect().await.expect("connect");
        if Ledger::ensure(&session).await.is_err() {
            panic!("the ledger cannot be made");
        }
        let target = Table::find(&session, table).await.expect("an answer");
        let target = target.expect("the target is there");
        let sandbox = stage::sandbox("sha256_mask.wasm", Isolation::Batch, 1);
        let columns = &sandbox.description().columns;
        Self {
            policy: Policy::new(&target, columns, sandbox.digest().0, None),
            writer: Writer::new(database).over(session),
            target,
        }
    }

    /// Writes logins in batches, as the host's workers do; gives how many had
    /// been written before.
    pub async fn write(&mut self, logins: &[Login], batch: usize) -> usize {
        let mut duplicates = 0;
        for logins in logins.chunks(batch) {
            let mut entries: Vec<Entry> = logins.iter().enumerate().map(entry).collect();
            entries.sort_unstable_by_key(|entry| entry.key);
            let written = self.writer.write(&self.policy, &entries).await;
            let committed = written.expect("write a batch");
            duplicates += committed.iter().filter(|proof| proof.duplicate).count();
        }
        duplicates
    }
}

fn entry((place, login): (usize, &Login)) -> Entry<'_> {
    Entry {
        key: login.key,
        message_id: &login.id,
        place,
        decision: Decision::Store(&login.rows),
    }
}

/// The statement that gives the ledger so many entries of other messages.
pub fn filling(entries: usize) -> String {
    format!(
        "INSERT INTO etl_host.ledger (key, message_id, outcome, policy)
            SELECT sha256(n::text::bytea), lpad(n::text, 32, '0'), 'stored', sha256('')
            FROM generate_series(1, {entries}) AS n"
    )
}
