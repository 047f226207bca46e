//! The tests' own measure of time: strict on a quiet machine, patient on a
//! busy one.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::block_on;
use crate::support::patience::{Deadline, Stopwatch, fair_part, receive, within};

const TICK: Duration = Duration::from_millis(20);
const WAIT: Duration = Duration::from_millis(200);

#[test]
fn on_a_quiet_machine_fair_time_is_wall_time() {
    for runnable in 0..=2 {
        assert_eq!(fair_part(TICK, runnable, 2), TICK);
    }
    let woken_late = TICK + Duration::from_millis(4);
    assert_eq!(fair_part(woken_late, 1, 2), woken_late);
}

#[test]
fn fair_time_is_shared_by_who_wants_the_processors() {
    assert_eq!(fair_part(TICK, 20, 2), TICK / 10);
    assert_eq!(fair_part(TICK, 3, 1), TICK.div_f64(3.0));
}

#[test]
fn a_machine_that_stood_still_has_given_one_tick_at_most() {
    let asleep = Duration::from_secs(3_600);
    assert!(fair_part(asleep, 0, 2) <= Duration::from_millis(25));
    assert!(fair_part(asleep, 40, 2) <= Duration::from_millis(25));
}

#[test]
fn fair_time_passes_and_never_outruns_wall_time() {
    let (wall, fair) = (Instant::now(), Stopwatch::start());
    let deadline = Deadline::after(WAIT);
    assert!(!deadline.is_over());
    while !deadline.is_over() {
        thread::sleep(TICK);
    }
    assert!(fair.elapsed() >= WAIT);
    assert!(wall.elapsed() >= WAIT);
    let (fair, wall) = (fair.elapsed(), wall.elapsed());
    assert!(fair <= wall, "{fair:?} of {wall:?}");
}

#[test]
fn what_never_comes_is_given_up() {
    let (sender, receiver) = mpsc::channel::<()>();
    assert!(receive(&receiver, WAIT).is_err());
    assert!(block_on(within(WAIT, std::future::pending::<()>())).is_err());
    assert_eq!(block_on(within(WAIT, async { 7 })), Ok(7));
    sender.send(()).expect("the receiver is there");
    assert!(receive(&receiver, WAIT).is_ok());
}

/// Keeps every processor busy several times over until it is dropped.
struct Crowd(Arc<AtomicBool>);

impl Crowd {
    const TASKS_PER_PROCESSOR: usize = 6;

    fn gather() -> Crowd {
        let busy = Arc::new(AtomicBool::new(true));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..processors * Crowd::TASKS_PER_PROCESSOR {
            let busy = Arc::clone(&busy);
            thread::spawn(move || {
                while busy.load(Ordering::Relaxed) {
                    black_box(0);
                }
            });
        }
        Crowd(busy)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_crowded_machine_is_given_more_time() {
    let _crowd = Crowd::gather();
    let wall = Instant::now();
    let deadline = Deadline::after(WAIT);
    while !deadline.is_over() {
        thread::sleep(TICK);
    }
    let wall = wall.elapsed();
    assert!(wall > 2 * WAIT, "{wall:?}");
}
