//! The count of how often a scripted fault took place. A test that asked for
//! a fault asserts on it: a fault that did not fire has shown nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub struct Fired {
    what: String,
    count: AtomicUsize,
    stopped: AtomicBool,
}

impl Fired {
    pub fn new(what: impl Into<String>) -> Arc<Fired> {
        Arc::new(Fired {
            what: what.into(),
            count: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    #[track_caller]
    pub fn assert_fired(&self) {
        assert!(self.count() > 0, "the fault did not fire: {}", self.what);
    }

    /// From now on the fault does not take place any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// For those who carry the fault out.
    pub fn hit(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}
