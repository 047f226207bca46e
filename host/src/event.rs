//! What may be logged: these events, made of codes, counts, names and times.
//!
//! There is no place for a value. Nothing else in the program writes a log
//! line, and other crates' lines are not let through (see `log`).

use std::time::Duration;

use tracing::{error, info, warn};

/// One thing worth telling an operator.
#[derive(Debug)]
pub enum Event<'a> {
    /// The component is loaded.
    ComponentLoaded {
        /// Its own name.
        name: &'a str,
        /// Its own version.
        version: &'a str,
        /// The SHA-256 of its bytes.
        digest: String,
        /// Whether its compiled code was taken from the cache.
        from_cache: bool,
        /// What it reaches beside its messages.
        reaches: String,
    },
    /// Another component decides from the next batch on.
    ComponentReplaced {
        /// The SHA-256 of the one that did.
        before: String,
        /// The SHA-256 of the one that does.
        now: String,
    },
    /// Another component was to take over, and is refused.
    ComponentKept {
        /// The SHA-256 of the one that goes on.
        digest: String,
        /// What is wrong with the other one.
        cause: String,
    },
    /// The component was to be replaced, and is the one that runs, by its
    /// SHA-256.
    ComponentUnchanged(String),
    /// The component that follows as a shadow is loaded.
    ShadowLoaded {
        /// Its name, version and SHA-256.
        component: &'a str,
        /// What it reaches beside its messages.
        reaches: String,
    },
    /// How a shadow differs from the running component so far.
    Shadow(String),
    /// A service does not answer; it is tried again.
    WaitingFor {
        /// The service: `queue` or `database`.
        service: &'a str,
        /// Where it is looked for.
        place: &'a str,
        /// What happened.
        cause: String,
    },
    /// Something works and may not do what is wanted.
    Warning(&'a str),
    /// Work has begun.
    Started {
        /// The queue's name.
        queue: &'a str,
        /// The table.
        table: String,
        /// The dead-letter queue's name.
        dead_letter_queue: Option<&'a str>,
    },
    /// The admin endpoint answers.
    AdminListening(&'a str),
    /// Receiving fails; it is tried again.
    ReceiveFailing(String),
    /// Receiving works again.
    ReceiveRecovered,
    /// Messages came damaged or incomplete, and will come again.
    Unusable(usize),
    /// Nothing goes on until the cause is mended.
    Held {
        /// What is not as it should be, and why.
        cause: &'a str,
        /// PostgreSQL's code, where it gave one.
        sqlstate: Option<&'a str>,
    },
    /// The cause is mended.
    Resumed {
        /// How long it took.
        after: Duration,
    },
    /// A message is refused.
    Rejected {
        /// The id that the ledger shows.
        message_id: &'a str,
        /// Why.
        reason: String,
        /// Which field, column, constraint or table.
        field: Option<&'a str>,
        /// PostgreSQL's code, where it refuses the row.
        sqlstate: Option<&'a str>,
        /// Whether a dead-letter queue has it; else it stays in the queue.
        dead_lettered: bool,
    },
    /// More messages were refused than have a line each.
    RejectedMore {
        /// Why.
        reason: &'a str,
        /// How many more.
        messages: usize,
        /// Within this time.
        within: Duration,
    },
    /// A message stays in the queue because the dead-letter queue cannot take
    /// it.
    DeadLetterUnfit {
        /// The id that the ledger shows.
        message_id: &'a str,
    },
    /// Messages were handed back at a stop, visible at once.
    HandedBack(usize),
    /// Messages could not be handed back; they come back when their leases end.
    HandBackFailed {
        /// How many.
        messages: usize,
        /// What happened.
        cause: String,
    },
    /// Leases were over before their messages were copied to the dead-letter
    /// queue.
    LeasesOver(usize),
    /// A drain has taken as long as it may.
    DrainOver,
    /// Old ledger entries could not be removed.
    PruneFailed(String),
    /// Deletions were given up; the messages come back as duplicates.
    DeletionsGivenUp(u64),
    /// A stop is asked for.
    Stopping,
}

impl Event<'_> {
    /// Writes the log line.
    pub fn log(self) {
        match self {
            Self::ComponentLoaded {
                name,
                version,
                digest,
                from_cache,
                reaches,
            } => info!(name, version, %digest, from_cache, reaches, "component loaded"),
            Self::ComponentReplaced { before, now } => {
                info!(%before, %now, "component replaced");
            }
            Self::ComponentKept { digest, cause } => warn!(
                %digest,
                cause, "component not replaced: the running one goes on"
            ),
            Self::ShadowLoaded { component, reaches } => {
                info!(
                    component,
                    reaches, "shadow loaded: nothing of it is written"
                );
            }
            Self::Shadow(differences) => info!(differences, "shadow"),
            Self::ComponentUnchanged(digest) => {
                info!(%digest, "component not replaced: it is the one that runs");
            }
            Self::WaitingFor {
                service,
                place,
                cause,
            } => warn!(service, place, cause, "waiting for a service"),
            Self::Warning(words) => warn!("{words}"),
            Self::Started {
                queue,
                table,
                dead_letter_queue,
            } => info!(
                queue,
                table,
                dead_letter_queue = dead_letter_queue.unwrap_or("none"),
                "started"
            ),
            Self::AdminListening(addr) => {
                info!(addr, "admin endpoint: /livez, /readyz, /metrics");
            }
            Self::ReceiveFailing(cause) => warn!(cause, "receiving fails; trying again"),
            Self::ReceiveRecovered => info!("receiving works again"),
            Self::Unusable(messages) => warn!(
                messages,
                "received damaged or incomplete; left in the queue, to come again"
            ),
            Self::Held { cause, sqlstate } => error!(
                cause,
                sqlstate, "held: nothing is deleted or dead-lettered until this is mended"
            ),
            Self::Resumed { after } => info!(after_s = after.as_secs(), "resumed"),
            Self::Rejected {
                message_id,
                reason,
                field,
                sqlstate,
                dead_lettered,
            } => warn!(
                message_id,
                reason, field, sqlstate, dead_lettered, "rejected"
            ),
            Self::RejectedMore {
                reason,
                messages,
                within,
            } => warn!(
                reason,
                messages,
                within_s = within.as_secs(),
                "rejected, more of them"
            ),
            Self::DeadLetterUnfit { message_id } => warn!(
                message_id,
                "the dead-letter queue cannot take this message: too large, or too many \
                 attributes; it stays in the queue"
            ),
            Self::HandBackFailed { messages, cause } => warn!(
                messages,
                cause, "not handed back; they come back when their leases end"
            ),
            Self::LeasesOver(messages) => warn!(
                messages,
                "not dead-lettered: their leases are over, and they come back by themselves"
            ),
            Self::DrainOver => {
                warn!("stopping takes too long; what is not finished is handed back as it is")
            }
            Self::HandedBack(messages) => info!(messages, "handed back unfinished"),
            Self::PruneFailed(cause) => warn!(cause, "old ledger entries are not removed"),
            Self::DeletionsGivenUp(messages) => warn!(
                messages,
                "deletions given up; the messages come back and are found to be duplicates"
            ),
            Self::Stopping => info!("stopping: finishing what is taken"),
        }
    }
}
