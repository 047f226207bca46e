//! How the program ends: an exit code out of sysexits and one error chain.
//!
//! Every failure that ends the program is given its code where its cause is
//! known; it is printed once, by `main`.

use std::process::ExitCode;

/// A failure that ends the program.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    error: anyhow::Error,
}

/// The kinds of failure, by their exit codes (`sysexits.h`; 2 is clap's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line does not make sense.
    Usage = 2,
    /// The user's data is at fault.
    Data = 65,
    /// A service cannot be reached.
    Unavailable = 69,
    /// A fault of etl-host itself.
    Internal = 70,
    /// A file that is asked for cannot be written.
    CannotCreate = 73,
    /// Something is configured wrongly.
    Configuration = 78,
}

impl Failure {
    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The exit code that says so to the caller.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    /// The whole chain on one line: what was tried, then why it failed.
    pub fn message(&self) -> String {
        format!("{:#}", self.error)
    }
}

/// Gives an error its exit code.
pub trait Ends<T> {
    /// Ends the program as `kind` on an error.
    fn ends_as(self, kind: Kind) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Ends<T> for Result<T, E> {
    fn ends_as(self, kind: Kind) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            kind,
            error: error.into(),
        })
    }
}

/// A failure made of a message.
pub fn failure(kind: Kind, message: impl Into<String>) -> Failure {
    Failure {
        kind,
        error: anyhow::Error::msg(message.into()),
    }
}

impl From<crate::output::DatabaseError> for Failure {
    /// Away is 69, refused is 78.
    fn from(error: crate::output::DatabaseError) -> Self {
        let kind = kind(error.may_pass());
        failure(kind, error.to_string())
    }
}

impl From<crate::queue::QueueError> for Failure {
    /// Away is 69, refused is 78.
    fn from(error: crate::queue::QueueError) -> Self {
        let kind = kind(error.may_pass());
        failure(kind, error.to_string())
    }
}

fn kind(may_pass: bool) -> Kind {
    match may_pass {
        true => Kind::Unavailable,
        false => Kind::Configuration,
    }
}
