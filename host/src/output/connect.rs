//! Getting a connection: one server after the other, with the passwords and
//! certificates of the moment.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::bounded::{Bounded, BoundedTls, Excess};
use super::error::DatabaseError;
use super::pooler;
use super::settings::{Settings, Target};
use super::tls;
use super::wire::{Address, Wire, addresses};

/// A connection, and what it was made with.
pub(super) struct Connected {
    pub(super) client: Client,
    /// Moves the bytes until the connection ends.
    pub(super) connection: JoinHandle<()>,
    pub(super) tls: Arc<MakeRustlsConnect>,
    /// The server that took it.
    pub(super) server: Config,
    /// Whether the server has sent too much.
    pub(super) excess: Excess,
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
    let reached = timeout(Duration::from_secs(secs_max), any_address(target, tls));
    let reached = reached.await;
    reached.map_err(|_| DatabaseError::timed_out(secs_max))?
}

/// Connects to the first of a server's addresses that takes the connection.
async fn any_address(
    target: &Target,
    tls: &Arc<MakeRustlsConnect>,
) -> Result<Connected, DatabaseError> {
    let found = addresses(&target.config).await;
    let (addresses, name) = found.map_err(|error| DatabaseError::of_connecting(&error))?;
    let mut fault = None;
    for address in &addresses {
        match one_address(address, &name, target, tls).await {
            Ok(connected) => return Ok(connected),
            Err(error) => fault = Some(error),
        }
    }
    let nowhere = std::io::Error::other("its name has no address");
    Err(fault.unwrap_or_else(|| DatabaseError::of_connecting(&nowhere)))
}

async fn one_address(
    address: &Address,
    name: &str,
    target: &Target,
    tls: &Arc<MakeRustlsConnect>,
) -> Result<Connected, DatabaseError> {
    let config = &target.config;
    let wire = Wire::open(address, config).await;
    let wire = wire.map_err(|error| DatabaseError::of_connecting(&error))?;
    let excess = Excess::default();
    let stream = match config.get_ssl_mode() {
        SslMode::Disable => Bounded::watched(wire, excess.clone()),
        // `require` and stricter: not a word in plain text.
        _ => Bounded::passed_on(wire),
    };
    let mut maker = (**tls).clone();
    let Ok(connector) = MakeTlsConnect::<Bounded<Wire>>::make_tls_connect(&mut maker, name);
    let within = BoundedTls {
        tls: connector,
        excess: excess.clone(),
    };
    let connected = config.connect_raw(stream, within).await;
    let (client, connection) = connected.map_err(|error| DatabaseError::of_setup(&error))?;
    let connected = Connected {
        client,
        // Its end shows as an error of the next statement.
        connection: tokio::spawn(async move { drop(connection.await) }),
        tls: Arc::clone(tls),
        server: config.clone(),
        excess,
    };
    let wanted = config.get_target_session_attrs();
    match takes_writes_as_wanted(&connected.client, wanted).await? {
        true => Ok(connected),
        false => Err(DatabaseError::of_connecting(&std::io::Error::other(
            "the server is not what target_session_attrs asks for",
        ))),
    }
}

/// Whether a server is one that takes writes, or one that does not, where
/// somebody asks for one.
async fn takes_writes_as_wanted(
    client: &Client,
    wanted: TargetSessionAttrs,
) -> Result<bool, DatabaseError> {
    let read_only = match wanted {
        TargetSessionAttrs::ReadWrite => "off",
        TargetSessionAttrs::ReadOnly => "on",
        _ => return Ok(true),
    };
    let answer = client.simple_query("SHOW transaction_read_only").await;
    let answer = answer.map_err(|error| DatabaseError::of_setup(&error))?;
    Ok(answer.iter().any(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten() == Some(read_only),
        _ => false,
    }))
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
