//! Dates and moments as RFC 3339 writes them, in the calendar of ISO 8601.

const SECS_PER_DAY: i64 = 24 * 60 * 60;

/// A date that the calendar has, in the years 0000 to 9999.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Date {
    /// The year.
    pub year: u16,
    /// The month, from 1.
    pub month: u8,
    day: u8,
}

impl Date {
    /// Reads a date, or the date of a moment in the moment's own offset.
    pub fn of(text: &str) -> Option<Self> {
        match text.get(DATE_BYTES..) {
            Some("") => Self::read(text),
            Some(_) => {
                moment(text)?;
                Self::read(&text[..DATE_BYTES])
            }
            None => None,
        }
    }

    /// Reads a date alone.
    pub fn read(text: &str) -> Option<Self> {
        let [year, month, day] = numbers(text, ['-', '-'])?;
        let [4, 2, 2] = [year, month, day].map(str::len) else {
            return None;
        };
        let date = Self {
            year: number(year)?,
            month: u8::try_from(number(month)?).ok()?,
            day: u8::try_from(number(day)?).ok()?,
        };
        let known = (1..=12).contains(&date.month) && (1..=date.month_days()).contains(&date.day);
        known.then_some(date)
    }

    fn month_days(self) -> u8 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if self.is_leap() => 29,
            2 => 28,
            _ => 31,
        }
    }

    fn is_leap(self) -> bool {
        self.year.is_multiple_of(4) && !self.year.is_multiple_of(100)
            || self.year.is_multiple_of(400)
    }

    /// Days since 1970-01-01. Years are counted from March, so that a leap day
    /// is the last of its year.
    pub fn days(self) -> i32 {
        let (month, day) = (i32::from(self.month), i32::from(self.day));
        let year = i32::from(self.year) - i32::from(month <= 2);
        let months_since_march = (month + 9) % 12;
        let days_before_month = (153 * months_since_march + 2) / 5;
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        // 719,468 days lie between the 1st of March of the year 0 and 1970.
        365 * year + leap_days + days_before_month + day - 1 - 719_468
    }
}

/// `YYYY-MM-DD`.
const DATE_BYTES: usize = 10;

/// Reads a moment with its offset: microseconds since 1970-01-01T00:00:00Z.
/// Parts of a second beyond a microsecond are dropped.
pub fn moment(text: &str) -> Option<i64> {
    let date = Date::read(text.get(..DATE_BYTES)?)?;
    let time = text.get(DATE_BYTES..)?.strip_prefix(['T', 't', ' '])?;
    let offset_at = time.find(['Z', 'z', '+', '-'])?;
    let (time, offset) = time.split_at(offset_at);
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, microseconds(fraction)?),
        None => (time, 0),
    };
    let [hours, minutes, seconds] = numbers(time, [':', ':'])?;
    let hours = two_digits(hours, 23)?;
    let minutes = two_digits(minutes, 59)?;
    // A leap second is the first of the next minute.
    let seconds = two_digits(seconds, 60)?;
    let of_day = (hours * 60 + minutes) * 60 + seconds;
    let since = i64::from(date.days()) * SECS_PER_DAY + of_day - offset_seconds(offset)?;
    Some(since * 1_000_000 + fraction)
}

fn offset_seconds(offset: &str) -> Option<i64> {
    let sign = match offset.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return (offset.len() == 1).then_some(0),
    };
    let (hours, minutes) = offset[1..].split_once(':')?;
    Some(sign * 60 * (60 * two_digits(hours, 23)? + two_digits(minutes, 59)?))
}

fn microseconds(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(6);
    Some(digits.fold(0, |number, digit| 10 * number + i64::from(digit - b'0')))
}

/// Three parts with these between them.
fn numbers(text: &str, between: [char; 2]) -> Option<[&str; 3]> {
    let (first, rest) = text.split_once(between[0])?;
    let (second, third) = rest.split_once(between[1])?;
    Some([first, second, third])
}

fn two_digits(text: &str, max: u16) -> Option<i64> {
    let number = number(text).filter(|number| text.len() == 2 && *number <= max)?;
    Some(i64::from(number))
}

/// Digits alone: no sign, no space.
fn number(digits: &str) -> Option<u16> {
    let digits_only = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_1970() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2026-11-23", 20_780),
            ("0000-03-01", -719_468),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(Date::read(text).expect(text).days(), days, "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before_it() {
        let mut last = Date::read("0000-01-01").expect("a date").days() - 1;
        for year in 0..=9999 {
            for month in 1..=12 {
                let first = Date {
                    year,
                    month,
                    day: 1,
                };
                for day in 1..=first.month_days() {
                    let days = Date { year, month, day }.days();
                    assert_eq!(days, last + 1, "{year}-{month}-{day}");
                    last = days;
                }
            }
        }
    }

    #[test]
    fn what_no_calendar_has_is_refused() {
        for text in [
            "",
            "2026",
            "2026-11",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "2100-02-29",
            "2026-11-31",
            "2026-11-00",
            "26-11-23",
            "2026-1-23",
            "+026-11-23",
            "2026-11-23 ",
            "2026/11/23",
            "\u{662}026-11-23",
            "20261123",
        ] {
            assert_eq!(Date::of(text), None, "{text:?}");
        }
    }

    #[test]
    fn moments_are_counted_in_utc() {
        for (text, moment_expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:01z", 1_000_000),
            ("2026-11-23 10:30:00.25+02:00", 1_795_422_600_250_000),
            ("1969-12-31T23:59:59.9999999-00:00", -1),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ] {
            assert_eq!(moment(text), Some(moment_expected), "{text}");
        }
        assert_eq!(
            Date::of("2026-11-23T23:30:00-05:00"),
            Date::read("2026-11-23")
        );
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "2026-11-23",
            "2026-11-23T10:30:00",
            "2026-11-23T24:00:00Z",
            "2026-11-23T10:60:00Z",
            "2026-11-23T10:30:61Z",
            "2026-11-23T10:30Z",
            "2026-11-23T10:30:00.Z",
            "2026-11-23T10:30:00.x5Z",
            "2026-11-23T10:30:00+2",
            "2026-11-23T10:30:00+24:00",
            "2026-11-23T10:30:00Zulu",
            "2026-11-23X10:30:00Z",
            "2026-02-30T10:30:00Z",
            "2026-11-23T1:30:00Z",
            "2026-11-2\u{e9}T10:30:00Z",
        ] {
            assert_eq!(moment(text), None, "{text:?}");
            assert_eq!(Date::of(text), Date::read(text), "{text:?}");
        }
    }
}
