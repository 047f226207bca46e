//! Makes a body that fails as small as it can be while it fails in the same way:
//! by members and values where it is JSON, then as text.

use serde_json::{Value as Json, json};

/// How often a smaller body is tried.
const TRIES_MAX: usize = 1_000;
/// A body that is longer, in bytes, is made smaller as text alone.
const JSON_BYTES_MAX: usize = 50_000;
/// More elements or members are left out by halves.
const ONE_BY_ONE_MAX: usize = 50;

/// The smallest body that is found and `fails`.
pub(super) fn shrunk(body: &str, fails: impl FnMut(&str) -> bool) -> String {
    let mut shrink = Shrink {
        fails,
        tries_left: TRIES_MAX,
    };
    let mut smallest = body.to_owned();
    if body.len() <= JSON_BYTES_MAX
        && let Ok(json) = serde_json::from_str::<Json>(body)
        && shrink.fails_still(&json.to_string())
    {
        let json = shrink.value(json, &mut |json| json.to_string());
        smallest = json.to_string();
    }
    shrink.text(smallest)
}

struct Shrink<F> {
    fails: F,
    tries_left: usize,
}

impl<F: FnMut(&str) -> bool> Shrink<F> {
    fn fails_still(&mut self, body: &str) -> bool {
        let may_try = self.tries_left > 0;
        self.tries_left = self.tries_left.saturating_sub(1);
        may_try && (self.fails)(body)
    }

    /// The smallest value for a place in the body, which `within` writes around
    /// it.
    fn value(&mut self, mut json: Json, within: &mut dyn FnMut(&Json) -> String) -> Json {
        while let Some(smaller) = smaller(&json)
            .into_iter()
            .find(|smaller| self.fails_still(&within(smaller)))
        {
            json = smaller;
        }
        // What cannot be left out may be smaller itself.
        for place in 0..children(&json) {
            let Some(child) = child(&mut json, place).map(|child| child.take()) else {
                continue;
            };
            let mut around = json.clone();
            let child_smallest = self.value(child, &mut |inner| {
                if let Some(hole) = self::child(&mut around, place) {
                    *hole = inner.clone();
                }
                within(&around)
            });
            if let Some(hole) = self::child(&mut json, place) {
                *hole = child_smallest;
            }
        }
        json
    }

    /// Leaves out stretches of a text, first long ones.
    fn text(&mut self, body: String) -> String {
        let mut letters: Vec<char> = body.chars().collect();
        let mut stretch = letters.len().div_ceil(2);
        while stretch > 0 && self.tries_left > 0 {
            let mut start = 0;
            while start < letters.len() {
                let end = (start + stretch).min(letters.len());
                let without: String = letters[..start].iter().chain(&letters[end..]).collect();
                match self.fails_still(&without) {
                    true => drop(letters.drain(start..end)),
                    false => start = end,
                }
            }
            stretch /= 2;
        }
        letters.into_iter().collect()
    }
}

/// Values that are a step smaller, the smallest first.
fn smaller(json: &Json) -> Vec<Json> {
    let simple = |simplest: Json| match *json == simplest {
        true => Vec::new(),
        false => vec![simplest],
    };
    match json {
        Json::Null => Vec::new(),
        Json::Bool(_) => simple(Json::Null),
        Json::Number(_) => simple(json!(0)),
        Json::String(text) => {
            let half = text.chars().count() / 2;
            let mut smaller = simple(json!(""));
            if half > 0 {
                smaller.push(json!(text.chars().take(half).collect::<String>()));
                smaller.push(json!(text.chars().skip(half).collect::<String>()));
            }
            smaller
        }
        Json::Array(elements) => {
            let mut smaller = simple(json!([]));
            if elements.len() > ONE_BY_ONE_MAX {
                let (half, other) = elements.split_at(elements.len() / 2);
                smaller.extend([json!(half), json!(other)]);
                return smaller;
            }
            smaller.extend(elements.iter().cloned());
            for place in 0..elements.len() {
                let mut without = elements.clone();
                without.remove(place);
                smaller.push(Json::Array(without));
            }
            smaller
        }
        Json::Object(members) => {
            let mut smaller = simple(json!({}));
            for name in members.keys() {
                let mut without = members.clone();
                without.remove(name);
                smaller.push(Json::Object(without));
            }
            smaller
        }
    }
}

fn children(json: &Json) -> usize {
    match json {
        Json::Array(elements) => elements.len(),
        Json::Object(members) => members.len(),
        _ => 0,
    }
}

fn child(json: &mut Json, place: usize) -> Option<&mut Json> {
    match json {
        Json::Array(elements) => elements.get_mut(place),
        Json::Object(members) => members.values_mut().nth(place),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let body = r#"{"a":[1,2,{"bad":"yes indeed"}],"b":"long text","c":{"d":null}}"#;
        let smallest = shrunk(body, |body| body.contains("bad") && body.contains("ind"));
        // As text it need not be JSON any more.
        assert_eq!(smallest, "badind");
    }

    #[test]
    fn json_stays_json_where_that_matters() {
        let body = r#"{"a":[1,2,{"bad":"yes indeed"}],"b":"long text","c":{"d":null}}"#;
        let fails = |body: &str| {
            let json: Result<Json, _> = serde_json::from_str(body);
            json.is_ok_and(|json| json["a"][2]["bad"].is_string())
        };
        let smallest = shrunk(body, fails);
        assert_eq!(smallest, r#"{"a":[0,0,{"bad":""}]}"#);
    }

    #[test]
    fn what_cannot_be_smaller_stays_and_trying_ends() {
        assert_eq!(shrunk("x", |body| body == "x"), "x");
        let mut tries = 0;
        let endless = "a".repeat(100_000);
        shrunk(&endless, |body| {
            tries += 1;
            body.len() > 90_000
        });
        assert!(tries <= TRIES_MAX, "{tries}");
    }
}
