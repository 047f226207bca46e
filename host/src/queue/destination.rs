//! Where calls go: to the endpoint that the SDK makes out of variables, profile
//! and region, which need not be the host in the queue's URL. Whoever reads that
//! nobody answers there must learn where.

use std::sync::{Arc, OnceLock};

use aws_sdk_sqs::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::{BoxError, ProvideErrorMetadata, SdkError};

use super::error::QueueError;

/// The endpoint, known once a call is about to be sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Destination(Arc<OnceLock<String>>);

impl Destination {
    /// What a failed call means, and where it went if there was no answer.
    pub(super) fn of_failure<E, R>(&self, error: SdkError<E, R>) -> QueueError
    where
        E: ProvideErrorMetadata,
    {
        let unanswered = matches!(
            error,
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)
        );
        let error = QueueError::from(error);
        match self.0.get() {
            Some(endpoint) if unanswered => error.about(&format!("at {endpoint}")),
            _ => error,
        }
    }
}

impl Intercept for Destination {
    fn name(&self) -> &'static str {
        "Destination"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0
            .get_or_init(|| without_path(context.request().uri()).to_owned());
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
