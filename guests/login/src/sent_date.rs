//! The date on which the queue accepted a message, in UTC. It is the message's
//! own, so that a re-run gives the same row.

use etl_transform::{Reason, Rejection};

/// UTC has no leap seconds in this count.
const MS_PER_DAY: u64 = 24 * 60 * 60 * 1_000;

/// The UTC date, in days since 1970-01-01, of a time in milliseconds since
/// 1970-01-01T00:00:00Z.
///
/// # Errors
/// `out-of-range`, without a field (the time is the queue's, not the body's):
/// some five million years from now.
pub fn sent_date(sent_ms: u64) -> Result<i32, Rejection> {
    i32::try_from(sent_ms / MS_PER_DAY).map_err(|_| Rejection::whole(Reason::OutOfRange))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_is_zero() {
        assert_eq!(sent_date(0), Ok(0));
    }

    #[test]
    fn a_day_ends_at_midnight_in_utc() {
        // 2024-02-29T23:59:59.999Z and a millisecond later.
        assert_eq!(sent_date(1_709_251_199_999), Ok(19_782));
        assert_eq!(sent_date(1_709_251_200_000), Ok(19_783));
    }

    #[test]
    fn a_time_beyond_every_calendar_is_out_of_range() {
        let beyond = Err(Rejection::whole(Reason::OutOfRange));
        assert_eq!(sent_date(u64::MAX), beyond);
        let last_day = i32::MAX as u64;
        assert_eq!(sent_date(last_day * MS_PER_DAY), Ok(i32::MAX));
        assert_eq!(sent_date((last_day + 1) * MS_PER_DAY), beyond);
    }
}
