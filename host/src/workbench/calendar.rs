//! Days and moments, as people write them and as rows have them.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};
use toml::value::{Datetime, Offset};

/// The Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;

/// Days since 1970-01-01 of a date without a time.
pub(super) fn days(written: &Datetime) -> Option<i32> {
    match written {
        Datetime {
            date: Some(_),
            time: None,
            offset: None,
        } => Some(date(written)?.to_julian_day() - EPOCH_JULIAN_DAY),
        _ => None,
    }
}

/// Microseconds since 1970-01-01T00:00:00Z of a moment with its offset.
pub(super) fn microseconds(written: &Datetime) -> Option<i64> {
    let (written_time, offset) = (written.time?, written.offset?);
    let seconds = written_time.second.unwrap_or(0);
    let time = Time::from_hms_nano(
        written_time.hour,
        written_time.minute,
        seconds,
        written_time.nanosecond.unwrap_or(0),
    );
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => minutes,
    };
    let offset = UtcOffset::from_whole_seconds(i32::from(minutes) * 60).ok()?;
    let moment = PrimitiveDateTime::new(date(written)?, time.ok()?).assume_offset(offset);
    i64::try_from(moment.unix_timestamp_nanos() / 1_000).ok()
}

fn date(written: &Datetime) -> Option<Date> {
    let date = written.date?;
    let month = Month::try_from(date.month).ok()?;
    Date::from_calendar_date(i32::from(date.year), month, date.day).ok()
}

/// A day as it is written, or its number where no calendar has it.
pub(super) fn day_text(days: i32) -> String {
    let date = days
        .checked_add(EPOCH_JULIAN_DAY)
        .and_then(|day| Date::from_julian_day(day).ok());
    date.map_or_else(|| format!("day {days}"), |date| date.to_string())
}

/// A moment as it is written, or its number where no calendar has it.
pub(super) fn moment_text(microseconds: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1_000);
    let Ok(moment) = moment else {
        return format!("{microseconds} µs");
    };
    let (date, (hour, minute, second)) = (moment.date(), moment.to_hms());
    let fraction = match moment.microsecond() {
        0 => String::new(),
        fraction => format!(".{fraction:06}"),
    };
    format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Datetime {
        text.parse().unwrap()
    }

    #[test]
    fn days_count_from_1970_and_are_written_back() {
        for (text, number) in [
            ("1970-01-01", 0),
            ("2026-11-23", 20_780),
            ("1969-12-31", -1),
        ] {
            assert_eq!(days(&written(text)), Some(number));
            assert_eq!(day_text(number), text);
        }
        assert_eq!(days(&written("2026-11-23T00:00:00Z")), None);
    }

    #[test]
    fn moments_count_from_1970_in_utc_and_are_written_back() {
        let moment = microseconds(&written("2026-11-23T10:30:00.25+02:00")).unwrap();
        assert_eq!(moment_text(moment), "2026-11-23T08:30:00.250000Z");
        assert_eq!(
            microseconds(&written("1970-01-01T00:00:01Z")),
            Some(1_000_000)
        );
        assert_eq!(
            microseconds(&written("2026-11-23T10:30:00")),
            None,
            "where?"
        );
    }
}
