//! Changing for how long messages are hidden: many at once, and few calls
//! while the queue fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::calls::{BATCH_ENTRIES_MAX, EntryFailure};
use super::client::Queue;
use super::error::QueueError;

/// Calls at a time, so that ten thousand leases cannot fall behind: at 50 ms a
/// call, 16 callers extend 3,200 messages a second.
const CALLS_MAX: usize = 16;
/// Failed calls in a row after which the rest is left alone: a queue that
/// fails is not asked once for each ten of two thousand messages, and one bad
/// call does not keep the others from being made.
const FAILURES_MAX: u32 = 3;

/// A message by its handle, and for how long it is to be hidden.
pub(super) type Change = (String, Duration);

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// The queue has made it; it was asked at this moment.
    At(Instant),
    /// It failed, and may succeed another time.
    NotNow,
    /// The queue refuses it: the handle is good for nothing any more.
    Never,
}

/// How to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With many calls at a time.
    AtOnce,
    /// With one call at a time, until the first that succeeds.
    Carefully,
}

impl Queue {
    /// Asks for each change at most once, in order. Tells of each that the
    /// queue has answered, by its place, as soon as it has.
    ///
    /// # Errors
    /// The last call failed. What is not told of was perhaps not asked for.
    pub(super) async fn change_visibility(
        &self,
        changes: &[Change],
        begin: Begin,
        mut tell: impl FnMut(usize, Changed),
    ) -> Result<(), QueueError> {
        let mut calls_max = match begin {
            Begin::AtOnce => CALLS_MAX,
            Begin::Carefully => 1,
        };
        let mut chunks = changes.chunks(BATCH_ENTRIES_MAX).enumerate();
        let mut calls = JoinSet::new();
        let mut failures = 0;
        let mut outcome = Ok(());
        loop {
            while calls.len() < calls_max
                && failures < FAILURES_MAX
                && let Some((number, chunk)) = chunks.next()
            {
                let (source, chunk) = (Arc::clone(&self.calls), chunk.to_vec());
                let breaker = self.breakers.change_visibility.clone();
                let lasts = self.timing.call_lasts();
                calls.spawn(async move {
                    let asked = Instant::now();
                    let pass = match breaker.pass_now() {
                        Ok(pass) => pass,
                        Err(error) => {
                            return (number * BATCH_ENTRIES_MAX, chunk.len(), asked, Err(error));
                        }
                    };
                    let entries: Vec<(&str, Duration)> = chunk
                        .iter()
                        .map(|(handle, hidden)| (handle.as_str(), *hidden))
                        .collect();
                    let failed = source.change_visibility(&entries).await;
                    match &failed {
                        Ok(_) => pass.succeeded(),
                        Err(error) => pass.failed(error, asked.elapsed() >= lasts),
                    }
                    (number * BATCH_ENTRIES_MAX, chunk.len(), asked, failed)
                });
            }
            let Some(call) = calls.join_next().await else {
                return outcome;
            };
            let (first, len, asked, answer) = match call {
                Ok(call) => call,
                Err(broken) => match broken.try_into_panic() {
                    // It broke in a task; whoever waits here must not go on.
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => continue,
                },
            };
            match answer {
                Ok(failed) => {
                    (failures, calls_max, outcome) = (0, CALLS_MAX, Ok(()));
                    for position in 0..len {
                        tell(first + position, changed(position, asked, &failed));
                    }
                }
                Err(error) => {
                    failures += 1;
                    outcome = Err(error);
                }
            }
        }
    }
}

fn changed(position: usize, asked: Instant, failed: &[EntryFailure]) -> Changed {
    match failed.iter().find(|failure| failure.position == position) {
        None => Changed::At(asked),
        Some(failure) if failure.refused => Changed::Never,
        Some(_) => Changed::NotNow,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::backlog::Backlog;
    use super::super::calls::{Answer, Poll, Received, SourceCalls};
    use super::super::timing::Timing;
    use super::*;

    /// A queue of which the calls with these numbers fail.
    #[derive(Debug)]
    struct Failing {
        failing: fn(usize) -> bool,
        calls: Mutex<usize>,
    }

    impl SourceCalls for Failing {
        fn receive<'a>(&'a self, _: Poll, _: &'a str) -> Answer<'a, Received> {
            Box::pin(async { Ok(Received::default()) })
        }

        fn delete<'a>(&'a self, _: &'a [&'a str]) -> Answer<'a, Vec<EntryFailure>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn change_visibility<'a>(
            &'a self,
            _: &'a [(&'a str, Duration)],
        ) -> Answer<'a, Vec<EntryFailure>> {
            Box::pin(async {
                let mut calls = self.calls.lock().expect("sound");
                *calls += 1;
                match (self.failing)(*calls - 1) {
                    true => Err(QueueError::refused("anything")),
                    false => Ok(Vec::new()),
                }
            })
        }

        fn backlog(&self) -> Answer<'_, Backlog> {
            Box::pin(async { Err(QueueError::refused("a look")) })
        }
    }

    /// How many calls two thousand changes take, and how many are made.
    async fn asked(begin: Begin, failing: fn(usize) -> bool) -> (usize, usize) {
        let source = Arc::new(Failing {
            failing,
            calls: Mutex::new(0),
        });
        let timing = Timing::new(Duration::from_secs(30), Duration::from_secs(1));
        let queue = Queue::simulated(source.clone(), timing, false);
        let changes = vec![("handle".to_owned(), Duration::ZERO); 2_000];
        let mut made = 0;
        let _ = queue
            .change_visibility(&changes, begin, |_, changed| {
                made += usize::from(matches!(changed, Changed::At(_)));
            })
            .await;
        let calls = *source.calls.lock().expect("sound");
        (calls, made)
    }

    #[tokio::test]
    async fn a_queue_that_fails_is_asked_a_few_times_and_not_once_for_each_ten() {
        let (calls, made) = asked(Begin::AtOnce, |_| true).await;
        assert!(calls < CALLS_MAX + FAILURES_MAX as usize, "{calls}");
        assert_eq!(made, 0);
        let (calls, _) = asked(Begin::Carefully, |_| true).await;
        assert_eq!(calls, FAILURES_MAX as usize);
    }

    #[tokio::test]
    async fn a_failing_call_among_good_ones_keeps_none_of_them() {
        for begin in [Begin::AtOnce, Begin::Carefully] {
            let first = asked(begin, |call| call == 0).await;
            assert_eq!(first, (200, 1_990), "{begin:?}");
            let every_third = asked(begin, |call| call % 3 == 1).await;
            assert_eq!(every_third, (200, 1_330), "{begin:?}");
        }
    }
}
