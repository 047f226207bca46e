//! How much of each limit was used, and numbers as people read them.

use std::fmt::Write as _;

use crate::sandbox::Share;

/// A table of what was used, a line a limit.
pub(super) fn share_table(shares: &[Share]) -> String {
    let mut text = String::new();
    for Share {
        name,
        unit,
        used,
        max,
    } in shares
    {
        let percent = *used as f64 / (*max).max(1) as f64 * 100.0;
        let over = if used > max { "  OVER" } else { "" };
        let _ = writeln!(
            text,
            "  {name:<14} {:>15}  of {:>15} {unit:<8} {percent:>6.2} %{over}",
            grouped(*used),
            grouped(*max),
        );
    }
    text
}

/// A number with a comma between each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (67_108_864, "67,108,864"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn what_is_over_its_limit_is_said_to_be() {
        let share = |used| Share {
            name: "rows",
            unit: "",
            used,
            max: 1_000,
        };
        let text = share_table(&[share(10), share(1_001)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("1.00 %"), "{text}");
        assert!(lines[1].ends_with("100.10 %  OVER"), "{text}");
    }
}
