//! What each misbehaviour comes down to. `black_box` keeps the compiler from
//! seeing that a loop has no purpose.

use alloc::{string::String, vec, vec::Vec};
use core::hint::black_box;

use etl_transform::Value;

pub fn trap() {
    core::arch::wasm32::unreachable()
}

/// Below the end of the stack.
pub fn recurse() {
    fn deeper(depth: u64) -> u64 {
        let frame = black_box([depth; 64]);
        if black_box(depth) == u64::MAX {
            return 0;
        }
        deeper(depth + 1) + frame[0]
    }
    black_box(deeper(0));
}

/// So many turns; none means without end.
pub fn spin(turns: usize) {
    let mut turn = 0;
    loop {
        turn = black_box(turn) + 1_usize;
        if turn == turns {
            return;
        }
    }
}

/// Takes so many MiB of memory, one after the other; none means without end.
pub fn grow(mib: usize) {
    let mut taken = Vec::new();
    while mib == 0 || taken.len() < mib {
        taken.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// A text of so many bytes.
pub fn text(bytes: usize) -> Value {
    let text = String::from_utf8(vec![b'x'; bytes]);
    Value::Text(text.unwrap_or_default())
}

/// What claims to be a text and is none.
pub fn no_text() -> Value {
    let bytes = black_box(Vec::from([0xc3, 0x28, 0xff]));
    // SAFETY: none. It is the very thing that the host has to stand: the bytes
    // are handed over and never looked at as a text here.
    Value::Text(unsafe { String::from_utf8_unchecked(bytes) })
}
