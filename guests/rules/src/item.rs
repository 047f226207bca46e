//! How a parameter names fields: `user_id, /device/id as device, age:integer`.
//!
//! Items are separated by commas. Each is a member's name or a JSON pointer
//! (RFC 6901), a setting after a colon where the parameter takes one, and the
//! column's name where it is another than the field's. `%XX` stands for a byte,
//! as in a pointer within a URL: for a comma, a space or a colon in a name.

use alloc::{string::String, vec::Vec};

/// How deep a field may stand: one call of a parser's each.
const STEPS_MAX: usize = 8;

/// A field, as a parameter names it.
pub struct Item<'a> {
    /// The names from the top down.
    pub steps: Vec<String>,
    /// What stands after the colon.
    pub setting: Option<&'a str>,
    /// The name of the column.
    pub column: String,
}

impl Item<'_> {
    /// The field's JSON pointer.
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.steps {
            pointer.push('/');
            pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        }
        pointer
    }
}

/// Reads the items of a parameter. None where one is no field.
pub fn read(list: &str) -> Option<Vec<Item<'_>>> {
    list.split(',').map(|item| read_one(item.trim())).collect()
}

fn read_one(item: &str) -> Option<Item<'_>> {
    let (field, column) = match item.split_once(" as ") {
        Some((field, column)) => (field.trim(), Some(column.trim())),
        None => (item, None),
    };
    let (field, setting) = match field.split_once(':') {
        Some((field, setting)) => (field, Some(setting)),
        None => (field, None),
    };
    let steps = steps(&decoded(field)?)?;
    let column = match column {
        Some(column) => decoded(column)?,
        None => steps.last()?.clone(),
    };
    (!column.is_empty()).then_some(Item {
        steps,
        setting,
        column,
    })
}

/// The steps of a pointer; a text that does not begin with a slash is one name.
fn steps(field: &str) -> Option<Vec<String>> {
    let Some(pointer) = field.strip_prefix('/') else {
        return (!field.is_empty()).then(|| Vec::from([String::from(field)]));
    };
    let steps: Vec<String> = pointer.split('/').map(unescaped).collect::<Option<_>>()?;
    (steps.len() <= STEPS_MAX).then_some(steps)
}

/// `~1` is a slash, `~0` a tilde.
fn unescaped(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut name = String::from(parts.next()?);
    for part in parts {
        name.push(match part.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        name.push_str(&part[1..]);
    }
    Some(name)
}

/// `%XX` is a byte. A space that is written as such ends no name but is likely
/// a forgotten comma: it is refused.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.bytes();
    while let Some(byte) = left.next() {
        bytes.push(match byte {
            b'%' => 16 * digit(left.next()?)? + digit(left.next()?)?,
            b' ' => return None,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[track_caller]
    fn one(text: &str) -> (String, Option<&str>, String) {
        let mut items = read(text).expect(text);
        assert_eq!(items.len(), 1, "{text}");
        let item = items.remove(0);
        (item.pointer(), item.setting, item.column)
    }

    #[test]
    fn a_field_is_a_name_or_a_pointer() {
        assert_eq!(one("ip"), ("/ip".into(), None, "ip".into()));
        assert_eq!(one("/device/id"), ("/device/id".into(), None, "id".into()));
        assert_eq!(one("a/b~c"), ("/a~1b~0c".into(), None, "a/b~c".into()));
        assert_eq!(one("/a~1b~0c"), ("/a~1b~0c".into(), None, "a/b~c".into()));
    }

    #[test]
    fn a_setting_and_a_column_may_follow() {
        let named = one(" card:4  as  card_end ");
        assert_eq!(named, ("/card".into(), Some("4"), "card_end".into()));
        let items = read("a,b as c , /d:x").expect("items");
        let columns: Vec<&str> = items.iter().map(|item| &*item.column).collect();
        assert_eq!(columns, ["a", "c", "d"]);
    }

    #[test]
    fn odd_names_are_written_with_percent_signs() {
        let odd = one("First%20Name%2c%3A%25 as r%C3%A9");
        assert_eq!(odd, ("/First Name,:%".into(), None, "r\u{e9}".into()));
    }

    #[test]
    fn what_is_no_field_is_refused() {
        let deep = "/a".repeat(STEPS_MAX + 1);
        for text in [
            "", ",", "a,", "a b", "a as", "a as b c", "/a~2", "/a~", "%", "%2", "%zz", "%ff", ":4",
            "a as %", &deep,
        ] {
            assert!(read(text).is_none(), "{text:?}");
        }
        assert!(read(&"/a".repeat(STEPS_MAX)).is_some());
        assert!(read("/").is_none(), "a column without a name");
        assert_eq!(one("/ as x").0, format!("/{}", ""));
    }
}
