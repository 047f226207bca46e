//! A shadow: a second component judges the same live messages. Nothing of what
//! it gives is written, and how it differs from the running one is reported.
//!
//! It gets copies of batches that are judged already, on a thread of its own,
//! and never more than it has room for: what it cannot follow is left out, so
//! that it neither delays nor stops anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::comparison::{Comparison, Judgement};
use crate::event::Event;
use crate::message::Message;
use crate::output::Policy;
use crate::row::Column;
use crate::sandbox::{Judge, Judged};
use crate::summary::ShadowSummary;
use crate::telemetry::{Metrics, ShadowResult};
use crate::verdict::Verdict;

/// The messages that wait for the shadow, in KiB: what comes beyond it is left
/// out. Some batches of ordinary messages, or some dozens of the largest.
const WAITING_KIB_MAX: usize = 32 << 10;
/// Between two lines in the log, in seconds.
const LOG_SECS: u64 = 60;
/// For how long the end of a run waits for what the shadow has not yet judged,
/// in seconds.
const END_SECS_MAX: u64 = 5;

/// The candidate, and what it is compared by.
pub struct Candidate {
    /// Its name, version and SHA-256.
    pub component: String,
    /// It gives the verdicts.
    pub judge: Arc<dyn Judge>,
    /// The columns that it writes.
    pub columns: Vec<Column>,
}

/// Where batches are shown to the shadow. Clones show to the same one.
#[derive(Clone)]
pub(super) struct Shadow {
    batches: mpsc::UnboundedSender<Batch>,
    room: Arc<Semaphore>,
    seen: Arc<Seen>,
}

/// What was seen so far.
struct Seen {
    summary: Mutex<ShadowSummary>,
    metrics: Metrics,
}

/// A batch as the running component has judged it.
struct Batch {
    messages: Vec<Message>,
    verdicts: Vec<Verdict>,
    took: Duration,
    policy: Arc<Policy>,
    _room: OwnedSemaphorePermit,
}

/// The shadow's own side.
struct Following {
    candidate: Candidate,
    batches: mpsc::UnboundedReceiver<Batch>,
    seen: Arc<Seen>,
}

impl Shadow {
    /// Begins to follow in the background, until the last clone is dropped.
    pub(super) fn begin(candidate: Candidate, metrics: Metrics) -> (Self, Follower) {
        let (sender, batches) = mpsc::unbounded_channel();
        let seen = Arc::new(Seen {
            summary: Mutex::new(ShadowSummary {
                component: candidate.component.clone(),
                left_out: 0,
                comparison: Comparison::default(),
            }),
            metrics,
        });
        let shadow = Self {
            batches: sender,
            room: Arc::new(Semaphore::new(WAITING_KIB_MAX)),
            seen: Arc::clone(&seen),
        };
        let following = Following {
            candidate,
            batches,
            seen: Arc::clone(&seen),
        };
        let follower = Follower {
            following: tokio::spawn(following.run()),
            seen,
        };
        (shadow, follower)
    }

    /// Shows a batch that a policy has judged.
    pub(super) fn show(&self, judged: &Judged, policy: &Arc<Policy>) {
        let messages = &judged.messages;
        let bytes: usize = messages.iter().map(Message::bytes).sum();
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(kib) else {
            self.seen.left_out(messages.len());
            return;
        };
        let batch = Batch {
            messages: messages.clone(),
            verdicts: judged.verdicts.clone(),
            took: judged.took,
            policy: Arc::clone(policy),
            _room: room,
        };
        if let Err(unseen) = self.batches.send(batch) {
            self.seen.left_out(unseen.0.messages.len());
        }
    }
}

impl Following {
    async fn run(mut self) {
        let mut logged = Instant::now();
        while let Some(batch) = self.batches.recv().await {
            self.follow(batch).await;
            if logged.elapsed() >= Duration::from_secs(LOG_SECS) {
                logged = Instant::now();
                Event::Shadow(self.seen.lock().line()).log();
            }
        }
    }

    async fn follow(&self, batch: Batch) {
        let all = batch.messages.len();
        let judged = self.candidate.judge.judge(batch.messages).await;
        if judged.verdicts.len() < all {
            // Its threads are gone.
            return self.seen.left_out(all);
        }
        let running = Judgement {
            columns: batch.policy.columns(),
            verdicts: &batch.verdicts,
            took: batch.took,
        };
        let candidate = Judgement {
            columns: &self.candidate.columns,
            verdicts: &judged.verdicts,
            took: judged.took,
        };
        self.seen.compare(&running, &candidate);
    }
}

/// What is left to wait for once nothing is shown any more.
pub(super) struct Follower {
    following: JoinHandle<()>,
    seen: Arc<Seen>,
}

impl Follower {
    /// What was seen in all, once the shadow has come to its end, or has taken
    /// too long for it.
    pub(super) async fn end(self) -> ShadowSummary {
        let end = Duration::from_secs(END_SECS_MAX);
        if timeout(end, self.following).await.is_err() {
            Event::Warning("the shadow has not judged all that it was shown").log();
        }
        self.seen.lock().clone()
    }
}

impl Seen {
    fn left_out(&self, messages: usize) {
        self.lock().left_out += messages as u64;
        self.metrics
            .shadowed(ShadowResult::LeftOut, messages as u64);
    }

    fn compare(&self, running: &Judgement<'_>, candidate: &Judgement<'_>) {
        let mut batch = Comparison::default();
        batch.add(running, candidate);
        self.metrics.shadowed(ShadowResult::Same, batch.same);
        let different = batch.compared - batch.same;
        self.metrics.shadowed(ShadowResult::Different, different);
        for (column, values) in &batch.columns {
            self.metrics.shadow_differs(column, values.different);
        }
        self.lock().comparison.merge(batch);
    }

    fn lock(&self) -> MutexGuard<'_, ShadowSummary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
