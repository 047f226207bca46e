//! Undoing disguises: escapes, hexadecimal, base64.
//!
//! A guest may put them anywhere in a text and hide where they begin, so each
//! alignment is tried. What that costs is kept low by looking first whether a
//! place could be text in disguise at all: decoded, a hash is no text for long.

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::{form, sieve};

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
    /// The bytes in them that are not printable ASCII.
    pub(super) others: Others,
}

/// A set of bytes that are not printable ASCII.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others([u128; 2]);

impl Others {
    /// Adds those of a text, in either case.
    pub(super) fn add(&mut self, text: &str) {
        if text.bytes().all(is_printable) {
            return;
        }
        for text in [text, &text.to_lowercase(), &text.to_uppercase()] {
            for byte in text.bytes().filter(|&byte| !is_printable(byte)) {
                self.0[usize::from(byte >> 7)] |= 1 << (byte & 0x7f);
            }
        }
    }

    fn contain(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 7)] >> (byte & 0x7f) & 1 == 1
    }

    fn are_none(&self) -> bool {
        self.0 == [0, 0]
    }
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

impl Quarry {
    /// The fewest places in base64 from the first byte's to the last byte's:
    /// of four places, three begin a byte.
    fn sextets_min(self) -> usize {
        let between = self.bytes_min.saturating_sub(1) / 3;
        self.bytes_min.saturating_add(between)
    }

    /// The same in hexadecimal.
    fn digits_min(self) -> usize {
        self.bytes_min.saturating_mul(2).saturating_sub(1)
    }

    /// Whether a byte could be part of such a text, other separators included:
    /// those are printable.
    fn readable(self, byte: u8) -> bool {
        is_printable(byte) || self.others.contain(byte)
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

/// Shows each place that could be text in hexadecimal, decoded. What separates
/// the pairs is gone in the text's stripped form; `0x` before each is not.
pub(super) fn in_hex<T>(
    text: &[u8],
    stripped: &[u8],
    quarry: Quarry,
    mut show: impl FnMut(&[u8]) -> Option<T>,
) -> Option<T> {
    let found = in_pairs(stripped, quarry, &mut show);
    if found.is_some() || memchr2(b'x', b'X', text).is_none() {
        return found;
    }
    let mut form = Vec::new();
    form::strip(&without_hex_prefixes(text), &mut form);
    in_pairs(&form, quarry, &mut show)
}

/// The text without the `0x` that words begin with.
fn without_hex_prefixes(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut in_word = false;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match after {
            [b'x' | b'X', digits @ ..] if byte == b'0' && !in_word => digits,
            _ => {
                plain.push(byte);
                after
            }
        };
        in_word = byte.is_ascii_alphanumeric();
    }
    plain
}

fn in_pairs<T>(
    stripped: &[u8],
    quarry: Quarry,
    show: &mut impl FnMut(&[u8]) -> Option<T>,
) -> Option<T> {
    let nibble = |at: usize| stripped.get(at).map_or(NONE, |&c| digit(&HEX, c));
    let byte = |high: usize, low: usize| match (nibble(high), nibble(low)) {
        (NONE, _) | (_, NONE) => 0,
        (high, low) => high << 4 | low,
    };
    let ways = match quarry.others.are_none() {
        true => sieve::hex_ways(stripped, quarry.digits_min()),
        false => u8::MAX,
    };
    let ways = (0..2).filter(|way| ways >> way & 1 == 1);
    ways.flat_map(|alignment| [(alignment, false), (alignment, true)])
        .find_map(|(alignment, reversed)| {
            let byte = |pair: usize| {
                let high = alignment + 2 * pair;
                // Of a reversed text, the second digit of a pair comes first.
                match reversed {
                    false => byte(high, high + 1),
                    true => byte(high, high.wrapping_sub(1)),
                }
            };
            let pairs = (stripped.len() + 1).saturating_sub(alignment) / 2;
            let readable = |pair| quarry.readable(byte(pair));
            runs(pairs, quarry.bytes_min, readable, |run| {
                let mut bytes: Vec<u8> = run.map(byte).collect();
                if reversed {
                    bytes.reverse();
                }
                show(&bytes)
            })
        })
}

/// Shows each place that could be text in base64, decoded: of either alphabet,
/// at each alignment, and reversed. Line breaks, padding and other characters
/// in between do not count.
pub(super) fn in_base64<T>(
    text: &[u8],
    quarry: Quarry,
    mut show: impl FnMut(&[u8]) -> Option<T>,
) -> Option<T> {
    let is_digit = |c: &u8| c.is_ascii_alphanumeric() | matches!(*c, b'+' | b'-' | b'/' | b'_');
    let of_digits;
    let text = match form::is_stripped(text) || form::all(text, is_digit) {
        true => text,
        false => {
            of_digits = text.iter().copied().filter(is_digit).collect::<Vec<u8>>();
            &of_digits
        }
    };
    let ways = match quarry.others.are_none() {
        true => sieve::base64_ways(text, quarry.sextets_min()),
        false => u8::MAX,
    };
    let last = text.len().checked_sub(1)?;
    let digit = |at: usize| digit(&BASE64, text[at]);
    let ways = (0..8).filter(|way| ways >> way & 1 == 1);
    ways.map(|way| (way % 4, way / 4 == 1))
        .find_map(|(alignment, reversed)| match reversed {
            false => sextets(last, alignment, quarry, digit, &mut show),
            true => {
                // Counted from the other end.
                let alignment = (last + 4 - alignment) % 4;
                let digit = |at| digit(last - at);
                sextets(last, alignment, quarry, digit, &mut show)
            }
        })
}

/// The search over digits of six bits, of which four are three bytes: none of
/// them begins in the last digit of the text.
fn sextets<T>(
    last: usize,
    alignment: usize,
    quarry: Quarry,
    digit: impl Fn(usize) -> u8,
    show: &mut impl FnMut(&[u8]) -> Option<T>,
) -> Option<T> {
    let byte = |at: usize| match (at + 4 - alignment) % 4 {
        0 => Some(digit(at) << 2 | digit(at + 1) >> 4),
        1 => Some(digit(at) << 4 | digit(at + 1) >> 2),
        2 => Some(digit(at) << 6 | digit(at + 1)),
        // The last digit of four only ends a byte.
        _ => None,
    };
    let readable = |at| byte(at).is_none_or(|byte| quarry.readable(byte));
    runs(last, quarry.sextets_min(), readable, |run| {
        let bytes: Vec<u8> = run.filter_map(byte).collect();
        show(&bytes)
    })
}

/// The text with its escapes undone: those with a backslash, and `%41`. None
/// where it has none.
pub(super) fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mark = memchr2(b'%', b'\\', text)?;
    let backslashes = memchr(b'\\', &text[mark..]).is_some();
    Some(match backslashes {
        true => without_percents(&without_backslashes(text)),
        false => without_percents(text),
    })
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
