//! What a package of etl-host brings along: completions for shells, and manual
//! pages, both out of the definition of the command line.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::exit::{Ends, Failure, Kind};

/// What the completions subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  etl-host completions bash > ~/.local/share/bash-completion/completions/etl-host")]
pub struct CompletionsArgs {
    /// Whose language it is in.
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsArgs {
    /// The script.
    pub fn script(&self) -> String {
        let mut script = Vec::new();
        let mut command = Cli::command();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        // clap_complete 4.6.11 takes the hyphen of the program's name for a
        // space in every second place, so that bash would complete nothing.
        String::from_utf8_lossy(&script).replace("etl__subcmd__host", "etl__host")
    }
}

/// What the man subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  etl-host man > etl-host.1 && man ./etl-host.1
  etl-host man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Where the pages of all commands are written; it must be there.
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl ManArgs {
    /// The page, or nothing where all of them have been written.
    ///
    /// # Errors
    /// The folder cannot be written (73).
    pub fn page(&self) -> Result<String, Failure> {
        let Some(folder) = &self.folder else {
            let mut page = Vec::new();
            let rendered = Man::new(Cli::command()).render(&mut page);
            rendered.ends_as(Kind::Internal)?;
            return Ok(String::from_utf8_lossy(&page).into_owned());
        };
        clap_mangen::generate_to(Cli::command(), folder)
            .with_context(|| format!("write the manual pages into {}", folder.display()))
            .ends_as(Kind::CannotCreate)?;
        Ok(String::new())
    }
}
