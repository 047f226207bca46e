//! What a program without an operating system has to bring itself: the
//! allocator, and a panic handler that traps.

use core::panic::PanicInfo;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Traps without a word: there is no import to write one to, and a panic's text
/// may hold a value of the message.
#[panic_handler]
fn trap(_: &PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
