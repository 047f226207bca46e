//! The host's own way: receives that take leases, and deletions that are
//! gathered into tens.

use std::sync::Arc;
use std::time::Duration;

use etl_host::queue::{Budget, Deleter, Deletions, Found, Leases, Observer, Queue, QueueSettings};
use etl_host::shutdown::shutdown;
use tokio::task::JoinSet;

use crate::caller::{CALL_MESSAGES, Calls, Turns};

/// The longest wait for a message, of which there always are some.
const POLL: Duration = Duration::from_secs(1);
/// Messages in work at most, and their bytes: more than the pollers can take.
const MESSAGES_IN_WORK_MAX: usize = 4_000;
const BYTES_IN_WORK_MAX: usize = 256 << 20;

/// A queue, and how many poll it at once.
pub struct Host {
    queue: Queue,
    pollers: usize,
}

impl Host {
    pub async fn find(url: String, pollers: usize) -> Self {
        let settings = QueueSettings {
            url,
            dead_letter_url: None,
            poll_max: POLL,
        };
        let Found { queue, .. } = Queue::find(&settings).await.expect("find the queue");
        Self { queue, pollers }
    }
}

impl Calls for Host {
    async fn drain(&mut self, turns: Turns) {
        let observer: Observer = Arc::new(|_| {});
        let leases = Leases::new(self.queue.timing, Arc::clone(&observer));
        let budget = Budget::new(MESSAGES_IN_WORK_MAX, BYTES_IN_WORK_MAX);
        // Nothing is written here, so nothing has to prove that it was.
        let (deleter, deletions) = Deleter::new::<()>(self.queue.clone(), observer);
        let (_switch, never) = shutdown();
        let deleting = tokio::spawn(deleter.run(never));
        let mut pollers = JoinSet::new();
        for _ in 0..self.pollers {
            let (queue, leases, budget) = (self.queue.clone(), leases.clone(), budget.clone());
            let (deletions, turns) = (deletions.clone(), turns.clone());
            pollers.spawn(async move {
                while turns.take() {
                    turn(&queue, &leases, &budget, &deletions).await;
                }
            });
        }
        drop(deletions);
        pollers.join_all().await;
        let undeleted = deleting.await.expect("delete");
        assert_eq!(undeleted.given_up, 0, "deletes failed");
    }
}

async fn turn(queue: &Queue, leases: &Leases, budget: &Budget, deletions: &Deletions<()>) {
    let room = budget.reserve().await;
    let deliveries = queue
        .receive(leases, room, "", queue.timing.poll)
        .await
        .expect("receive");
    assert_eq!(deliveries.new.len(), CALL_MESSAGES);
    for delivery in deliveries.new {
        deletions.delete(delivery.lease, ());
    }
}
