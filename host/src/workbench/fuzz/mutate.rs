//! Bodies out of a body: what a careless or hostile producer might send.
//!
//! Generators of random JSON hardly ever get past a parser that wants certain
//! members, and mutators of bytes hardly ever keep it JSON; so a body is changed
//! where it is JSON, by members and values, and only now and then as text.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Number, Value as Json, json};

/// Changes of one body, at most.
const CHANGES_MAX: usize = 4;
/// One in so many bodies is changed as text, too.
const TEXT_CHANGES_ONE_IN: u32 = 5;
/// Nesting that no honest producer sends: deeper than most parsers go.
const DEEP: usize = 5_000;
/// A text that takes some space.
const LONG_CHARS: usize = 20_000;
/// About the largest body that SQS takes, in bytes.
const BODY_BYTES: usize = 1_000_000;

/// Bodies that come before all others, whatever the cases are.
pub(super) const HOSTILE: [fn() -> String; 20] = [
    String::new,
    || " ".to_owned(),
    || "no JSON".to_owned(),
    || "null".to_owned(),
    || "true".to_owned(),
    || "-0".to_owned(),
    || "1e999".to_owned(),
    || "\"\"".to_owned(),
    || "[]".to_owned(),
    || "{}".to_owned(),
    || "{\"\":{}}".to_owned(),
    || "\u{feff}{}".to_owned(),
    || "{}{}".to_owned(),
    || "\0".to_owned(),
    || "\"\\ud800\"".to_owned(),
    || "[".repeat(DEEP),
    || format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP)),
    || "{\"a\":".repeat(DEEP),
    || format!("\"{}\"", "a".repeat(BODY_BYTES)),
    || format!("[{}0]", "0,".repeat(BODY_BYTES / 2)),
];

/// A body made of another one. What must not leave the sandbox stays long
/// enough to be told from anything else.
pub(super) fn mutated(body: &str, sensitive: &[&str], random: &mut StdRng) -> String {
    let changes = random.random_range(1..=CHANGES_MAX);
    let Ok(mut json) = serde_json::from_str::<Json>(body) else {
        return changed_text(body, random);
    };
    for _ in 0..changes {
        change(&mut json, sensitive, random);
    }
    let body = json.to_string();
    match random.random_ratio(1, TEXT_CHANGES_ONE_IN) {
        true => changed_text(&body, random),
        false => body,
    }
}

/// Changes one place of a value.
fn change(json: &mut Json, sensitive: &[&str], random: &mut StdRng) {
    let mut places = Vec::new();
    walk(json, &mut String::new(), &mut places);
    let Some(place) = places.choose(random).cloned() else {
        return;
    };
    let is_sensitive = sensitive.iter().any(|pointer| place.starts_with(pointer));
    let Some(value) = json.pointer_mut(&place) else {
        return;
    };
    match value {
        Json::Object(members) if random.random_bool(0.7) => change_members(members, random),
        Json::Array(elements) if !elements.is_empty() && random.random_bool(0.5) => {
            let last = elements.len() - 1;
            match random.random_bool(0.5) {
                true => drop(elements.remove(random.random_range(0..=last))),
                false => elements.push(elements[last].clone()),
            }
        }
        Json::String(text) if random.random_bool(0.5) => *text = changed_words(text, random),
        value if is_sensitive => *value = Json::String(invented(random)),
        value => *value = hostile_value(random),
    }
}

/// The pointers of all values below, the topmost one first.
fn walk(json: &Json, pointer: &mut String, places: &mut Vec<String>) {
    places.push(pointer.clone());
    let length = pointer.len();
    let mut step = |name: &str, value: &Json| {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        walk(value, pointer, places);
        pointer.truncate(length);
    };
    match json {
        Json::Object(members) => members.iter().for_each(|(name, value)| step(name, value)),
        Json::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                step(&index.to_string(), value);
            }
        }
        _ => {}
    }
}

fn change_members(members: &mut Map<String, Json>, random: &mut StdRng) {
    let names: Vec<String> = members.keys().cloned().collect();
    let Some(name) = names.choose(random) else {
        members.insert("invented".to_owned(), hostile_value(random));
        return;
    };
    match random.random_range(0..5) {
        0 => drop(members.remove(name)),
        1 => drop(members.insert("invented".to_owned(), hostile_value(random))),
        2 => drop(members.insert(name.clone(), Json::Null)),
        3 => {
            if let Some(value) = members.remove(name) {
                members.insert(name.to_uppercase(), value);
            }
        }
        _ => {
            if let Some(value) = members.remove(name) {
                members.insert(name.clone(), nested(value, random));
            }
        }
    }
}

fn nested(value: Json, random: &mut StdRng) -> Json {
    match random.random_bool(0.5) {
        true => json!([value]),
        false => json!({ "value": value }),
    }
}

/// A value that many a parser has stumbled over.
fn hostile_value(random: &mut StdRng) -> Json {
    const TEXTS: [&str; 21] = [
        "",
        " ",
        "\0",
        "a\0b",
        "null",
        "None",
        "NaN",
        "-1",
        "+1",
        "1e5",
        "0x10",
        "999999999999999999999999",
        "1.2.3.4.5",
        "2026-02-30",
        "0000-00-00",
        "999.999.999.999",
        "\u{202e}abc",
        "e\u{301}\u{1f468}\u{200d}\u{1f469}",
        "\u{661}\u{662}",
        "'; DROP TABLE x; --",
        "../../etc/passwd",
    ];
    let numbers = || {
        [
            json!(0),
            json!(-1),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(1.5),
            json!(1e308),
            json!(-0.0),
            json!(5e-324),
        ]
    };
    match random.random_range(0..8) {
        0 => Json::Null,
        1 => json!(random.random_bool(0.5)),
        2 | 3 => numbers().choose(random).cloned().unwrap_or_default(),
        4 => json!("a".repeat(random.random_range(0..LONG_CHARS))),
        5 => nested(Json::Number(Number::from(1)), random),
        _ => json!(TEXTS.choose(random)),
    }
}

/// A value of its own, of the shape of some that are kept secret.
fn invented(random: &mut StdRng) -> String {
    let mut number = |max: u32| random.random_range(0..max);
    match number(4) {
        0 => format!(
            "198.{}.{}.{}",
            18 + number(2),
            100 + number(150),
            100 + number(150)
        ),
        1 => format!(
            "2001:db8:{:x}::{:x}",
            0x1000 + number(0xe000),
            0x1000 + number(0xe000)
        ),
        2 => format!(
            "{:04}-{:02}-{:02}",
            1900 + number(100),
            1 + number(12),
            2 + number(26)
        ),
        _ => format!("invented-{:08x}", number(u32::MAX)),
    }
}

/// A text with something changed that keeps it a text.
fn changed_words(text: &str, random: &mut StdRng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let place = random.random_range(0..=letters.len());
    match random.random_range(0..6) {
        0 => letters.insert(
            place,
            *['\0', ' ', '\u{e9}', '.', '0', '\u{1f600}']
                .choose(random)
                .unwrap_or(&' '),
        ),
        1 if place < letters.len() => drop(letters.remove(place)),
        2 => letters.truncate(place),
        3 => letters.extend(letters.clone()),
        4 => return text.to_uppercase(),
        _ => letters.reverse(),
    }
    letters.into_iter().collect()
}

/// A body with something changed that may make it no JSON at all.
fn changed_text(body: &str, random: &mut StdRng) -> String {
    let mut letters: Vec<char> = body.chars().collect();
    let place = random.random_range(0..=letters.len());
    match random.random_range(0..7) {
        0 => letters.truncate(place),
        1 if place < letters.len() => drop(letters.remove(place)),
        2 => letters.insert(
            place,
            *['"', '{', '}', ',', '\\', '\0', '\u{feff}', '9']
                .choose(random)
                .unwrap_or(&'"'),
        ),
        3 => letters.extend(letters.clone()),
        4 => letters
            .splice(place..place, [' ', '\n', '\t'])
            .for_each(drop),
        5 => return twice(body, random).unwrap_or_default(),
        _ => return escaped(body),
    }
    letters.into_iter().collect()
}

/// An object in which a member is given twice, the second time with another
/// value.
fn twice(body: &str, random: &mut StdRng) -> Option<String> {
    let json: Json = serde_json::from_str(body).ok()?;
    let names: Vec<&String> = json.as_object()?.keys().collect();
    let name = Json::String((*names.choose(random)?).clone());
    let value = Json::String(invented(random));
    let rest = body.trim_end().strip_suffix('}')?;
    Some(format!("{rest},{name}:{value}}}"))
}

/// The same JSON, every letter within quotes as an escape.
fn escaped(body: &str) -> String {
    let (mut text, mut quoted, mut after_escape) = (String::new(), false, false);
    for letter in body.chars() {
        match letter {
            '"' if !after_escape => quoted = !quoted,
            'a'..='z' | '0'..='9' if quoted && !after_escape => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)));
                continue;
            }
            _ => {}
        }
        // The four digits of an escape may be escaped no more.
        if after_escape && letter == 'u' {
            return body.to_owned();
        }
        after_escape = letter == '\\' && !after_escape;
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    const BODY: &str = r#"{"user":"u1","device":{"ip":"203.0.113.77","os":[1,2]},"n":3}"#;

    fn bodies(seed: u64) -> Vec<String> {
        let mut random = StdRng::seed_from_u64(seed);
        let mutated = (0..2_000).map(|_| mutated(BODY, &["/device/ip"], &mut random));
        mutated.collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bodies() {
        assert_eq!(bodies(7), bodies(7));
        assert_ne!(bodies(7), bodies(8));
    }

    #[test]
    fn bodies_are_of_many_kinds_and_most_are_json() {
        let bodies = bodies(1);
        let different: BTreeSet<&String> = bodies.iter().collect();
        assert!(different.len() > 1_200, "{}", different.len());
        let json: Vec<Json> = bodies
            .iter()
            .filter_map(|body| serde_json::from_str(body).ok())
            .collect();
        assert!(json.len() > 1_000, "{}", json.len());
        let one = |kind: fn(&Json) -> bool| assert!(json.iter().any(kind));
        one(|json| json.pointer("/device/ip").is_none());
        one(|json| json["user"].is_null());
        one(|json| json.get("invented").is_some());
        one(|json| json["user"].is_array());
        one(|json| json.get("USER").is_some());
        one(|json| json["user"].as_str().is_some_and(|text| text.len() > 1_000));
        assert!(bodies.iter().any(|body| body.contains("\\u00")));
        assert!(
            bodies
                .iter()
                .any(|body| body.matches("\"n\":").count() == 2)
        );
    }

    #[test]
    fn an_escaped_body_means_the_same() {
        let body = r#"{"a":"x\"y\\","b":[1,"9"]}"#;
        let again: Json = serde_json::from_str(&escaped(body)).unwrap();
        assert_eq!(again, serde_json::from_str::<Json>(body).unwrap());
        assert!(escaped(body).contains("\\u0078"));
    }
}
