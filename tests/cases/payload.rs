//! Bodies that no producer should send: each gets its reason, none takes
//! another along, and what they hold gets nowhere.

use super::scene::Scene;
use crate::support::login::{Locale, Login, rows};

/// How deep a body nests. A parser that recurses has overflowed long before.
const DEPTH: usize = 10_000;

/// Sends a good login before, between and after these bodies, and checks that
/// each bad one is rejected for its reason and that all others are stored.
#[track_caller]
fn rejected_alone(test: &str, bad: &[(&str, String)], canaries: &[Login]) {
    let scene = Scene::new();
    let good = Login::several(&format!("{test}_good"), bad.len() + 1);
    let mut bodies = vec![good[0].body()];
    for ((_, bad), good) in bad.iter().zip(&good[1..]) {
        bodies.extend([bad.clone(), good.body()]);
    }
    let sent = scene.send(&bodies);

    let run = scene.host().until_empty().run().exited(0);

    for ((reason, _), id) in bad.iter().zip(sent.ids.iter().skip(1).step_by(2)) {
        scene.assert_rejected(id, reason);
    }
    let mut letters = scene.dead_letters();
    let mut expected: Vec<String> = bad.iter().map(|(_, body)| body.clone()).collect();
    letters.sort();
    expected.sort();
    // Too long to be shown.
    assert!(letters == expected, "dead letters are as they came");
    let logins = [&good, canaries].concat();
    scene.assert_well(&rows(&good, sent.day), bad.len(), &logins, &[&run]);
}

/// The login with one more member, first, whose name and value are given as
/// they stand in JSON.
fn with(login: &Login, member: &str) -> String {
    login.body().replacen('{', &format!("{{{member},"), 1)
}

/// The login with another value for a member, as it stands in JSON.
fn replaced(login: &Login, member: &str, value: &str) -> String {
    let mut json = login.json();
    let members = json.as_object_mut().expect("an object");
    members.remove(member).expect("a login's member");
    json.to_string()
        .replacen('{', &format!("{{\"{member}\":{value},"), 1)
}

/// Case 57.
#[test]
fn what_is_no_json_object_is_rejected_alone() {
    let logins = Login::several("no_object", 8);
    let body = |n: usize| logins[n].body();
    let mut cut_short = body(0);
    cut_short.pop();
    let bad = [
        ("malformed", "invented words".to_owned()),
        ("malformed", cut_short),
        ("malformed", format!("\u{feff}{}", body(1))),
        ("malformed", format!("{} and more", body(2))),
        ("malformed", format!("{}{}", body(3), body(4))),
        // The shortest that SQS takes.
        ("malformed", " ".to_owned()),
        ("unsupported", "71".to_owned()),
        ("unsupported", "true".to_owned()),
        ("unsupported", "null".to_owned()),
        ("unsupported", format!("\"{}\"", logins[5].device_id)),
        ("unsupported", format!("[{}]", body(6))),
        ("unsupported", "{}".to_owned()),
        ("malformed", body(7).replace(':', "=")),
    ];
    rejected_alone("no_object", &bad, &logins);
}

/// Case 58.
#[test]
fn a_nul_in_what_is_stored_is_rejected_and_elsewhere_it_is_no_fault() {
    let mut logins = Login::several("nul", 4);
    // A locale is added here, and stands once.
    logins[2].locale = Locale::Absent;
    let bad = [
        ("invalid", replaced(&logins[0], "user_id", r#""a\u0000b""#)),
        (
            "invalid",
            replaced(&logins[1], "device_type", r#""\u0000""#),
        ),
        ("invalid", with(&logins[2], r#""locale":"D\u0000E""#)),
    ];
    rejected_alone("nul", &bad, &logins);

    let scene = Scene::new();
    let sent = scene.send(&[with(&logins[3], r#""note":"a\u0000b""#)]);
    let run = scene.host().until_empty().run().exited(0);
    scene.assert_well(&rows(&logins[3..], sent.day), 0, &logins, &[&run]);
}

/// Case 59.
#[test]
fn half_a_surrogate_pair_is_rejected_alone() {
    let logins = Login::several("surrogates", 4);
    let bad = [
        ("malformed", replaced(&logins[0], "user_id", r#""\ud800""#)),
        ("malformed", replaced(&logins[1], "user_id", r#""\udc00x""#)),
        ("malformed", replaced(&logins[2], "ip", r#""\ud83d\ud83d""#)),
        (
            "malformed",
            replaced(&logins[3], "device_id", r#""\ud83d""#),
        ),
    ];
    rejected_alone("surrogates", &bad, &logins);
}

/// Case 60.
#[test]
fn numbers_where_texts_belong_are_rejected_alone() {
    let logins = Login::several("numbers", 7);
    let bad = [
        ("wrong-type", replaced(&logins[0], "app_version", "2.3")),
        ("wrong-type", replaced(&logins[1], "ip", "3221225985")),
        (
            "wrong-type",
            replaced(&logins[2], "user_id", &"9".repeat(300)),
        ),
        ("malformed", replaced(&logins[3], "user_id", "NaN")),
        ("malformed", with(&logins[4], "\"note\":0x1F")),
        ("malformed", with(&logins[5], "\"note\":01")),
        ("malformed", with(&logins[6], "\"note\":+1")),
    ];
    rejected_alone("numbers", &bad, &logins);
}

/// Case 60.
#[test]
fn numbers_of_any_size_in_what_is_not_stored_are_no_fault() {
    let scene = Scene::new();
    let logins = Login::several("any_size", 5);
    let numbers = [
        "1e400",
        "-1E-999999",
        "-0",
        &"9".repeat(100_000),
        "0.0000000001e309",
    ];
    let members = numbers.map(|number| format!("\"note\":{number}"));
    let bodies: Vec<String> = logins
        .iter()
        .zip(&members)
        .map(|(login, member)| with(login, member))
        .collect();
    let sent = scene.send(&bodies);

    let run = scene.host().until_empty().run().exited(0);

    scene.assert_well(&rows(&logins, sent.day), 0, &logins, &[&run]);
}

/// Case 61.
#[test]
fn a_member_that_stands_twice_is_rejected_whichever_would_have_won() {
    let logins = Login::several("member_twice", 6);
    let bad = [
        with(&logins[0], "\"ip\":\"198.51.100.255\""),
        with(&logins[1], "\"ip\":null"),
        with(&logins[2], "\"user_id\":\"somebody else\""),
        // The same name in another spelling.
        with(&logins[3], r#""\u0069p":"192.0.2.255""#),
        with(&logins[4], r#""device\u005fid":"first""#),
        // A sensitive value under a name that is stored.
        with(
            &logins[5],
            &format!("\"user_id\":\"{}\"", logins[5].device_id),
        ),
    ];
    rejected_alone(
        "member_twice",
        &bad.map(|body| ("malformed", body)),
        &logins,
    );
}

/// Case 62.
#[test]
fn depth_in_a_member_that_counts_is_rejected_and_elsewhere_it_is_no_fault() {
    let deep = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let objects = format!("{}1{}", "{\"a\":".repeat(DEPTH), "}".repeat(DEPTH));
    let logins = Login::several("depth", 5);
    let bad = [
        ("unsupported", deep.clone()),
        ("unsupported", objects.clone()),
        ("wrong-type", replaced(&logins[0], "ip", &deep)),
        ("wrong-type", replaced(&logins[1], "user_id", &objects)),
        (
            "malformed",
            with(&logins[2], &format!("\"note\":{}", "[".repeat(DEPTH))),
        ),
    ];
    rejected_alone("depth", &bad, &logins);

    let scene = Scene::new();
    let notes = [deep, objects].map(|value| format!("\"note\":{value}"));
    let good = &logins[3..];
    let bodies = [with(&good[0], &notes[0]), with(&good[1], &notes[1])];
    let sent = scene.send(&bodies);
    let run = scene.host().until_empty().run().exited(0);
    scene.assert_well(&rows(good, sent.day), 0, &logins, &[&run]);
}
