//! `cargo guests`: rebuilds the committed components. `cargo guests --check`
//! compares them with what the source builds, and changes nothing. `cargo guests
//! --from FOLDER NAME` builds one in a copy of the workspace, and writes it there.

use std::{env, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use guests_build::{Component, GUESTS};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(),
        ["--check"] => check(),
        ["--from", workspace, name] => write_in(Path::new(workspace), name),
        _ => bail!("usage: cargo guests [--check | --from FOLDER NAME]"),
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

/// Builds one guest of a copy of this workspace, and writes it in the copy.
fn write_in(workspace: &Path, name: &str) -> Result<ExitCode> {
    let guest = GUESTS.into_iter().find(|guest| guest.name == name);
    let guest = guest.with_context(|| format!("find a guest called {name}"))?;
    let component = Component::build_in(workspace, guest)?;
    component.write(&workspace.join(guest.folder))?;
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
