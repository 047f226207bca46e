//! How every call to AWS leaves the host: the SDK's, the direct ones, and those
//! for credentials. Through a proxy where the environment names one; and no
//! answer is longer than an honest one could be.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http::Uri;
use http_body_util::{BodyExt, Limited};
use tokio::sync::Semaphore;

use super::budget::BODY_BYTES_MAX;
use super::error::{QueueError, innermost};
use super::proxy::{Proxies, Proxy};
use super::receive::RECEIVE_MESSAGES_MAX;

/// The most that JSON makes of a byte: a letter of two bytes is written as
/// `\u00e4` by servers that write ASCII only. (Control characters would take
/// six, but SQS has none of them in a body but tab and line ends, of two.)
const JSON_BYTES_A_BYTE: usize = 3;
/// What an answer has beside its messages, in bytes: ids, receipt handles,
/// digests and names of ten messages, of some 2 KiB each, with room.
const ENVELOPE_BYTES_MAX: usize = 1 << 20;
/// The longest answer to a receive, in bytes: ten bodies of 1 MiB.
const RECEIVED_BYTES_MAX: usize =
    RECEIVE_MESSAGES_MAX * BODY_BYTES_MAX * JSON_BYTES_A_BYTE + ENVELOPE_BYTES_MAX;
/// The longest of any other answer (attributes, outcomes, errors, credentials),
/// in bytes. The longest honest one is a policy's: 20 KiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How many answers of more than [`ANSWER_BYTES_MAX`] are read at once: what is
/// read takes its length in memory, and twice that for a moment.
const LONG_ANSWERS_MAX: usize = 2;

/// The header with the operation's name.
const TARGET: &str = "x-amz-target";
const RECEIVE: &str = "ReceiveMessage";
/// HTTP's status where a proxy wants to know who is there.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// Makes connections.
#[derive(Debug)]
pub(super) struct Client {
    straight: SharedHttpClient,
    through: Arc<Through>,
    long: Arc<Semaphore>,
}

/// The proxies, and the clients that use them.
#[derive(Debug)]
struct Through {
    proxies: Proxies,
    https: Option<SharedHttpClient>,
    http: Option<SharedHttpClient>,
}

impl Client {
    /// A client that uses these proxies.
    pub(super) fn new(proxies: Proxies) -> Self {
        // ring, because the database's TLS uses it too and it builds anywhere
        // that has a C compiler; aws-lc would add minutes to a cold build.
        let straight = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        Self {
            straight,
            long: Arc::new(Semaphore::new(LONG_ANSWERS_MAX)),
            through: Arc::new(Through {
                https: proxies.for_https.as_ref().map(through),
                http: proxies.for_http.as_ref().map(through),
                proxies,
            }),
        }
    }
}

fn through(proxy: &Proxy) -> SharedHttpClient {
    let config = proxy.config.0.clone();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .proxy_config(config.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        builder.build()
    })
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let of = |client: &SharedHttpClient| client.http_connector(settings, components);
        SharedHttpConnector::new(Way {
            straight: of(&self.straight),
            https: self.through.https.as_ref().map(of),
            http: self.through.http.as_ref().map(of),
            through: Arc::clone(&self.through),
            long: Arc::clone(&self.long),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.straight
            .validate_base_client_config(components, config)
    }
}

/// Makes requests.
#[derive(Debug)]
struct Way {
    straight: SharedHttpConnector,
    https: Option<SharedHttpConnector>,
    http: Option<SharedHttpConnector>,
    through: Arc<Through>,
    long: Arc<Semaphore>,
}

impl HttpConnector for Way {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri: Uri = request.uri().parse().unwrap_or_default();
        let proxy = self.through.proxies.of(&uri);
        let connector = match (proxy, uri.scheme_str()) {
            (Some(_), Some("https")) => self.https.as_ref(),
            (Some(_), _) => self.http.as_ref(),
            (None, _) => None,
        };
        let place = proxy.map(|proxy| proxy.place.clone());
        // Within a tunnel the answers are the endpoint's.
        let forwards = uri.scheme_str() != Some("https");
        let operation = request.headers().get(TARGET);
        let bytes_max = match operation.is_some_and(|target| target.ends_with(RECEIVE)) {
            true => RECEIVED_BYTES_MAX,
            false => ANSWER_BYTES_MAX,
        };
        let long = Arc::clone(&self.long);
        let answer = connector.unwrap_or(&self.straight).call(request);
        HttpConnectorFuture::new(async move {
            let answer = match place {
                None => answer.await?,
                Some(place) => of_proxy(answer.await, &place, forwards)?,
            };
            bounded(answer, bytes_max, long).await
        })
    }
}

/// An answer that came by way of a proxy, unless it is the proxy's own: SQS
/// answers in JSON.
fn of_proxy(
    answer: Result<HttpResponse, ConnectorError>,
    place: &str,
    forwards: bool,
) -> Result<HttpResponse, ConnectorError> {
    let failure = |words: &str| -> BoxError { ProxyFailure::new(place, words).into() };
    match answer {
        Ok(answer) if answer.status().as_u16() == PROXY_AUTHENTICATION_REQUIRED => {
            let words = "proxy authorization required";
            Err(ConnectorError::other(failure(words), None))
        }
        Ok(answer) if forwards && answer.status().is_server_error() && !is_json(&answer) => {
            let words = format!("HTTP {}", answer.status().as_u16());
            Err(ConnectorError::other(failure(&words), None))
        }
        Ok(answer) => Ok(answer),
        Err(error) if error.is_timeout() => {
            Err(ConnectorError::timeout(failure("no answer in time")))
        }
        Err(error) => {
            let words = innermost(&error);
            Err(match error.is_io() {
                true => ConnectorError::io(failure(&words)),
                false => ConnectorError::other(failure(&words), error.as_other()),
            })
        }
    }
}

fn is_json(answer: &HttpResponse) -> bool {
    let kind = answer.headers().get("content-type");
    kind.is_some_and(|kind| kind.contains("json"))
}

/// The answer, of which no more than this is read.
async fn bounded(
    answer: HttpResponse,
    bytes_max: usize,
    long: Arc<Semaphore>,
) -> Result<HttpResponse, ConnectorError> {
    let length = answer.body().content_length();
    let is_short = length.is_some_and(|length| length <= ANSWER_BYTES_MAX as u64);
    let (bytes_max, permit) = match (answer.status().is_success(), is_short) {
        (_, true) | (false, _) => (bytes_max.min(ANSWER_BYTES_MAX), None),
        (true, false) if bytes_max <= ANSWER_BYTES_MAX => (bytes_max, None),
        // The semaphore is never closed.
        (true, false) => (bytes_max, long.acquire_owned().await.ok()),
    };
    let permit = Arc::new(permit);
    Ok(answer.map(move |body| {
        let permit = Arc::clone(&permit);
        let body = Limited::new(body, bytes_max).map_err(move |error| {
            // Held until the body is dropped.
            let _ = &permit;
            overlong(error, bytes_max)
        });
        SdkBody::from_body_1_x(body)
    }))
}

fn overlong(error: BoxError, bytes_max: usize) -> BoxError {
    match error.is::<http_body_util::LengthLimitError>() {
        true => Overlong { bytes_max }.into(),
        false => error,
    }
}

/// An answer that is longer than it may be.
#[derive(Debug)]
pub(super) struct Overlong {
    bytes_max: usize,
}

impl fmt::Display for Overlong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the answer is longer than {} bytes: is this an endpoint of SQS?",
            self.bytes_max
        )
    }
}

impl Error for Overlong {}

/// A proxy, or the way beyond it, that fails.
#[derive(Debug)]
struct ProxyFailure {
    words: String,
}

impl ProxyFailure {
    fn new(place: &str, words: &str) -> Self {
        let remedy = match words.trim_start_matches("tunnel error: ") {
            "proxy authorization required" => {
                ": it wants a user and a password: name it as http://USER:PASSWORD@HOST:PORT"
            }
            "unsuccessful" => {
                ": it refuses the way to the endpoint: allow it there, or name the endpoint's \
                 host in NO_PROXY"
            }
            "proxy response headers too long" | "unexpected end of file" => {
                ": is this a proxy for HTTP?"
            }
            _ => "",
        };
        Self {
            words: format!("through the proxy {place}: {words}{remedy}"),
        }
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Error for ProxyFailure {}

/// The proxies of the environment.
///
/// # Errors
/// A variable names no proxy that can be used.
pub(super) fn from_environment() -> Result<Client, QueueError> {
    Ok(Client::new(Proxies::new(|name| std::env::var(name).ok())?))
}
