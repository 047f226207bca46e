//! What the hosts work between: the strict fake queue with its dead-letter
//! queue, the network to PostgreSQL, and the database. Every delete is judged
//! over a connection that no fault touches.

use std::net::SocketAddr;

use crate::fake_network::Network;
use crate::fake_queue::FakeQueue;
use crate::fake_queue::oracle::Ledger;
use crate::fake_queue::store::message::Stored;
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::Host;
use crate::support::postgres::Server;
use crate::table_fault;

pub const SOURCE: &str = "logins";
pub const DEAD: &str = "logins-dead";
/// Short, so that what a killed host held comes back while the soak lasts.
pub const VISIBILITY_SECS: u32 = 4;
/// Kills and faults burn receives: none of them may make a dead letter.
const RECEIVES_MAX: u32 = 1_000;

pub struct Stage {
    pub queue: FakeQueue,
    pub network: Network,
    pub database: Database,
}

impl Stage {
    pub fn build() -> Stage {
        let database = Database::with_table();
        database.execute(
            "ALTER TABLE user_logins ADD CHECK (device_type <> 'refused by a constraint')",
        );
        // Made before the hosts would, so that the oracle finds a message by its
        // id without reading the whole ledger at each delete.
        let ddl = Host::bare().word("ddl").run().exited(0).stdout;
        database.execute(&ddl);
        database.execute("CREATE INDEX ON etl_host.ledger (message_id)");
        database.execute(table_fault::REFUSE);
        let server = SocketAddr::from(([127, 0, 0, 1], Server::get().port));
        let queue = FakeQueue::start();
        queue.queue(DEAD).create();
        queue
            .queue(SOURCE)
            .visibility_secs(VISIBILITY_SECS)
            .dead_letters(DEAD, RECEIVES_MAX)
            .create();
        queue.judge(SOURCE, Ledger::at(&database.url()));
        Stage {
            queue,
            network: Network::before(server),
            database,
        }
    }

    /// A host as it is run in production; only its database lies behind the
    /// network that fails.
    pub fn host(&self) -> Host {
        let direct = format!(":{}/", Server::get().port);
        let through_network = format!(":{}/", self.network.address().port());
        let url = self.database.url().replace(&direct, &through_network);
        Host::bare()
            .option("--transform", guest("sha256_mask.wasm"))
            .option("--queue-url", self.queue.url(SOURCE))
            .option("--database-url", url)
            .env("AWS_ENDPOINT_URL_SQS", self.queue.endpoint())
    }

    pub fn left_in_queue(&self) -> Vec<Stored> {
        self.queue.messages(SOURCE)
    }
}
