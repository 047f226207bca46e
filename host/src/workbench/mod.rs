//! The workbench of those who write policies: a component is tried on cases, in
//! the same sandbox and under the same limits as in a run.

mod calendar;
mod case;
mod case_file;
mod compare;
mod complaint;
mod inputs;
mod properties;
mod replay;
mod sqs_json;
mod test;
mod written;

pub use compare::{Compare, CompareArgs, Report as CompareReport};
pub use complaint::Complaint;
pub use replay::{Replay, ReplayArgs, Report as ReplayReport};
pub use test::{Report, Test};
