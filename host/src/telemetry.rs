//! What the pipeline tells of itself as it goes: the summary's counts, the
//! metrics and the health that the admin endpoint shows.
//!
//! One call tells all three, so that they cannot disagree.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::{Cause, Health, Metrics, Operation, Part, Poller, Stage};
use crate::queue::Told;
use crate::summary::Counts;
use crate::verdict::Reason;

/// Where the pipeline tells of itself. Clones tell the same.
#[derive(Clone)]
pub struct Telemetry {
    /// What the summary is made of.
    pub counts: Arc<Counts>,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// What an orchestrator asks.
    pub health: Health,
}

impl Telemetry {
    /// Telemetry of a pipeline whose receives take at most `receive_max`.
    pub fn new(receive_max: Duration) -> Self {
        Self {
            counts: Arc::default(),
            metrics: Metrics::default(),
            health: Health::new(receive_max),
        }
    }

    /// One more task receives.
    pub(crate) fn poller(&self) -> Poller {
        self.health.poller()
    }

    /// Messages were taken from the queue.
    pub(crate) fn received(&self, messages: usize) {
        self.counts.received(messages);
        self.metrics.received(messages);
    }

    /// A receive failed.
    pub(crate) fn receive_failed(&self, cause: &str) {
        self.metrics.receive_failed();
        self.metrics.retried(Stage::Receive);
        self.health.not_ready(Part::Queue, cause);
    }

    /// Receiving works again.
    pub(crate) fn receive_recovered(&self) {
        self.health.ready(Part::Queue);
    }

    /// A message's rows are committed.
    pub(crate) fn stored(&self, rows: usize) {
        self.counts.stored(rows);
        self.metrics.stored(rows);
    }

    /// A message had been settled before.
    pub(crate) fn duplicate(&self) {
        self.counts.duplicate();
        self.metrics.duplicate();
    }

    /// The component skipped a message.
    pub(crate) fn skipped(&self) {
        self.counts.skipped();
        self.metrics.skipped();
    }

    /// A message was refused.
    pub(crate) fn rejected(&self, reason: &Reason) {
        self.counts.rejected(reason);
        self.metrics.rejected(reason);
    }

    /// Nothing goes on until the cause is mended.
    pub(crate) fn held(&self, cause: Cause, words: &str) {
        self.metrics.held(cause);
        self.health.not_ready(part(cause), words);
    }

    /// Everything goes on.
    pub(crate) fn resumed(&self) {
        self.metrics.resumed();
        for part in [Part::Database, Part::Queue, Part::Component] {
            self.health.ready(part);
        }
    }

    /// What the queue's own tasks tell.
    pub(crate) fn told(&self, told: &Told<'_>) {
        match told {
            Told::Deleted { after } => self.metrics.deleted(*after),
            Told::DeleteFailed(messages) => {
                self.metrics.delete_failed(*messages);
                self.metrics.retried(Stage::Delete);
            }
            Told::Extended(leases) => self.metrics.leases_extended(*leases),
            Told::Lost(leases) => self.metrics.leases_lost(*leases),
            Told::Called(operation) => self.metrics.called(match operation {
                crate::queue::Operation::Receive => Operation::ReceiveMessage,
                crate::queue::Operation::Delete => Operation::DeleteMessageBatch,
                crate::queue::Operation::Hide => Operation::ChangeMessageVisibilityBatch,
                crate::queue::Operation::Send => Operation::SendMessageBatch,
                crate::queue::Operation::Look => Operation::GetQueueAttributes,
            }),
            Told::Trouble(_) => {}
        }
    }
}

fn part(cause: Cause) -> Part {
    match cause {
        Cause::Database => Part::Database,
        Cause::Queue | Cause::DeadLetterQueue => Part::Queue,
        Cause::Component => Part::Component,
    }
}
