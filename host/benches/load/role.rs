//! Parts of the stage in processes of their own, so that the processor time of
//! each is known: this program, started again with a word that says what to be.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::{endpoint_process, relay};

/// What a process can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The queue.
    Endpoint,
    /// The way to the database.
    Relay,
}

/// The words that say so.
const WORDS: [(Role, &str); 2] = [
    (Role::Endpoint, "be-the-endpoint"),
    (Role::Relay, "be-the-relay"),
];

/// A process that plays its role for as long as this one lives.
pub struct RoleProcess {
    /// The line that it has printed: where it listens.
    pub told: String,
    process: Child,
}

impl RoleProcess {
    pub fn start(role: Role, words: &[String]) -> RoleProcess {
        let this = std::env::current_exe().expect("this program's file");
        let (_, word) = WORDS[role as usize];
        let mut process = Command::new(this)
            .arg(word)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start this program again");
        let stdout = process.stdout.take().expect("a pipe");
        let mut told = String::new();
        let read = BufReader::new(stdout).read_line(&mut told);
        read.expect("read where it listens");
        RoleProcess {
            told: told.trim_end().to_owned(),
            process,
        }
    }
}

impl Drop for RoleProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Plays a role to its end if the first word names one.
pub fn play(words: &[String]) {
    let Some((word, words)) = words.split_first() else {
        return;
    };
    let Some((role, _)) = WORDS.iter().find(|(_, known)| known == word) else {
        return;
    };
    end_with_parent();
    match role {
        Role::Endpoint => endpoint_process::be(words),
        Role::Relay => relay::be(words),
    }
}

/// Ends this process when its standard input does, of which the parent holds
/// the other end.
fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}
