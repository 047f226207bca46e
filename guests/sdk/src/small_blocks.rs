//! The allocator of small blocks. A message is a dozen of them, and each string
//! that enters a component asks for one, so they have to be quick: a free list
//! for each size, and nothing to look at but its head. All else, and the chunks
//! that small blocks are cut from, is another allocator's.
//!
//! A block that is given back serves the next one of its size, so a batch takes
//! what is in use at a time, not what was asked for in all. Chunks are not
//! given back: an instance lives for one batch.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;

/// Sizes are multiples of this many bytes; so are addresses.
const GRAIN_BYTES: usize = 16;
/// The largest small block, in bytes: the body of a usual message is one.
const SMALL_BYTES_MAX: usize = 1024;
/// What small blocks are cut from, in bytes. An instance that needs few of them
/// touches few pages.
const CHUNK_BYTES: usize = 16 * 1024;
const CHUNK: Layout = match Layout::from_size_align(CHUNK_BYTES, GRAIN_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a chunk has a size and an alignment"),
};

/// Small blocks over an allocator of large ones. Not for several threads.
pub struct SmallBlocks<A> {
    large: A,
    small: UnsafeCell<Small>,
}

struct Small {
    /// The first free block of each size.
    free: [*mut Free; SMALL_BYTES_MAX / GRAIN_BYTES],
    /// What is left of the last chunk.
    chunk: *mut u8,
    chunk_bytes: usize,
}

/// A free block: its first bytes lead to the next one of its size.
struct Free {
    next: *mut Free,
}

impl<A> SmallBlocks<A> {
    /// Nothing is allocated before it is asked for.
    pub const fn over(large: A) -> Self {
        Self {
            large,
            small: UnsafeCell::new(Small {
                free: [ptr::null_mut(); _],
                chunk: ptr::null_mut(),
                chunk_bytes: 0,
            }),
        }
    }
}

/// The place of a small block's size among the sizes.
fn size(layout: Layout) -> Option<usize> {
    let small = layout.size() <= SMALL_BYTES_MAX && layout.align() <= GRAIN_BYTES;
    small.then(|| layout.size().saturating_sub(1) / GRAIN_BYTES)
}

impl<A: GlobalAlloc> SmallBlocks<A> {
    /// Cuts a block off the chunk. What is left of one that is too small for
    /// it, less than a small block, is lost.
    ///
    /// # Safety
    /// Nobody else uses `small` meanwhile.
    unsafe fn cut(&self, size: usize) -> *mut u8 {
        // SAFETY: promised by the caller.
        let small = unsafe { &mut *self.small.get() };
        let bytes = (size + 1) * GRAIN_BYTES;
        if small.chunk_bytes < bytes {
            // SAFETY: a chunk's size is not zero.
            let chunk = unsafe { self.large.alloc(CHUNK) };
            if chunk.is_null() {
                return chunk;
            }
            small.chunk = chunk;
            small.chunk_bytes = CHUNK_BYTES;
        }
        let block = small.chunk;
        // SAFETY: the chunk has so many bytes left.
        small.chunk = unsafe { block.add(bytes) };
        small.chunk_bytes -= bytes;
        block
    }
}

// SAFETY: a block is either free, in the list of its size, or handed out; it is
// as large and as aligned as any layout of its size. The lists are used by one
// thread, and by no call within another.
unsafe impl<A: GlobalAlloc> GlobalAlloc for SmallBlocks<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(size) = size(layout) else {
            // SAFETY: the same promises.
            return unsafe { self.large.alloc(layout) };
        };
        // SAFETY: one thread; what the list leads to is free.
        unsafe {
            let first = &mut (*self.small.get()).free[size];
            let block = *first;
            if block.is_null() {
                return self.cut(size);
            }
            *first = (*block).next;
            block.cast()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(size) = size(layout) else {
            // SAFETY: the same promises.
            return unsafe { self.large.dealloc(block, layout) };
        };
        // SAFETY: one thread; the block is of this size and no longer used.
        unsafe {
            let first = &mut (*self.small.get()).free[size];
            let block: *mut Free = block.cast();
            block.write(Free { next: *first });
            *first = block;
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if size(layout).is_none() {
            // SAFETY: the same promises.
            return unsafe { self.large.alloc_zeroed(layout) };
        }
        // SAFETY: the same promises; a block has the layout's size.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller promises that it is a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        match (size(layout), size(wanted)) {
            // SAFETY: the same promises.
            (None, None) => unsafe { self.large.realloc(block, layout, bytes) },
            (old, new) if old == new => block,
            // SAFETY: both blocks have as many bytes as are copied.
            _ => unsafe {
                let moved = self.alloc(wanted);
                if !moved.is_null() {
                    moved.copy_from_nonoverlapping(block, bytes.min(layout.size()));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::Cell;
    use std::alloc::System;
    use std::vec::Vec;

    use super::*;

    /// The system's allocator, which counts the bytes that it has given out.
    struct Counting {
        bytes: Cell<usize>,
    }

    // SAFETY: the system's.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.bytes.set(self.bytes.get() + layout.size());
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.bytes.set(self.bytes.get() - layout.size());
            unsafe { System.dealloc(block, layout) }
        }
    }

    fn blocks() -> SmallBlocks<Counting> {
        let bytes = Cell::new(0);
        SmallBlocks::over(Counting { bytes })
    }

    /// A block in use, and what each of its bytes holds.
    struct Used {
        block: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Used {
        fn new(block: *mut u8, layout: Layout, mark: u8) -> Self {
            assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
            unsafe { block.write_bytes(mark, layout.size()) };
            let used = Self {
                block,
                layout,
                mark,
            };
            assert!(used.is_whole(layout.size()));
            used
        }

        fn is_whole(&self, bytes: usize) -> bool {
            let held = unsafe { core::slice::from_raw_parts(self.block, bytes) };
            held.iter().all(|byte| *byte == self.mark)
        }
    }

    /// Blocks of all sizes, small and large, asked for, resized and given back
    /// without order: none ever shows another's bytes.
    #[test]
    fn no_block_overlaps_another() {
        let blocks = blocks();
        let mut used: Vec<Used> = Vec::new();
        let mut random = 1_u32;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (choice, bytes) = (random >> 30, 1 + (random >> 8) as usize % 1_500);
            let layout = Layout::from_size_align(bytes, 1 << (random >> 4 & 7)).unwrap();
            let place = (random >> 12) as usize % (used.len() + 1);
            if choice < 2 || place == used.len() {
                let block = unsafe { blocks.alloc(layout) };
                used.push(Used::new(block, layout, step as u8));
                continue;
            }
            let old = used.swap_remove(place);
            assert!(old.is_whole(old.layout.size()));
            if choice == 2 {
                unsafe { blocks.dealloc(old.block, old.layout) };
                continue;
            }
            let block = unsafe { blocks.realloc(old.block, old.layout, bytes) };
            let kept = bytes.min(old.layout.size());
            assert!(Used { block, ..old }.is_whole(kept));
            let layout = Layout::from_size_align(bytes, old.layout.align()).unwrap();
            used.push(Used::new(block, layout, step as u8));
        }
        assert!(used.len() > 1_000, "{} blocks in use", used.len());
        for old in used {
            assert!(old.is_whole(old.layout.size()));
            unsafe { blocks.dealloc(old.block, old.layout) };
        }
    }

    #[test]
    fn what_is_given_back_is_given_out_again() {
        let blocks = blocks();
        for bytes in [1, 16, 17, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1] {
            let layout = Layout::from_size_align(bytes, 8).unwrap();
            let before = blocks.large.bytes.get();
            for _ in 0..10_000 {
                unsafe { blocks.dealloc(blocks.alloc(layout), layout) };
            }
            let taken = blocks.large.bytes.get() - before;
            assert!(taken <= CHUNK_BYTES, "{taken} bytes for {bytes}");
        }
    }

    #[test]
    fn what_is_asked_for_as_zero_is_zero() {
        let blocks = blocks();
        for bytes in [24, SMALL_BYTES_MAX + 1] {
            let layout = Layout::from_size_align(bytes, 8).unwrap();
            let dirty = Used::new(unsafe { blocks.alloc(layout) }, layout, 0xff);
            unsafe { blocks.dealloc(dirty.block, layout) };
            let block = unsafe { blocks.alloc_zeroed(layout) };
            let mark = 0;
            let zeroed = Used {
                block,
                layout,
                mark,
            };
            assert!(zeroed.is_whole(bytes));
            unsafe { blocks.dealloc(block, layout) };
        }
    }
}
