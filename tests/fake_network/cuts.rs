//! The plan of what goes wrong with which write, counted over all connections
//! of a network. It decides; the conversation carries out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fired::Fired;

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The connection is reset; the server never sees the write.
    BeforeForwarding,
    /// The server has carried it out; the connection is reset before its
    /// answer is relayed.
    BeforeRelaying,
    /// The server has carried it out; its answer is dropped, and the
    /// connection stays.
    InsteadOfRelaying,
}

pub struct Plan {
    pub cut: Cut,
    /// How many writes are let through first.
    passing: usize,
    pub fired: Arc<Fired>,
}

#[derive(Default)]
pub struct Cuts {
    plans: Mutex<Vec<Plan>>,
    writes: AtomicUsize,
}

impl Cuts {
    /// Plans a cut for the nth write from now on, the next one being the first.
    pub fn plan(&self, cut: Cut, nth: usize) -> Arc<Fired> {
        assert!(nth > 0, "writes are counted from one");
        let fired = Fired::new(format!("{cut:?} write {nth}"));
        self.plans().push(Plan {
            cut,
            passing: nth - 1,
            fired: Arc::clone(&fired),
        });
        fired
    }

    /// A write has come: counts it, and says what is to become of it.
    pub fn on_write(&self) -> Option<Plan> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let mut plans = self.plans();
        plans.retain(|plan| !plan.fired.is_stopped());
        let due = plans.iter().position(|plan| plan.passing == 0);
        for plan in plans.iter_mut() {
            plan.passing = plan.passing.saturating_sub(1);
        }
        due.map(|position| plans.remove(position))
    }

    /// The server refused the write, so there was nothing to lose: the next
    /// write is the one.
    pub fn postpone(&self, plan: Plan) {
        self.plans().insert(0, plan);
    }

    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    fn plans(&self) -> MutexGuard<'_, Vec<Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
