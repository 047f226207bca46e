//! JSON text as a row of tokens, each borrowed as it is written.
//!
//! No text is refused here and none is lost: whoever needs valid JSON has it
//! checked first. Nothing is kept of the nesting, so any depth will do.

use std::borrow::Cow;

use memchr::memchr2;

use super::disguise;

/// A part of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `}` or `]`
    End,
    /// A member's name.
    Name(Quoted<'a>),
    /// A text.
    Text(Quoted<'a>),
    /// A number, `true`, `false` or `null`.
    Bare(&'a str),
}

/// What stands between two quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quoted<'a> {
    written: &'a str,
    escapes: bool,
}

impl<'a> Quoted<'a> {
    /// The text that is meant. Half a surrogate pair is no character: U+FFFD.
    #[inline]
    pub(super) fn text(self) -> Cow<'a, str> {
        match self.escapes {
            false => Cow::Borrowed(self.written),
            true => Cow::Owned(self.unescaped()),
        }
    }

    #[cold]
    fn unescaped(self) -> String {
        let bytes = disguise::without_backslashes(self.written.as_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The tokens of a text, in order.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The place of the first byte from `from` on that `is` holds for, or the
    /// text's end.
    fn first(&self, from: usize, is: impl Fn(u8) -> bool) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while bytes.get(at).is_some_and(|&byte| !is(byte)) {
            at += 1;
        }
        at
    }

    /// What stands from `from` on up to a quote, and the place of that.
    fn quoted(&self, from: usize) -> Option<(Quoted<'a>, usize)> {
        let bytes = self.text.as_bytes();
        let mut escapes = false;
        let mut at = from;
        let quote = loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match memchr2(b'"', b'\\', rest).map(|found| at + found) {
                Some(mark) if bytes[mark] == b'"' => break mark,
                Some(backslash) => {
                    escapes = true;
                    at = backslash + 2;
                }
                None => break bytes.len(),
            }
        };
        let written = self.text.get(from..quote)?;
        Some((Quoted { written, escapes }, quote))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.first(self.at, |byte| !is_gap(byte));
        let (end, token) = match self.text.as_bytes().get(start)? {
            b'{' => (start + 1, Token::Object),
            b'[' => (start + 1, Token::Array),
            b'}' | b']' => (start + 1, Token::End),
            b'"' => {
                let (text, quote) = self.quoted(start + 1)?;
                let after = self.first(quote + 1, |byte| !is_space(byte));
                match self.text.as_bytes().get(after) {
                    Some(b':') => (after, Token::Name(text)),
                    _ => (quote + 1, Token::Text(text)),
                }
            }
            _ => {
                let end = self.first(start, |byte| is_gap(byte) || is_mark(byte));
                (end, Token::Bare(self.text.get(start..end)?))
            }
        };
        self.at = end;
        Some(token)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// What stands between tokens and says nothing that they do not.
fn is_gap(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b':')
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'{' | b'}' | b'[' | b']' | b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(written: &str) -> Quoted<'_> {
        Quoted {
            written,
            escapes: written.contains('\\'),
        }
    }

    #[test]
    fn a_text_is_its_tokens() {
        let text = r#" {"a" : [1, -2.5e3,"x\"]",true], "b":{"\\":null} } "#;
        let tokens: Vec<Token> = Tokens::of(text).collect();
        let expected = [
            Token::Object,
            Token::Name(quoted("a")),
            Token::Array,
            Token::Bare("1"),
            Token::Bare("-2.5e3"),
            Token::Text(quoted(r#"x\"]"#)),
            Token::Bare("true"),
            Token::End,
            Token::Name(quoted("b")),
            Token::Object,
            Token::Name(quoted(r"\\")),
            Token::Bare("null"),
            Token::End,
            Token::End,
        ];
        assert_eq!(tokens, expected);
    }

    #[test]
    fn what_is_no_json_ends_too() {
        for (text, expected) in [
            ("\"open", vec![Token::Text(quoted("open"))]),
            ("\"open\\", vec![Token::Text(quoted("open\\"))]),
            ("\"ü\\ü", vec![Token::Text(quoted("ü\\ü"))]),
            ("word", vec![Token::Bare("word")]),
            (" ,", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(Tokens::of(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(quoted(r"\u0031\u002e\n\/").text(), "1.\n/");
        assert_eq!(
            quoted(r"\ud83d\ude42 \ud83d!").text(),
            "\u{1f642} \u{fffd}!"
        );
    }
}
