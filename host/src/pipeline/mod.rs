//! The pipeline: queue → sandbox → table and ledger → deletion.
//!
//! Receives fan into batches, a batch becomes one statement, and each message
//! leaves with one fate. Only receiving stops on request; a message once taken
//! runs to its fate, or is handed back.

mod batcher;
mod commit;
mod hold;
mod intake;
mod settle;
mod start;
mod until_empty;
mod worker;

use std::sync::Arc;

use tokio::task::JoinSet;

pub use start::{Plan, Ready};

use crate::event::Event;
use crate::exit::{Failure, Kind, failure};
use crate::output::Committed;
use crate::queue::{Budget, Deleter, Leases};
use crate::sandbox::SandboxThreads;
use crate::shutdown::{Shutdown, StopSwitch};
use crate::summary::{Counts, Summary};
use batcher::Batcher;
use hold::Hold;
use intake::Intake;
use settle::{Kept, Settler};
use worker::Worker;

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Receives open at a time.
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

/// Runs until the queue is empty or a stop is asked for; then everything taken
/// is settled or handed back.
///
/// # Errors
/// A part of the host itself broke.
pub async fn run(
    ready: Ready,
    until: Until,
    (switch, shutdown): (StopSwitch, Shutdown),
    counts: Arc<Counts>,
) -> Result<Summary, Failure> {
    let Ready {
        sandbox,
        queue,
        dead_letter_queue,
        writer,
        table,
        session,
        event_id,
        shape,
    } = ready;
    let leases = Leases::new(queue.visibility);
    let budget = Budget::new(shape.messages_in_work_max, shape.bytes_in_work_max);
    let hold = Hold::default();
    let kept = Kept::default();
    let digest = sandbox.digest();
    let threads = SandboxThreads::start(sandbox, shape.sandbox_threads)
        .map_err(|error| failure(Kind::Internal, format!("start sandbox threads: {error}")))?;
    let threads = Arc::new(threads);

    let keeper = tokio::spawn(leases.clone().keep(queue.clone()));
    let (deleter, deletions) = Deleter::new::<Committed>(queue.clone());
    let deleter = tokio::spawn(deleter.run());
    let (deliveries, batcher) = Batcher::new(&shape);

    let mut intakes = JoinSet::new();
    for _ in 0..shape.receives {
        let intake = Intake {
            queue: queue.clone(),
            leases: leases.clone(),
            budget: budget.clone(),
            hold: hold.clone(),
            counts: Arc::clone(&counts),
            deliveries: deliveries.clone(),
        };
        intakes.spawn(intake.run(shutdown.clone()));
    }
    drop(deliveries);

    // Order within a group is kept by one worker: FIFO queues deliver a group's
    // messages in order, and a single worker commits them in that order.
    let connections = if queue.fifo { 1 } else { shape.connections };
    let mut workers = JoinSet::new();
    let mut session = Some(session);
    for number in 0..connections {
        let worker = Worker::new(
            number,
            batcher.clone(),
            Arc::clone(&threads),
            writer.clone(),
            session.take(),
            Settler {
                queue: queue.clone(),
                dead_letter_queue: dead_letter_queue.clone(),
                deletions: deletions.clone(),
                kept: kept.clone(),
                counts: Arc::clone(&counts),
                policy: digest.to_string(),
            },
            worker::Rules {
                table: table.clone(),
                event_id: event_id.clone(),
                ledger_days: shape.ledger_days,
            },
            hold.clone(),
            shutdown.clone(),
        );
        workers.spawn(worker.run());
    }
    drop(deletions);

    let watcher = (until == Until::Empty).then(|| {
        tokio::spawn(until_empty::watch(
            queue.clone(),
            budget.clone(),
            kept.clone(),
            switch.clone(),
        ))
    });

    let broken = joined_all(&mut intakes, &switch).await || joined_all(&mut workers, &switch).await;
    let given_up = deleter.await;
    keeper.abort();
    if let Some(watcher) = watcher {
        watcher.abort();
    }
    match given_up {
        Ok(0) => {}
        Ok(messages) => Event::DeletionsGivenUp(messages).log(),
        Err(_) => return Err(failure(Kind::Internal, "the deleter broke")),
    }
    match broken {
        true => Err(failure(
            Kind::Internal,
            "a part of the pipeline broke; what it had taken comes back when its leases end",
        )),
        false => Ok(counts.summary()),
    }
}

/// Waits for all tasks. One that panics stops the others in order: what they
/// have taken is settled, and the program then says that it broke.
async fn joined_all(tasks: &mut JoinSet<()>, switch: &StopSwitch) -> bool {
    let mut broken = false;
    while let Some(joined) = tasks.join_next().await {
        if joined.is_err() {
            broken = true;
            switch.stop();
        }
    }
    broken
}
