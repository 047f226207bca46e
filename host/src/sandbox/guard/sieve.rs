//! Whether a text could hold readable text in hexadecimal or base64 at all.
//!
//! Hashes and ids cannot, as a rule, and they are what honest rows are made of.
//! So all places, alignments and directions are tried at once: each place is a
//! bit, and the answers to a question that is asked of each digit are a number
//! of 64 such bits. The answer may be a wrong yes, never a wrong no.

use wide::u8x16;

/// A bit for each of so many places of the text, from one on.
type Places = u64;
const PLACES: usize = Places::BITS as usize;

/// The longest run that is looked for. A longer one has such a run in it.
const WIDTH_MAX: usize = 16;
/// How far one look begins after the other. What is cut off at the end of one
/// stands in the next one whole, with the places before and after it.
const STEP: usize = PLACES - 2 * WIDTH_MAX;
/// The characters that are looked at together.
const LANES: usize = 16;

const EVERY_SECOND: Places = Places::MAX / 0b11;
const EVERY_FOURTH: Places = Places::MAX / 0b1111;

/// The ways in which readable text could stand there in hexadecimal, over
/// `width` places: a bit each for the two places of a pair where the digit that
/// counts for sixteen may stand.
pub(super) fn hex_ways(stripped: &[u8], width: usize) -> u8 {
    // Of a readable byte, the first digit is 2 to 7.
    let is_first = |characters: u8x16| {
        let digits = characters - u8x16::splat(b'2');
        [digits.simd_lt(u8x16::splat(6))]
    };
    let mut ways = 0;
    for text in looks(stripped) {
        let [first] = answers(text, is_first);
        for way in 0..2 {
            let firsts = EVERY_SECOND << way;
            ways |= u8::from(has_run(first & firsts | !firsts, width)) << way;
        }
    }
    ways
}

/// The ways in which readable text could stand there in base64, over `width`
/// places: a bit each for the four alignments, and for the four reversed. The
/// text is of its digits alone.
pub(super) fn base64_ways(digits: &[u8], width: usize) -> u8 {
    // What a digit has for 32, 16 and so on.
    let six_bits = |characters: u8x16| {
        let d = base64_digits(characters);
        [d << 2, d << 3, d << 4, d << 5, d << 6, d << 7]
    };
    let mut ways = 0;
    for text in looks(digits) {
        let [d5, d4, d3, d2, d1, d0] = answers(text, six_bits);
        // A byte is readable where its first bit is not set and one of the two
        // after it is. Of four digits, the first three begin a byte each; the
        // third one's byte has two bits of its own, and more of the next one.
        let first = !d5 & (d4 | d3);
        let second = !d3 & (d2 | d1);
        let third = !d1 & (d0 | d5 >> 1);
        let third_reversed = !d1 & (d0 | d5 << 1);
        for way in 0..4 {
            let of = |place: u32| EVERY_FOURTH.rotate_left(way + place);
            // The fourth only ends a byte. Reversed, it changes places with
            // the second.
            let forward = first & of(0) | second & of(1) | third & of(2) | of(3);
            let reversed = first & of(0) | of(1) | third_reversed & of(2) | second & of(3);
            ways |= u8::from(has_run(forward, width)) << way;
            ways |= u8::from(has_run(reversed, width)) << (way + 4);
        }
    }
    ways
}

/// The parts of a text that are looked at, one after the other.
fn looks(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let last = text.len().saturating_sub(STEP).max(1);
    let starts = (0..last).step_by(STEP);
    starts.map(|start| &text[start..text.len().min(start + PLACES)])
}

/// What `ask` answers to each character, by the first bit of each byte of its
/// answers. It is asked sixteen characters at a time, zeros beyond the end.
#[inline]
fn answers<const N: usize>(text: &[u8], ask: impl Fn(u8x16) -> [u8x16; N]) -> [Places; N] {
    let mut answers = [[0; size_of::<Places>()]; N];
    for (place, some) in text.chunks(LANES).enumerate() {
        let characters = some.first_chunk().copied().unwrap_or_else(|| {
            let mut filled = [0; LANES];
            filled[..some.len()].copy_from_slice(some);
            filled
        });
        for (answer, sixteen) in answers.iter_mut().zip(ask(u8x16::from(characters))) {
            let (bits, _) = answer.as_chunks_mut();
            bits[place] = (sixteen.to_bitmask() as u16).to_le_bytes();
        }
    }
    answers.map(Places::from_le_bytes)
}

/// Whether `width` bits on end are set.
fn has_run(bits: Places, width: usize) -> bool {
    let width = width.clamp(1, WIDTH_MAX);
    let mut runs = bits;
    let mut done = 1;
    while 2 * done <= width {
        runs &= runs >> done;
        done *= 2;
    }
    runs & runs >> (width - done) != 0
}

/// The digits' values in either alphabet, and 63 where it is none.
#[inline]
fn base64_digits(characters: u8x16) -> u8x16 {
    let range = |from: u8, to: u8, value: u8| {
        let place = characters - u8x16::splat(from);
        let is = place.simd_le(u8x16::splat(to - from));
        (is, is & (place + u8x16::splat(value)))
    };
    let (upper, a) = range(b'A', b'Z', 0);
    let (lower, b) = range(b'a', b'z', 26);
    let (digit, c) = range(b'0', b'9', 52);
    let is = |one: u8| characters.simd_eq(u8x16::splat(one));
    let plus = (is(b'+') | is(b'-')) & u8x16::splat(1);
    let none = !(upper | lower | digit) & u8x16::splat(63);
    a | b | c | (none - plus)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn longest_run(holds: impl Iterator<Item = bool>) -> usize {
        let mut run = 0;
        let runs = holds.map(|holds| {
            run = if holds { run + 1 } else { 0 };
            run
        });
        runs.max().unwrap_or(0)
    }

    /// Whether the bytes that begin in each place are readable, the last place
    /// aside, in which none does: digit by digit, as the encoding is defined.
    fn readable(digits: &[u8], alignment: usize) -> impl Iterator<Item = bool> {
        digits.windows(2).enumerate().map(move |(place, pair)| {
            let byte = match (place + 4 - alignment) % 4 {
                0 => pair[0] << 2 | pair[1] >> 4,
                1 => pair[0] << 4 | pair[1] >> 2,
                2 => pair[0] << 6 | pair[1],
                _ => return true,
            };
            (b' '..0x80).contains(&byte)
        })
    }

    proptest! {
        #[test]
        fn no_run_in_base64_is_overlooked(text in "[A-Za-z0-9+/]{1,200}", width in 1..=WIDTH_MAX) {
            let ways = base64_ways(text.as_bytes(), width);
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let value = |digit: char| alphabet.find(digit).unwrap() as u8;
            let digits: Vec<u8> = text.chars().map(value).collect();
            let reversed: Vec<u8> = digits.iter().rev().copied().collect();
            for alignment in 0..4 {
                let forward = longest_run(readable(&digits, alignment)) >= width;
                let counted_back = (digits.len() + 3 - alignment) % 4;
                let backward = longest_run(readable(&reversed, counted_back)) >= width;
                prop_assert!(!forward || ways >> alignment & 1 == 1, "at {alignment}");
                prop_assert!(!backward || ways >> (4 + alignment) & 1 == 1, "back at {alignment}");
            }
        }

        #[test]
        fn no_run_in_hexadecimal_is_overlooked(text in "[0-9a-f]{1,200}", width in 1..=WIDTH_MAX) {
            let ways = hex_ways(text.as_bytes(), width);
            for first in 0..2 {
                let holds = text.bytes().enumerate().map(|(place, digit)| {
                    place % 2 != first || (b'2'..=b'7').contains(&digit)
                });
                prop_assert!(longest_run(holds) < width || ways >> first & 1 == 1, "at {first}");
            }
        }
    }

    #[test]
    fn a_hash_is_ruled_out() {
        let hash = b"a6d0e2f27f6111e10b06790db42f34123e724aa0fd24b280f4a0ef5ee986784c";
        assert_eq!((hex_ways(hash, 15), base64_ways(hash, 10)), (0, 0));
    }
}
