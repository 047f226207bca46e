//! Undoing disguises: escapes, hexadecimal, base64.
//!
//! A guest may put them anywhere in a text and hide where they begin, so each
//! alignment is tried. What that costs is kept low by looking first whether a
//! place could be text in disguise at all: decoded, a hash is no text for long.

use std::ops::Range;

/// Not a digit of the encoding.
const NONE: u8 = 0xff;

/// The digits of hexadecimal, either case.
const HEX: [u8; 256] = digits(&[b"0123456789abcdef", b"0123456789ABCDEF"]);
/// The digits of base64, both alphabets: no character has two meanings.
const BASE64: [u8; 256] = digits(&[
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
]);

const fn digits(alphabets: &[&[u8]; 2]) -> [u8; 256] {
    let mut digits = [NONE; 256];
    let mut value = 0;
    while value < alphabets[0].len() {
        digits[alphabets[0][value] as usize] = value as u8;
        digits[alphabets[1][value] as usize] = value as u8;
        value += 1;
    }
    digits
}

fn digit(digits: &[u8; 256], character: u8) -> u8 {
    digits[usize::from(character)]
}

/// What the bytes looked for are like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quarry {
    /// The fewest bytes of them all. What is shorter need not be decoded.
    pub(super) bytes_min: usize,
    /// Whether they are ASCII, all of them.
    pub(super) ascii: bool,
}

impl Quarry {
    /// Whether a byte could be part of such a text, separators included.
    fn readable(self, byte: u8) -> bool {
        matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r') || (byte >= 0x80 && !self.ascii)
    }
}

/// Finds the runs of at least `min` places, of `count` in all, that hold
/// throughout; `found` may end the search. A window is looked at from its end,
/// so that one place which does not hold rules out all windows that have it.
fn runs<T>(
    count: usize,
    min: usize,
    holds: impl Fn(usize) -> bool,
    mut found: impl FnMut(Range<usize>) -> Option<T>,
) -> Option<T> {
    let mut start = 0_usize;
    while start.saturating_add(min) <= count {
        if let Some(gap) = (start..start + min).rev().find(|&place| !holds(place)) {
            start = gap + 1;
            continue;
        }
        let end = (start + min..count)
            .find(|&place| !holds(place))
            .unwrap_or(count);
        if let Some(found) = found(start..end) {
            return Some(found);
        }
        start = end + 1;
    }
    None
}

/// Shows each place that could be text in hexadecimal, decoded. The text is to
/// be stripped, so what separated the pairs is gone.
pub(super) fn in_hex<T>(
    stripped: &[u8],
    quarry: Quarry,
    mut show: impl FnMut(&[u8]) -> Option<T>,
) -> Option<T> {
    let without_prefixes;
    let stripped = match stripped.contains(&b'x') {
        false => stripped,
        true => {
            without_prefixes = without_hex_prefixes(stripped);
            &without_prefixes
        }
    };
    let nibble = |at: usize| stripped.get(at).map_or(NONE, |&c| digit(&HEX, c));
    let byte = |high: usize, low: usize| match (nibble(high), nibble(low)) {
        (NONE, _) | (_, NONE) => 0,
        (high, low) => high << 4 | low,
    };
    for parity in 0..2 {
        let high = |pair: usize| parity + 2 * pair;
        let forward = |pair| byte(high(pair), high(pair) + 1);
        // The whole text may be reversed: the second digit comes first.
        let backward = |pair| byte(high(pair), high(pair).wrapping_sub(1));
        let readable = |pair| quarry.readable(forward(pair)) || quarry.readable(backward(pair));
        let count = (stripped.len() + 1).saturating_sub(parity) / 2;
        let found = runs(count, quarry.bytes_min, readable, |pairs| {
            let bytes: Vec<u8> = pairs.clone().map(forward).collect();
            show(&bytes).or_else(|| {
                let bytes: Vec<u8> = pairs.rev().map(backward).collect();
                show(&bytes)
            })
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

/// `0x31, 0x32` and `\x31\x32` are pairs too.
fn without_hex_prefixes(stripped: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(stripped.len());
    for &byte in stripped {
        match byte {
            b'x' if rest.last() == Some(&b'0') => drop(rest.pop()),
            b'x' => {}
            _ => rest.push(byte),
        }
    }
    rest
}

/// Shows each place that could be text in base64, decoded: of either alphabet,
/// at each alignment, and reversed. Line breaks, padding and other characters
/// in between do not count.
pub(super) fn in_base64<T>(
    text: &[u8],
    quarry: Quarry,
    mut show: impl FnMut(&[u8]) -> Option<T>,
) -> Option<T> {
    let is_digit = |c: &u8| digit(&BASE64, *c) != NONE;
    let of_digits;
    let text = match text.iter().all(is_digit) {
        true => text,
        false => {
            of_digits = text.iter().copied().filter(is_digit).collect::<Vec<u8>>();
            &of_digits
        }
    };
    let last = text.len().checked_sub(1)?;
    let forward = |at: usize| digit(&BASE64, text[at]);
    let backward = |at: usize| digit(&BASE64, text[last - at]);
    sextets(text.len(), quarry, forward, &mut show)
        .or_else(|| sextets(text.len(), quarry, backward, &mut show))
}

/// The search over `count` digits of six bits: four of them are three bytes.
fn sextets<T>(
    count: usize,
    quarry: Quarry,
    digit: impl Fn(usize) -> u8,
    show: &mut impl FnMut(&[u8]) -> Option<T>,
) -> Option<T> {
    let last = count.checked_sub(1)?;
    // A byte begins in each digit of four but the last one.
    let span = quarry
        .bytes_min
        .saturating_add(quarry.bytes_min.saturating_sub(1) / 3);
    let byte = |at: usize, alignment: usize| match (at + 4 - alignment) % 4 {
        0 => Some(digit(at) << 2 | digit(at + 1) >> 4),
        1 => Some(digit(at) << 4 | digit(at + 1) >> 2),
        2 => Some(digit(at) << 6 | digit(at + 1)),
        _ => None,
    };
    (0..4).find_map(|alignment| {
        let readable = |at| byte(at, alignment).is_none_or(|byte| quarry.readable(byte));
        runs(last, span, readable, |places| {
            let bytes: Vec<u8> = places.filter_map(|at| byte(at, alignment)).collect();
            show(&bytes)
        })
    })
}

/// The text with its escapes undone: `%41`, and those with a backslash. None
/// where it has none.
pub(super) fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let percent = text.contains(&b'%');
    let backslash = text.contains(&b'\\');
    match (percent, backslash) {
        (false, false) => None,
        (false, true) => Some(without_backslashes(text)),
        (true, false) => Some(without_percents(text)),
        (true, true) => Some(without_percents(&without_backslashes(text))),
    }
}

fn without_percents(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'%').then(|| number(after, 2)).flatten();
        plain.push(code.map_or(byte, |code| code as u8));
        rest = match code {
            Some(_) => &after[2..],
            None => after,
        };
    }
    plain
}

/// The text with JSON's escapes undone, and `\x41`, which other languages
/// have. What is no escape stays; half a surrogate pair is U+FFFD.
pub(super) fn without_backslashes(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let Some((&kind, after)) = after.split_first().filter(|_| byte == b'\\') else {
            plain.push(byte);
            continue;
        };
        rest = after;
        match kind {
            b'u' if let Some((letter, digits)) = utf16(after) => {
                plain.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &after[digits..];
            }
            b'x' if let Some(code) = number(after, 2) => {
                plain.push(code as u8);
                rest = &after[2..];
            }
            b'n' => plain.push(b'\n'),
            b't' => plain.push(b'\t'),
            b'r' => plain.push(b'\r'),
            b'b' => plain.push(0x08),
            b'f' => plain.push(0x0c),
            b'"' | b'\\' | b'/' => plain.push(kind),
            _ => plain.extend([byte, kind]),
        }
    }
    plain
}

/// The character of `XXXX` or `XXXX\uXXXX`, and how many bytes that takes.
fn utf16(text: &[u8]) -> Option<(char, usize)> {
    let first = number(text, 4)?;
    let second = match text.get(4..6) {
        Some(br"\u") => number(&text[6..], 4),
        _ => None,
    };
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    match pair {
        Some(letter) if letter > '\u{ffff}' => Some((letter, 10)),
        _ => {
            let single = char::from_u32(u32::from(first));
            Some((single.unwrap_or(char::REPLACEMENT_CHARACTER), 4))
        }
    }
}

/// The number that so many hexadecimal digits begin the text with.
fn number(text: &[u8], count: usize) -> Option<u16> {
    text.get(..count)?.iter().try_fold(0, |number, &character| {
        let digit = digit(&HEX, character);
        (digit != NONE).then(|| number << 4 | u16::from(digit))
    })
}
