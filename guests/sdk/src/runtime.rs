//! What a program without an operating system has to bring itself: the
//! allocator, and a panic handler that traps.

use core::panic::PanicInfo;

use dlmalloc::GlobalDlmalloc;

use crate::small_blocks::SmallBlocks;

#[global_allocator]
static ALLOCATOR: SmallBlocks<GlobalDlmalloc> = SmallBlocks::over(GlobalDlmalloc);

// SAFETY: a component of this world is single-threaded: its one module imports
// no memory and has no way to start a thread.
unsafe impl Sync for SmallBlocks<GlobalDlmalloc> {}

/// Traps without a word: there is no import to write one to, and a panic's text
/// may hold a value of the message.
#[panic_handler]
fn trap(_: &PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
