//! Every call to AWS goes the way that the environment says, and a proxy that
//! fails is named, without its password.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Manner, Proxy, head, serving};
use crate::delivery::scene::Scene;
use crate::delivery::tls_door::TlsDoor;
use crate::support::deserted_address;
use crate::support::folder::Folder;
use crate::tls::authority::{Authority, PUBLIC};

/// A name that only the proxy knows.
const ELSEWHERE: &str = "queue.invented.invalid";
const MESSAGES: usize = 25;

fn settled(mut scene: Scene, host: crate::support::host::Host) {
    let run = host.until_empty().start();
    assert_eq!(scene.ended(run)["stored"], MESSAGES);
    scene.assert_settled();
}

fn scene(name: &'static str) -> Scene {
    let mut scene = Scene::new(name);
    scene.send(MESSAGES);
    scene
}

#[test]
fn every_call_goes_through_the_proxy_the_direct_ones_too() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let mut scene = scene("proxy_http");
        let proxy = Proxy::before(scene.address(), Manner::Passes);
        let host = scene.host_at(&format!("http://{ELSEWHERE}:9324")).env(
            variable,
            format!("http://user:invented-secret@{}", proxy.address),
        );
        let run = host.until_empty().start();
        assert_eq!(scene.ended(run)["stored"], MESSAGES);
        let calls = scene.fake.journal().calls();
        assert!(
            calls
                .iter()
                .any(|call| call.client.starts_with("etl-host/"))
        );
        assert!(
            proxy.requests() >= calls.len(),
            "{} calls, {} through the proxy",
            calls.len(),
            proxy.requests()
        );
        assert_eq!(proxy.authorized(), proxy.requests());
        scene.assert_settled();
    }
}

#[test]
fn tls_goes_through_a_tunnel() {
    let scene = scene("proxy_https");
    let authority = Authority::new("proxy");
    let home = Folder::new("proxy");
    let file = home.keep("authority.crt", &authority.pem(), PUBLIC);
    let door = TlsDoor::before(scene.address(), &authority.issue(ELSEWHERE));
    let port = door
        .url(ELSEWHERE)
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    let door_address = format!("127.0.0.1:{port}").parse().expect("an address");
    let proxy = Proxy::before(door_address, Manner::Passes);
    let host = scene
        .host_at(&format!("https://{ELSEWHERE}"))
        .env("SSL_CERT_FILE", file)
        .env(
            "HTTPS_PROXY",
            format!("http://user:invented-secret@{}", proxy.address),
        );
    settled(scene, host);
    assert!(proxy.requests() > 0, "no tunnel");
    assert_eq!(proxy.authorized(), proxy.requests());
}

#[test]
fn what_no_proxy_exempts_is_asked_itself() {
    for rules in ["127.0.0.1", "127.0.0.0/8", "*", "other.invalid, 127.0.0.1"] {
        let scene = scene("proxy_exempt");
        let proxy = Proxy::before(scene.address(), Manner::Refuses("502 Bad Gateway"));
        let host = scene
            .host()
            .env("HTTP_PROXY", format!("http://{}", proxy.address))
            .env("NO_PROXY", rules);
        settled(scene, host);
        assert_eq!(proxy.requests(), 0, "NO_PROXY={rules}");
    }
}

/// The endpoint of a container's agent is asked itself, the queue through the
/// proxy.
#[test]
fn endpoints_of_credentials_are_asked_without_the_proxy() {
    let scene = scene("proxy_credentials");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let agent = serving(move |mut client| {
        while let Some(head) = head(&mut client) {
            assert!(head.starts_with("GET /v1 "), "{head}");
            count.fetch_add(1, Ordering::SeqCst);
            let answer = r#"{"AccessKeyId":"AKIDINVENTED","SecretAccessKey":"invented",
                "Token":"invented","Expiration":"2099-01-01T00:00:00Z"}"#;
            let length = answer.len();
            write!(
                client,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}"
            )?;
        }
        Ok(())
    });
    let proxy = Proxy::before(scene.address(), Manner::Passes);
    let host = scene
        .host_at(&format!("http://{ELSEWHERE}:9324"))
        .unset("AWS_ACCESS_KEY_ID")
        .unset("AWS_SECRET_ACCESS_KEY")
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("http://{agent}/v1"),
        )
        .env("HTTP_PROXY", format!("http://{}", proxy.address));
    settled(scene, host);
    assert!(asked.load(Ordering::SeqCst) > 0);
    assert!(proxy.requests() > 0);
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    let mut scene = scene("proxy_refuses");
    let plain = format!("http://{ELSEWHERE}:9324");
    let tls = format!("https://{ELSEWHERE}");
    let unauthorized = Manner::Refuses("407 Proxy Authentication Required");
    let broken = Manner::Refuses("502 Bad Gateway");
    for (endpoint, variable, manner, code, words) in [
        (
            &plain,
            "HTTP_PROXY",
            unauthorized,
            78,
            "user and a password",
        ),
        (&tls, "HTTPS_PROXY", unauthorized, 78, "user and a password"),
        (&tls, "HTTPS_PROXY", broken, 69, "NO_PROXY"),
        (&plain, "HTTP_PROXY", broken, 69, "HTTP 502"),
    ] {
        let proxy = Proxy::before(scene.address(), manner);
        let url = format!("http://user:invented-secret@{}", proxy.address);
        let host = scene.host_at(endpoint).env(variable, url);
        let run = host.option("--startup-wait-secs", "1").run().exited(code);
        let place = proxy.address.to_string();
        let run = run.says(&[&place, words]).never_says("invented-secret");
        drop(run.never_says("dXNlcjppbnZlbnRlZC1zZWNyZXQ"));
        assert!(proxy.requests() > 0);
    }
    let gone = deserted_address();
    let host = scene
        .host_at(&tls)
        .env("HTTPS_PROXY", format!("http://user:invented-secret@{gone}"))
        .option("--startup-wait-secs", "1");
    drop(
        host.run()
            .exited(69)
            .says(&[&gone, "refused"])
            .never_says("invented-secret"),
    );
    let host = scene
        .host_at(&tls)
        .env("HTTPS_PROXY", "socks5://user:invented-secret@proxy");
    drop(
        host.run()
            .exited(78)
            .says(&["HTTPS_PROXY"])
            .never_says("invented-secret"),
    );
    scene.drain();
    scene.assert_settled();
}
