//! What a message costs in the host itself, outside the AWS SDK, PostgreSQL and
//! the sandbox: `cargo alone`.
//!
//! The whole pipeline runs, as by default, over a queue that lies in memory and
//! a store that forgets; once with a judge that skips everything, once with the
//! default component. Beside it, what the stand-ins cost by themselves. Of
//! several runs the median is shown.

#[path = "stage/cpu.rs"]
#[allow(dead_code, reason = "only this process's own time is asked for")]
mod cpu;
mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etl_host::message::Message;
use etl_host::pipeline::{Shape, alone};
use etl_host::queue::{
    Answer, Backlog, EntryFailure, Poll, RECEIVE_MESSAGES_MAX, Received, ReceivedMessage,
    SourceCalls,
};
use etl_host::sandbox::{Isolation, Judge, Judged, Judging, SandboxThreads};
use etl_host::shutdown::{Shutdown, StopSwitch, shutdown};
use etl_host::verdict::Verdict;
use tokio::runtime::Builder;
use tokio::time::sleep;

/// What the host allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages of a run.
const MESSAGES: usize = 200_000;
/// Of so many runs the median is shown.
const RUNS: usize = 5;
/// What the command line says by default.
const SHAPE: Shape = Shape {
    receives: 128,
    connections: 2,
    sandbox_threads: 2,
    batch_messages_max: 500,
    messages_in_work_max: 10_000,
    bytes_in_work_max: 128 << 20,
    ledger_days: 28,
};
/// As many as a host has for what waits.
const RUNTIME_THREADS: usize = 1;
/// How long a receipt handle of SQS is.
const HANDLE_BYTES: usize = 176;
/// Between two looks at a queue that is empty.
const EMPTY_MS: u64 = 20;

fn main() {
    let messages: Arc<[Message]> = stage::messages(MESSAGES).into();
    let sandbox = stage::sandbox("sha256_mask.wasm", Isolation::Batch, SHAPE.sandbox_threads);
    let sandbox = Arc::new(sandbox);
    let threads = SandboxThreads::start(Arc::clone(&sandbox), SHAPE.sandbox_threads);
    let threads: Arc<dyn Judge> = Arc::new(threads.expect("start the threads"));
    println!("{:<36} {:>16} {:>10}", "", "CPU µs a message", "messages/s");
    let judged = measure("the sandbox, batches of 500", || {
        for batch in messages.chunks(SHAPE.batch_messages_max) {
            assert_eq!(sandbox.judge(batch).len(), batch.len());
        }
    });
    let runtime = Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build();
    let runtime = runtime.expect("start a runtime");
    let brought = measure("the queue in memory", || {
        let (queue, ..) = Memory::over(&messages);
        runtime.block_on(queue.drain());
    });
    let piped = |judge: &Arc<dyn Judge>| {
        let (queue, switch, asked) = Memory::over(&messages);
        let run = alone(queue, Arc::clone(judge), SHAPE, (switch, asked));
        assert!(runtime.block_on(run), "the pipeline broke");
    };
    let skips: Arc<dyn Judge> = Arc::new(Skips);
    let skipped = measure("the pipeline, everything skipped", || piped(&skips));
    println!("{:<36} {:>16.2}", "  the queue aside", skipped - brought);
    let masked = measure("the pipeline with the sandbox", || piped(&threads));
    let own = masked - brought - judged;
    println!("{:<36} {own:>16.2}", "  queue and sandbox aside");
}

/// Prints what a message takes in the median run; gives its CPU time in µs.
fn measure(name: &str, mut run: impl FnMut()) -> f64 {
    let mut figures: Vec<(f64, f64)> = (0..RUNS)
        .map(|_| {
            let (cpu_before, began) = (cpu::own(), Instant::now());
            run();
            let us = |took: Duration| took.as_secs_f64() * 1e6 / MESSAGES as f64;
            (us(cpu::own() - cpu_before), us(began.elapsed()))
        })
        .collect();
    figures.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let (cpu_us, us) = figures[RUNS / 2];
    println!("{name:<36} {cpu_us:>16.2} {:>10.0}", 1e6 / us);
    cpu_us
}

/// A queue that lies in memory and asks for the stop once it is empty.
#[derive(Debug)]
struct Memory {
    messages: Arc<[Message]>,
    handle: String,
    received: AtomicUsize,
    deleted: AtomicUsize,
    switch: StopSwitch,
}

impl Memory {
    fn over(messages: &Arc<[Message]>) -> (Arc<Self>, StopSwitch, Shutdown) {
        let (switch, asked) = shutdown();
        let queue = Self {
            messages: Arc::clone(messages),
            handle: "h".repeat(HANDLE_BYTES),
            received: 0.into(),
            deleted: 0.into(),
            switch: switch.clone(),
        };
        (Arc::new(queue), switch, asked)
    }

    /// All its calls, one after the other, and nothing else.
    async fn drain(&self) {
        let poll = Poll {
            wait: Duration::ZERO,
            visibility: Duration::ZERO,
        };
        while self.deleted.load(Ordering::Relaxed) < self.messages.len() {
            let received = self.receive(poll, "").await.expect("it never fails");
            let handles = received.messages.iter();
            let handles: Vec<&str> = handles.map(|one| one.handle.as_str()).collect();
            let failed = self.delete(&handles).await.expect("it never fails");
            assert!(failed.is_empty());
        }
    }
}

impl SourceCalls for Memory {
    fn receive<'a>(&'a self, _: Poll, _: &'a str) -> Answer<'a, Received> {
        Box::pin(async move {
            let from = self
                .received
                .fetch_add(RECEIVE_MESSAGES_MAX, Ordering::Relaxed);
            let next = self.messages.iter().skip(from).take(RECEIVE_MESSAGES_MAX);
            let messages: Vec<ReceivedMessage> = next
                .map(|message| ReceivedMessage {
                    message: message.clone(),
                    handle: self.handle.clone(),
                    receive_count: 1,
                })
                .collect();
            if messages.is_empty() {
                sleep(Duration::from_millis(EMPTY_MS)).await;
            }
            Ok(Received {
                messages,
                unusable: 0,
            })
        })
    }

    fn delete<'a>(&'a self, handles: &'a [&'a str]) -> Answer<'a, Vec<EntryFailure>> {
        Box::pin(async move {
            let before = self.deleted.fetch_add(handles.len(), Ordering::Relaxed);
            if before + handles.len() == self.messages.len() {
                self.switch.stop();
            }
            Ok(Vec::new())
        })
    }

    fn change_visibility<'a>(
        &'a self,
        _: &'a [(&'a str, Duration)],
    ) -> Answer<'a, Vec<EntryFailure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        Box::pin(async { panic!("nobody asks") })
    }
}

/// Decides at once that nothing is to be written.
struct Skips;

impl Judge for Skips {
    fn judge(&self, messages: Vec<Message>) -> Judging<'_> {
        let verdicts = messages.iter().map(|_| Verdict::Skip).collect();
        Box::pin(async move {
            Judged {
                messages,
                verdicts,
                took: Duration::ZERO,
            }
        })
    }
}
