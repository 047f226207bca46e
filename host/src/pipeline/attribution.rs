//! Whose fault a refusal is: told by comparison, not by the SQLSTATE.
//!
//! ```text
//!             a batch, one statement
//!                     │
//!   unknown outcome ──┤── the same batch again, held meanwhile, until the server
//!                     │   answers; where it answers others for long: refused
//!   a moment ─────────┤── the same batch again, for TRANSIENT_SECS: then refused
//!   refused           │
//!                     ▼
//!          bisected (`search`): what can be stored is stored. Where nothing is
//!          after some statements, single records from all over the rest are tried
//!                     │
//!                     ▼  each record that was refused alone
//!              once more, alone
//!                     │
//!   stored ◄──────────┤
//!                     ▼  refused again: `fault` decides
//!   another was stored meanwhile, by any worker ──► the record's fault
//!   not one, but lately, or the code speaks of a value ──► the record's, where
//!          the statement without rows passes, and for a handful in a row
//!   else ──► everybody's fault: held
//!                     │
//!                     ▼
//!          told, not ready; peers are received slowly. A few records at a time
//!          are tried, drawn by chance; with the first one that is stored, here
//!          or by another worker, all that is left is tried again
//! ```
//!
//! Stored means: fresh rows, by the statement of the same policy. A duplicate, a
//! skip or a rejection proves nothing. A record's fault is a rejection, for which
//! the share of refused records is looked at (`brake`).

use crate::output::{Class, DatabaseError};

/// For how long what a moment refuses is tried again before it counts as
/// refused, in seconds: deadlocks and conflicts pass in milliseconds, a lock
/// that is held for longer is somebody's mistake.
pub(super) const TRANSIENT_SECS: u64 = 10;
/// And so often at least.
pub(super) const TRANSIENT_TRIES: u32 = 2;
/// Records that may be charged in a row, by all workers, while nothing is
/// stored: a handful may be lost to the dead-letter queue before it is clear
/// that everybody meets the same.
pub(super) const HANDFUL: usize = 5;

/// What is known of a record that was refused alone, twice.
pub(super) struct Evidence<'a> {
    /// Why, the second time.
    pub(super) error: &'a DatabaseError,
    /// Something was stored between the two times.
    pub(super) stored_meanwhile: bool,
    /// Something was stored within the last hour.
    pub(super) stored_lately: bool,
    /// This record and those like it: refused, or not worth a try, while
    /// nothing was stored, and those charged since the last store.
    pub(super) unresolved: usize,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// This record's.
    Record,
    /// This record's if the statement without rows passes now, else everybody's.
    RecordIfOthersPass,
    /// Everybody's, as far as can be told.
    Everybody,
}

/// Decides whose fault a refusal is.
pub(super) fn fault(evidence: &Evidence<'_>) -> Fault {
    let Evidence {
        error,
        stored_meanwhile,
        stored_lately,
        unresolved,
    } = *evidence;
    if stored_meanwhile {
        // What comes and goes may have come back just now.
        return match error.class() {
            Class::Refused if !error.is_of_server() => Fault::Record,
            _ => Fault::RecordIfOthersPass,
        };
    }
    if error.is_of_server() || unresolved > HANDFUL {
        return Fault::Everybody;
    }
    match stored_lately || error.is_of_value() {
        true => Fault::RecordIfOthersPass,
        false => Fault::Everybody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL answers, and what a record and everybody may meet alike.
    const CODES: [&str; 20] = [
        "21000", "22003", "2200H", "23502", "23505", "23514", "25006", "40001", "42501", "42P01",
        "428C9", "53100", "54000", "55000", "55P03", "57014", "57P01", "58030", "P0001", "XX000",
    ];

    fn told(code: Option<&str>, meanwhile: bool, lately: bool, unresolved: usize) -> Fault {
        fault(&Evidence {
            error: &DatabaseError::simulated(code),
            stored_meanwhile: meanwhile,
            stored_lately: lately,
            unresolved,
        })
    }

    #[test]
    fn whatever_the_code_a_record_beside_stored_ones_may_be_at_fault() {
        for code in CODES.map(Some).into_iter().chain([None]) {
            for lately in [true, false] {
                let fault = told(code, true, lately, 1_000);
                assert_ne!(fault, Fault::Everybody, "{code:?}");
            }
        }
        assert_eq!(told(Some("42501"), true, true, 1), Fault::Record);
    }

    #[test]
    fn whatever_the_code_more_than_a_handful_with_nothing_stored_are_not() {
        for code in CODES.map(Some).into_iter().chain([None]) {
            for lately in [true, false] {
                let fault = told(code, false, lately, HANDFUL + 1);
                assert_eq!(fault, Fault::Everybody, "{code:?}");
            }
        }
    }

    #[test]
    fn no_record_is_charged_by_history_for_the_servers_own_state() {
        for code in [Some("53100"), Some("58030"), Some("57P01"), None] {
            assert_eq!(told(code, false, true, 1), Fault::Everybody, "{code:?}");
        }
    }

    #[test]
    fn without_any_history_only_a_value_is_charged() {
        for code in CODES {
            let expected = match code.starts_with("22") {
                true => Fault::RecordIfOthersPass,
                false => Fault::Everybody,
            };
            assert_eq!(told(Some(code), false, false, 1), expected, "{code}");
        }
    }

    #[test]
    fn what_may_pass_is_asked_about_once_more() {
        for code in [
            Some("40001"),
            Some("55P03"),
            Some("57014"),
            Some("53100"),
            None,
        ] {
            assert_eq!(told(code, true, true, 1), Fault::RecordIfOthersPass);
        }
    }
}
