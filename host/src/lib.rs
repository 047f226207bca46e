//! etl-host loads messages from an SQS queue into a PostgreSQL table through a
//! transform component that nobody has to trust.
//!
//! ```text
//!            queue                sandbox               output
//!   SQS ──▶ receive, lease ──▶ judge, one instance ──▶ ledger + rows, ──▶ delete
//!                               a batch, no imports     one statement
//!                                     └─ rejected ──▶ dead-letter queue
//! ```
//!
//! The three stages do not know each other: [`queue`] alone speaks to AWS,
//! [`sandbox`] alone runs WebAssembly, [`output`] alone speaks to PostgreSQL.
//! They share the words of [`message`], [`origin`], [`row`] and [`verdict`], and
//! [`pipeline`] puts them together.

pub mod admin;
pub mod cli;
pub mod commands;
pub mod comparison;
pub mod log;
pub mod manual;
pub mod message;
pub mod origin;
pub mod output;
pub mod pipeline;
pub mod queue;
pub mod row;
pub mod sandbox;
pub mod shutdown;
pub mod summary;
pub mod verdict;
pub mod workbench;

mod backoff;
#[cfg(feature = "demo")]
mod demo;
mod event;
mod exit;
mod foreign;
mod hex;
/// The bounds of tests with a real clock.
#[cfg(test)]
#[allow(dead_code, reason = "what the end-to-end tests need is more")]
#[path = "../../tests/support/patience.rs"]
mod patience;
mod telemetry;
