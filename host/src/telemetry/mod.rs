//! What the pipeline tells of itself as it goes: the summary's counts, the
//! metrics and the health that the admin endpoint shows.
//!
//! One call tells all three, so that they cannot disagree.

mod causes;
mod health;
mod labels;
mod metrics;
mod teller;

use std::sync::Arc;
use std::time::Duration;

use crate::queue::QueueEvent;
use crate::summary::Counts;
use crate::verdict::Reason;

pub use causes::{Cause, Holder, Receiving, StandingCauses};
pub use health::{Health, Pause, Poller, Report};
pub use labels::{Dependency, Operation, Replacement, ShadowResult, Stage};
pub use metrics::{CONTENT_TYPE, Metrics};

/// Where the pipeline tells of itself. Clones tell the same.
#[derive(Clone)]
pub struct Telemetry {
    /// What the summary is made of.
    pub counts: Arc<Counts>,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// What an orchestrator asks.
    pub health: Health,
    /// What keeps the host from being ready.
    pub causes: StandingCauses,
}

impl Telemetry {
    /// Telemetry of a pipeline whose receives take at most `receive_max`.
    pub fn new(receive_max: Duration) -> Self {
        let metrics = Metrics::default();
        let causes = StandingCauses::new(metrics.clone());
        Self {
            counts: Arc::default(),
            metrics,
            health: Health::new(receive_max, causes.clone()),
            causes,
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
    pub(crate) fn receive_failed(&self) {
        self.metrics.receive_failed();
        self.metrics.retried(Stage::Receive);
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

    /// What the queue's own tasks tell.
    pub(crate) fn observed(&self, event: &QueueEvent<'_>) {
        match event {
            QueueEvent::Deleted { after } => self.metrics.deleted(*after),
            QueueEvent::DeleteFailed(messages) => {
                self.metrics.delete_failed(*messages);
                self.metrics.retried(Stage::Delete);
            }
            QueueEvent::Extended(leases) => self.metrics.leases_extended(*leases),
            QueueEvent::Lost(leases) => self.metrics.leases_lost(*leases),
            QueueEvent::Called(operation) => self.metrics.called(match operation {
                crate::queue::Operation::Receive => Operation::ReceiveMessage,
                crate::queue::Operation::Delete => Operation::DeleteMessageBatch,
                crate::queue::Operation::ChangeVisibility => {
                    Operation::ChangeMessageVisibilityBatch
                }
                crate::queue::Operation::Send => Operation::SendMessageBatch,
                crate::queue::Operation::Look => Operation::GetQueueAttributes,
            }),
            QueueEvent::Failing(crate::queue::Operation::ChangeVisibility, Some(_)) => {
                self.metrics.retried(Stage::Extend);
            }
            QueueEvent::Failing(..) => {}
        }
    }
}
