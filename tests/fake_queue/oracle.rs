//! Whether a message may be deleted: what the database says of it, asked
//! before the delete takes effect, over a connection of the oracle's own. It
//! must not lie behind a network that the test breaks.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::support::patience::{Deadline, within};

/// A database that is being restarted is asked again for so long.
const ASK_SECS_MAX: u64 = 10;
const ANSWER_SECS_MAX: u64 = 3;
const RETRY_PAUSE_MS: u64 = 50;

/// What is known of a message's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its rows are committed and visible, or it was skipped.
    Settled,
    /// It was refused, and that is committed.
    Rejected,
    /// Nothing about it is committed.
    Unknown,
    /// Nobody answered.
    Unasked,
}

pub type Fates<'a> = Pin<Box<dyn Future<Output = Vec<Fate>> + Send + 'a>>;

/// Tells the fates of messages; each is given by all ids that it has had.
pub trait Oracle: Send + Sync {
    fn fates<'a>(&'a self, messages: &'a [Vec<String>]) -> Fates<'a>;
}

/// Asks the ledger in PostgreSQL.
pub struct Ledger {
    url: String,
    client: Mutex<Option<Client>>,
}

impl Ledger {
    /// Of the database at this URL.
    pub fn at(url: &str) -> Ledger {
        Ledger {
            url: url.to_owned(),
            client: Mutex::new(None),
        }
    }

    /// The outcomes of those of the messages that the ledger knows; None where
    /// nobody answers.
    async fn outcomes(&self, ids: &[&str]) -> Option<HashMap<String, String>> {
        let deadline = Deadline::after_secs(ASK_SECS_MAX);
        let mut client = self.client.lock().await;
        loop {
            let asked = within(
                Duration::from_secs(ANSWER_SECS_MAX),
                self.ask(&mut client, ids),
            );
            match asked.await {
                Ok(Ok(outcomes)) => return Some(outcomes),
                // Without a ledger nothing is committed.
                Ok(Err(error)) if is_absent(&error) => return Some(HashMap::new()),
                Ok(Err(_)) | Err(_) => *client = None,
            }
            if deadline.is_over() {
                return None;
            }
            sleep(Duration::from_millis(RETRY_PAUSE_MS)).await;
        }
    }

    async fn ask(
        &self,
        client: &mut Option<Client>,
        ids: &[&str],
    ) -> Result<HashMap<String, String>, tokio_postgres::Error> {
        let client = match client {
            Some(client) => client,
            None => {
                let (connected, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
                // Its end shows at the client.
                tokio::spawn(async move { drop(connection.await) });
                client.insert(connected)
            }
        };
        let sql = "SELECT message_id, outcome FROM etl_host.ledger WHERE message_id = ANY($1)";
        let rows = client
            .query_typed(sql, &[(&ids, tokio_postgres::types::Type::TEXT_ARRAY)])
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

fn is_absent(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::UNDEFINED_TABLE) || code == Some(&SqlState::INVALID_SCHEMA_NAME)
}

impl Oracle for Ledger {
    fn fates<'a>(&'a self, messages: &'a [Vec<String>]) -> Fates<'a> {
        Box::pin(async move {
            let ids: Vec<&str> = messages.iter().flatten().map(String::as_str).collect();
            let Some(outcomes) = self.outcomes(&ids).await else {
                return vec![Fate::Unasked; messages.len()];
            };
            let fate = |ids: &Vec<String>| {
                let known = ids.iter().filter_map(|id| outcomes.get(id));
                let mut outcomes: Vec<&str> = known.map(String::as_str).collect();
                // Under one of its ids it may have been refused, and stored since.
                outcomes.sort_by_key(|outcome| *outcome == "rejected");
                match outcomes.first() {
                    None => Fate::Unknown,
                    Some(&"rejected") => Fate::Rejected,
                    Some(_) => Fate::Settled,
                }
            };
            messages.iter().map(fate).collect()
        })
    }
}
