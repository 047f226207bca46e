//! Bytes as text, for hashes.

use alloc::{string::String, vec};

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; 2 * bytes.len()];
    let (pairs, _) = digits.as_chunks_mut();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
    // They are ASCII.
    String::from_utf8(digits).unwrap_or_default()
}

/// Without a table or a branch, so that many bytes are done at a time.
fn digit(value: u8) -> u8 {
    let letter = u8::from(value > 9);
    value + b'0' + letter * (b'a' - b'0' - 10)
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn each_byte_is_two_digits() {
        assert_eq!(hex(b""), "");
        assert_eq!(hex(&[0x00, 0x09, 0x9a, 0xaf, 0xf0, 0xff]), "00099aaff0ff");
    }
}
