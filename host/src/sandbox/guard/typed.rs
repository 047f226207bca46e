//! Values that are no text: a number, a day or a moment may be a sensitive
//! value too, and is one only as a whole.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// The longest text that is a day and nothing else: `1987-03-04`.
const DAY_BYTES_MAX: usize = 10;

/// Whether the text is this whole number: by its digits, whatever separates
/// them and in either order, or by its value (`7.0`, `1e3`). The sign does not
/// count, and neither do leading zeros.
pub(super) fn is_integer(text: &str, integer: i64) -> bool {
    let digits = text.bytes().filter(|byte| !byte.is_ascii_punctuation());
    same_digits(digits.clone().rev(), integer)
        || same_digits(digits, integer)
        || is_float(text, integer as f64)
}

/// Whether these are the number's digits, the last one first.
fn same_digits(mut digits: impl Iterator<Item = u8>, integer: i64) -> bool {
    let mut rest = integer.unsigned_abs();
    let mut any = false;
    let same = digits.all(|byte| {
        any = true;
        let same = u64::from(byte) == u64::from(b'0') + rest % 10;
        rest /= 10;
        same
    });
    any && same && rest == 0
}

/// Whether the text is this number.
pub(super) fn is_float(text: &str, float: f64) -> bool {
    // What could be none is not parsed, and no word is: `inf` is text.
    let points = text.bytes().filter(|&byte| byte == b'.').count();
    let begins = text
        .as_bytes()
        .first()
        .is_some_and(|byte| !byte.is_ascii_alphabetic());
    points <= 1 && begins && text.parse() == Ok(float)
}

/// Whether the text is this day: year, month and day, or their reverse, or
/// with the month first.
pub(super) fn is_day(text: &str, days: i32) -> bool {
    text.len() <= DAY_BYTES_MAX
        && Numbers::of(text)
            .is_some_and(|numbers| numbers.rest.is_empty() && numbers.begin_with(i64::from(days)))
}

/// Whether the text is this moment, to the second: a day and the time of day,
/// in UTC, or the number of seconds, milliseconds or microseconds since 1970.
pub(super) fn is_moment(text: &str, micros: i64) -> bool {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let clock = [of_day / 3_600, of_day / 60 % 60, of_day % 60];
    let counts = [micros, micros.div_euclid(1_000), seconds];
    let counted = text.parse().is_ok_and(|count: i64| counts.contains(&count));
    counted
        || Numbers::of(text).is_some_and(|numbers| {
            let shown = numbers.rest.iter().copied().chain([0; 3]);
            numbers.begin_with(seconds.div_euclid(SECONDS_PER_DAY)) && shown.take(3).eq(clock)
        })
}

/// The numbers in a text.
struct Numbers {
    /// The first three, with their digits counted: a date, if they are one.
    date: [(i64, usize); 3],
    rest: Vec<i64>,
}

impl Numbers {
    /// None where there are fewer than three. Eight digits together count as a
    /// date.
    fn of(text: &str) -> Option<Self> {
        let groups: Vec<&str> = text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|digits| !digits.is_empty())
            .collect();
        let (date, rest) = match groups.as_slice() {
            [date, rest @ ..] if date.len() == 8 => ([&date[..4], &date[4..6], &date[6..]], rest),
            [first, second, third, rest @ ..] => ([*first, *second, *third], rest),
            _ => return None,
        };
        let number = |digits: &str| digits.parse().ok();
        let [first, second, third] = date.map(|digits| Some((number(digits)?, digits.len())));
        Some(Self {
            date: [first?, second?, third?],
            rest: rest
                .iter()
                .map(|digits| number(digits))
                .collect::<Option<_>>()?,
        })
    }

    /// Whether they begin with this day. The year is the one of four digits.
    fn begin_with(&self, days: i64) -> bool {
        let (year, month, day) = civil(days);
        let [first, second, third] = self.date;
        match first == (year, 4) {
            true => (second.0, third.0) == (month, day),
            false => {
                third == (year, 4) && [(day, month), (month, day)].contains(&(first.0, second.0))
            }
        }
    }
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant's
/// `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_by_its_digits_and_by_its_value() {
        for text in [
            "900121234",
            "900-12-1234",
            "0900121234",
            "4321-21-009",
            "-900121234",
        ] {
            assert!(is_integer(text, 900_121_234), "{text}");
        }
        assert!(is_integer("7.0", 7) && is_integer("1e3", 1_000) && is_integer("0", 0));
        assert!(is_integer("9223372036854775808", i64::MIN));
        for text in [
            "90012123",
            "9001212345",
            "a900121234",
            "9\u{e9}00121234",
            "-",
            "99999999999999999999",
        ] {
            assert!(
                !is_integer(text, 900_121_234) && !is_integer(text, 0),
                "{text}"
            );
        }
        assert!(is_float("52.520008", 52.520_008) && is_float("1.50", 1.5));
        assert!(!is_float("inf", f64::INFINITY) && !is_float("1.5x", 1.5));
    }

    #[test]
    fn a_day_is_known_however_it_is_written() {
        // 1987-03-04 and 2000-02-29.
        for text in [
            "1987-03-04",
            "1987/3/4",
            "19870304",
            "04.03.1987",
            "03/04/1987",
        ] {
            assert!(is_day(text, 6_271), "{text}");
        }
        assert!(is_day("2000-02-29", 11_016) && is_day("1969-12-31", -1));
        for text in [
            "1987-03-05",
            "1987-03-04T00:00",
            "87-03-04",
            "19.87.03.04",
            "1987",
            "",
        ] {
            assert!(!is_day(text, 6_271), "{text}");
        }
    }

    #[test]
    fn a_moment_is_known_to_the_second() {
        // 1987-03-04T05:06:07Z
        let micros = 541_832_767_000_000;
        for text in [
            "1987-03-04T05:06:07Z",
            "1987-03-04 05:06:07.123",
            "541832767",
            "541832767000",
        ] {
            assert!(is_moment(text, micros), "{text}");
        }
        assert!(is_moment("1987-03-04", 541_814_400_000_000));
        for text in [
            "1987-03-04",
            "1987-03-04T05:06:08Z",
            "05:06:07",
            "541832768",
        ] {
            assert!(!is_moment(text, micros), "{text}");
        }
    }
}
