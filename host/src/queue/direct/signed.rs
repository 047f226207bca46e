//! Requests as SQS wants them: AWS JSON 1.0, signed by version 4, sent over the
//! SDK's connections.

use std::time::Duration;

use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningParams, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeId};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::{
    Identity, ResolveCachedIdentity, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};

use crate::queue::sdk_runtime::ResolvedEndpoint;

/// The name that signatures of SQS are made for.
const SERVICE: &str = "sqs";
/// The protocol's name for the call.
const TARGET: &str = "x-amz-target";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const USER_AGENT: &str = concat!("etl-host/", env!("CARGO_PKG_VERSION"));
/// The SDK's name for signatures of version 4.
const SIGV4: AuthSchemeId = AuthSchemeId::new("sigv4");

/// What requests are made with.
#[derive(Debug)]
pub(super) struct Signed {
    uri: Uri,
    region: String,
    connector: SharedHttpConnector,
    components: RuntimeComponents,
    resolver: SharedIdentityResolver,
    /// Nothing is configured call by call.
    nothing: ConfigBag,
}

impl Signed {
    /// Takes over what the SDK has made; none where a part of it is missing.
    pub(super) fn new(
        made: &ResolvedEndpoint,
        region: &str,
        connect_max: Duration,
    ) -> Option<Self> {
        let components = made.components.clone();
        let settings = HttpConnectorSettings::builder().connect_timeout(connect_max);
        let scheme = components.auth_scheme(&SIGV4)?;
        Some(Self {
            uri: made.uri.parse().ok()?,
            region: region.to_owned(),
            connector: components
                .http_client()?
                .http_connector(&settings.build(), &components),
            resolver: scheme.identity_resolver(&components)?,
            components,
            nothing: ConfigBag::base(),
        })
    }

    /// Sends a request; none where it cannot be made, or nothing came back.
    pub(super) async fn send(
        &self,
        operation: &'static str,
        body: Vec<u8>,
    ) -> Option<HttpResponse> {
        let identity = self
            .components
            .identity_cache()
            .resolve_cached_identity(self.resolver.clone(), &self.components, &self.nothing)
            .await
            .ok()?;
        let time = self.components.time_source()?.now();
        let request = request(&self.uri, &self.region, &identity, time, operation, body)?;
        let request = HttpRequest::try_from(request).ok()?;
        self.connector.call(request).await.ok()
    }
}

/// A request that is signed for `time`; none where the identity is no key.
fn request(
    uri: &Uri,
    region: &str,
    identity: &Identity,
    time: std::time::SystemTime,
    operation: &'static str,
    body: Vec<u8>,
) -> Option<Request<SdkBody>> {
    let uri_text = uri.to_string();
    let headers = [
        (header::CONTENT_TYPE.as_str(), CONTENT_TYPE),
        (TARGET, operation),
    ];
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(SERVICE)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .ok()?
        .into();
    let signable = SignableRequest::new(
        Method::POST.as_str(),
        &uri_text,
        headers.into_iter(),
        SignableBody::Bytes(&body),
    )
    .ok()?;
    let (instructions, _) = sign(signable, &params).ok()?.into_parts();
    let mut request = Request::new(SdkBody::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    let fixed = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (HeaderName::from_static(TARGET), operation),
        (header::USER_AGENT, USER_AGENT),
    ];
    for (name, value) in fixed {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
    }
    instructions.apply_to_request_http1x(&mut request);
    Some(request)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_sdk_sqs::config::Credentials;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha256};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn hmac(key: &[u8], text: &str) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length does");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    /// Put together as AWS's documentation of version 4 has it, by hand.
    #[test]
    fn what_is_sent_is_what_is_signed() {
        let identity = Identity::from(
            Credentials::builder()
                .access_key_id("AKIDINVENTED")
                .secret_access_key("invented secret")
                .session_token("invented token")
                .provider_name("test")
                .build(),
        );
        let uri = Uri::from_static("http://queue.invalid:9324/");
        let time = UNIX_EPOCH + Duration::from_secs(1_795_392_000);
        let body = br#"{"QueueUrl":"u"}"#.to_vec();
        let digest = hex(&Sha256::digest(&body));
        let operation = "AmazonSQS.ReceiveMessage";
        let sent = request(&uri, "eu-central-1", &identity, time, operation, body);
        let sent = sent.expect("a request");
        let header = |name: &str| sent.headers()[name].to_str().expect("text").to_owned();

        let signed = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        let date = header("x-amz-date");
        assert_eq!(date, "20261123T000000Z");
        assert_eq!(header("x-amz-security-token"), "invented token");
        let canonical = format!(
            "POST\n/\n\ncontent-type:{}\nhost:queue.invalid:9324\nx-amz-date:{date}\n\
             x-amz-security-token:invented token\nx-amz-target:{}\n\n{signed}\n{digest}",
            header("content-type"),
            header("x-amz-target"),
        );
        let scope = "20261123/eu-central-1/sqs/aws4_request";
        let canonical = hex(&Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
        let mut key = b"AWS4invented secret".to_vec();
        for part in scope.split('/') {
            key = hmac(&key, part);
        }
        let signature = hex(&hmac(&key, &to_sign));
        assert_eq!(
            header("authorization"),
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDINVENTED/{scope}, SignedHeaders={signed}, \
                 Signature={signature}"
            )
        );
        assert_eq!(sent.body().bytes(), Some(br#"{"QueueUrl":"u"}"#.as_slice()));
    }
}
