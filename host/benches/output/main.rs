//! What a row costs in the host's own write statement, beside bare inserts and
//! COPY in the same run, by the size of a batch: `cargo writes`.
//!
//! A real server with durable settings, one connection, one batch at a time,
//! each batch one commit. The CPU time of this process and of all the server's
//! is counted; tables begin empty, and of several runs the median is shown. At
//! the end the ledger has a million entries before anything is written.

mod bare;
#[path = "../stage/cpu.rs"]
mod cpu;
mod field;
mod ledgered;
mod logins;
mod measured;
#[path = "../stage/postgres.rs"]
mod postgres;
#[path = "../stage/mod.rs"]
mod stage;

use bare::Bare;
use ledgered::Ledgered;
use logins::Login;
use measured::{Measured, Meter};
use postgres::{OWNER, OWNER_PASSWORD, Server, block_on};
use tokio_postgres::Client;

/// What the host allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The sizes of batches, and how many rows are written with each.
const BATCHES: [(usize, usize); 4] = [(1, 2_000), (10, 20_000), (100, 50_000), (1_000, 100_000)];
/// Of so many runs the median is shown.
const RUNS: usize = 5;
/// What the larger ledger holds beforehand.
const LEDGER_ENTRIES: usize = 1_000_000;
/// What is written there before it has settled, in batches of so many.
const SETTLING_BATCH: usize = 1_000;

const DATABASE: &str = "writes";
const TARGET: &str = "CREATE TABLE user_logins(
    user_id varchar(128), device_type varchar(32), masked_ip varchar(256),
    masked_device_id varchar(256), locale varchar(32), app_version integer, create_date date)";
const EMPTY: &str = "TRUNCATE user_logins, etl_host.ledger";

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Copy,
    Insert,
    InsertUnprepared,
    RowByRow,
    Host,
    /// The host's, where all of it has been written before.
    HostAgain,
}

impl Way {
    /// The two floors first.
    const ALL: [Self; 6] = [
        Self::Copy,
        Self::Insert,
        Self::InsertUnprepared,
        Self::RowByRow,
        Self::Host,
        Self::HostAgain,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Copy => "COPY BINARY",
            Self::Insert => "INSERT … UNNEST, no ledger",
            Self::InsertUnprepared => "the same, not prepared",
            Self::RowByRow => "INSERT row by row, pipelined",
            Self::Host => "the host: rows and ledger",
            Self::HostAgain => "the host: all duplicates",
        }
    }
}

struct Bench {
    logins: Vec<Login>,
    server: Server,
    /// For what is not measured.
    client: Client,
    bare: Bare,
    ledgered: Ledgered,
}

fn main() {
    let server = Server::durable();
    server.administer(&[&format!("CREATE DATABASE {DATABASE} OWNER {OWNER}")]);
    let place = format!("127.0.0.1:{}/{DATABASE}", server.port);
    let url = format!("postgres://{OWNER}:{OWNER_PASSWORD}@{place}?sslmode=disable");
    let client = server.connect(DATABASE);
    block_on(client.batch_execute(TARGET)).expect("create the target");
    let ledgered = block_on(Ledgered::connect(&url, "user_logins"));
    let rows_max = BATCHES.iter().map(|(_, rows)| *rows).max();
    let mut bench = Bench {
        logins: logins::judged(2 * rows_max.unwrap_or_default(), &ledgered.target.name),
        bare: block_on(Bare::over(server.connect(DATABASE))),
        ledgered,
        client,
        server,
    };
    bench.by_batch();
    bench.by_ledger();
}

impl Bench {
    fn by_batch(&mut self) {
        println!("{}", Measured::header());
        for (batch, rows) in BATCHES {
            let mut runs = vec![Vec::new(); Way::ALL.len()];
            for _ in 0..RUNS {
                // Each way in turn, so that what else the machine does befalls
                // them all.
                for (way, runs) in Way::ALL.into_iter().zip(&mut runs) {
                    self.execute(EMPTY);
                    runs.push(self.measure(way, batch, rows));
                }
            }
            let medians: Vec<Measured> = runs.iter().map(|runs| Measured::median(runs)).collect();
            for (way, median) in Way::ALL.into_iter().zip(&medians) {
                let floors = Some([&medians[0], &medians[1]]);
                println!("{batch:>5}  {}", median.line(way.name(), floors));
            }
        }
    }

    /// The host's statement, by what the ledger holds beforehand. After a
    /// checkpoint PostgreSQL logs each page whole that is changed for the first
    /// time; a large index has many, and settles once all are logged.
    fn by_ledger(&mut self) {
        println!("\n{}", Measured::header());
        let ledgers = [
            ("the ledger empty", 0, false),
            ("a million, after a checkpoint", LEDGER_ENTRIES, false),
            ("a million, settled", LEDGER_ENTRIES, true),
        ];
        for (batch, rows) in &BATCHES[2..] {
            for (name, entries, settled) in ledgers {
                let mut runs = Vec::new();
                for _ in 0..RUNS {
                    self.execute(EMPTY);
                    self.execute(&ledgered::filling(entries));
                    self.server.administer(&["CHECKPOINT"]);
                    if settled {
                        let others = &self.logins[self.logins.len() / 2..];
                        block_on(self.ledgered.write(others, SETTLING_BATCH));
                        self.execute("TRUNCATE user_logins");
                    }
                    runs.push(self.measure(Way::Host, *batch, *rows));
                }
                println!("{batch:>5}  {}", Measured::median(&runs).line(name, None));
            }
        }
    }

    fn measure(&mut self, way: Way, batch: usize, rows: usize) -> Measured {
        let logins = &self.logins[..rows];
        let (bare, ledgered) = (&self.bare, &mut self.ledgered);
        let mut expected = 0;
        if way == Way::HostAgain {
            block_on(ledgered.write(logins, batch));
            expected = rows;
        }
        let before = Meter::read(&self.server, &self.client);
        let duplicates = block_on(async {
            match way {
                Way::Copy => bare.copy(logins, batch).await,
                Way::Insert => bare.insert(logins, batch).await,
                Way::InsertUnprepared => bare.insert_unprepared(logins, batch).await,
                Way::RowByRow => bare.row_by_row(logins, batch).await,
                Way::Host | Way::HostAgain => return ledgered.write(logins, batch).await,
            }
            0
        });
        let after = Meter::read(&self.server, &self.client);
        assert_eq!(duplicates, expected, "duplicates by {}", way.name());
        let count = block_on(
            self.client
                .query_one("SELECT count(*) FROM user_logins", &[]),
        );
        let count: i64 = count.expect("count the rows").get(0);
        assert_eq!(usize::try_from(count), Ok(rows), "rows by {}", way.name());
        before.until(&after, rows)
    }

    fn execute(&self, statements: &str) {
        block_on(self.client.batch_execute(statements)).expect("run a statement");
    }
}
