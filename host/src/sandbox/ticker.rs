//! The ticks by which time limits are kept: one thread for the process
//! advances the epoch of every engine, and rests while nothing is judged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// How often the epochs advance, and so how finely time limits are kept.
pub(super) const TICK_MS: u64 = 5;
/// The ticks without a call before the thread rests: a second, so that a host
/// that works does not wake the thread for each batch, which is a system call.
const TICKS_BEFORE_REST: u32 = 200;

static TICKER: Ticker = Ticker {
    begun: AtomicU64::new(0),
    ended: AtomicU64::new(0),
    rests: AtomicBool::new(false),
    ticked: Mutex::new(Ticked {
        engines: Vec::new(),
        thread: None,
    }),
};

struct Ticker {
    /// The calls that have begun, and those that have ended.
    begun: AtomicU64,
    ended: AtomicU64,
    rests: AtomicBool,
    ticked: Mutex<Ticked>,
}

struct Ticked {
    engines: Vec<EngineWeak>,
    thread: Option<Thread>,
}

/// Advances an engine's epoch during every [`Call`], for as long as the engine
/// is in use.
///
/// # Errors
/// The system gives no thread.
pub(super) fn tick(engine: &Engine) -> std::io::Result<()> {
    let mut ticked = TICKER.ticked();
    ticked.engines.retain(|engine| engine.upgrade().is_some());
    ticked.engines.push(engine.weak());
    if ticked.thread.is_none() {
        let ticker = thread::Builder::new().name("ticker".to_owned());
        let ticker = ticker.spawn(|| TICKER.run())?;
        ticked.thread = Some(ticker.thread().clone());
    }
    Ok(())
}

/// The ticks of a number of milliseconds: rounded up, and one more, because the
/// current tick may be about to end.
pub(super) fn ticks(milliseconds: u64) -> u64 {
    milliseconds.div_ceil(TICK_MS) + 1
}

/// A call into a guest, during which epochs advance.
pub(super) struct Call(());

impl Call {
    pub(super) fn begin() -> Self {
        TICKER.begun.fetch_add(1, Ordering::SeqCst);
        // After the addition: either this sees that the ticker rests, or the
        // ticker sees the addition before it does.
        if TICKER.rests.load(Ordering::SeqCst) {
            TICKER.wake();
        }
        Self(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        TICKER.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Ticker {
    fn ticked(&self) -> MutexGuard<'_, Ticked> {
        self.ticked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn wake(&self) {
        self.rests.store(false, Ordering::SeqCst);
        if let Some(thread) = &self.ticked().thread {
            thread.unpark();
        }
    }

    fn run(&self) {
        let (mut seen, mut idle) = (0, 0);
        loop {
            for engine in self.ticked().engines.iter() {
                if let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                }
            }
            thread::sleep(Duration::from_millis(TICK_MS));
            // First what has ended: a call that ends in between counts as one.
            let ended = self.ended.load(Ordering::SeqCst);
            let begun = self.begun.load(Ordering::SeqCst);
            idle = match begun == seen && begun == ended {
                true => idle + 1,
                false => 0,
            };
            seen = begun;
            if idle >= TICKS_BEFORE_REST {
                self.rest(seen);
                idle = 0;
            }
        }
    }

    /// Waits for the next call.
    fn rest(&self, seen: u64) {
        self.rests.store(true, Ordering::SeqCst);
        if self.begun.load(Ordering::SeqCst) != seen {
            self.rests.store(false, Ordering::SeqCst);
        }
        while self.rests.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}

/// Waits until the ticker rests, if no other call keeps it from doing so for a
/// while: the tests of a process share the ticker.
#[cfg(test)]
pub(super) fn await_rest() {
    let began = std::time::Instant::now();
    let long = Duration::from_millis(3 * u64::from(TICKS_BEFORE_REST) * TICK_MS);
    while !TICKER.rests.load(Ordering::SeqCst) && began.elapsed() < long {
        thread::park_timeout(Duration::from_millis(TICK_MS));
    }
}
