//! Words that somebody else wrote: servers, proxies, files, components.
//!
//! They are cleaned where they come in, before anything shows, logs or stores
//! them. What a terminal would obey, and what an eye would not see, is escaped
//! as `\u{200b}`; what is too long is cut. Words from here never span a line.
//! Whether the words may be shown at all is decided where they are read.

/// The longest words that are shown, in characters. The longest honest ones
/// (an AccessDenied with two ARNs and a policy) take some 500.
pub const WORDS_CHARS_MAX: usize = 800;
/// The longest name that is shown, in characters. PostgreSQL's take 63 bytes,
/// SQS's 80 characters, AWS's error codes some 50.
pub const NAME_CHARS_MAX: usize = 128;

/// Ends what is cut.
const CUT: &str = "…";

/// Characters that draw nothing although Unicode counts them as letters, signs
/// or marks (DerivedCoreProperties, Default_Ignorable_Code_Point; and the
/// empty Braille pattern).
const BLANK: [(char, char); 12] = [
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d159}', '\u{1d159}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Somebody else's sentence, clean, on one line, of at most
/// [`WORDS_CHARS_MAX`] characters.
pub fn foreign_words(words: &str) -> String {
    cleaned(words, WORDS_CHARS_MAX)
}

/// Somebody else's name or code, clean, of at most [`NAME_CHARS_MAX`]
/// characters.
pub fn foreign_name(name: &str) -> String {
    cleaned(name, NAME_CHARS_MAX)
}

/// Words of a component, of which nothing but printable ASCII is shown as it is:
/// a letter of another alphabet may look like one of ours. A backslash is
/// doubled, so that nobody can write an escape. At most [`WORDS_CHARS_MAX`]
/// characters.
pub fn component_words(words: &str) -> String {
    escaped(words, WORDS_CHARS_MAX, not_plain)
}

/// The same of a name, of at most [`NAME_CHARS_MAX`] characters.
pub fn component_name(name: &str) -> String {
    escaped(name, NAME_CHARS_MAX, not_plain)
}

fn not_plain(character: char) -> bool {
    !(' '..='~').contains(&character) || character == '\\'
}

/// Whether an eye sees all of a name: nothing invisible, and each mark that
/// combines stands behind a letter or digit, or behind another mark.
pub fn is_visible(name: &str) -> bool {
    let mut carries_marks = false;
    name.chars().all(|character| {
        let is_mark = !character.is_ascii() && is_escaped(character);
        let seen = !is_invisible(character) && (carries_marks || !is_mark);
        carries_marks = is_mark || character.is_alphanumeric();
        seen
    })
}

/// Whether a character is a control character, changes the direction of text,
/// or cannot be seen. A name that somebody is to read has no place for one.
pub fn is_invisible(character: char) -> bool {
    if (' '..='~').contains(&character) {
        return false;
    }
    let is_blank = |(first, last): &(char, char)| (*first..=*last).contains(&character);
    BLANK.iter().any(is_blank) || is_unprintable(character)
}

/// Whether the standard library would print it escaped wherever it stands: the
/// categories Cc, Cf, Cs, Co, Cn, Zl, Zp and Zs. Behind a letter, because at
/// the beginning a combining mark is escaped too.
fn is_unprintable(character: char) -> bool {
    let mut bytes = *b"a\0\0\0\0";
    let (letter, rest) = bytes.split_at_mut(1);
    let length = letter.len() + character.encode_utf8(rest).len();
    let text = std::str::from_utf8(bytes.get(..length).unwrap_or_default());
    text.unwrap_or_default().escape_debug().nth(2).is_some()
}

/// Escapes, besides, each mark that combines with what stands before it: a
/// hundred of them on one letter cover the lines above.
fn is_escaped(character: char) -> bool {
    !(' '..='~').contains(&character)
        && (is_invisible(character) || character.escape_debug().nth(1).is_some())
}

fn cleaned(text: &str, chars_max: usize) -> String {
    escaped(text, chars_max, is_escaped)
}

fn escaped(text: &str, chars_max: usize, is_escaped: fn(char) -> bool) -> String {
    let mut clean = String::new();
    let mut chars = 0;
    for character in text.chars() {
        let before = clean.len();
        match (is_escaped(character), character.is_ascii()) {
            (false, _) => clean.push(character),
            (true, true) => clean.extend(character.escape_debug()),
            (true, false) => clean.extend(character.escape_unicode()),
        }
        chars += clean[before..].chars().count();
        if chars > chars_max {
            clean.truncate(before);
            clean.push_str(CUT);
            break;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_words_stay_as_they_are() {
        for words in [
            r#"relation "logins" does not exist (it's \d)"#,
            "Rolle »etl« existiert nicht – ‘prüfen’",
            "ロール\"etl\"は存在しません",
            "роль не существует",
            "",
        ] {
            assert_eq!(foreign_words(words), words);
        }
    }

    #[test]
    fn what_a_terminal_obeys_or_no_eye_sees_is_escaped() {
        for (words, shown) in [
            ("a\u{1b}[31mred", r"a\u{1b}[31mred"),
            ("a\u{9b}31mred\u{85}", r"a\u{9b}31mred\u{85}"),
            ("one\r\ntwo\tthree\0", r"one\r\ntwo\tthree\0"),
            ("del\u{7f}\u{8}", r"del\u{7f}\u{8}"),
            ("/i\u{200b}p\u{feff}", r"/i\u{200b}p\u{feff}"),
            ("\u{202e}txt\u{2066}\u{61c}", r"\u{202e}txt\u{2066}\u{61c}"),
            ("soft\u{ad}\u{2028}\u{a0}", r"soft\u{ad}\u{2028}\u{a0}"),
            ("\u{3164}\u{2800}\u{fe0f}", r"\u{3164}\u{2800}\u{fe0f}"),
            ("tag\u{e0041}\u{e0100}", r"tag\u{e0041}\u{e0100}"),
            ("z\u{300}\u{301}", r"z\u{300}\u{301}"),
        ] {
            assert_eq!(foreign_words(words), shown);
        }
    }

    #[test]
    fn of_a_components_words_only_plain_ones_are_shown_as_they_are() {
        for (words, shown) in [
            ("/ip, 'the' \"address\"", "/ip, 'the' \"address\""),
            ("/\u{456}p", r"/\u{456}p"),
            ("/名前", r"/\u{540d}\u{524d}"),
            (r"/\u{69}p", r"/\\u{69}p"),
            ("1.0\u{1b}[2J\u{202e}", r"1.0\u{1b}[2J\u{202e}"),
            ("e\u{301}\u{ad}", r"e\u{301}\u{ad}"),
        ] {
            assert_eq!(component_words(words), shown);
            assert!(component_words(words).is_ascii());
        }
        let long = component_words(&"h".repeat(20_000));
        assert_eq!(long.chars().count(), WORDS_CHARS_MAX + 1);
    }

    #[test]
    fn a_mark_needs_a_letter_to_be_seen() {
        for name in [
            "/e\u{301}",
            "/नमस्ते",
            "/ภาษาไทย",
            "/名前",
            "/first name",
            "/a/b~1",
        ] {
            assert!(is_visible(name), "{name}");
        }
        for name in [
            "/\u{301}",
            "/-\u{301}ip",
            "/ip\u{fe0f}",
            "/i\u{200b}p",
            "/ip\u{a0}",
        ] {
            assert!(!is_visible(name), "{name:?}");
        }
    }

    /// Whatever comes in, only characters that can be seen go out.
    #[test]
    fn nothing_invisible_goes_out() {
        for character in '\0'..=char::MAX {
            let shown = foreign_name(&format!("a{character}"));
            assert!(!shown.chars().any(is_invisible), "{:x}", character as u32);
        }
    }

    #[test]
    fn a_name_may_combine_marks_and_hide_nothing() {
        for name in ["ip", "e\u{301}", "名前", "ключ", "is it?"] {
            assert!(!name.chars().any(is_invisible), "{name}");
        }
        for name in ["i\u{200b}p", "\u{202e}pi", "a\u{fe00}", "\t", "\u{3164}"] {
            assert!(name.chars().any(is_invisible), "{name:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let exact = "ä".repeat(WORDS_CHARS_MAX);
        assert_eq!(foreign_words(&exact), exact);
        let cut = foreign_words(&format!("{exact}b"));
        assert_eq!(cut.chars().count(), WORDS_CHARS_MAX + 1);
        assert!(cut.ends_with("ä…"));
        // An escape is shown whole or not at all.
        let escapes = foreign_name(&"\u{1b}".repeat(1 << 20));
        assert!(escapes.ends_with(r"\u{1b}…"), "{escapes}");
        assert!(escapes.chars().count() <= NAME_CHARS_MAX + 1);
    }
}
