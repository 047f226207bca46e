//! The program `etl-host`: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use etl_host::{cli::Cli, commands, log, sandbox};

/// A tenth of the host's processor time, against glibc's: what the sandbox's
/// threads allocate is freed on another one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(ended) = sandbox::compile_if_asked() {
        return ended;
    }
    let cli = Cli::parse();
    log::start(std::env::var("RUST_LOG").ok().as_deref());
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("etl-host: {}", failure.message());
            failure.exit_code()
        }
    }
}
