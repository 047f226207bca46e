//! A component that does what a message's member `do` asks for, and for every
//! other message writes a row of `user_id`. For tests of the sandbox only.
//!
//! It implements the exports themselves, not `Policy`: the loop over a batch,
//! which the SDK keeps in its own hands, is one of the things it breaks. The
//! body is searched, not parsed: the tests write it without spaces.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

#[cfg(target_family = "wasm")]
mod exports;
#[cfg(target_family = "wasm")]
mod leaks;
#[cfg(target_family = "wasm")]
mod loaded;
#[cfg(target_family = "wasm")]
mod tricks;

/// The text of a member of a JSON object, if it is a text without escapes.
pub fn member<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = body.split_once(&alloc::format!("\"{name}\":\""))?;
    Some(after.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::member;

    #[test]
    fn a_member_is_found_by_its_name() {
        let body = r#"{"do":"trap","user_id":"u"}"#;
        assert_eq!(member(body, "do"), Some("trap"));
        assert_eq!(member(body, "user_id"), Some("u"));
        assert_eq!(member(body, "ip"), None);
    }
}
