//! The workbench of those who write policies: a component is tried on cases, in
//! the same sandbox and under the same limits as in a run.

mod bench;
mod calendar;
mod case;
mod case_file;
mod complaint;
mod inputs;
mod inspect;
mod properties;
mod run_once;
mod shares;
mod sqs_json;
mod test;
mod written;

pub use bench::BenchArgs;
pub use complaint::Complaint;
pub use inspect::InspectArgs;
pub use run_once::RunOnceArgs;
pub use test::{Report, Test};
