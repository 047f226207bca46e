//! What a compiler is asked for, and its way to a child process and back.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::sandbox::component::Digest;
use crate::sandbox::engine::Instructions;

/// The first argument of a child process that compiles.
pub(super) const ARGUMENT: &str = "compile-for-host";

/// Which component is to be compiled, and how. Nothing else of the settings
/// shows in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Order {
    /// The SHA-256 of the component's bytes, under which the code is written.
    pub(in crate::sandbox) digest: Digest,
    /// Whether the code counts its instructions.
    pub(in crate::sandbox) instructions: Instructions,
    /// The memory of the compiler, in MiB.
    pub(in crate::sandbox) mib_max: u64,
    /// Its time, in seconds of wall-clock time.
    pub(in crate::sandbox) secs_max: u64,
}

/// What a child process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) order: Order,
    /// Its threads.
    pub(super) threads: usize,
    /// The process that has started it, and without which it ends.
    pub(super) parent: u32,
}

impl Task {
    /// The arguments of the child.
    pub(super) fn arguments(&self) -> [String; 7] {
        let counted = match self.order.instructions {
            Instructions::Counted => "counted",
            Instructions::Uncounted => "uncounted",
        };
        [
            ARGUMENT.to_owned(),
            self.order.digest.to_string(),
            counted.to_owned(),
            self.order.mib_max.to_string(),
            self.order.secs_max.to_string(),
            self.threads.to_string(),
            self.parent.to_string(),
        ]
    }

    /// Reads the arguments that follow the first one.
    ///
    /// # Errors
    /// They are no task: somebody has typed them.
    pub(super) fn of(mut arguments: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut next = || {
            let argument = arguments.next().and_then(|word| word.into_string().ok());
            argument.context("this is for etl-host itself to call")
        };
        let digest = Digest::parse(&next()?).context("the first one is no SHA-256")?;
        let instructions = match next()?.as_str() {
            "counted" => Instructions::Counted,
            _ => Instructions::Uncounted,
        };
        Ok(Self {
            order: Order {
                digest,
                instructions,
                mib_max: next()?.parse()?,
                secs_max: next()?.parse()?,
            },
            threads: next()?.parse()?,
            parent: next()?.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_as_it_was_written() {
        for instructions in [Instructions::Counted, Instructions::Uncounted] {
            let task = Task {
                order: Order {
                    digest: Digest::of(b"component"),
                    instructions,
                    mib_max: 1,
                    secs_max: 2,
                },
                threads: 3,
                parent: 4,
            };
            let arguments = task.arguments().into_iter().skip(1).map(OsString::from);
            assert_eq!(Task::of(arguments).unwrap(), task);
        }
        assert!(Task::of([OsString::from("counted")].into_iter()).is_err());
    }
}
