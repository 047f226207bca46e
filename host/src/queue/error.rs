//! What a failing queue call means. Codes and kinds only: the text of an
//! unreadable response could hold message bodies.

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::foreign::{foreign_name, foreign_words};

/// Error codes that no waiting mends: who calls, and what for.
const CONFIGURATION_CODES: [&str; 14] = [
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "AccessDenied",
    "AccessDeniedException",
    "InvalidAddress",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "KmsAccessDenied",
    "MissingAuthenticationToken",
    "MissingParameter",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "UnsupportedOperation",
];

/// What AWS says where a signature's time is not its own, under the codes of
/// wrong signatures too.
const SKEWED: [&str; 3] = [
    "RequestTimeTooSkewed",
    "Signature expired",
    "Signature not yet current",
];

/// How a connection fails where no waiting mends it, and what does: the words
/// of rustls and hyper.
const MISTAKES: [(&str, &str); 3] = [
    (
        "invalid peer certificate",
        "SSL_CERT_FILE names the file of the authorities that are believed, and the certificate \
         must be for the endpoint's name",
    ),
    (
        "received corrupt message",
        "TLS is not spoken there: should the endpoint be http://?",
    ),
    (
        "invalid HTTP version parsed",
        "HTTP is not spoken there: should the endpoint be https://?",
    ),
];

/// A queue call that failed.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueError {
    /// What happened, fit for a log.
    words: String,
    /// Whether waiting may mend it.
    may_pass: bool,
}

impl QueueError {
    /// An answer that lacks what the protocol promises.
    pub(super) fn incomplete(what: &str) -> Self {
        Self {
            words: format!("the queue's answer lacks {what}"),
            may_pass: true,
        }
    }

    /// The queue answers, and does not take what it is given.
    pub fn refused(what: &str) -> Self {
        Self {
            words: format!("the queue does not take {what} at present"),
            may_pass: true,
        }
    }

    /// No answer within the time that a call may take.
    pub(super) fn late() -> Self {
        Self {
            words: "no answer in time".into(),
            may_pass: true,
        }
    }

    /// The same error, and which queue it is about.
    pub(super) fn about(self, what: &str) -> Self {
        Self {
            words: format!("{what}: {}", self.words),
            ..self
        }
    }

    /// Something in the queue's configuration does not make sense.
    pub(super) fn configuration(words: String) -> Self {
        Self {
            words,
            may_pass: false,
        }
    }

    fn of_connection(words: String) -> Self {
        match MISTAKES.iter().find(|(start, _)| words.starts_with(start)) {
            Some((_, remedy)) => Self::configuration(format!("{words}: {remedy}")),
            None => Self {
                words,
                may_pass: true,
            },
        }
    }

    fn of_answer(code: &str, message: Option<&str>) -> Self {
        let shown = foreign_name(code);
        let said = match message {
            Some(message) => format!("{shown}: {}", foreign_words(message)),
            None => shown,
        };
        if SKEWED.iter().any(|words| said.contains(words)) {
            return Self {
                words: format!("{said} (is the clock of this machine right?)"),
                may_pass: true,
            };
        }
        Self {
            words: said,
            may_pass: !CONFIGURATION_CODES.contains(&code),
        }
    }

    /// Whether waiting may mend it: false where the queue does not exist or
    /// the caller may not use it.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}

impl<E, R> From<SdkError<E, R>> for QueueError
where
    E: ProvideErrorMetadata,
{
    fn from(error: SdkError<E, R>) -> Self {
        let may_pass = Self {
            words: String::new(),
            may_pass: true,
        };
        match &error {
            SdkError::ConstructionFailure(_) => Self::configuration(
                "the request cannot be made: no region or credentials are configured \
                 (AWS_REGION, AWS_PROFILE, …)"
                    .into(),
            ),
            SdkError::TimeoutError(_) => Self::late(),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(connector) => Self::of_connection(innermost(connector)),
                None => Self {
                    words: "the request could not be sent".into(),
                    ..may_pass
                },
            },
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().unwrap_or("no error code");
                let short = code.rsplit_once('#').map_or(code, |(_, short)| short);
                Self::of_answer(short, answer.err().message())
            }
            _ => Self {
                words: "the answer could not be read".into(),
                ..may_pass
            },
        }
    }
}

/// The last cause of a connection's failure: "Connection refused", a TLS
/// fault, a name that does not resolve. One line: the SDK lists on several
/// which credential providers it has asked.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let words = error.to_string();
    let line = words.lines().next().unwrap_or_default();
    foreign_words(line.trim_end_matches(". Attempted:"))
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl fmt::Debug for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Error for QueueError {}
