//! A queue and a database for one project, with what is sent to the one and
//! comes to stand in the other.

use std::collections::BTreeSet;

use crate::fake_queue::FakeQueue;
use crate::support::database::Database;
use crate::support::page::Reader;

const QUEUE: &str = "orders";
const DEAD: &str = "orders-dead";
/// How often a message is given out before the queue itself gives up on it.
const RECEIVES_MAX: u32 = 5;
const MS_PER_DAY: u64 = 24 * 60 * 60 * 1_000;

pub struct Services {
    queue: FakeQueue,
    pub database: Database,
}

impl Services {
    /// With messages of these bodies in the queue.
    pub fn with(bodies: &[String]) -> Self {
        let queue = FakeQueue::start();
        queue.queue(DEAD).create();
        queue.queue(QUEUE).dead_letters(DEAD, RECEIVES_MAX).create();
        queue.send(QUEUE, bodies);
        let database = Database::empty();
        Self { queue, database }
    }

    /// The reader of a page, who has them.
    pub fn told(&self, reader: Reader) -> Reader {
        let (endpoint, url) = (self.queue.endpoint(), self.queue.url(QUEUE));
        reader.with_services(endpoint, &url, &self.database.url())
    }

    /// The UTC day, since 1970-01-01, on which the queue took its messages.
    /// Panics where they fall on two.
    pub fn day(&self) -> i32 {
        let sent = self.queue.messages(QUEUE);
        let days = sent.iter().map(|message| message.sent_ms / MS_PER_DAY);
        let days: BTreeSet<u64> = days.collect();
        assert_eq!(days.len(), 1, "it is midnight: try again");
        days.first().map_or(0, |day| *day as i32)
    }

    /// How many messages are left in the queue, and how many are dead letters.
    pub fn left(&self) -> (usize, usize) {
        let count = |queue| self.queue.messages(queue).len();
        (count(QUEUE), count(DEAD))
    }
}
