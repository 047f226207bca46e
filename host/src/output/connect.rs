//! Getting a connection: one server after the other, with the passwords and
//! certificates of the moment.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::DatabaseError;
use super::pooler;
use super::settings::{Settings, Target};
use super::tls;

/// A connection, and what it was made with.
pub(super) struct Connected {
    pub(super) client: Client,
    /// Moves the bytes; to be polled until it ends.
    pub(super) connection:
        Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
    pub(super) tls: Arc<MakeRustlsConnect>,
    /// The server that took it.
    pub(super) server: Config,
}

/// Connects to the first server that takes the connection. Passwords and
/// certificates are read anew, because they may have been renewed.
///
/// # Errors
/// No server answers in time, or none with yes. Of several errors it is one
/// that may pass, if there is such a one: the server may come back.
pub(super) async fn connect(settings: &Settings) -> Result<Connected, DatabaseError> {
    let tls = settings.protection().connector();
    let tls = Arc::new(tls.map_err(|error| DatabaseError::of_files(&error))?);
    let server_secs_max = settings.server_secs_max();
    let targets = settings.targets();
    let several = targets.len() > 1;
    let mut fault: Option<DatabaseError> = None;
    for target in targets {
        let error = match reach(&target, &tls, server_secs_max).await {
            Ok(connected) => return Ok(connected),
            Err(error) if several => error.of_server(&target.place),
            Err(error) => error,
        };
        if fault.as_ref().is_none_or(|fault| !fault.may_pass()) {
            fault = Some(error);
        }
    }
    // There is always a server; without one nobody would have answered.
    Err(fault.unwrap_or_else(|| DatabaseError::timed_out(server_secs_max)))
}

async fn reach(
    target: &Target,
    tls: &Arc<MakeRustlsConnect>,
    secs_max: u64,
) -> Result<Connected, DatabaseError> {
    let connecting = target.config.connect((**tls).clone());
    let (client, connection) = timeout(Duration::from_secs(secs_max), connecting)
        .await
        .map_err(|_| DatabaseError::timed_out(secs_max))?
        .map_err(|error| DatabaseError::of_setup(&error))?;
    Ok(Connected {
        client,
        connection,
        tls: Arc::clone(tls),
        server: target.config.clone(),
    })
}

/// What is wrong and what mends it, where the two sides do not come together
/// and no waiting mends that.
pub(super) fn misconfiguration(error: &tokio_postgres::Error) -> Option<String> {
    if let Some(words) = tls::fault(error) {
        return Some(words);
    }
    if let Some(answer) = error.as_db_error() {
        return pooler::refusal(answer);
    }
    // The driver tells its kinds of error by their words alone.
    let cause = error.source()?.to_string();
    match (error.to_string().as_str(), cause.as_str()) {
        ("invalid configuration", "password missing") => Some(
            "the server asks for a password and there is none: give it in the URL, as PGPASSWORD, \
             or in the password file (~/.pgpass, PGPASSFILE), which only its owner may read"
                .into(),
        ),
        (words @ ("invalid configuration" | "authentication error"), cause) => {
            Some(format!("{words}: {cause}"))
        }
        _ => None,
    }
}
