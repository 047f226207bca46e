//! `cargo guests`: rebuilds the committed components. `cargo guests --check`
//! compares them with what the source builds, and changes nothing.

use std::{env, process::ExitCode};

use anyhow::{Result, bail};
use guests_build::{Component, GUESTS};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(),
        ["--check"] => check(),
        _ => bail!("usage: cargo guests [--check]"),
    }
}

/// Builds and writes every guest.
fn write() -> Result<ExitCode> {
    for guest in GUESTS {
        let component = Component::build(guest)?;
        component.write(&guest.committed())?;
        println!("{}", component.summary());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds every guest and compares.
fn check() -> Result<ExitCode> {
    let mut exit = ExitCode::SUCCESS;
    for guest in GUESTS {
        let component = Component::build(guest)?;
        if component.is_in(&guest.committed()) {
            println!("{}  as committed", component.summary());
        } else {
            println!(
                "{}  DIFFERS from {}/{}: run `cargo guests` and commit the file",
                component.summary(),
                guest.folder,
                guest.file_name()
            );
            exit = ExitCode::FAILURE;
        }
    }
    Ok(exit)
}
