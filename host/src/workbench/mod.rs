//! The workbench of those who write policies: a project to begin with, and a
//! component tried on cases, in the same sandbox and under the same limits as in
//! a run.

mod calendar;
mod case;
mod case_file;
mod complaint;
mod fuzz;
mod inputs;
mod junit;
mod new;
mod properties;
mod room;
mod sqs_json;
mod test;
mod update;
mod written;

pub use complaint::Complaint;
pub use fuzz::{Fuzz, FuzzFailure, FuzzReport};
pub use new::NewArgs;
pub use room::Room;
pub use test::{CaseReport, Report, Test, Tested};
