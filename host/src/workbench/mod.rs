//! The workbench of those who write policies: a project to begin with, and a
//! component tried on cases, in the same sandbox and under the same limits as in
//! a run.

mod bench;
mod calendar;
mod case;
mod case_file;
mod compare;
mod complaint;
mod inputs;
mod inspect;
mod new;
mod properties;
mod replay;
mod run_once;
mod shares;
mod sqs_json;
mod test;
mod written;

pub use bench::BenchArgs;
pub use compare::{Compare, CompareArgs, Report as CompareReport};
pub use complaint::Complaint;
pub use inspect::InspectArgs;
pub use new::NewArgs;
pub use replay::{Replay, ReplayArgs, Report as ReplayReport};
pub use run_once::RunOnceArgs;
pub use test::{Report, Test};
