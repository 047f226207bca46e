//! What each misbehaviour comes down to. `black_box` keeps the compiler from
//! seeing that a loop has no purpose.

use alloc::{string::String, vec, vec::Vec};
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};

pub fn trap() {
    core::arch::wasm32::unreachable()
}

/// So many calls deep, on the stack that the host bounds; none means without
/// end.
pub fn recurse(calls: usize) {
    static SALT: AtomicUsize = AtomicUsize::new(1);
    // What is left to do after the call keeps it from becoming a loop.
    fn deeper(calls: usize) -> usize {
        match calls {
            1 => 0,
            _ => deeper(calls.wrapping_sub(1)).rotate_left(1) ^ SALT.load(Ordering::Relaxed),
        }
    }
    black_box(deeper(black_box(calls)));
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
pub fn long(bytes: usize) -> String {
    String::from_utf8(vec![b'x'; bytes]).unwrap_or_default()
}

/// One text of so many bytes, given out again and again.
pub fn one_text_many_times(bytes: usize, times: usize) -> impl Iterator<Item = String> {
    let text = long(bytes).leak();
    let start = text.as_mut_ptr();
    // SAFETY: none. Each but the first is a second owner, which only ever
    // matters to this instance: the host is to refuse them all.
    (0..times).map(move |_| unsafe { String::from_raw_parts(start, bytes, bytes) })
}

/// What claims to be a text and is none.
pub fn no_text() -> String {
    let bytes = black_box(Vec::from([0xc3, 0x28, 0xff]));
    // SAFETY: none. It is the very thing that the host has to stand: the bytes
    // are handed over and never looked at as a text here.
    unsafe { String::from_utf8_unchecked(bytes) }
}
