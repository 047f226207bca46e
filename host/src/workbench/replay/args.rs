//! What the replay subcommand takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, value_parser};

use super::{Mode, Replay};
use crate::cli::{ComponentArgs, Output, database, pointer};
use crate::exit::Failure;
use crate::output::STATEMENT_SECS_DEFAULT;
use crate::queue::QueueSettings;

/// How long an empty queue is waited for: long enough for all of SQS's servers
/// to be asked.
const POLL_SECS: u64 = 2;
/// As many as are worth waiting for.
const MESSAGES_DEFAULT: u32 = 10_000;
/// All of them are in flight at once, of which SQS allows 120,000.
const MESSAGES_MAX: i64 = 100_000;

/// What the replay subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  etl-host replay mended.wasm --queue-url https://sqs.…/login-queue         # looks
  etl-host replay mended.wasm --queue-url https://sqs.…/login-queue --send  # sends

Without --send nothing is sent or deleted: all messages are handed back, visible
at once. They are received once more, though, which their receive count shows.

With --send a message that the component would accept goes back to its queue
under its first id, and is deleted from the dead-letter queue once that is
acknowledged. What would be rejected again stays, unless --all is given. Where
the program is stopped between the two, the message is in both queues: sent
again, the ledger finds the second one to be a duplicate.

Whether PostgreSQL takes the rows shows only in a run. It is asked for nothing but
the secrets, under which the origin of a message is signed that SQS itself has
moved; what a host has copied is signed already, and goes back as it came.")]
pub struct ReplayArgs {
    /// The component that judges the messages (.wasm).
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// The queue that the messages came from, and go back to.
    #[arg(long, value_name = "URL", env = "ETL_HOST_QUEUE_URL", value_parser = NonEmptyStringValueParser::new())]
    queue_url: String,
    /// The dead-letter queue; default: the target of the queue's own
    /// RedrivePolicy.
    #[arg(long, value_name = "URL", env = "ETL_HOST_DEAD_LETTER_QUEUE_URL")]
    dead_letter_queue_url: Option<String>,
    /// The database of the ledger, for its secrets: as in a run. Without it, or
    /// DATABASE_URL, what is not signed yet goes back as a new message.
    #[arg(
        long,
        value_name = "URL",
        env = "ETL_HOST_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// Where a producer's own event id stands in the body, if the run is told:
    /// a message without one would be rejected again.
    #[arg(long, value_name = "POINTER", env = "ETL_HOST_EVENT_ID", value_parser = pointer)]
    event_id: Option<String>,
    /// Send back what would now be accepted.
    #[arg(long)]
    send: bool,
    /// Send back what would be rejected again, too: for a component that is
    /// not the one which will run.
    #[arg(long, requires = "send")]
    all: bool,
    /// Receive no more than about so many messages.
    #[arg(long, value_name = "N", default_value_t = MESSAGES_DEFAULT,
        value_parser = value_parser!(u32).range(1..=MESSAGES_MAX))]
    messages_max: u32,
    #[command(flatten)]
    conditions: ComponentArgs,
    /// How the result is printed.
    #[arg(long, env = "ETL_HOST_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

impl ReplayArgs {
    /// Checks what was typed.
    ///
    /// # Errors
    /// Something makes no sense (78).
    pub fn replay(self) -> Result<Replay, Failure> {
        let named = self.database_url.is_some() || std::env::var_os("DATABASE_URL").is_some();
        let url = self.database_url;
        Ok(Replay {
            database: named
                .then(|| database(url, STATEMENT_SECS_DEFAULT))
                .transpose()?,
            component: self.component,
            conditions: self.conditions.conditions(Vec::new())?,
            queue: QueueSettings {
                url: self.queue_url,
                dead_letter_url: self.dead_letter_queue_url,
                poll_max: Duration::from_secs(POLL_SECS),
            },
            event_id: self.event_id,
            mode: match (self.send, self.all) {
                (false, _) => Mode::Look,
                (true, false) => Mode::SendAccepted,
                (true, true) => Mode::SendAll,
            },
            messages_max: self.messages_max as usize,
        })
    }
}
