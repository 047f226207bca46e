//! A component that misbehaves on request: the message that makes it do so is
//! rejected, and the next one succeeds in a fresh instance, however long an
//! instance lives.

use serde_json::json;

use super::scene::{Scene, bare_row};
use crate::support::canary::nothing_leaked;
use crate::support::host::Host;
use crate::support::login::{Login, Row};

/// Short enough to wait for, and long enough for a loaded machine.
const MESSAGE_MS_MAX: &str = "700";
const BATCH_MS_MAX: &str = "1500";
/// The host's defaults.
const MEMORY_MIB_MAX: usize = 64;
const RESULT_BYTES_MAX: usize = 4 << 20;
const ROWS_MAX: usize = 1_000;
const STACK_KIB_MAX: &str = "512";
const STACK_KIB_MIN: &str = "64";
/// Calls that take more than the smallest stack, and less than the default one.
const CALLS: usize = 3_000;

/// What a message asks of the component, and the reason that it is to get;
/// none where it is to be stored.
pub type Request<'a> = (&'a str, usize, Option<&'a str>);

pub fn body(login: &Login, (asked, amount, _): Request) -> String {
    let mut body = login.json();
    body["do"] = json!(asked);
    body["amount"] = json!(amount.to_string());
    body.to_string()
}

/// Sends each request between good logins, and checks the fates: where an
/// instance lives for a batch, and where it lives for a message.
#[track_caller]
pub fn each_has_its_fate(test: &str, requests: &[Request], settings: impl Fn(Host) -> Host) {
    for isolation in ["batch", "message"] {
        let test = format!("{test}_{isolation}");
        let settings = |host: Host| settings(host.option("--isolation", isolation));
        each_has_its_fate_where(&test, requests, settings);
    }
}

#[track_caller]
fn each_has_its_fate_where(test: &str, requests: &[Request], settings: impl Fn(Host) -> Host) {
    let scene = Scene::new();
    scene
        .database
        .execute("ALTER TABLE user_logins ALTER device_type TYPE text");
    let logins = Login::several(test, 2 * requests.len() + 1);
    let mut bodies = vec![logins[0].body()];
    for (request, pair) in requests.iter().zip(logins[1..].chunks(2)) {
        bodies.extend([body(&pair[0], *request), pair[1].body()]);
    }
    let sent = scene.send(&bodies);

    let host = scene
        .misbehaving_host()
        .option("--transform-message-ms-max", MESSAGE_MS_MAX)
        .option("--transform-batch-ms-max", BATCH_MS_MAX)
        .until_empty();
    let run = settings(host).run().exited(0);

    let mut stored: Vec<Row> = logins.iter().step_by(2).map(bare_row).collect();
    let mut rejected = 0;
    for ((request, id), login) in requests
        .iter()
        .zip(sent.ids.iter().skip(1).step_by(2))
        .zip(logins.iter().skip(1).step_by(2))
    {
        if let Some(reason) = request.2 {
            scene.assert_rejected(id, reason);
            rejected += 1;
        } else {
            let copies = if request.0 == "give-rows" {
                request.1
            } else {
                1
            };
            stored.extend(vec![bare_row(login); copies]);
        }
    }
    // The text is the component's own, and too long to be compared.
    let texts = "UPDATE user_logins SET device_type = NULL WHERE device_type ~ '^x+$'";
    scene.database.execute(texts);
    scene.assert_well(&stored, rejected, &logins, &[&run]);
}

/// Cases 64, 69 and 114.
#[test]
fn a_trap_rejects_its_own_message_and_says_nothing_of_it() {
    let requests = ["trap", "panic-with-value"].map(|asked| (asked, 0, Some("trap")));
    each_has_its_fate("trap", &requests, |host| {
        host.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full")
    });
}

/// Case 64.
#[test]
fn a_deep_recursion_is_no_fault_within_the_limit() {
    each_has_its_fate("stack_within", &[("recurse", CALLS, None)], |host| {
        host.option("--transform-stack-kib-max", STACK_KIB_MAX)
    });
}

/// Case 64.
#[test]
fn a_deep_recursion_rejects_its_own_message_over_the_limit() {
    let requests = [
        ("recurse", CALLS, Some("trap")),
        ("recurse", 0, Some("trap")),
    ];
    each_has_its_fate("stack_over", &requests, |host| {
        host.option("--transform-stack-kib-max", STACK_KIB_MIN)
    });
}

/// Case 65.
#[test]
fn a_long_loop_is_no_fault_within_the_limit() {
    each_has_its_fate("loop_within", &[("spin", 1_000_000, None)], |host| host);
}

/// Case 65.
#[test]
fn an_endless_loop_rejects_its_own_message_over_the_limit() {
    each_has_its_fate("loop_over", &[("spin", 0, Some("time-limit"))], |host| host);
}

/// The guard looks through what comes out, and whoever writes the body can make
/// the most of that: a short value spread over 90 KB, and 250 KB to look for it in.
#[test]
fn a_message_that_is_costly_to_check_is_rejected_and_its_neighbours_are_stored() {
    for (ms_max, reason) in [("50", Some("check-limit")), ("43200000", None)] {
        let scene = Scene::new();
        let logins = Login::several("costly_to_check", 7);
        let mut costly = logins[3].clone();
        // Within the limit, the same value is looked for in an honest row.
        costly.ip = format!("ab{}cd", "-".repeat(90_000));
        if reason.is_some() {
            costly.user_id = "VVVVVVVVVA".repeat(25_000);
        }
        let sent: Vec<Login> = logins
            .iter()
            .enumerate()
            .map(|(number, login)| if number == 3 { &costly } else { login })
            .cloned()
            .collect();
        let bodies: Vec<String> = sent.iter().map(Login::body).collect();
        let ids = scene.send(&bodies).ids;
        let host = scene
            .misbehaving_host()
            .option("--transform-check-ms-max", ms_max);
        let run = host.until_empty().run().exited(0);
        let is_stored = |number: &usize| reason.is_none() || *number != 3;
        let stored: Vec<Row> = (0..sent.len())
            .filter(is_stored)
            .map(|number| bare_row(&sent[number]))
            .collect();
        if let Some(reason) = reason {
            scene.assert_rejected(&ids[3], reason);
        }
        let rejected = sent.len() - stored.len();
        scene.assert_well(&stored, rejected, &sent, &[&run]);
    }
}

/// Nobody is to blame for a batch that is too slow as a whole: its messages are
/// judged one by one, each within its own limit.
#[test]
fn messages_that_are_too_slow_together_are_no_fault() {
    let requests = [("spin", 30_000_000, None); 3];
    each_has_its_fate("slow_together", &requests, |host| {
        host.option("--transform-batch-ms-max", "1")
            .option("--transform-message-ms-max", "30000")
    });
}

/// Case 66.
#[test]
fn memory_is_no_fault_within_the_limit() {
    let half = MEMORY_MIB_MAX / 2;
    each_has_its_fate("memory_within", &[("grow", half, None)], |host| host);
}

/// Case 66.
#[test]
fn unbounded_memory_rejects_its_own_message_over_the_limit() {
    let requests = [
        ("grow", MEMORY_MIB_MAX, Some("memory-limit")),
        ("grow", 0, Some("memory-limit")),
        ("give-large-text", 100 << 20, Some("memory-limit")),
    ];
    each_has_its_fate("memory_over", &requests, |host| host);
}

/// Case 66.
#[test]
fn a_large_result_is_no_fault_within_the_limit() {
    let requests = [
        ("give-large-text", RESULT_BYTES_MAX - 1_000, None),
        ("give-rows", ROWS_MAX, None),
    ];
    each_has_its_fate("result_within", &requests, |host| host);
}

/// Case 66.
#[test]
fn a_large_result_rejects_its_own_message_over_the_limit() {
    let requests = [
        ("give-large-text", RESULT_BYTES_MAX, Some("result-limit")),
        ("give-large-text", 100 << 20, Some("result-limit")),
        ("give-rows", ROWS_MAX + 1, Some("result-limit")),
    ];
    each_has_its_fate("result_over", &requests, |host| {
        // Room enough for the result, so that it is the result that is refused;
        // and time to make it in.
        host.option("--transform-memory-mib-max", "300")
            .option("--transform-message-ms-max", "10000")
            .option("--transform-batch-ms-max", "20000")
    });
}

/// Case 66: a text that the guest has once, and the host would have a thousand
/// times.
#[test]
fn a_result_that_grows_on_its_way_out_is_refused_and_takes_no_memory() {
    let request = ("give-one-text-in-many-rows", ROWS_MAX, Some("result-limit"));
    let scene = Scene::new();
    let logins = Login::several("grows_on_its_way", 2);
    let sent = scene.send(&[body(&logins[0], request), logins[1].body()]);

    let mut host = scene.misbehaving_host().start();
    host.wait_until("both are settled", || scene.left() == 0);
    let memory_kib_max = host.memory_kib_max().expect("Linux tells");
    host.terminate();
    let run = host.finish().exited(0);

    scene.assert_rejected(&sent.ids[0], "result-limit");
    scene.assert_well(&[bare_row(&logins[1])], 1, &logins, &[&run]);
    assert!(memory_kib_max < 500 << 10, "{memory_kib_max} KiB");
}

/// Case 67, but for a value that is not masked.
#[test]
fn a_result_that_breaks_the_interface_rejects_its_own_message() {
    let requests = [
        "give-no-outcome",
        "give-two-outcomes",
        "give-extra-column",
        "leave-out-column",
        "give-wrong-type",
        "give-forbidden-null",
        "give-nul",
        "give-bytes-that-are-no-text",
        "blame-unknown-field",
    ]
    .map(|asked| (asked, 0, Some("broken-interface")));
    // One at a time: a missing outcome and one too many would add up.
    for (n, request) in requests.iter().enumerate().take(2) {
        each_has_its_fate(&format!("interface_{n}"), &[*request], |host| host);
    }
    each_has_its_fate("interface", &requests[2..], |host| host);
}

/// Rows that tell how many messages their instance had seen before.
fn seen_before(isolation: &str, test: &str) -> Vec<i64> {
    let scene = Scene::new();
    let logins = Login::several(test, 12);
    let request = ("tell-what-was-seen", 0, None);
    let bodies: Vec<String> = logins.iter().map(|login| body(login, request)).collect();
    let host = scene.misbehaving_host().option("--isolation", isolation);
    let mut host = host.start();
    for (n, part) in bodies.chunks(6).enumerate() {
        scene.send(part);
        host.wait_until("the messages are settled", || {
            scene.database.count_if_there("user_logins") == 6 * (n as i64 + 1) && scene.left() == 0
        });
    }
    host.terminate();
    let run = host.finish().exited(0);
    nothing_leaked(&logins, &[&run], &scene.database);
    let seen = (0..6).map(|n| {
        scene
            .database
            .count(&format!("user_logins WHERE app_version = {n}"))
    });
    seen.collect()
}

/// Case 68.
#[test]
fn no_state_is_carried_from_message_to_message_where_each_has_its_own_instance() {
    assert_eq!(seen_before("message", "carry_message"), [12, 0, 0, 0, 0, 0]);
}

/// Case 68.
#[test]
fn no_state_is_carried_from_batch_to_batch() {
    let seen = seen_before("batch", "carry_batch");
    // All twelve are within what an instance of a batch of six can see, and
    // each batch has one that is the first.
    assert_eq!(seen.iter().sum::<i64>(), 12);
    assert!(
        seen[0] >= 2,
        "only {} messages met a fresh instance",
        seen[0]
    );
}
