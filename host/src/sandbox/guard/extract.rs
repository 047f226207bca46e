//! From a body to the values that must not get out of it.
//!
//! Every one that stands at a guarded pointer is found: a member that is given
//! twice has two, and of an object or an array all scalars below it count,
//! whatever the depth. Numbers keep the digits that they were sent with.

use std::borrow::Cow;
use std::ops::ControlFlow::{self, Break, Continue};

use serde::de::IgnoredAny;

use super::Stop;
use super::budget::Budget;
use super::json::{Token, Tokens};
use super::pointer::Pointer;

/// Units of the budget for each pointer that a value, or a member's name, is
/// compared with.
const POINTER_UNITS: usize = 4;

/// A value of a sensitive field.
#[derive(Debug, PartialEq)]
pub(super) struct Sensitive<'a> {
    /// The index of the field's pointer.
    pub(super) field: usize,
    /// The text, or the number as it was written. Not empty.
    pub(super) text: Cow<'a, str>,
}

/// Adds the values at the pointers to `found`; with them comes a buffer. It
/// stops where the body is no JSON text, so that nobody can say what it holds.
pub(super) fn extract<'a>(
    body: &'a str,
    (pointers, reached): (&[Pointer], &mut Vec<usize>),
    found: &mut Vec<Sensitive<'a>>,
    budget: &Budget,
) -> ControlFlow<Stop> {
    // Skips values with a loop, not by recursion: no depth is too much.
    if serde_json::from_str::<IgnoredAny>(body).is_err() {
        return Break(Stop::Unreadable);
    }
    reached.clear();
    reached.resize(pointers.len(), 0);
    let mut walk = Walk {
        tokens: Tokens::of(body),
        pointers,
        reached,
        found,
        budget,
    };
    walk.value(0)
}

/// A walk through a body, as deep as its pointers lead.
struct Walk<'a, 'w> {
    tokens: Tokens<'a>,
    pointers: &'w [Pointer],
    /// How many of each pointer's first steps lead to where the walk is.
    reached: &'w mut Vec<usize>,
    found: &'w mut Vec<Sensitive<'a>>,
    budget: &'w Budget,
}

impl<'a> Walk<'a, '_> {
    /// Takes the next value, which `depth` steps lead to.
    fn value(&mut self, depth: usize) -> ControlFlow<Stop> {
        self.budget.spend(self.pointers.len() * POINTER_UNITS)?;
        let mut on_the_way = false;
        for (field, pointer) in self.pointers.iter().enumerate() {
            if self.reached[field] == depth {
                if pointer.steps().len() == depth {
                    self.all(Some(field));
                    return Continue(());
                }
                on_the_way = true;
            }
        }
        if !on_the_way {
            self.all(None);
            return Continue(());
        }
        match self.tokens.next() {
            Some(Token::Object) => {
                while let Some(Token::Name(name)) = self.tokens.next() {
                    self.step(depth, &name.text())?;
                    self.value(depth + 1)?;
                }
            }
            Some(Token::Array) => {
                for index in 0_usize.. {
                    let mut ahead = self.tokens;
                    if matches!(ahead.next(), Some(Token::End) | None) {
                        self.tokens = ahead;
                        break;
                    }
                    self.step(depth, &index.to_string())?;
                    self.value(depth + 1)?;
                }
            }
            _ => {}
        }
        Continue(())
    }

    /// Goes from a container at `depth` to one of its members or elements.
    fn step(&mut self, depth: usize, name: &str) -> ControlFlow<Stop> {
        self.budget.spend(self.pointers.len() * POINTER_UNITS)?;
        for (pointer, reached) in self.pointers.iter().zip(self.reached.iter_mut()) {
            if *reached >= depth {
                let leads = pointer.steps().get(depth).is_some_and(|step| step == name);
                *reached = depth + usize::from(leads);
            }
        }
        Continue(())
    }

    /// Takes the next value whole: each text and number in it is one of the
    /// field's, if it is a field's.
    fn all(&mut self, field: Option<usize>) {
        let mut open = 0_usize;
        for token in self.tokens.by_ref() {
            let text = match token {
                Token::Object | Token::Array => {
                    open += 1;
                    None
                }
                Token::End => {
                    open = open.saturating_sub(1);
                    None
                }
                Token::Name(_) => continue,
                Token::Text(text) => Some(text.text()),
                Token::Bare(text) => is_number(text).then_some(Cow::Borrowed(text)),
            };
            // True, false, null and the empty text are nothing to leak.
            let text = text.filter(|text| !text.is_empty());
            if let (Some(field), Some(text)) = (field, text) {
                self.found.push(Sensitive { field, text });
            }
            if open == 0 {
                return;
            }
        }
    }
}

fn is_number(bare: &str) -> bool {
    !matches!(bare, "true" | "false" | "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(body: &str, pointers: &[&str]) -> Vec<(usize, String)> {
        let pointers: Vec<Pointer> = pointers
            .iter()
            .map(|text| Pointer::parse(text).unwrap())
            .collect();
        let mut found = Vec::new();
        let places = (pointers.as_slice(), &mut Vec::new());
        let extracted = extract(body, places, &mut found, &Budget::default());
        assert_eq!(extracted, Continue(()));
        found
            .into_iter()
            .map(|value| (value.field, value.text.into_owned()))
            .collect()
    }

    fn texts(body: &str, pointer: &str) -> Vec<String> {
        let values = values(body, &[pointer]);
        values.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn each_value_has_its_field() {
        let body = r#"{"x":[{"ip":"no"}],"ip":"a","y":{"device":{"id":"b","ip":"no"}},"n":-1.50}"#;
        let found = values(
            body,
            &["/n", "/ip", "/y/device/id", "/absent", "/ip/deeper"],
        );
        let expected = [(1, "a"), (2, "b"), (0, "-1.50")];
        assert_eq!(found, expected.map(|(n, text)| (n, text.to_owned())));
    }

    #[test]
    fn a_member_given_twice_has_two_values_however_it_is_spelt() {
        let body = r#"{"ip":"a","x":1,"\u0069p":"b","ip":["c"]}"#;
        assert_eq!(texts(body, "/ip"), ["a", "b", "c"]);
        let body = r#"{"d":{"id":"a"},"d":{"id":"b"}}"#;
        assert_eq!(texts(body, "/d/id"), ["a", "b"]);
    }

    #[test]
    fn all_scalars_below_count_and_names_do_not() {
        let body = r#"{"a":{"name":["x",{"y":7}],"z":"\u0071"},"b":"no"}"#;
        assert_eq!(texts(body, "/a"), ["x", "7", "q"]);
        assert_eq!(texts(r#"["x",2]"#, ""), ["x", "2"]);
        assert_eq!(texts(r#""alone""#, ""), ["alone"]);
    }

    #[test]
    fn elements_are_counted_from_zero() {
        let body = r#"{"a":["x",["no"],{"b":"y"}]}"#;
        assert_eq!(texts(body, "/a/0"), ["x"]);
        assert_eq!(texts(body, "/a/2/b"), ["y"]);
        for nowhere in ["/a/3", "/a/-", "/a/00", "/a/2/0"] {
            assert!(texts(body, nowhere).is_empty(), "{nowhere}");
        }
    }

    #[test]
    fn true_false_null_and_the_empty_text_are_nothing_to_leak() {
        let body = r#"{"a":[true,false,null,"",{},[]]}"#;
        assert!(texts(body, "/a").is_empty());
    }

    #[test]
    fn any_depth_and_any_number_can_be_read() {
        let deep = format!("{}\"x\"{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(
            r#"{{"b":{deep},"a":{deep},"c":1e400,"d":{}}}"#,
            "9".repeat(400)
        );
        assert_eq!(texts(&body, "/a"), ["x"]);
        assert_eq!(texts(&body, "/c"), ["1e400"]);
        assert_eq!(texts(&body, "/d"), ["9".repeat(400)]);
    }

    #[test]
    fn what_is_no_json_cannot_be_read() {
        for body in ["", "words", r#"{"ip":"a""#, r#"{"ip":"a"} and more"#] {
            let places = ([].as_slice(), &mut Vec::new());
            let stop = extract(body, places, &mut Vec::new(), &Budget::default());
            assert_eq!(stop, Break(Stop::Unreadable), "{body}");
        }
    }
}
