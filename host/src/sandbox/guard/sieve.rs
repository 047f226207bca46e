//! Whether a text could hold readable text in hexadecimal or base64 at all.
//!
//! Hashes and ids cannot, as a rule, and they are what honest rows are made of.
//! So all places, alignments and directions are tried at once, a bit each, over
//! a block of bytes, by loops that the compiler does many bytes at a time. The
//! answer may be a wrong yes, never a wrong no.

/// The places that are tried in one go.
const BLOCK: usize = 64;
/// The longest run that is looked for. A longer one has such a run in it.
const WIDTH_MAX: usize = 16;
/// A block, and the places that a run from its last place takes.
const PLACES: usize = BLOCK + WIDTH_MAX;

/// A byte for each place, and for as many more as a look ahead may go.
type Places = [u8; PLACES + WIDTH_MAX];

const NO_PLACE: Places = [0; PLACES + WIDTH_MAX];

/// The ways in which readable text could stand there in hexadecimal, over
/// `width` places: a bit each for the two places of a pair where the digit that
/// counts for sixteen may stand.
pub(super) fn hex_ways(stripped: &[u8], width: usize) -> u8 {
    const HIGH: Places = pattern([0b01, 0b10]);
    const LOW: Places = pattern([0b10, 0b01]);
    any_run(
        stripped,
        width,
        |character| character,
        |_, characters, _| {
            let mut bits = NO_PLACE;
            for place in 0..PLACES {
                let high = characters[place].wrapping_sub(b'2') < 6;
                bits[place] = 0_u8.wrapping_sub(u8::from(high)) & HIGH[place] | LOW[place];
            }
            bits
        },
    )
}

/// The ways in which readable text could stand there in base64, over `width`
/// places: a bit each for the four alignments, and for the four reversed. The
/// text is of its digits alone.
pub(super) fn base64_ways(digits: &[u8], width: usize) -> u8 {
    // Of four digits, the first three begin a byte each. For each alignment
    // and direction a bit, at the places of the first, second and third digit;
    // the fourth lets pass.
    const FIRST: Places = pattern([0b0001, 0b0010, 0b0100, 0b1000]);
    const SECOND: Places = pattern([0b1000, 0b0001, 0b0010, 0b0100]);
    const THIRD: Places = pattern([0b0100, 0b1000, 0b0001, 0b0010]);
    const FOURTH: Places = pattern([0b0010, 0b0100, 0b1000, 0b0001]);
    any_run(digits, width, base64_digit, |before, digits, after| {
        let mut bits = NO_PLACE;
        for place in 0..PLACES {
            let (digit, after, before) = (digits[place], after[place], before[place]);
            let forward = readable(digit << 2 | after >> 4) & FIRST[place]
                | readable(digit << 4 | after >> 2) & SECOND[place]
                | readable(digit << 6 | after) & THIRD[place]
                | FOURTH[place];
            // Reversed, the second and the fourth change places.
            let backward = readable(digit << 2 | before >> 4) & FIRST[place]
                | readable(digit << 4 | before >> 2) & FOURTH[place]
                | readable(digit << 6 | before) & THIRD[place]
                | SECOND[place];
            bits[place] = forward | backward << 4;
        }
        bits
    })
}

/// The bits, again and again.
const fn pattern<const N: usize>(bits: [u8; N]) -> Places {
    let mut pattern = NO_PLACE;
    let mut place = 0;
    while place < PLACES {
        pattern[place] = bits[place % N];
        place += 1;
    }
    pattern
}

/// The bits that are set at `width` places on end, anywhere in the text. They
/// are given by each place's digit, with those before and after it.
fn any_run(
    text: &[u8],
    width: usize,
    digit: impl Fn(u8) -> u8,
    bits: impl Fn(&Places, &Places, &Places) -> Places,
) -> u8 {
    let width = width.clamp(1, WIDTH_MAX);
    let mut found = 0;
    for start in (0..text.len()).step_by(BLOCK) {
        // One place more at either side.
        let mut digits = [0; PLACES + WIDTH_MAX + 2];
        let from = start.saturating_sub(1);
        let block = &text[from..text.len().min(start + PLACES + 1)];
        digits[from + 1 - start..][..block.len()].copy_from_slice(block);
        for character in &mut digits {
            *character = digit(*character);
        }
        let at = |skipped: usize| digits[skipped..].first_chunk().unwrap_or(&NO_PLACE);
        let runs = on_end(bits(at(0), at(1), at(2)), width);
        found = runs[..BLOCK].iter().fold(found, |found, bits| found | bits);
    }
    found
}

/// The bits that are set at each of `width` places from there on.
fn on_end(bits: Places, width: usize) -> Places {
    let mut runs = bits;
    let mut done = 1;
    while 2 * done <= width {
        runs = both(&runs, done);
        done *= 2;
    }
    both(&runs, width - done)
}

/// The bits that are set both at a place and so far ahead of it.
fn both(bits: &Places, ahead: usize) -> Places {
    let mut both = NO_PLACE;
    let shifted = &bits[ahead..][..PLACES];
    for place in 0..PLACES {
        both[place] = bits[place] & shifted[place];
    }
    both
}

/// All bits where the byte could be part of an ASCII text.
fn readable(byte: u8) -> u8 {
    0_u8.wrapping_sub(u8::from(byte.wrapping_sub(b' ') < 0x60))
}

/// A digit's value in either alphabet, and 63 where it is none.
fn base64_digit(character: u8) -> u8 {
    match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    }
}
