//! The pipeline: queue → sandbox → table and ledger → deletion.
//!
//! Receives fan into batches, a batch becomes one statement, and each message
//! leaves with one fate. Only receiving stops on request; a message once taken
//! runs to its fate, or is handed back.

#[cfg(feature = "bench")]
mod alone;
mod attribution;
mod batcher;
mod brake;
mod check;
mod commit;
mod decider;
mod drain;
mod history;
mod hold;
mod in_order;
mod intake;
mod item;
mod origins;
mod patience;
mod receive_concurrency;
mod reject;
mod rejections;
mod replace;
mod search;
mod settle;
mod shadow;
mod share;
#[cfg(test)]
mod simulation;
mod start;
mod until_empty;
mod watch;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

#[cfg(feature = "bench")]
pub use alone::alone;
pub use brake::{
    BrakeLimits, FAULTS_PERCENT_DEFAULT, FAULTS_WINDOW_MESSAGES_DEFAULT, REFUSED_PERCENT_DEFAULT,
    REJECTED_PERCENT_DEFAULT,
};
pub use check::{Check, Report};
pub use drain::DRAIN_SECS_DEFAULT;
pub use replace::{Replacer, Wish};
pub use start::Plan;

use crate::exit::Failure;
use crate::origin::Secrets;
use crate::output::{Committed, Store, TableName};
use crate::queue::{
    Budget, DeadLetterQueue, Deleter, Leases, Observer, Operation, Queue, QueueEvent,
};
use crate::shutdown::{Shutdown, StopSwitch, shutdown};
use crate::summary::Summary;
use crate::telemetry::Telemetry;
use batcher::Batcher;
use brake::Brakes;
use commit::Commit;
use decider::Present;
use drain::Tasks;
use history::History;
use hold::{Dependency, Hold, Holder};
use intake::Intake;
use patience::Patience;
use receive_concurrency::ReceiveConcurrency;
use rejections::Rejections;
use settle::{Kept, Settler};
use shadow::{Candidate, Shadow};
use until_empty::Watch;
use worker::{Pruned, Rules, Waiting, Worker};

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Receives open at a time, at most.
    pub receives: usize,
    /// Database connections, each with a batch of its own.
    pub connections: usize,
    /// Threads that run the component.
    pub sandbox_threads: usize,
    /// Messages of one statement.
    pub batch_messages_max: usize,
    /// Messages in work at a time.
    pub messages_in_work_max: usize,
    /// Their bytes.
    pub bytes_in_work_max: usize,
    /// For how long the ledger remembers a message.
    pub ledger_days: u32,
}

/// When a run ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Not before it is asked to.
    Stopped,
    /// Once the queue is empty and all is settled.
    Empty,
}

/// What a run is put together from.
pub struct Parts {
    /// The source queue.
    pub queue: Queue,
    /// Where rejected messages go.
    pub dead_letter_queue: Option<DeadLetterQueue>,
    /// What decides about messages.
    present: Present,
    /// What judges the same messages, and writes nothing.
    shadow: Option<Candidate>,
    /// A way into the database for each worker.
    pub stores: Vec<Box<dyn Store>>,
    /// One more, which connects only where it is needed.
    pub ledger: Box<dyn Store>,
    /// The target, which is part of each key.
    pub table: TableName,
    /// What proves a message's origin.
    pub secrets: Secrets,
    /// Where a producer's own event id stands.
    pub event_id: Option<String>,
    /// Which shares of the messages may go wrong.
    pub brakes: BrakeLimits,
    /// How much is done at once.
    pub shape: Shape,
    /// From the wish to stop to the hand-back of what is not finished.
    pub drain_max: Duration,
}

/// Runs until the queue is empty or a stop is asked for; then everything taken
/// is settled or handed back.
///
/// # Errors
/// A part of the host itself broke.
pub async fn run(
    parts: Parts,
    until: Until,
    (switch, stopping): (StopSwitch, Shutdown),
    telemetry: Telemetry,
) -> Result<Summary, Failure> {
    let Parts {
        queue,
        dead_letter_queue,
        present,
        shadow,
        stores,
        ledger,
        table,
        secrets,
        event_id,
        brakes,
        shape,
        drain_max,
    } = parts;
    let hold = Hold::new(&telemetry);
    let observer = observer(&telemetry, &hold);
    let queue = queue.observed(Arc::clone(&observer));
    let dead_letter_queue = dead_letter_queue.map(|queue| queue.observed(Arc::clone(&observer)));
    let leases = Leases::new(queue.timing, Arc::clone(&observer));
    let budget = Budget::new(shape.messages_in_work_max, shape.bytes_in_work_max);
    let in_work = budget.clone();
    telemetry.metrics.count_in_flight(move || in_work.in_work());
    let kept = Kept::default();

    let over = drain::over(stopping.clone(), drain_max);

    let mut attendants = JoinSet::new();
    attendants.spawn(leases.clone().keep(queue.clone()));
    let (deleting, deletions) = Deleter::new::<Committed>(queue.clone(), observer);
    let mut deleter = JoinSet::new();
    let (deletions_end, deletions_over) = shutdown();
    deleter.spawn(deleting.run(deletions_over));
    let (arrivals, batcher) = Batcher::new(shape.batch_messages_max);

    let concurrency = ReceiveConcurrency::new(shape.receives, shape.batch_messages_max);
    let mut intakes = JoinSet::new();
    for _ in 0..shape.receives {
        let intake = Intake {
            queue: queue.clone(),
            leases: leases.clone(),
            budget: budget.clone(),
            hold: hold.clone(),
            concurrency: concurrency.clone(),
            telemetry: telemetry.clone(),
            arrivals: arrivals.clone(),
        };
        intakes.spawn(intake.run(stopping.clone()));
    }
    drop(arrivals);

    let rules = Arc::new(Rules {
        table,
        event_id,
        ledger_days: shape.ledger_days,
        fifo: queue.fifo,
        secrets,
    });
    let shadow = shadow.map(|candidate| Shadow::begin(candidate, telemetry.metrics.clone()));
    let (shadow, follower) = shadow.unzip();
    let brakes = Brakes::new(brakes, &present, &hold);
    let (history, rejections) = (History::new(), Rejections::default());
    let mut workers = JoinSet::new();
    for (number, store) in stores.into_iter().enumerate() {
        let worker = Worker {
            batcher: batcher.clone(),
            present: present.clone(),
            shadow: shadow.clone(),
            brakes: brakes.clone(),
            commit: Commit {
                patience: Patience {
                    holder: Holder::Worker(number),
                    store,
                    hold: hold.clone(),
                    metrics: telemetry.metrics.clone(),
                    present: present.clone(),
                    shutdown: stopping.clone(),
                },
                history: history.clone(),
                brake: brakes.refused.clone(),
            },
            settler: Settler {
                queue: queue.clone(),
                dead_letter_queue: dead_letter_queue.clone(),
                deletions: deletions.clone(),
                kept: kept.clone(),
                telemetry: telemetry.clone(),
                rejections: rejections.clone(),
                stop: stopping.clone(),
            },
            rules: Arc::clone(&rules),
            metrics: telemetry.metrics.clone(),
            budget: budget.clone(),
            waiting: Waiting::default(),
            pruned: match number {
                0 => Pruned::NotYet,
                _ => Pruned::ByAnother,
            },
        };
        workers.spawn(worker.run());
    }
    drop((deletions, shadow));

    if until == Until::Empty {
        let watch = Watch {
            queue: queue.clone(),
            budget: budget.clone(),
            kept: kept.clone(),
            counts: Arc::clone(&telemetry.counts),
            ledger: dead_letter_queue.is_none().then_some(ledger),
        };
        attendants.spawn(watch.run(switch.clone()));
    }

    let tasks = Tasks {
        intakes,
        workers,
        deleter,
        attendants,
        batcher,
        leases,
        deletions_end,
        queue,
        telemetry: telemetry.clone(),
    };
    tasks.end(&switch, &stopping, over).await?;
    let mut summary = telemetry.counts.summary();
    if let Some(follower) = follower {
        summary.shadow = Some(follower.end().await);
    }
    Ok(summary)
}

/// Tells what the queue's own tasks report. While nothing can be deleted,
/// nothing more is received: a message that is stored and cannot be deleted
/// would come back again and again, each time nearer to the queue's own
/// dead-letter limit.
fn observer(telemetry: &Telemetry, hold: &Hold) -> Observer {
    let (telemetry, hold) = (telemetry.clone(), hold.clone());
    Arc::new(move |event| {
        telemetry.observed(&event);
        let QueueEvent::Failing(operation, error) = event else {
            return;
        };
        let holder = match operation {
            Operation::Receive => Holder::Receiver,
            Operation::Delete => Holder::Deleter,
            _ => Holder::Leases,
        };
        match (error, holder) {
            (None, _) => hold.leave(holder),
            (Some(error), Holder::Deleter) => {
                hold.enter(holder, Dependency::Queue, error, None);
            }
            // The calls themselves find the end of the trouble.
            (Some(error), _) => hold.enter_receiving(holder, Dependency::Queue, error, None),
        }
    })
}
