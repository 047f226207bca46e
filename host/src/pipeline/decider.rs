//! What decides about messages: replaced as a whole, between two batches.
//!
//! Each batch is judged by one decider, and its messages carry that decider's
//! policy to the end: rows are written as the component that made them says,
//! and the ledger names that component, also where another one has taken over.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

use crate::output::Policy;
use crate::sandbox::Judge;

/// A component at work, and what becomes of its rows.
#[derive(Clone)]
pub struct Decider {
    /// It gives the verdicts.
    pub judge: Arc<dyn Judge>,
    /// How they are written.
    pub policy: Arc<Policy>,
}

/// The decider of this moment. Clones follow the same one.
#[derive(Clone)]
pub(super) struct Present(watch::Receiver<Decider>);

/// Puts another decider into the place of the present one.
pub(super) struct Successor(watch::Sender<Decider>);

/// The place of a decider, and the way to replace it.
pub(super) fn decider(first: Decider) -> (Successor, Present) {
    let (sender, receiver) = watch::channel(first);
    (Successor(sender), Present(receiver))
}

impl Successor {
    /// The next batch is judged by another decider; those that are being judged
    /// end with the one they began with.
    pub(super) fn takes_over(&self, next: Decider) {
        self.0.send_replace(next);
    }
}

impl Present {
    /// The decider for the next batch.
    pub(super) fn decider(&self) -> Decider {
        self.0.borrow().clone()
    }

    /// Whether a policy is still the one that decides.
    pub(super) fn is_of(&self, policy: &Arc<Policy>) -> bool {
        Arc::ptr_eq(&self.0.borrow().policy, policy)
    }

    /// Waits until another policy decides.
    pub(super) async fn no_longer_of(&self, policy: &Arc<Policy>) {
        let another = |present: &Decider| !Arc::ptr_eq(&present.policy, policy);
        if self.0.clone().wait_for(another).await.is_err() {
            // Nobody is left who could replace it.
            pending().await
        }
    }
}

#[cfg(any(test, feature = "bench"))]
impl Decider {
    /// A decider of a simulation, told by its number.
    pub(super) fn simulated(number: u8, judge: Arc<dyn Judge>) -> Self {
        Self {
            judge,
            policy: Arc::new(Policy::simulated(number)),
        }
    }
}
