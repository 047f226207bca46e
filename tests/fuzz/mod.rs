//! Fuzzing: whatever the bytes, the sandbox neither panics nor gives out what
//! it must not. `components`: a file that is to be loaded. `bodies`: a message
//! through each of the components here. `results`: what a component returns.
//!
//! `cargo verify` runs a few cases of each. For longer, each target for so many
//! seconds:
//!
//! ```sh
//! ETL_HOST_FUZZ_SECS=600 cargo fuzz-all
//! ```
//!
//! A case is a file of `corpus/` with some mutations. One that fails is shrunk
//! and kept there as `found-…`, to be run first from then on: commit it with
//! what mends it. It names its seed too, and `ETL_HOST_FUZZ_SEED` sets it.
//!
//! **November 2026: proptest, and no coverage.** What guides itself by coverage
//! (libFuzzer under cargo-fuzz or bolero) wants an instrumented build beside the
//! 7 GB of the tests' own, and a nightly compiler or flags that are nobody's
//! promise; and most of what it would reach is wasmtime's parser, which is
//! fuzzed like that day and night by its authors. Here structure does the
//! steering: good files, broken in ways that leave most of them good. Each
//! target is a function of bytes, as libFuzzer would have it.
//!
//! It belongs to the sandbox's unit tests, because a component's results have no
//! way in from outside.

mod bodies;
mod components;
mod mutation;
mod results;
mod runner;

pub use components::{conditions, message};
