//! A component whose language runtime wants a WASI: it is given an empty one
//! where that is allowed, and finds nothing in it to learn, fill, wait for or
//! write to.

use std::path::Path;

use super::component::{body, each_has_its_fate};
use super::scene::{Scene, bare_row};
use crate::support::host::Host;
use crate::support::login::{Login, Row};
use crate::support::repository;

const YEAR_SECS: usize = 365 * 86_400;
/// The host's own bounds.
const RANDOM_BYTES_MAX: usize = 1 << 20;
const HANDLES_MAX: usize = 10_000;

/// The component that uses its WASI as a message asks.
fn component(host: Host) -> Host {
    host.option(
        "--transform",
        repository().join("tests/guests/with_wasi.wasm"),
    )
}

fn allowed(host: Host) -> Host {
    component(host).option("--allow", "wasi")
}

#[test]
fn a_component_that_wants_a_wasi_is_refused_by_its_imports_with_the_remedy() {
    let scene = Scene::new();
    scene.send(&[Login::invented("wasi_refused", 1).body()]);
    let run = component(scene.host()).until_empty().run().exited(78);
    run.says(&[
        "wasi:cli/stdout@0.2.",
        "wasi:clocks/monotonic-clock@0.2.",
        "refused; its language runtime wants a WASI: --allow wasi gives it an empty one",
    ]);
    assert_eq!(scene.left(), 1);
}

#[test]
fn what_is_allowed_is_one_of_a_closed_set() {
    for words in ["sockets", "wasi,files", ""] {
        let run = component(Scene::new().host()).option("--allow", words);
        run.run().exited(2).says(&["--allow"]);
    }
}

#[test]
fn an_allowed_wasi_is_told_of_at_the_start_and_by_check() {
    let scene = Scene::new();
    let words = "an empty WASI (no file, variable, argument or socket; output is dropped; \
                 clocks and randomness are fixed)";
    let run = allowed(scene.host()).until_empty().run().exited(0);
    run.says(&[&format!("\"reaches\":\"{words}\"")]);
    let check = allowed(scene.host()).word("check").run().exited(0);
    assert!(
        check.stdout.contains(&format!("reaches {words}")),
        "{}",
        check.stdout
    );
}

#[test]
fn nothing_that_it_prints_gets_out() {
    let requests = [("print", 0, None), ("panic", 0, Some("trap"))];
    let scene = Scene::new();
    let logins = Login::several("wasi_print", 4);
    let asked = [requests[0], requests[1], requests[0]];
    let mut bodies: Vec<String> = logins.iter().zip(asked).map(|(l, r)| body(l, r)).collect();
    bodies.push(logins[3].body());
    let sent = scene.send(&bodies);

    let run = allowed(scene.host())
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .until_empty()
        .run()
        .exited(0)
        .never_says("printed")
        .never_says("panicked")
        .never_says("configured");

    scene.assert_rejected(&sent.ids[1], "trap");
    let rows = [&logins[0], &logins[2], &logins[3]].map(bare_row);
    scene.assert_well(&rows, 1, &logins, &[&run]);
}

#[test]
fn it_finds_nothing_of_the_machine() {
    let scene = Scene::new();
    let column = "ALTER TABLE user_logins ALTER device_type TYPE text";
    scene.database.execute(column);
    let login = Login::invented("wasi_around", 1);
    scene.send(&[body(&login, ("look-around", 0, None))]);

    let run = allowed(scene.host()).until_empty().run().exited(0);

    let found = "0 variables, 0 arguments, 0 files, written: false, input: Ok(0), terminal: false";
    let row = Row {
        device_type: Some(found.to_owned()),
        ..bare_row(&login)
    };
    scene.assert_well(&[row], 0, &[login], &[&run]);
    assert!(!Path::new("/tmp/with_wasi").exists());
}

/// What `with_wasi` is told of the clocks and of randomness, by its host.
const TIME: &str = "0 ns since 1970, 1 ns on the clock, which moved 0 ns";
const RANDOMNESS: &str = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] \
                          [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] \
                          506097522914230528 506097522914230528 \
                          (506097522914230528, 506097522914230528)";

/// Two batches, in which the questions stand at different places.
#[track_caller]
fn the_same_answers(isolation: &str) {
    let scene = Scene::new();
    let column = "ALTER TABLE user_logins ALTER device_type TYPE text";
    scene.database.execute(column);
    let logins = Login::several(&format!("wasi_same_{isolation}"), 12);
    let questions = [("tell-time", TIME), ("tell-randomness", RANDOMNESS)];
    let mut rows = Vec::new();
    let mut runs = Vec::new();
    for (n, part) in logins.chunks(6).enumerate() {
        let mut bodies = Vec::new();
        for (m, login) in part.iter().enumerate() {
            let (question, answer) = questions[(m + n) % 2];
            bodies.push(body(login, (question, 0, None)));
            rows.push(Row {
                device_type: Some(answer.to_owned()),
                ..bare_row(login)
            });
        }
        scene.send(&bodies);
        let host = allowed(scene.host()).option("--isolation", isolation);
        runs.push(host.until_empty().run().exited(0));
    }
    scene.assert_well(&rows, 0, &logins, &runs.iter().collect::<Vec<_>>());
}

#[test]
fn the_same_message_gives_the_same_row_in_any_batch() {
    the_same_answers("batch");
}

#[test]
fn the_same_message_gives_the_same_row_in_an_instance_of_its_own() {
    the_same_answers("message");
}

/// Within a batch, Rust counts up the seed that it was given once.
#[test]
fn hash_maps_have_one_order_where_each_message_has_its_own_instance() {
    let scene = Scene::new();
    let column = "ALTER TABLE user_logins ALTER device_type TYPE text";
    scene.database.execute(column);
    let logins = Login::several("wasi_hash", 8);
    for part in logins.chunks(4) {
        let bodies = part.iter().map(|login| body(login, ("tell-hash", 0, None)));
        scene.send(&bodies.collect::<Vec<_>>());
        let host = allowed(scene.host()).option("--isolation", "message");
        host.until_empty().run().exited(0);
    }
    assert_eq!(scene.database.count("user_logins"), 8);
    let orders = "(SELECT DISTINCT device_type FROM user_logins) AS orders";
    assert_eq!(scene.database.count(orders), 1);
}

#[test]
fn sleeping_is_over_at_once_and_waiting_for_the_clock_meets_the_time_limit() {
    each_has_its_fate(
        "wasi_sleep",
        &[
            ("sleep", YEAR_SECS, None),
            ("wait-for-the-clock", 0, Some("time-limit")),
        ],
        allowed,
    );
}

#[test]
fn exiting_is_a_trap_and_the_host_goes_on() {
    let exits = [("exit", 0, Some("trap")), ("exit", 1, Some("trap"))];
    each_has_its_fate("wasi_exit", &exits, allowed);
}

#[test]
fn a_little_of_everything_is_no_fault_within_the_limits() {
    each_has_its_fate(
        "wasi_within",
        &[
            ("take-randomness", RANDOM_BYTES_MAX, None),
            // Waiting for them lends each of them once more.
            ("make-pollables", HANDLES_MAX / 2 - 100, None),
            ("read", 0, None),
            ("write", 8, None),
        ],
        allowed,
    );
}

#[test]
fn endless_randomness_and_handles_reject_their_own_message_over_the_limits() {
    each_has_its_fate(
        "wasi_over",
        &[
            ("take-randomness", RANDOM_BYTES_MAX + 1, Some("trap")),
            ("take-randomness", 1 << 30, Some("trap")),
            ("take-randomness", usize::MAX, Some("trap")),
            ("make-pollables", 2 * HANDLES_MAX, Some("broken-interface")),
            ("make-pollables", 0, Some("broken-interface")),
        ],
        allowed,
    );
}
