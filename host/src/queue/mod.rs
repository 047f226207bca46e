//! The queue: SQS intake, leases, deletion and the dead-letter queue.
//!
//! It alone knows the AWS SDK. What it keeps: a taken message stays hidden
//! from others for as long as its `Lease` lives; the newest receipt handle is
//! the one that is used; a deletion consumes the lease and a proof of commit.
//! What a message means is not known here.

mod address;
mod answered;
mod aws;
mod backlog;
mod breaker;
mod budget;
mod calls;
mod change_visibility;
mod client;
mod dead_letter;
mod delete;
mod direct;
mod error;
mod event;
mod http_client;
mod lease;
mod observed;
mod profile;
mod proxy;
mod receive;
mod redrive;
mod release;
mod remedy;
mod sdk_runtime;
mod send;
mod timing;

pub use backlog::Backlog;
pub use breaker::{Breaker, Breakers, OnChange, Pass};
pub use budget::{BODY_BYTES_MAX, Budget, Reservation};
pub use calls::{
    Answer, DeadLetterCalls, EntryFailure, OutgoingMessage, Poll, Received, ReceivedMessage,
    SourceCalls,
};
pub use client::{Found, Queue, QueueSettings};
pub use dead_letter::DeadLetterQueue;
pub use delete::{Deleter, Deletions, Undeleted};
pub use error::QueueError;
pub use event::{Observer, Operation, QueueEvent};
pub use lease::{Lease, Leases};
pub use receive::{Deliveries, Delivery, RECEIVE_MESSAGES_MAX};
pub use redrive::{Redrive, Return, ReturnAddress, Returned, Returning};
pub use release::{Released, Unfinished};
pub use send::Sent;
pub use timing::{POLL_SECS_DEFAULT, POLL_SECS_MAX, Timing};
