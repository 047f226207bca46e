//! The two forms in which values and texts are compared.
//!
//! *Written*: lower case, all else as it is. *Stripped*: also without all that
//! is neither letter nor digit, so that separators do not matter, whether they
//! are removed, changed or added.

/// How many bytes are looked at together: a loop without a way out is done
/// many bytes at a time.
const CHUNK_BYTES: usize = 64;

/// Whether these bytes are their own stripped form, as hashes in lower-case
/// hexadecimal are.
pub(super) fn is_stripped(bytes: &[u8]) -> bool {
    all(bytes, |byte| {
        byte.is_ascii_digit() | byte.is_ascii_lowercase()
    })
}

/// Whether it holds for all bytes, which is asked without a branch.
pub(super) fn all(bytes: &[u8], holds: impl Fn(&u8) -> bool) -> bool {
    bytes
        .chunks(CHUNK_BYTES)
        .all(|chunk| chunk.iter().fold(true, |all, byte| all & holds(byte)))
}

/// Puts the stripped form into `form`.
pub(super) fn strip(bytes: &[u8], form: &mut Vec<u8>) {
    form.clear();
    if bytes.is_ascii() {
        // Written at the end each time, and kept where it counts: no branch.
        form.resize(bytes.len(), 0);
        let mut kept = 0;
        for &byte in bytes {
            form[kept] = byte.to_ascii_lowercase();
            kept += usize::from(byte.is_ascii_alphanumeric());
        }
        form.truncate(kept);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        let letters = chunk.valid().chars().filter(|c| c.is_alphanumeric());
        letters.for_each(|letter| push_lower(letter, form));
    }
}

/// Puts the written form into `form`.
pub(super) fn lower(bytes: &[u8], form: &mut Vec<u8>) {
    form.clear();
    if bytes.is_ascii() {
        form.extend(bytes.iter().map(u8::to_ascii_lowercase));
        return;
    }
    for chunk in bytes.utf8_chunks() {
        let letters = chunk.valid().chars();
        letters.for_each(|letter| push_lower(letter, form));
        form.extend(chunk.invalid());
    }
}

/// Puts the text into `form`, the last character first.
pub(super) fn reverse(text: &str, form: &mut Vec<u8>) {
    form.clear();
    text.chars().rev().for_each(|letter| push(letter, form));
}

/// By way of upper case, where some letters meet that lower case tells apart.
fn push_lower(letter: char, form: &mut Vec<u8>) {
    letter
        .to_uppercase()
        .flat_map(char::to_lowercase)
        .for_each(|letter| push(letter, form));
}

fn push(letter: char, form: &mut Vec<u8>) {
    form.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(bytes: &[u8]) -> Vec<u8> {
        let mut form = Vec::new();
        strip(bytes, &mut form);
        form
    }

    #[test]
    fn letters_and_digits_are_what_is_left() {
        assert_eq!(stripped(b"Device-7_A (B)"), b"device7ab");
        assert_eq!(
            stripped("Ünï–\u{c9}\u{1f642}".as_bytes()),
            "ünïé".as_bytes()
        );
        assert_eq!(stripped(b"\xff2\x000\xe23"), b"203");
        assert_eq!(stripped("Stra\u{df}e".as_bytes()), b"strasse");
        assert_eq!(stripped(b"... "), b"");
    }

    #[test]
    fn what_is_stripped_is_known() {
        let hash = "0123456789abcdef".repeat(9);
        assert!(is_stripped(hash.as_bytes()) && is_stripped(b""));
        for other in [
            "A",
            "a-b",
            "\u{e9}",
            &format!("{hash}."),
            &format!("{hash}Z"),
        ] {
            assert!(!is_stripped(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn lower_case_keeps_the_separators() {
        let mut form = Vec::new();
        lower(b"A-b.C", &mut form);
        assert_eq!(form, b"a-b.c");
        lower("\u{c4}-b\u{1f642}".as_bytes(), &mut form);
        assert_eq!(form, "\u{e4}-b\u{1f642}".as_bytes());
        lower(b"A\xff\xc4B", &mut form);
        assert_eq!(form, b"a\xff\xc4b");
    }
}
