//! What a failing queue call means. Codes and kinds only: the text of an
//! unreadable response could hold message bodies.

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::http_client::Overlong;
use super::remedy::{self, Asked};
use crate::foreign::{foreign_name, foreign_words};

/// What AWS says where a signature's time is not its own, under the codes of
/// wrong signatures too.
const SKEWED: [&str; 3] = [
    "RequestTimeTooSkewed",
    "Signature expired",
    "Signature not yet current",
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

    /// The same error, and what was asked where.
    pub(super) fn asked(self, asked: &Asked) -> Self {
        Self {
            words: format!("{} {asked}", self.words),
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
        match remedy::of_mistake(&words) {
            Some(remedy) => Self::configuration(format!("{words}{remedy}")),
            None => Self {
                words,
                may_pass: true,
            },
        }
    }

    /// What AWS answers, where it was asked, and what mends it.
    fn of_answer(code: &str, message: Option<&str>, asked: &Asked) -> Self {
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
        match remedy::of_code(code) {
            Some(remedy) => Self {
                words: format!("{said}: {}", remedy.words(asked)),
                may_pass: remedy.may_pass,
            },
            None => Self {
                words: said,
                may_pass: true,
            },
        }
    }

    /// An answer without AWS's form: a proxy's page, another program.
    fn of_status(answer: &HttpResponse, what: &str) -> Self {
        Self {
            words: format!("HTTP {}{what}", answer.status().as_u16()),
            may_pass: true,
        }
    }

    /// What a failed call means.
    pub(super) fn of_call<E>(error: &SdkError<E, HttpResponse>, asked: &Asked) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ConstructionFailure(_) => Self::configuration(
                "the request cannot be made: no region or credentials are configured \
                 (AWS_REGION, AWS_PROFILE, …)"
                    .into(),
            ),
            SdkError::TimeoutError(_) => Self::late(),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(connector) => Self::of_connection(innermost(connector)),
                None => Self::incomplete("everything: the request could not be sent"),
            },
            SdkError::ServiceError(answer) => match answer.err().code() {
                Some(code) => {
                    let short = code.rsplit_once('#').map_or(code, |(_, short)| short);
                    Self::of_answer(short, answer.err().message(), asked)
                }
                None => match overlong(error) {
                    Some(words) => Self::of_connection(words),
                    None => Self::of_status(answer.raw(), ", and not in the form of SQS"),
                },
            },
            SdkError::ResponseError(answer) => match overlong(error) {
                Some(words) => Self::of_connection(words),
                None => Self::of_status(answer.raw(), ": the answer could not be read"),
            },
            _ => Self::of_connection("the answer could not be read".into()),
        }
    }

    /// Whether waiting may mend it: false where the queue does not exist or
    /// the caller may not use it.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}

/// That the answer was too long, where it was.
fn overlong(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(overlong) = error.downcast_ref::<Overlong>() {
            return Some(overlong.to_string());
        }
        cause = error.source();
    }
    None
}

/// The last cause of a connection's failure: "Connection refused", a TLS
/// fault, a name that does not resolve. One line: the SDK lists on several
/// which credential providers it has asked.
pub(super) fn innermost(error: &dyn Error) -> String {
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
