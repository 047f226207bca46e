//! Fanning several receives into one batch.
//!
//! A batch is what has come in while the workers were busy: alone when idle,
//! so that nothing waits, and full under load, so that a statement carries
//! many. No timer is needed.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};

use super::Shape;
use crate::queue::Delivery;

/// Gives batches to workers.
#[derive(Clone)]
pub(super) struct Batcher {
    deliveries: Arc<Mutex<mpsc::Receiver<Delivery>>>,
    messages_max: usize,
}

impl Batcher {
    /// A batcher, and where deliveries go in.
    pub(super) fn new(shape: &Shape) -> (mpsc::Sender<Delivery>, Self) {
        let (sender, deliveries) = mpsc::channel(shape.messages_in_work_max.max(1));
        let batcher = Self {
            deliveries: Arc::new(Mutex::new(deliveries)),
            messages_max: shape.batch_messages_max.max(1),
        };
        (sender, batcher)
    }

    /// The next batch; empty once nothing more can come.
    pub(super) async fn next(&self) -> Vec<Delivery> {
        let mut batch = Vec::new();
        let mut deliveries = self.deliveries.lock().await;
        deliveries.recv_many(&mut batch, self.messages_max).await;
        batch
    }
}
