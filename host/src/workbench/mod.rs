//! The workbench of those who write policies: a project to begin with, and a
//! component tried on cases, in the same sandbox and under the same limits as in
//! a run.

mod calendar;
mod case;
mod case_file;
mod complaint;
mod inputs;
mod new;
mod properties;
mod sqs_json;
mod test;
mod written;

pub use complaint::Complaint;
pub use new::NewArgs;
pub use test::{Report, Test};
