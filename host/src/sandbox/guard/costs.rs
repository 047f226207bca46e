//! What a message may cost at most: whoever writes body and rows so that each
//! search takes as long as possible meets the limit, and soon after it.

use std::time::Duration;

use serde_json::json;

use super::Guard;
use super::tests::guarding;
use crate::row::Value;
use crate::sandbox::clock::thread_time;
use crate::verdict::Reason;

/// Short, so that a debug build meets the limit with the smallest attack.
const CHECK_MS_MAX: u64 = 100;
/// What a search may take beyond the limit: the longest step between two looks
/// at the clock. A debug build takes some 20 times as long as a release build.
const BEYOND_MS_MAX: u64 = 900;

/// The reason against a row, and the processor time that it took to find.
fn cost(body: &str, value: Value, ms_max: u64) -> (Option<Reason>, Duration) {
    let guard: Guard = guarding(&["/ip"], ms_max);
    let mut inspector = guard.inspector();
    let began = thread_time();
    let inspected = inspector.inspect(body, &[vec![value]]);
    let took = thread_time().saturating_sub(began);
    (inspected.err().map(|rejection| rejection.reason), took)
}

#[track_caller]
fn ends_at_the_limit(body: &str, value: Value) {
    let (reason, took) = cost(body, value, CHECK_MS_MAX);
    assert_eq!(reason, Some(Reason::CheckLimit), "after {took:?}");
    let most = Duration::from_millis(CHECK_MS_MAX + BEYOND_MS_MAX);
    assert!(took < most, "{took:?}");
}

/// A body of 7 KB: a thousand values, none of which any number is.
fn many_values() -> String {
    let values: Vec<String> = (0..1_000).map(|n| format!("v{n:04}")).collect();
    json!({"ip": values}).to_string()
}

#[test]
fn a_json_column_of_numbers_against_many_values() {
    let numbers: Vec<u32> = (0..60_000).map(|n| 700_000 + n).collect();
    let column = json!(numbers).to_string();
    assert!(many_values().len() < 10_000 && column.len() > 400_000);
    ends_at_the_limit(&many_values(), Value::Json(column));
}

#[test]
fn a_json_column_of_words_against_many_values() {
    let words: Vec<String> = (0..60_000).map(|n| format!("w{n:05}x")).collect();
    ends_at_the_limit(&many_values(), Value::Json(json!(words).to_string()));
}

#[test]
fn a_text_of_many_short_runs_against_a_short_value_that_is_spread() {
    // Four letters with 90,000 separators: so long a text may hide them.
    let secret = format!("ab{}cd", "-".repeat(90_000));
    // In base64, and in hexadecimal, readable for some characters each.
    let text = "VVVVVVVVVA".repeat(34_000);
    ends_at_the_limit(&json!({"ip": secret}).to_string(), Value::Text(text));
}

#[test]
fn needles_that_differ_at_their_end_only() {
    let values: Vec<String> = (0..100)
        .map(|n| format!("{}{n:03}", "a".repeat(4_500)))
        .collect();
    let text = "a".repeat(450_000);
    ends_at_the_limit(&json!({"ip": values}).to_string(), Value::Text(text));
}

#[test]
fn a_moment_against_values_of_many_numbers() {
    let secret = "1 ".repeat(450_000);
    let body = json!({"ip": secret}).to_string();
    let guard = guarding(&["/ip"], CHECK_MS_MAX);
    let rows = vec![vec![Value::Timestamp(1)]; 1_000];
    let began = thread_time();
    let inspected = guard.inspector().inspect(&body, &rows);
    let took = thread_time().saturating_sub(began);
    assert_eq!(inspected.unwrap_err().reason, Reason::CheckLimit);
    let most = Duration::from_millis(CHECK_MS_MAX + BEYOND_MS_MAX);
    assert!(took < most, "{took:?}");
}

#[test]
fn a_body_of_many_members_against_many_pointers() {
    let pointers: Vec<String> = (0..1_600).map(|n| format!("/m/{n}x")).collect();
    let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
    let members: String = (0..60_000).map(|n| format!(r#""{n}":0,"#)).collect();
    let body = format!(r#"{{"m":{{{members}"last":0}}}}"#);
    let guard = guarding(&pointers, CHECK_MS_MAX);
    let began = thread_time();
    let inspected = guard.inspector().inspect(&body, &[vec![Value::Integer(7)]]);
    let took = thread_time().saturating_sub(began);
    assert_eq!(inspected.unwrap_err().reason, Reason::CheckLimit);
    let most = Duration::from_millis(CHECK_MS_MAX + BEYOND_MS_MAX);
    assert!(took < most, "{took:?}");
}

#[test]
fn who_is_given_the_time_is_looked_through_to_the_end() {
    let numbers: Vec<u32> = (0..600).map(|n| 700_000 + n).collect();
    let column = || Value::Json(json!(numbers).to_string());
    let patient = 600_000;
    assert_eq!(cost(&many_values(), column(), patient).0, None);
    let body = json!({"ip": "700599"}).to_string();
    assert_eq!(cost(&body, column(), patient).0, Some(Reason::Leak));
}

#[test]
fn the_next_message_has_a_budget_of_its_own() {
    let numbers: Vec<u32> = (0..60_000).map(|n| 700_000 + n).collect();
    let costly = [vec![Value::Json(json!(numbers).to_string())]];
    let plain = [vec![Value::Text("honest".to_owned())]];
    let (many, one) = (many_values(), json!({"ip": "192.0.2.7"}).to_string());
    let guard = guarding(&["/ip"], CHECK_MS_MAX);
    let mut inspector = guard.inspector();
    for _ in 0..2 {
        let costly = inspector.inspect(&many, &costly);
        assert_eq!(costly.unwrap_err().reason, Reason::CheckLimit);
        assert_eq!(inspector.inspect(&one, &plain), Ok(()));
    }
}
