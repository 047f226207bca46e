//! A version such as `2.3.0` as one number that keeps the order:
//! major × 1,000,000 + minor × 1,000 + patch. No two versions share a number.

use etl_transform::Reason;

/// The largest minor and patch: they have three digits' room each.
const MINOR_AND_PATCH_MAX: u64 = 999;

/// Reads a version of one to three parts; missing ones are 0.
///
/// # Errors
/// - `invalid`: a part that is no number (empty, signed, spaced, digits other
///   than ASCII's), or a fourth part;
/// - `out-of-range`: a minor or patch over 999, or a result over 2³¹ − 1, which
///   is what the column holds.
pub fn parse(version: &str) -> Result<i32, Reason> {
    let mut numbers = [0; 3];
    let mut parts = version.as_bytes().split(|byte| *byte == b'.');
    for (number, part) in numbers.iter_mut().zip(parts.by_ref()) {
        *number = parse_part(part)?;
    }
    if parts.next().is_some() {
        return Err(Reason::Invalid);
    }

    let [major, minor, patch] = numbers;
    if minor > MINOR_AND_PATCH_MAX || patch > MINOR_AND_PATCH_MAX {
        return Err(Reason::OutOfRange);
    }
    i32::try_from(1_000_000 * major + 1_000 * minor + patch).map_err(|_| Reason::OutOfRange)
}

/// More than any part may be, and what a number of many digits is read as.
const TOO_MUCH: u64 = 1_000_000;

/// Reads one part.
fn parse_part(part: &[u8]) -> Result<u64, Reason> {
    if part.is_empty() {
        return Err(Reason::Invalid);
    }
    part.iter().try_fold(0_u64, |number, byte| {
        if !byte.is_ascii_digit() {
            return Err(Reason::Invalid);
        }
        Ok((10 * number + u64::from(byte - b'0')).min(TOO_MUCH))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parts_make_one_number() {
        assert_eq!(parse("2.3.0"), Ok(2_003_000));
        assert_eq!(parse("7.45.123"), Ok(7_045_123));
        assert_eq!(parse("0.0.0"), Ok(0));
    }

    #[test]
    fn missing_parts_are_zero() {
        assert_eq!(parse("0.96"), Ok(96_000));
        assert_eq!(parse("4"), Ok(4_000_000));
    }

    #[test]
    fn numbers_keep_the_order_of_versions() {
        let versions = [
            "0.0.9", "0.0.10", "0.9.999", "0.10", "1", "1.0.1", "1.2.30", "1.23.0",
        ];
        let numbers = versions.map(|version| parse(version).expect(version));
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn leading_zeros_change_nothing() {
        assert_eq!(parse("02.003.000"), Ok(2_003_000));
        assert_eq!(parse("00000000000000000000000000001"), Ok(1_000_000));
    }

    #[test]
    fn a_part_that_is_no_number_is_invalid() {
        for version in [
            "",
            ".",
            "1.",
            ".1",
            "1..2",
            "x",
            "1.x",
            "1.2.3-rc1",
            "v1",
            "1,2",
            "0x1",
        ] {
            assert_eq!(parse(version), Err(Reason::Invalid), "{version}");
        }
    }

    #[test]
    fn signs_spaces_and_foreign_digits_are_invalid() {
        for version in [
            "-1", "+1", "1.-2", "1.+2", " 1", "1 ", "1. 2", "1\n", "1\0", "\u{661}", "\u{ff11}",
        ] {
            assert_eq!(parse(version), Err(Reason::Invalid), "{version:?}");
        }
    }

    #[test]
    fn a_fourth_part_is_invalid() {
        for version in ["1.2.3.4", "1.2.3.", "1.2.3.0", "1.2.3.x"] {
            assert_eq!(parse(version), Err(Reason::Invalid), "{version}");
        }
    }

    #[test]
    fn minor_and_patch_end_at_999() {
        assert_eq!(parse("1.999.999"), Ok(1_999_999));
        assert_eq!(parse("1.1000"), Err(Reason::OutOfRange));
        assert_eq!(parse("1.0.1000"), Err(Reason::OutOfRange));
    }

    #[test]
    fn the_number_ends_at_what_the_column_holds() {
        assert_eq!(parse("2147.483.647"), Ok(i32::MAX));
        assert_eq!(parse("2147.483.648"), Err(Reason::OutOfRange));
        assert_eq!(parse("2148"), Err(Reason::OutOfRange));
    }

    #[test]
    fn a_part_of_any_length_is_out_of_range_and_nothing_worse() {
        for version in [
            "99999999999999999999999",
            "1.99999999999999999999999",
            "18446744073709551617",
        ] {
            assert_eq!(parse(version), Err(Reason::OutOfRange), "{version}");
        }
    }

    #[test]
    fn what_is_no_version_is_invalid_whatever_its_numbers() {
        assert_eq!(parse("9999999.1.x"), Err(Reason::Invalid));
        assert_eq!(parse("1.1000.1.1"), Err(Reason::Invalid));
    }
}
