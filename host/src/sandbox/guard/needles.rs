//! Many needles, one search: Wu and Manber's, which looks at every few bytes
//! only. A bigram that stands in no needle lets the search jump past it.

use std::ops::ControlFlow::{self, Break, Continue};

use super::Stop;
use super::budget::Budget;

/// The needles, and the tables to find them by.
pub(super) struct Needles {
    bytes: Vec<u8>,
    needles: Vec<Needle>,
    /// How far to go on from a bigram, by its hash.
    jumps: [u8; BIGRAMS],
    bytes_min: usize,
}

struct Needle {
    /// Its first bytes: needles are in this order.
    head: u32,
    start: usize,
    end: usize,
    field: usize,
}

/// The hashes of bigrams: few enough to be set to the start for each message.
const BIGRAMS: usize = 256;
/// A jump is a byte.
const JUMP_MAX: usize = 255;
/// The bytes of a needle's head. No needle is shorter.
const HEAD_BYTES: usize = 4;
/// Units of the budget for each needle that is compared with a place, beside
/// one for each 16 of its bytes.
const NEEDLE_UNITS: usize = 4;

impl Needles {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            needles: Vec::new(),
            jumps: [0; BIGRAMS],
            bytes_min: usize::MAX,
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.needles.clear();
        self.bytes_min = usize::MAX;
    }

    /// Adds a needle of at least four bytes.
    pub(super) fn add(&mut self, field: usize, needle: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(needle);
        self.needles.push(Needle {
            head: head(needle),
            start,
            end: self.bytes.len(),
            field,
        });
        self.bytes_min = self.bytes_min.min(needle.len());
    }

    /// The fewest bytes of a needle; where there is none, more than any text's.
    pub(super) fn bytes_min(&self) -> usize {
        self.bytes_min
    }

    pub(super) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Makes the tables, once all needles are there.
    pub(super) fn ready(&mut self) {
        if self.needles.is_empty() {
            return;
        }
        self.needles.sort_unstable_by_key(|needle| needle.head);
        let window = self.window();
        self.jumps = [(window - 1) as u8; BIGRAMS];
        for needle in &self.needles {
            let begin = &self.bytes[needle.start..needle.start + window];
            for (place, bigram) in begin.windows(2).enumerate() {
                let jump = &mut self.jumps[hash(bigram[0], bigram[1])];
                *jump = (*jump).min((window - 2 - place) as u8);
            }
        }
    }

    /// How much of each needle the tables know.
    fn window(&self) -> usize {
        self.bytes_min.min(JUMP_MAX)
    }

    /// Stops at a needle that stands in the text. Of the budget, it takes what
    /// it costs to compare needles; whoever calls it pays for the text.
    pub(super) fn find(&self, text: &[u8], budget: &Budget) -> ControlFlow<Stop> {
        if text.len() < self.bytes_min {
            return Continue(());
        }
        let window = self.window();
        let mut last = window - 1;
        while let Some(&byte) = text.get(last) {
            match usize::from(self.jumps[hash(text[last - 1], byte)]) {
                0 => {
                    self.at(&text[last + 1 - window..], budget)?;
                    last += 1;
                }
                jump => last += jump,
            }
        }
        Continue(())
    }

    /// Stops at a needle that the text begins with. Many may begin alike.
    fn at(&self, text: &[u8], budget: &Budget) -> ControlFlow<Stop> {
        let head = head(text);
        let first = self.needles.partition_point(|needle| needle.head < head);
        let alike = self.needles[first..].iter();
        for needle in alike.take_while(|needle| needle.head == head) {
            let bytes = &self.bytes[needle.start..needle.end];
            budget.spend(NEEDLE_UNITS + bytes.len() / 16)?;
            if text.starts_with(bytes) {
                return Break(Stop::Leak(needle.field));
            }
        }
        Continue(())
    }
}

fn head(bytes: &[u8]) -> u32 {
    let first = bytes.first_chunk::<HEAD_BYTES>();
    first.map_or(0, |head| u32::from_be_bytes(*head))
}

fn hash(first: u8, second: u8) -> usize {
    usize::from(first.wrapping_mul(31).wrapping_add(second))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(needles: &[&[u8]], text: &[u8]) -> Option<usize> {
        let mut searched = Needles::new();
        for (field, needle) in needles.iter().enumerate() {
            searched.add(field, needle);
        }
        searched.ready();
        match searched.find(text, &Budget::default()) {
            Break(Stop::Leak(field)) => Some(field),
            _ => None,
        }
    }

    #[test]
    fn a_needle_is_found_wherever_it_stands() {
        let needles: [&[u8]; 3] = [b"abcd", b"203011", &[b'x'; 600]];
        for (field, needle) in needles.iter().enumerate() {
            for before in 0..9 {
                let text = [&b"cb30.0cbd"[..before], needle, b"cd"].concat();
                assert_eq!(found(&needles, &text), Some(field));
                let cut = [&b"cb30.0cbd"[..before], &needle[1..], b"c"].concat();
                assert_eq!(found(&needles[field..=field], &cut), None);
            }
        }
        assert_eq!(found(&[], b"anything"), None);
    }

    proptest! {
        /// Over three letters, so that needles overlap and nearly stand there.
        #[test]
        fn what_stands_in_a_text_is_found_and_nothing_else(
            needles in prop::collection::vec("[abc]{4,9}", 1..6),
            text in "[abc]{0,60}",
        ) {
            let needles: Vec<&[u8]> = needles.iter().map(|needle| needle.as_bytes()).collect();
            let stands = |needle: &&[u8]| text.as_bytes().windows(needle.len()).any(|w| w == *needle);
            match found(&needles, text.as_bytes()) {
                Some(field) => prop_assert!(stands(&needles[field])),
                None => prop_assert!(!needles.iter().any(stands)),
            }
        }
    }
}
