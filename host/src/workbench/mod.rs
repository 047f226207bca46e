//! The workbench of those who write policies: a project to begin with, and a
//! component tried on cases, in the same sandbox and under the same limits as in
//! a run.

mod bench;
mod calendar;
mod case;
mod case_file;
mod compare;
mod complaint;
mod fuzz;
mod inputs;
mod inspect;
mod junit;
mod new;
mod properties;
mod replay;
mod room;
mod run_once;
mod shares;
mod sqs_json;
mod test;
mod update;
mod written;

pub use bench::BenchArgs;
pub use compare::{Compare, CompareArgs, Report as CompareReport};
pub use complaint::Complaint;
pub use fuzz::{Fuzz, FuzzFailure, FuzzReport};
pub use inspect::InspectArgs;
pub use new::NewArgs;
pub use replay::{Replay, ReplayArgs, Report as ReplayReport};
pub use room::Room;
pub use run_once::RunOnceArgs;
pub use test::{CaseReport, Report, Test, Tested};
