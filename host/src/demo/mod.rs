//! `etl-host demo`: the whole path on one machine, with nothing to install.
//!
//! It brings up an SQS endpoint and a PostgreSQL server in this process, fills
//! a queue, and then runs `etl-host` itself as a child with the flags that
//! anybody would give: the very same pipeline, over the real protocols. What
//! it shows of rejected messages is why, never their bodies, because `--input`
//! may name real ones.
//!
//! It is a cargo feature and not in the production binary: the two servers
//! bring 200 crates.

mod database_server;
mod logins;
mod queue;
mod queue_server;
mod rows;
mod turnstile;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cli::{DemoArgs, Output};
use crate::commands::print;
use crate::exit::{Ends, Failure, Kind, failure};
use database_server::DatabaseServer;
use queue::Queues;
use queue_server::QueueServer;

/// Invented logins that are sent.
const LOGINS: usize = 100;
/// Rows that are shown.
const ROWS_SHOWN: i64 = 5;
/// The component that masks them.
const TRANSFORM: &str = "guests/sha256_mask.wasm";
/// The table of the exercise.
const TABLE: &str = "user_logins";

/// Runs the demo.
///
/// # Errors
/// A server does not start, the component or the input cannot be read, or the
/// pipeline fails; its own message has then been printed.
pub fn run(args: DemoArgs) -> Result<(), Failure> {
    let transform = args.transform.unwrap_or_else(|| PathBuf::from(TRANSFORM));
    if !transform.is_file() {
        return Err(failure(
            Kind::Configuration,
            format!(
                "component {} is not there: run this in the checkout's own folder, or give \
                 --transform FILE",
                transform.display()
            ),
        ));
    }
    let bodies = match &args.input {
        Some(file) => read_bodies(file).ends_as(Kind::Data)?,
        None => logins::bodies(LOGINS),
    };

    say("Starting PostgreSQL and an SQS endpoint in this process …")?;
    let database = DatabaseServer::start().ends_as(Kind::Internal)?;
    let queue_server = QueueServer::start().ends_as(Kind::Internal)?;
    let runtime = tokio::runtime::Runtime::new().ends_as(Kind::Internal)?;
    let queues = runtime
        .block_on(prepare(&queue_server, &database, &bodies))
        .ends_as(Kind::Internal)?;
    say(&format!(
        "Sent {} messages to {}, and created the table {TABLE}.\n",
        bodies.len(),
        queues.source_url
    ))?;

    let pipeline = Pipeline {
        transform,
        queue_url: queues.source_url.clone(),
        endpoint_url: queue_server.endpoint_url(),
        database_url: database.url(),
    };
    say("This PostgreSQL keeps nothing for long, hence the warning of fsync below.\n")?;
    say(&format!("$ {}\n", pipeline.shown()))?;
    pipeline.run(args.output)?;

    let shown = runtime
        .block_on(rows::first(&database.url(), TABLE, ROWS_SHOWN))
        .ends_as(Kind::Internal)?;
    say(&format!("\nThe first rows, masked:\n{shown}"))?;
    let rejected = runtime
        .block_on(queues.rejected())
        .ends_as(Kind::Internal)?;
    say(&format!("\nIn the dead-letter queue:\n{rejected}"))?;

    if args.keep {
        say(&kept(&pipeline))?;
        runtime.block_on(interrupted());
    }
    drop(queue_server);
    database.shutdown().ends_as(Kind::Internal)
}

/// Tells what goes on, on stdout: the demo's result is what it shows.
fn say(line: &str) -> Result<(), Failure> {
    print(&format!("{line}\n"))
}

async fn prepare(
    queue_server: &QueueServer,
    database: &DatabaseServer,
    bodies: &[String],
) -> Result<Queues> {
    rows::create_table(&database.url(), logins::TABLE_DDL)
        .await
        .context("create the table")?;
    let queues = Queues::create(&queue_server.endpoint_url())
        .await
        .context("create the queues")?;
    queues.send(bodies).await.context("send the messages")?;
    Ok(queues)
}

fn read_bodies(file: &PathBuf) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("read message bodies from {}", file.display()))?;
    let bodies: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect();
    ensure!(
        !bodies.is_empty(),
        "{} holds no message: one body a line is expected",
        file.display()
    );
    Ok(bodies)
}

/// The run of `etl-host`, as a child.
struct Pipeline {
    transform: PathBuf,
    queue_url: String,
    endpoint_url: String,
    database_url: String,
}

impl Pipeline {
    /// The command as a person would type it.
    fn shown(&self) -> String {
        format!(
            "etl-host --transform {} \\\n    --queue-url {} \\\n    --database-url {} \\\n    \
             --until-empty",
            self.transform.display(),
            self.queue_url,
            self.database_url
        )
    }

    fn run(&self, output: Output) -> Result<(), Failure> {
        let program = std::env::current_exe().ends_as(Kind::Internal)?;
        let output = match output {
            Output::Text => "text",
            Output::Json => "json",
        };
        let status = Command::new(program)
            .arg("--transform")
            .arg(&self.transform)
            .args(["--queue-url", &self.queue_url])
            .args(["--database-url", &self.database_url])
            // The database in this process serves one connection at a time.
            .args(["--database-connections", "1"])
            .args(["--until-empty", "--output", output])
            .args(["--table", TABLE])
            .envs(queue::environment(&self.endpoint_url))
            .stdin(Stdio::null())
            .status()
            .context("run etl-host")
            .ends_as(Kind::Internal)?;
        match status.success() {
            true => Ok(()),
            false => Err(failure(
                Kind::Internal,
                "the run above failed: its own message says why",
            )),
        }
    }
}

fn kept(pipeline: &Pipeline) -> String {
    let variables: Vec<String> = queue::environment(&pipeline.endpoint_url)
        .iter()
        .map(|(name, value)| format!("export {name}={value}"))
        .collect();
    format!(
        "\nBoth are left running. In another terminal:\n\
         \n  psql '{database}' -c 'SELECT * FROM {TABLE} LIMIT 5'\
         \n  psql '{database}' -c 'SELECT message_id, outcome, reason FROM etl_host.ledger'\
         \n\n  {variables}\
         \n  aws sqs send-message --endpoint-url {endpoint} --queue-url {queue} --message-body '{heartbeat}'\
         \n\nRun the command above again to load what you send, with --database-connections 1 \
         (this database serves one\nclient at a time). Ctrl-C ends both; nothing is kept.",
        database = pipeline.database_url,
        variables = variables.join("\n  "),
        queue = pipeline.queue_url,
        endpoint = pipeline.endpoint_url,
        heartbeat = logins::HEARTBEAT,
    )
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
