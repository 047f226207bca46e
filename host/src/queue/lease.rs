//! Leases: for how long a taken message is ours, and the extension of that.
//!
//! The table is kept by message id, with the newest receipt handle: an older
//! one may "succeed" and do nothing. A lease is extended from its receive on,
//! and never after its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Place;
use rand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::budget::Permit;
use super::change_visibility::{Begin, Change, Changed};
use super::client::Queue;
use super::error::QueueError;
use super::event::{Observer, QueueEvent};
use super::release::Unfinished;
use super::timing::Timing;

/// The leases of all messages in work.
#[derive(Clone)]
pub struct Leases {
    shared: Arc<Shared>,
}

struct Shared {
    table: Mutex<Table>,
    timing: Timing,
    observer: Observer,
}

/// By message id. The hasher is quick, and need not withstand chosen ids: SQS
/// chooses them.
type Table = HashMap<Arc<str>, Entry>;

struct Entry {
    handle: String,
    /// When it was first received.
    taken: Instant,
    deadline: Instant,
    /// The end of what SQS allows, however often it is extended.
    end: Instant,
    /// Whether its loss has been counted.
    lost: bool,
}

/// One message's lease. Dropping it lets it run out: the message comes back.
pub struct Lease {
    id: Arc<str>,
    leases: Leases,
    permit: Option<Permit>,
    ended: bool,
}

/// What is needed to speak to the queue about a message, once.
pub(super) struct Receipt {
    pub(super) handle: String,
    pub(super) taken: Instant,
    pub(super) deadline: Instant,
    pub(super) permit: Option<Permit>,
}

/// A lease to be extended.
struct Due {
    id: Arc<str>,
    change: Change,
    deadline: Instant,
}

impl Leases {
    /// An empty table, whose extensions and losses are told to a observer.
    pub fn new(timing: Timing, observer: Observer) -> Self {
        Self {
            shared: Arc::new(Shared {
                table: Mutex::default(),
                timing,
                observer,
            }),
        }
    }

    /// Takes a lease; none where the message is in work already, whose lease
    /// then has the newer handle.
    pub(super) fn take(
        &self,
        id: &str,
        handle: String,
        hidden_since: Instant,
        permit: Permit,
    ) -> Option<Lease> {
        let id: Arc<str> = id.into();
        let mut entry = Entry {
            handle,
            taken: hidden_since,
            deadline: hidden_since + self.shared.timing.lease,
            end: hidden_since + self.shared.timing.hidden_max,
            lost: false,
        };
        match self.shared.table().entry(Arc::clone(&id)) {
            Place::Occupied(mut known) => {
                entry.taken = known.get().taken;
                known.insert(entry);
                None
            }
            Place::Vacant(place) => {
                place.insert(entry);
                Some(Lease {
                    id,
                    leases: self.clone(),
                    permit: Some(permit),
                    ended: false,
                })
            }
        }
    }

    /// Extends leases for as long as it is polled. A lease is due when a third
    /// of it is spent, so that more tries fit into what is left.
    pub async fn keep(self, queue: Queue) {
        let mut ticks = interval(self.shared.timing.extension_tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut begin = Begin::AtOnce;
        loop {
            ticks.tick().await;
            if begin == Begin::Carefully {
                // Many hosts that fail together must not ask together.
                let most = self.shared.timing.extension_tick / 2;
                let wait = rand::rng().random_range(Duration::ZERO..=most);
                sleep(wait).await;
            }
            begin = match self.extend_due(&queue, begin).await {
                Ok(()) => Begin::AtOnce,
                Err(_) => Begin::Carefully,
            };
        }
    }

    /// Extends what is due, each once. What fails is due again at the next tick.
    async fn extend_due(&self, queue: &Queue, begin: Begin) -> Result<(), QueueError> {
        let due = self.due(Instant::now());
        if due.is_empty() && self.shared.table().is_empty() {
            queue.breakers.change_visibility.not_needed();
        }
        let due = due.into_iter();
        let (ids, changes): (Vec<Arc<str>>, Vec<Change>) =
            due.map(|due| (due.id, due.change)).unzip();
        let extend = |place: usize, changed| {
            if let Changed::At(asked) = changed {
                self.extended(&ids[place], &changes[place], asked);
            }
        };
        queue.change_visibility(&changes, begin, extend).await
    }

    /// A lease that was over when its extension was asked for stays lost,
    /// whatever the queue says: the message may be with somebody else, and a
    /// handle of before may "succeed" and do nothing.
    fn extended(&self, id: &str, (handle, by): &Change, asked: Instant) {
        (self.shared.observer)(QueueEvent::Extended(1));
        if let Some(entry) = self.shared.table().get_mut(id)
            && entry.handle == *handle
            && entry.deadline > asked
        {
            entry.deadline = entry.deadline.max(asked + *by);
        }
    }

    /// The leases of which a third is spent, and by how much SQS lets each be
    /// extended: whole seconds, within 12 hours in all.
    fn due(&self, now: Instant) -> Vec<Due> {
        let due_by = now + self.shared.timing.lease - self.shared.timing.extension_due;
        let mut due = Vec::new();
        let mut lost = 0;
        for (id, entry) in self.shared.table().iter_mut() {
            if entry.deadline <= now && !std::mem::replace(&mut entry.lost, true) {
                lost += 1;
            }
            let left = entry.end.saturating_duration_since(now);
            let by = Duration::from_secs(self.shared.timing.lease.min(left).as_secs());
            if entry.deadline < due_by && now + by > entry.deadline.max(now) {
                due.push(Due {
                    id: id.clone(),
                    change: (entry.handle.clone(), by),
                    deadline: entry.deadline,
                });
            }
        }
        if lost > 0 {
            (self.shared.observer)(QueueEvent::Lost(lost));
        }
        // Where not all can be extended, the most urgent are; what is lost
        // already has the least to lose.
        due.sort_by_key(|due| (due.deadline <= now, due.deadline));
        due
    }

    /// Takes all leases that are left out of the table: the queue is told of
    /// them, and nobody else can end them any more.
    pub fn unfinished(&self) -> Unfinished {
        let entries = std::mem::take(&mut *self.shared.table());
        Unfinished::new(entries.into_values().map(|entry| entry.handle))
    }
}

impl Lease {
    /// Ends the lease for good, with the newest handle. None where it is
    /// unknown: all that was left has been taken (see `Leases::unfinished`).
    pub(super) fn end(mut self) -> Option<Receipt> {
        // From here on the id may be a later delivery's.
        self.ended = true;
        let entry = self.leases.shared.table().remove(&self.id)?;
        Some(Receipt {
            handle: entry.handle,
            taken: entry.taken,
            deadline: entry.deadline,
            permit: self.permit.take(),
        })
    }

    /// Leaves the message to the end of the run, which hands it back; the lease
    /// is extended until then.
    pub fn leave(mut self) {
        self.ended = true;
    }

    /// Ends the lease if its time is over, and says so: the message comes back
    /// by itself, if nobody has taken it yet. (In one step, because the message
    /// may just be coming back to this host, which then gives it more time.)
    pub fn ends_if_over(&mut self) -> bool {
        let mut table = self.leases.shared.table();
        let lost = match table.get(&self.id) {
            Some(entry) if entry.deadline > Instant::now() => return false,
            Some(entry) => !entry.lost,
            None => false,
        };
        table.remove(&self.id);
        self.ended = true;
        drop(table);
        if lost {
            (self.leases.shared.observer)(QueueEvent::Lost(1));
        }
        true
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.ended {
            self.leases.shared.table().remove(&self.id);
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.id).finish()
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::budget::Budget;
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn timing() -> Timing {
        Timing::new(LEASE, Duration::from_secs(20))
    }

    async fn permit() -> Permit {
        let mut reservation = Budget::new(10, 0).reserve().await;
        let mut permits = reservation.permits([1].into_iter());
        permits.pop().expect("one of ten")
    }

    #[tokio::test]
    async fn the_newest_handle_is_the_one_that_ends_a_lease() {
        let leases = Leases::new(timing(), Arc::new(|_| {}));
        let now = Instant::now();
        let lease = leases.take("m", "old".into(), now, permit().await);
        let again = leases.take("m", "new".into(), now, permit().await);
        assert!(again.is_none(), "in work already");
        let receipt = lease.and_then(Lease::end).expect("known");
        assert_eq!(receipt.handle, "new");
    }

    #[tokio::test]
    async fn an_ended_or_dropped_lease_is_extended_no_more() {
        let leases = Leases::new(timing(), Arc::new(|_| {}));
        let now = Instant::now();
        let ended = leases.take("a", "h".into(), now, permit().await);
        let dropped = leases.take("b", "h".into(), now, permit().await);
        assert_eq!(leases.shared.table().len(), 2);
        assert!(ended.and_then(Lease::end).is_some());
        drop(dropped);
        assert!(leases.shared.table().is_empty());
    }

    #[tokio::test]
    async fn a_lease_is_due_after_a_third_and_never_beyond_twelve_hours() {
        let leases = Leases::new(timing(), Arc::new(|_| {}));
        let now = Instant::now();
        let _lease = leases.take("m", "h".into(), now, permit().await);
        assert!(leases.due(now + LEASE / 3).is_empty());
        let due = leases.due(now + LEASE / 3 + Duration::from_secs(1));
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].change.1, LEASE);
        let hours = timing().hidden_max;
        let due = leases.due(now + hours - Duration::from_secs(10));
        let by = due[0].change.1;
        assert_eq!(by, Duration::from_secs(10), "what SQS still allows");
        assert!(leases.due(now + hours).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_over_ends_and_is_not_brought_back_by_an_extension() {
        let leases = Leases::new(timing(), Arc::new(|_| {}));
        let taken = Instant::now();
        let mut late = leases.take("late", "h".into(), taken, permit().await);
        let mut again = leases.take("again", "h".into(), taken, permit().await);
        let late = late.as_mut().expect("new");
        let again = again.as_mut().expect("new");
        assert!(!late.ends_if_over());
        tokio::time::advance(LEASE).await;
        let change = ("h".to_owned(), LEASE);
        leases.extended("late", &change, Instant::now());
        // It has come back to this host meanwhile.
        let renewed = leases.take("again", "h2".into(), Instant::now(), permit().await);
        assert!(renewed.is_none());
        assert!(late.ends_if_over());
        assert!(!again.ends_if_over());
    }

    #[tokio::test]
    async fn what_is_left_at_the_end_is_known_by_its_newest_handle() {
        let leases = Leases::new(timing(), Arc::new(|_| {}));
        let now = Instant::now();
        let left = leases.take("left", "old".into(), now, permit().await);
        let in_work = leases.take("in work", "h".into(), now, permit().await);
        left.expect("new").leave();
        leases.take("left", "new".into(), now, permit().await);
        let mut unfinished = leases.unfinished().handles;
        unfinished.sort();
        assert_eq!(unfinished, ["h", "new"]);
        assert!(in_work.and_then(Lease::end).is_none(), "taken");
    }

    #[tokio::test]
    async fn a_lease_that_runs_out_is_counted_once() {
        let lost = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lost);
        let observer: Observer = Arc::new(move |told| {
            if let QueueEvent::Lost(leases) = told {
                counted.fetch_add(leases, Ordering::Relaxed);
            }
        });
        let leases = Leases::new(timing(), observer);
        let now = Instant::now();
        let _lease = leases.take("m", "h".into(), now, permit().await);
        leases.due(now + LEASE / 2);
        assert_eq!(lost.load(Ordering::Relaxed), 0);
        leases.due(now + LEASE);
        leases.due(now + LEASE * 2);
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }
}
