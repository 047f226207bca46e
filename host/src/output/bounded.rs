//! What a database server may say at most.
//!
//! The driver believes every length and gathers every answer in memory. So the
//! frames of the protocol are watched below it, in plain text and within TLS:
//! a message or an answer that is too long ends the connection before it is
//! gathered. TLS itself bounds what a handshake may take.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The longest message, in bytes. An error may quote a value (1 MiB, the
/// largest body) in its text, its detail and its context, each with escapes.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// The longest answer to a statement, with its notices, in bytes. The largest
/// honest one is a batch's outcomes: some 100 bytes for each of 10,000 rows.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The most messages of an answer: the driver keeps some 100 bytes for each
/// row, however small it is.
const ANSWER_MESSAGES_MAX: usize = 200_000;
/// The most parameters that a connection may be told: the driver keeps each.
/// A server before version 14 tells of a changed one within each call.
const PARAMETERS_MAX: usize = 100_000;
/// The longest message while it is not yet known who is there, in bytes. The
/// longest honest one is an error with its context.
const GREETING_BYTES_MAX: usize = 64 << 10;
/// The longest conversation until the server is ready, in bytes.
const GREETINGS_BYTES_MAX: usize = 1 << 20;

/// Type and length of a message.
const HEADER_BYTES: usize = 5;
/// How much of the header the length counts.
const LENGTH_BYTES: usize = 4;
const READY_FOR_QUERY: u8 = b'Z';
const PARAMETER_STATUS: u8 = b'S';

/// Why a connection was ended; none as long as it was not. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Excess(Arc<OnceLock<String>>);

impl Excess {
    /// What was too long.
    pub(super) fn words(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn error(&self, words: String) -> io::Error {
        let words = self.0.get_or_init(|| words);
        io::Error::new(io::ErrorKind::InvalidData, words.clone())
    }
}

/// A stream whose frames are watched.
pub(super) struct Bounded<S> {
    stream: S,
    /// None where TLS is spoken over it: the frames are within.
    frames: Option<Frames>,
}

impl<S> Bounded<S> {
    /// A stream that carries the protocol's messages.
    pub(super) fn watched(stream: S, excess: Excess) -> Self {
        Self {
            stream,
            frames: Some(Frames::new(excess)),
        }
    }

    /// A stream that carries TLS.
    pub(super) fn passed_on(stream: S) -> Self {
        Self {
            stream,
            frames: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, frames } = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(stream).poll_read(context, buffer);
        if let (Poll::Ready(Ok(())), Some(frames)) = (&read, frames) {
            let bytes = buffer.filled().get(before..).unwrap_or_default();
            if let Err(error) = frames.take(bytes) {
                return Poll::Ready(Err(error));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Bounded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// TLS within which the frames are watched.
pub(super) struct BoundedTls<T> {
    pub(super) tls: T,
    pub(super) excess: Excess,
}

impl<S, T> TlsConnect<S> for BoundedTls<T>
where
    T: TlsConnect<S>,
    T::Stream: Unpin,
    T::Future: Send + 'static,
{
    type Stream = Bounded<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.tls.connect(stream);
        Box::pin(async move { Ok(Bounded::watched(connecting.await?, self.excess)) })
    }
}

/// Where in the server's messages the stream is.
struct Frames {
    header: [u8; HEADER_BYTES],
    /// How much of the next header has come.
    header_bytes: usize,
    /// What is still to come of the message.
    left_bytes: usize,
    answer_bytes: usize,
    answer_messages: usize,
    parameters: usize,
    /// Whether the server has been ready once.
    greeted: bool,
    excess: Excess,
}

impl Frames {
    fn new(excess: Excess) -> Self {
        Self {
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            left_bytes: 0,
            answer_bytes: 0,
            answer_messages: 0,
            parameters: 0,
            greeted: false,
            excess,
        }
    }

    /// Follows the next bytes.
    ///
    /// # Errors
    /// Something is longer than it may be.
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let skipped = self.left_bytes.min(bytes.len());
            self.left_bytes -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if self.left_bytes > 0 {
                return Ok(());
            }
            let wanted = HEADER_BYTES - self.header_bytes;
            let (now, rest) = bytes.split_at(wanted.min(bytes.len()));
            let place = self.header_bytes..self.header_bytes + now.len();
            if let Some(place) = self.header.get_mut(place) {
                place.copy_from_slice(now);
            }
            self.header_bytes += now.len();
            bytes = rest;
            if self.header_bytes == HEADER_BYTES {
                self.header_bytes = 0;
                self.begin()?;
            }
        }
        Ok(())
    }

    /// A message begins.
    fn begin(&mut self) -> io::Result<()> {
        let [kind, length @ ..] = self.header;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let (message_max, answer_max) = match self.greeted {
            true => (MESSAGE_BYTES_MAX, ANSWER_BYTES_MAX),
            false => (GREETING_BYTES_MAX, GREETINGS_BYTES_MAX),
        };
        self.check(length, message_max, "a message", "bytes")?;
        self.left_bytes = length.saturating_sub(LENGTH_BYTES);
        self.answer_bytes += HEADER_BYTES + self.left_bytes;
        self.answer_messages += 1;
        self.parameters += usize::from(kind == PARAMETER_STATUS);
        self.check(self.answer_bytes, answer_max, "an answer", "bytes")?;
        let messages = self.answer_messages;
        self.check(messages, ANSWER_MESSAGES_MAX, "an answer", "messages")?;
        self.check(self.parameters, PARAMETERS_MAX, "a session", "parameters")?;
        if kind == READY_FOR_QUERY {
            self.greeted = true;
            (self.answer_bytes, self.answer_messages) = (0, 0);
        }
        Ok(())
    }

    fn check(&self, number: usize, max: usize, of: &str, what: &str) -> io::Result<()> {
        if number <= max {
            return Ok(());
        }
        let words = format!("the server sends {of} of more than {max} {what}: is it PostgreSQL?");
        Err(self.excess.error(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes + LENGTH_BYTES).unwrap();
        let mut message = vec![kind];
        message.extend(length.to_be_bytes());
        message.resize(HEADER_BYTES + bytes, 0);
        message
    }

    fn greeted() -> Frames {
        let mut frames = Frames::new(Excess::default());
        frames.take(&message(READY_FOR_QUERY, 1)).unwrap();
        frames
    }

    #[test]
    fn a_length_is_refused_before_its_bytes_have_come_however_they_are_cut() {
        let mut long = message(b'D', 0);
        long[1..].copy_from_slice(&(1_u32 << 30).to_be_bytes());
        for cut in 1..HEADER_BYTES {
            let mut frames = greeted();
            frames.take(&long[..cut]).unwrap();
            let refused = frames.take(&long[cut..]).unwrap_err().to_string();
            assert!(refused.contains("8388608 bytes"), "{refused}");
            assert_eq!(frames.excess.words(), Some(refused.as_str()));
        }
    }

    #[test]
    fn an_answer_ends_within_its_bounds_and_the_next_one_begins_anew() {
        let mut frames = greeted();
        for _ in 0..3 {
            frames.take(&message(b'N', MESSAGE_BYTES_MAX - 8)).unwrap();
            frames.take(&message(b'N', MESSAGE_BYTES_MAX / 2)).unwrap();
            frames.take(&message(READY_FOR_QUERY, 1)).unwrap();
        }
        frames.take(&message(b'N', MESSAGE_BYTES_MAX - 8)).unwrap();
        frames.take(&message(b'N', MESSAGE_BYTES_MAX / 2)).unwrap();
        let refused = frames.take(&message(b'N', MESSAGE_BYTES_MAX - 8));
        assert!(refused.unwrap_err().to_string().contains("an answer"));
    }

    #[test]
    fn many_small_messages_are_an_answer_without_end_too() {
        let mut frames = greeted();
        let rows = message(b'D', 2).repeat(ANSWER_MESSAGES_MAX);
        frames.take(&rows).unwrap();
        let refused = frames.take(&message(b'D', 2)).unwrap_err().to_string();
        assert!(refused.contains("200000 messages"), "{refused}");

        let mut frames = greeted();
        for _ in 0..PARAMETERS_MAX {
            frames.take(&message(PARAMETER_STATUS, 2)).unwrap();
            frames.take(&message(READY_FOR_QUERY, 1)).unwrap();
        }
        let refused = frames.take(&message(PARAMETER_STATUS, 2)).unwrap_err();
        assert!(refused.to_string().contains("parameters"), "{refused}");
    }

    #[test]
    fn a_stranger_is_heard_for_less_long() {
        let mut frames = Frames::new(Excess::default());
        frames.take(&message(b'R', GREETING_BYTES_MAX - 4)).unwrap();
        let long = frames.take(&message(b'E', GREETING_BYTES_MAX));
        assert!(long.unwrap_err().to_string().contains("65536 bytes"));
        let mut frames = Frames::new(Excess::default());
        let some = message(b'N', GREETING_BYTES_MAX / 2);
        let refused = (0..100).find_map(|_| frames.take(&some).err());
        assert!(refused.unwrap().to_string().contains("1048576 bytes"));
    }
}
