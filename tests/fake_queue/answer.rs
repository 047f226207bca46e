//! An answer's body, which may come whole, in drips, or end half way through.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use tokio::time::{Sleep, sleep};

pub struct Answer {
    chunks: VecDeque<Bytes>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// The connection ends where the chunks do, before the promised length.
    broken: bool,
}

impl Answer {
    pub fn whole(bytes: Vec<u8>) -> Answer {
        Answer {
            chunks: VecDeque::from([Bytes::from(bytes)]),
            pause: Duration::ZERO,
            waiting: None,
            broken: false,
        }
    }

    /// So many bytes at a time.
    pub fn dripping(bytes: Vec<u8>, at_a_time: usize, pause: Duration) -> Answer {
        let chunks = bytes.chunks(at_a_time.max(1));
        Answer {
            chunks: chunks.map(Bytes::copy_from_slice).collect(),
            pause,
            ..Answer::whole(Vec::new())
        }
    }

    /// The first half, and then nothing.
    pub fn truncated(mut bytes: Vec<u8>) -> Answer {
        bytes.truncate(bytes.len() / 2);
        Answer {
            broken: true,
            ..Answer::whole(bytes)
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        if let Some(chunk) = self.chunks.pop_front() {
            if !self.pause.is_zero() {
                self.waiting = Some(Box::pin(sleep(self.pause)));
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if std::mem::take(&mut self.broken) {
            let broken = io::Error::other("broken off, as the test asked");
            return Poll::Ready(Some(Err(broken)));
        }
        Poll::Ready(None)
    }
}
