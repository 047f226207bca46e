//! Time limits hold on a machine that has too much to do: nobody is at fault
//! for waiting, and an endless loop ends all the same.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::clock::thread_time;
use super::fuzz::{conditions, message};
use super::{Isolation, Limits, Sandbox};
use crate::message::Message;
use crate::verdict::{Reason, Verdict};

/// Busy threads for each processor: each of them has a ninth of one.
const BUSY_PER_PROCESSOR: usize = 8;
/// The limit, and the part of it that an honest message takes.
const MS_MAX: u64 = 200;
const HONEST_MS: u64 = 80;
/// What an endless loop may take beyond the limit: the time before the first
/// look, and what a ticker that has to wait for a processor is late by.
const BEYOND_MS_MAX: u64 = 300;

fn misbehave(limits: Limits, isolation: Isolation) -> Sandbox {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/misbehave.wasm");
    let conditions = super::Conditions {
        isolation,
        ..conditions(limits)
    };
    Sandbox::load(&file, &conditions, 1).unwrap()
}

fn asks(asked: &str, amount: usize) -> Message {
    message(&format!(
        r#"{{"do":"{asked}","amount":"{amount}","user_id":"user"}}"#
    ))
}

fn reason(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Reject(rejection) => Some(rejection.reason.clone()),
        Verdict::Rows(_) | Verdict::Skip => None,
    }
}

/// The turns of the guest's loop that take so much processor time here.
fn turns(time: Duration) -> usize {
    let patient = misbehave(
        Limits {
            message_ms_max: 600_000,
            ..Limits::default()
        },
        Isolation::Message,
    );
    let mut turns = 1_000_000;
    loop {
        let began = thread_time();
        patient.judge(&[asks("spin", turns)]);
        let took = thread_time() - began;
        if took >= time / 4 {
            return (turns as f64 * time.as_secs_f64() / took.as_secs_f64()) as usize;
        }
        turns *= 2;
    }
}

/// Does something while every processor is busy eight times over.
fn loaded<T>(act: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let processors = thread::available_parallelism().map_or(1, |count| count.get());
    thread::scope(|scope| {
        for _ in 0..processors * BUSY_PER_PROCESSOR {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let done = act();
        over.store(true, Ordering::Relaxed);
        done
    })
}

#[test]
fn an_honest_message_may_wait_for_longer_than_its_limit() {
    let limits = Limits {
        message_ms_max: MS_MAX,
        batch_ms_max: MS_MAX,
        ..Limits::default()
    };
    let honest = asks("spin", turns(Duration::from_millis(HONEST_MS)));
    for isolation in [Isolation::Batch, Isolation::Message] {
        let sandbox = misbehave(limits, isolation);
        let longest = loaded(|| {
            let longest = (0..3).map(|_| {
                let began = Instant::now();
                let verdicts = sandbox.judge(&[honest.clone(), asks("", 0)]);
                assert_eq!(verdicts.iter().find_map(reason), None);
                began.elapsed()
            });
            longest.max().unwrap_or_default()
        });
        // Otherwise nothing is shown.
        assert!(longest > Duration::from_millis(MS_MAX), "{longest:?}");
    }
}

#[test]
fn an_endless_loop_ends_soon_after_its_processor_time() {
    let limits = Limits {
        message_ms_max: MS_MAX,
        ..Limits::default()
    };
    let sandbox = misbehave(limits, Isolation::Message);
    let endless = || {
        let began = thread_time();
        let verdicts = sandbox.judge(&[asks("spin", 0), asks("", 0)]);
        let took = thread_time() - began;
        let reasons: Vec<Option<Reason>> = verdicts.iter().map(reason).collect();
        assert_eq!(reasons, [Some(Reason::TimeLimit), None]);
        assert!(took >= Duration::from_millis(MS_MAX), "{took:?}");
        let most = Duration::from_millis(MS_MAX + BEYOND_MS_MAX);
        assert!(took < most, "{took:?}");
    };
    endless();
    loaded(endless);
}

/// The ticker rests after a second without a call.
#[test]
fn an_endless_loop_ends_after_a_rest_too() {
    let limits = Limits {
        message_ms_max: 20,
        ..Limits::default()
    };
    let sandbox = misbehave(limits, Isolation::Message);
    for _ in 0..3 {
        let verdicts = sandbox.judge(&[asks("spin", 0)]);
        assert_eq!(reason(&verdicts[0]), Some(Reason::TimeLimit));
        super::ticker::await_rest();
    }
}

#[test]
fn a_message_that_is_costly_to_check_is_rejected_and_its_neighbours_are_stored() {
    let limits = Limits {
        check_ms_max: 100,
        ..Limits::default()
    };
    let secret = format!("ab{}cd", "-".repeat(90_000));
    let text = "VVVVVVVVVA".repeat(25_000);
    let costly = message(&format!(r#"{{"ip":"{secret}","user_id":"{text}"}}"#));
    assert!((330_000..360_000).contains(&costly.body.len()));
    let batch = [
        asks("", 0),
        costly.clone(),
        asks("", 0),
        costly,
        asks("", 0),
    ];
    for isolation in [Isolation::Batch, Isolation::Message] {
        let sandbox = misbehave(limits, isolation);
        let began = thread_time();
        let verdicts = sandbox.judge(&batch);
        let took = thread_time() - began;
        let reasons: Vec<Option<Reason>> = verdicts.iter().map(reason).collect();
        let over = Some(Reason::CheckLimit);
        assert_eq!(reasons, [None, over.clone(), None, over, None]);
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}
