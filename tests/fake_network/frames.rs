//! The framing of PostgreSQL's protocol 3.0: bytes in, whole messages out.
//! It keeps what is incomplete, and knows no message's meaning beyond the few
//! fields that tell statements apart.

/// Codes that stand where a start-up message has its version.
const CANCEL_REQUEST: u32 = 80_877_102;
const TLS_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// The four bytes of a message's length count themselves.
const LENGTH_BYTES: usize = 4;
const TYPE_BYTES: usize = 1;

/// What a connection's first messages may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A session begins.
    Session,
    /// The client asks for encryption; one byte answers.
    Encryption,
    /// A request to cancel another session's statement.
    Cancel,
}

/// Bytes that have come in and are not yet dealt with.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The first byte, where it stands alone: the answer to [`Opening::Encryption`].
    pub fn byte(&mut self) -> Option<u8> {
        (!self.bytes.is_empty()).then(|| self.bytes.remove(0))
    }

    /// Everything, where framing is over.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The next message before the session, and what it asks for.
    pub fn opening(&mut self) -> Option<(Opening, Vec<u8>)> {
        let frame = self.take(0)?;
        let code = frame.get(LENGTH_BYTES..).and_then(number);
        let opening = match code {
            Some(CANCEL_REQUEST) => Opening::Cancel,
            Some(TLS_REQUEST | GSS_REQUEST) => Opening::Encryption,
            _ => Opening::Session,
        };
        Some((opening, frame))
    }

    /// The next message of the session.
    pub fn message(&mut self) -> Option<Frame> {
        self.take(TYPE_BYTES).map(Frame)
    }

    fn take(&mut self, before_length: usize) -> Option<Vec<u8>> {
        let length = number(self.bytes.get(before_length..)?)? as usize;
        let end = before_length + length.max(LENGTH_BYTES);
        if self.bytes.len() < end {
            return None;
        }
        let rest = self.bytes.split_off(end);
        Some(std::mem::replace(&mut self.bytes, rest))
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    let bytes = bytes.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

/// A whole message of a session, its type first.
pub struct Frame(pub Vec<u8>);

impl Frame {
    pub fn kind(&self) -> u8 {
        self.0[0]
    }

    /// The zero-terminated texts that its content begins with.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.content().split(|byte| *byte == 0)
    }

    /// Of a Close message: whether it is about a statement, not a portal, and
    /// its name.
    pub fn closed(&self) -> (bool, &[u8]) {
        let content = self.content();
        let name = content.get(1..).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        (content.first() == Some(&b'S'), name)
    }

    fn content(&self) -> &[u8] {
        self.0.get(TYPE_BYTES + LENGTH_BYTES..).unwrap_or_default()
    }
}

#[test]
fn a_message_is_whole_or_not_there() {
    let mut frames = Frames::default();
    let bytes = b"Q\0\0\0\x0dSELECT 1\0";
    for byte in &bytes[..bytes.len() - 1] {
        frames.add(&[*byte]);
        assert!(frames.message().is_none());
    }
    frames.add(b"\0Z\0\0\0\x05I");
    let query = frames.message().expect("whole by now");
    assert_eq!((query.kind(), query.0.len()), (b'Q', bytes.len()));
    assert_eq!(query.texts().next(), Some(&b"SELECT 1"[..]));
    let ready = frames.message().expect("a second one");
    assert_eq!(ready.kind(), b'Z');
    assert!(frames.message().is_none() && frames.rest().is_empty());
}

#[test]
fn what_comes_before_a_session_is_told_apart() {
    let mut frames = Frames::default();
    frames.add(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]);
    frames.add(&[0, 0, 0, 9, 0, 3, 0, 0, 0]);
    frames.add(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2e]);
    let mut next = || frames.opening().map(|(opening, _)| opening);
    assert!(next() == Some(Opening::Encryption));
    assert!(next() == Some(Opening::Session));
    assert!(next() == Some(Opening::Cancel));
    assert!(next().is_none());
}
