//! Plain words for people who do not know the program.

use crate::verdict::Reason;

/// What a reason means.
pub(super) fn meaning(reason: &Reason) -> &'static str {
    match reason {
        Reason::Malformed => "the message is not in the format that it expects",
        Reason::Unsupported => "it does not know this kind of message",
        Reason::Missing => "something that it needs is missing",
        Reason::Unexpected => "there is a field that it does not allow",
        Reason::WrongType => "a field holds another kind of value than it expects",
        Reason::Invalid => "a value makes no sense to it",
        Reason::OutOfRange => "a value is too large or too small to be stored",
        Reason::Trap => "it broke down over the message",
        Reason::TimeLimit => "it took longer than it may",
        Reason::MemoryLimit => "it wanted more memory than it may have",
        Reason::ResultLimit => "it gave out more than it may",
        Reason::BrokenInterface => "it gave out something else than it announces",
        Reason::Leak => "it would have given out a sensitive value as it is",
        Reason::CheckLimit => "what it gave out takes longer to check than it may",
        Reason::EventId => "the message has no id of its own",
        Reason::Database(_) => "the database refuses the result",
    }
}

/// A part of a whole, as people say it: `3 of 40 messages (7.5 %)`. What is
/// neither nothing nor all is never rounded to it.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "none to compare".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    let percent = match part {
        0 => "none".to_owned(),
        part if part == whole => "all".to_owned(),
        _ if percent < 0.1 => "under 0.1 %".to_owned(),
        _ if percent > 99.9 => "over 99.9 %".to_owned(),
        _ => format!("{percent:.1} %"),
    };
    format!("{part} of {} ({percent})", messages(whole))
}

/// So many messages.
pub(super) fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_nothing_or_all_only_where_it_is() {
        for (part, whole, words) in [
            (0, 0, "none to compare"),
            (0, 7, "0 of 7 messages (none)"),
            (1, 1, "1 of 1 message (all)"),
            (7, 7, "7 of 7 messages (all)"),
            (3, 40, "3 of 40 messages (7.5 %)"),
            (1, 100_000, "1 of 100000 messages (under 0.1 %)"),
            (99_999, 100_000, "99999 of 100000 messages (over 99.9 %)"),
        ] {
            assert_eq!(share(part, whole), words);
        }
    }
}
