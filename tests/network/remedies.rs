//! What users configure wrongly is said with what mends it, before anything is
//! received.

use crate::delivery::scene::Scene;
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::refusal::Refusal;
use crate::network::server::{head, serving, skip_body};
use crate::support::host::Host;
use std::io::Write;

#[track_caller]
fn refused(host: Host, code: i32, words: &[&str]) {
    let run = host.option("--startup-wait-secs", "1").run().exited(code);
    assert!(run.stdout.is_empty());
    drop(run.says(words));
}

#[test]
fn what_is_given_in_place_of_a_queue_s_url_is_answered_with_the_url() {
    let scene = Scene::new("no_url");
    let url = "https://sqs.eu-central-1.amazonaws.com/000000000007/logins";
    for option in ["--queue-url", "--dead-letter-queue-url"] {
        for (given, words) in [
            ("arn:aws:sqs:eu-central-1:000000000007:logins", url),
            ("logins", "get-queue-url --queue-name logins"),
            (
                "https://sqs.eu-central-1.amazonaws.com/000000000007/logins ",
                url,
            ),
            ("sqs.eu-central-1.amazonaws.com/000000000007/logins", url),
        ] {
            refused(scene.host().option(option, given), 78, &[option, words]);
        }
    }
}

#[test]
fn an_endpoint_without_a_scheme_is_said_at_once() {
    let scene = Scene::new("no_scheme");
    for variable in ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"] {
        let host = scene.host().env(variable, "localhost:9324");
        refused(host, 78, &[variable, "http://localhost:9324"]);
    }
}

#[test]
fn each_refusal_has_its_own_remedy_and_names_where_it_was_asked() {
    let scene = Scene::new("refusals");
    let endpoint = scene.fake.endpoint().to_owned();
    for (refusal, words) in [
        (Refusal::access_denied(), "sqs:GetQueueAttributes"),
        (Refusal::wrong_signature(), "AWS_SECRET_ACCESS_KEY"),
        (Refusal::expired_token(), "aws sso login"),
        (Refusal::coded("InvalidClientTokenId"), "AWS_ACCESS_KEY_ID"),
        (
            Refusal::coded("UnrecognizedClientException"),
            "AWS_SESSION_TOKEN",
        ),
        (Refusal::coded("KmsAccessDenied"), "kms:Decrypt"),
    ] {
        let fault = Fault::everywhere(Action::Refuse(refusal)).until_stopped();
        let fault = scene.fake.fault(fault);
        let run = scene
            .host()
            .option("--startup-wait-secs", "1")
            .run()
            .exited(78);
        let run = run.says(&[words, "logins", "us-east-1", &endpoint]);
        drop(run.never_says("check --queue-url"));
        fault.stop();
    }
}

#[test]
fn no_credentials_and_an_unknown_profile_are_said_at_once() {
    let scene = Scene::new("credentials");
    let bare = || {
        scene
            .host()
            .unset("AWS_ACCESS_KEY_ID")
            .unset("AWS_SECRET_ACCESS_KEY")
            .env("HOME", "/nonexistent")
    };
    refused(bare(), 78, &["AWS_ACCESS_KEY_ID", "AWS_PROFILE"]);
    let host = bare().env("AWS_PROFILE", "no-such-profile");
    refused(host, 78, &["no-such-profile", "AWS_PROFILE"]);
}

#[test]
fn a_page_in_html_is_its_status() {
    let scene = Scene::new("html");
    let page = serving(|mut client| {
        while let Some(head) = head(&mut client) {
            skip_body(&mut client, &head)?;
            let page = "<html><body>\u{1b}[31mBad Gateway</body></html>";
            let length = page.len();
            write!(
                client,
                "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\r\n{page}"
            )?;
        }
        Ok(())
    });
    let host = scene.host_at(&format!("http://{page}"));
    refused(host, 69, &["HTTP 502"]);
}

/// Words of SQS that a terminal would obey.
#[test]
fn words_of_the_queue_are_cleaned_and_cut() {
    let scene = Scene::new("words");
    let page = serving(|mut client| {
        while let Some(head) = head(&mut client) {
            skip_body(&mut client, &head)?;
            let long = "long ".repeat(4_000);
            let body = format!(
                r#"{{"__type":"AccessDenied\u001b[2J","message":"\u001b[31m\u202e\u200b{long}"}}"#
            );
            let length = body.len();
            write!(
                client,
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\r\n{body}"
            )?;
        }
        Ok(())
    });
    let host = scene.host_at(&format!("http://{page}"));
    let run = host.option("--startup-wait-secs", "1").run();
    assert!(
        run.stderr.contains(r"\u{1b}[31m") || run.stderr.contains(r"\\u{1b}[31m"),
        "{}",
        run.stderr
    );
    for hidden in ['\u{1b}', '\u{202e}', '\u{200b}'] {
        assert!(!run.stderr.contains(hidden), "{hidden:?}");
    }
    assert!(run.stderr.len() < 8_000, "{} bytes", run.stderr.len());
}
