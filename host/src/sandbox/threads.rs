//! Threads for the sandbox, apart from the asynchronous ones.
//!
//! A call into a guest may take its whole time limit; on a thread of the
//! runtime it would stop leases from being extended.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::component::Sandbox;
use crate::message::Message;
use crate::verdict::{Reason, Verdict};

/// Whatever gives verdicts on batches.
pub trait Judge: Send + Sync {
    /// Gives each message its verdict, in order, and the messages back. None
    /// at all where the judge itself broke.
    fn judge(&self, messages: Vec<Message>) -> Judging<'_>;
}

/// A batch on its way to its verdicts.
pub type Judging<'a> = Pin<Box<dyn Future<Output = Judged> + Send + 'a>>;

/// What a thread's stack has beside the guest's: what a thread has by default,
/// less the guest's default, and so enough for the host's part of a call.
const HOST_STACK_BYTES: usize = (2 << 20) - (512 << 10);

/// Threads that judge batches with one sandbox.
pub struct SandboxThreads {
    work: mpsc::Sender<Work>,
}

struct Work {
    messages: Vec<Message>,
    judged: oneshot::Sender<Judged>,
}

/// A batch that has been judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// Its messages, handed back.
    pub messages: Vec<Message>,
    /// The verdict on each.
    pub verdicts: Vec<Verdict>,
    /// How long it took.
    pub took: Duration,
}

impl SandboxThreads {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(sandbox: Arc<Sandbox>, count: usize) -> io::Result<Self> {
        let (work, queue) = mpsc::channel::<Work>();
        let queue = Arc::new(Mutex::new(queue));
        let stack_bytes = sandbox.program.limits.stack_bytes_max + HOST_STACK_BYTES;
        for number in 0..count {
            let sandbox = Arc::clone(&sandbox);
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("sandbox-{number}"))
                .stack_size(stack_bytes)
                .spawn(move || run(&sandbox, &queue))?;
        }
        Ok(Self { work })
    }
}

impl Judge for SandboxThreads {
    fn judge(&self, messages: Vec<Message>) -> Judging<'_> {
        let (judged, verdicts) = oneshot::channel();
        // Refused only where every thread is gone; the answer then is too.
        let _ = self.work.send(Work { messages, judged });
        Box::pin(async move { verdicts.await.unwrap_or_default() })
    }
}

fn run(sandbox: &Sandbox, queue: &Mutex<mpsc::Receiver<Work>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { messages, judged }) = next else {
            return;
        };
        // A panic in the host's own glue is charged like a guest's trap, so
        // that one message cannot stop the thread.
        let judge =
            |messages: &[Message]| catch_unwind(AssertUnwindSafe(|| sandbox.judge(messages))).ok();
        let began = Instant::now();
        let verdicts = judge(&messages).unwrap_or_else(|| {
            let alone = messages.chunks(1).map(|message| {
                judge(message)
                    .and_then(|mut verdicts| verdicts.pop())
                    .unwrap_or_else(|| Verdict::Reject(Reason::Trap.into()))
            });
            alone.collect()
        });
        // The receiver is gone only where the whole pipeline is.
        let _ = judged.send(Judged {
            messages,
            verdicts,
            took: began.elapsed(),
        });
    }
}
