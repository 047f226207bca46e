//! Where calls go, and by what: what the SDK has made out of variables,
//! profile and region, known once it is about to send its first call.
//!
//! The endpoint need not be the host in the queue's URL, so whoever reads that
//! nobody answers must learn where. And what the SDK found out and keeps
//! (endpoint, connections, credentials, clock) serves the direct calls too.

use std::error::Error;
use std::sync::{Arc, OnceLock};

use aws_sdk_sqs::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::error::QueueError;
use super::remedy::Asked;

/// What the first call has shown. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SdkRuntime(Arc<OnceLock<ResolvedEndpoint>>);

/// What a call is made with.
#[derive(Debug)]
pub(super) struct ResolvedEndpoint {
    /// Where it goes, whatever the operation.
    pub(super) uri: String,
    /// The SDK's parts: HTTP client, identities, clock.
    pub(super) components: RuntimeComponents,
}

impl SdkRuntime {
    /// What calls are made with; none before the first one.
    pub(super) fn made(&self) -> Option<&ResolvedEndpoint> {
        self.0.get()
    }

    /// What a failed call means, what was asked, and where.
    pub(super) fn of_failure<E>(
        &self,
        error: &SdkError<E, HttpResponse>,
        mut asked: Asked,
    ) -> QueueError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(made) = self.made() {
            asked.endpoint = without_path(&made.uri).to_owned();
        }
        let unanswered = matches!(
            error,
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)
        );
        let error = QueueError::of_call(error, &asked);
        match unanswered {
            true => self.of_silence(error),
            false => error.asked(&asked),
        }
    }

    /// An error of a call without an answer, and where that went.
    pub(super) fn of_silence(&self, error: QueueError) -> QueueError {
        match self.made() {
            Some(made) => error.about(&format!("at {}", without_path(&made.uri))),
            None => error,
        }
    }
}

impl Intercept for SdkRuntime {
    fn name(&self) -> &'static str {
        "SdkRuntime"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.get_or_init(|| ResolvedEndpoint {
            uri: context.request().uri().to_owned(),
            components: components.clone(),
        });
        Ok(())
    }
}

fn without_path(uri: &str) -> &str {
    let host = uri.find("://").map_or(0, |scheme| scheme + "://".len());
    let path = uri[host..].find('/');
    path.map_or(uri, |path| &uri[..host + path])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_an_address_without_its_path() {
        assert_eq!(
            without_path("http://localhost:9324/"),
            "http://localhost:9324"
        );
        assert_eq!(without_path("https://sqs.invalid"), "https://sqs.invalid");
    }
}
