//! Hexadecimal text and bytes.

/// The bytes of a text of hexadecimal digits, two each, in either case. None
/// where it is anything else.
pub(crate) fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let (pairs, rest) = digits.as_ref()?.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    rest.is_empty().then_some(bytes)
}

/// Whether a text is these bytes in hexadecimal, in either case.
pub(crate) fn is_hex_of(hex: &str, bytes: &[u8]) -> bool {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let is = |([high, low], byte): (&[u8; 2], &u8)| {
        digit(*high) == Some(u32::from(byte >> 4)) && digit(*low) == Some(u32::from(byte & 15))
    };
    rest.is_empty() && pairs.len() == bytes.len() && pairs.iter().zip(bytes).all(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_compared_with_their_digits() {
        assert!(is_hex_of("00aFf0", &[0, 0xaf, 0xf0]));
        for other in ["00aff1", "00af", "00aff000", "00aff", "00afg0", ""] {
            assert!(!is_hex_of(other, &[0, 0xaf, 0xf0]), "{other}");
        }
    }
}
