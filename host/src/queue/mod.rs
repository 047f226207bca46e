//! The queue: SQS intake, leases, deletion and the dead-letter queue.
//!
//! It alone knows the AWS SDK. What it keeps: a taken message stays hidden
//! from others for as long as its `Lease` lives; the newest receipt handle is
//! the one that is used; a deletion consumes the lease and a proof of commit.
//! What a message means is not known here.

mod backlog;
mod budget;
mod client;
mod dead_letter;
mod delete;
mod error;
mod lease;
mod receive;

pub use backlog::Backlog;
pub use budget::{BODY_BYTES_MAX, Budget, Reservation};
pub use client::{Queue, QueueSettings};
pub use dead_letter::{DeadLetterQueue, Sent};
pub use delete::{Deleter, Deletions};
pub use error::QueueError;
pub use lease::{Lease, Leases};
pub use receive::{Delivery, RECEIVE_MESSAGES_MAX};
