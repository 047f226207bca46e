//! Signing as AWS wants it, by AWS's own crate and nothing around it.

use std::time::SystemTime;

use aws_sdk_sqs::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;

/// Whose requests they are.
#[derive(Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
}

impl Signer {
    pub fn new(access_key_id: &str, secret_access_key: &str, region: &str) -> Self {
        let credentials = Credentials::new(access_key_id, secret_access_key, None, None, "bench");
        Self {
            credentials,
            region: region.to_owned(),
        }
    }

    /// Signs a request with all of its headers.
    pub fn sign(&self, uri: &str, request: &mut Request<Full<Bytes>>, body: &[u8]) {
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("sqs")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .expect("everything is given")
            .into();
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().expect("a text")));
        let body = SignableBody::Bytes(body);
        let signable = SignableRequest::new("POST", uri, headers, body).expect("a request");
        let (instructions, _) = sign(signable, &parameters)
            .expect("a signature")
            .into_parts();
        instructions.apply_to_request_http1x(request);
    }
}
