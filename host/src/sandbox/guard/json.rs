//! JSON text as a row of tokens, each borrowed as it is written.
//!
//! No text is refused here and none is lost: whoever needs valid JSON has it
//! checked first. Nothing is kept of the nesting, so any depth will do.

use std::borrow::Cow;

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
    /// A member's name, between its quotes.
    Name(&'a str),
    /// A text, between its quotes.
    Text(&'a str),
    /// A number, `true`, `false` or `null`.
    Bare(&'a str),
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
        let rest = self.text.as_bytes().iter().skip(from);
        from + rest.take_while(|&&byte| !is(byte)).count()
    }

    /// The place of the quote that ends the text which begins at `from`.
    fn closing_quote(&self, from: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = from;
        loop {
            match bytes.get(at) {
                Some(b'"') => return at,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => return bytes.len(),
            }
        }
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
                let quote = self.closing_quote(start + 1);
                let text = self.text.get(start + 1..quote)?;
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

/// What stands between two quotes, its escapes undone. Half a surrogate pair
/// is no character: U+FFFD.
pub(super) fn unquoted(text: &str) -> Cow<'_, str> {
    if !text.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let bytes = disguise::without_backslashes(text.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_its_tokens() {
        let text = r#" {"a" : [1, -2.5e3,"x\"]",true], "b":{"\\":null} } "#;
        let tokens: Vec<Token> = Tokens::of(text).collect();
        let expected = [
            Token::Object,
            Token::Name("a"),
            Token::Array,
            Token::Bare("1"),
            Token::Bare("-2.5e3"),
            Token::Text(r#"x\"]"#),
            Token::Bare("true"),
            Token::End,
            Token::Name("b"),
            Token::Object,
            Token::Name(r"\\"),
            Token::Bare("null"),
            Token::End,
            Token::End,
        ];
        assert_eq!(tokens, expected);
    }

    #[test]
    fn what_is_no_json_ends_too() {
        for (text, expected) in [
            ("\"open", vec![Token::Text("open")]),
            ("\"open\\", vec![Token::Text("open\\")]),
            ("\"ü\\ü", vec![Token::Text("ü\\ü")]),
            ("word", vec![Token::Bare("word")]),
            (" ,", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(Tokens::of(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unquoted(r"\u0031\u002e\n\/"), "1.\n/");
        assert_eq!(unquoted(r"\ud83d\ude42 \ud83d!"), "\u{1f642} \u{fffd}!");
    }
}
