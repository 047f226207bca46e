//! Connections: getting one, and dropping it as soon as it is in doubt.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::bounded::Excess;
use super::cancel::cancel;
use super::connect::{Connected, connect};
use super::error::DatabaseError;
use super::settings::Settings;

/// The default of the longest wait for a statement's answer. A batch takes
/// milliseconds; a server that is silent for this long is treated as gone.
pub const STATEMENT_SECS_DEFAULT: u64 = 30;
/// The longest wait for a cancellation to be delivered.
const CANCEL_SECS_MAX: u64 = 5;

/// A database that can be connected to.
#[derive(Clone)]
pub struct Database {
    settings: Settings,
    statement_secs_max: u64,
}

/// One connection.
pub struct Session {
    statement_secs_max: u64,
    client: Client,
    tls: Arc<MakeRustlsConnect>,
    server: Config,
    connection: JoinHandle<()>,
    excess: Excess,
}

impl Database {
    /// Prepares to connect, and to wait for so long for each statement's
    /// answer; reads the certificates, so that what is wrong with them shows at
    /// once.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(settings: Settings, statement_secs_max: u64) -> Result<Self> {
        settings.protection().connector()?;
        Ok(Self {
            settings,
            statement_secs_max,
        })
    }

    /// Host, port and database, for messages.
    pub fn place(&self) -> String {
        self.settings.place()
    }

    /// Connects.
    ///
    /// # Errors
    /// The server does not answer in time, or not with yes.
    pub async fn connect(&self) -> Result<Session, DatabaseError> {
        let Connected {
            client,
            connection,
            tls,
            server,
            excess,
        } = connect(&self.settings).await?;
        Ok(Session {
            statement_secs_max: self.statement_secs_max,
            client,
            tls,
            server,
            connection,
            excess,
        })
    }
}

impl Session {
    /// Runs a statement that carries rows; its error keeps codes and names.
    pub(super) async fn write(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.query(sql, parameters, DatabaseError::of_rows).await
    }

    /// Runs a statement that carries no row.
    pub(super) async fn ask(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.query(sql, parameters, DatabaseError::of_setup).await
    }

    async fn query(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
        error_of: fn(&tokio_postgres::Error) -> DatabaseError,
    ) -> Result<Vec<Row>, DatabaseError> {
        // Typed, hence one round trip and an unnamed statement: a pooler in
        // transaction mode has nothing to lose between two of them.
        let answer = self.client.query_typed(sql, parameters);
        match timeout(Duration::from_secs(self.statement_secs_max), answer).await {
            Ok(answer) => answer.map_err(|error| self.told(error_of(&error))),
            Err(_) => {
                self.cancel().await;
                Err(DatabaseError::timed_out(self.statement_secs_max))
            }
        }
    }

    /// Begins a transaction that is never committed: what is changed from here
    /// on is as if it were there, and gone with the session.
    ///
    /// # Errors
    /// The database did not answer, or not with yes.
    pub async fn rehearse(&self) -> Result<(), DatabaseError> {
        self.execute("BEGIN").await
    }

    /// Runs statements without parameters, in one transaction.
    pub(super) async fn execute(&self, statements: &str) -> Result<(), DatabaseError> {
        let executed = self.client.batch_execute(statements);
        match timeout(Duration::from_secs(self.statement_secs_max), executed).await {
            Ok(executed) => executed.map_err(|error| self.told(DatabaseError::of_setup(&error))),
            Err(_) => {
                self.cancel().await;
                Err(DatabaseError::timed_out(self.statement_secs_max))
            }
        }
    }

    /// The error, or why the connection was ended: the driver says only that it
    /// is closed.
    fn told(&self, error: DatabaseError) -> DatabaseError {
        match self.excess.words() {
            Some(words) => DatabaseError::of_excess(words),
            None => error,
        }
    }

    /// Asks the server to give up the statement, so that it does not go on
    /// holding locks for nobody.
    async fn cancel(&self) {
        let token = self.client.cancel_token();
        let cancelling = cancel(&token, &self.server, &self.tls);
        let _ = timeout(Duration::from_secs(CANCEL_SECS_MAX), cancelling).await;
    }

    /// Says goodbye to the server.
    pub async fn close(self) {
        let Self {
            client, connection, ..
        } = self;
        drop(client);
        let _ = timeout(Duration::from_secs(CANCEL_SECS_MAX), connection).await;
    }
}
