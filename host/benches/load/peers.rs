//! What users would write instead, installed by package name.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::consumer::folder;

/// The installed consumers.
pub struct Peers;

impl Peers {
    /// Installs what is not there yet, below the folder for built things.
    pub fn install() {
        let python = folder().join("python");
        run(Command::new("python3").args(["-m", "venv"]).arg(&python));
        run(Command::new(python.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(source("requirements.txt")));
        let node = folder().join("node");
        std::fs::create_dir_all(&node).expect("make a folder");
        for file in ["package.json", "consumer.mjs"] {
            std::fs::copy(source(file), node.join(file)).expect("copy what npm is to see");
        }
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&node));
    }

    pub fn python(file: &str, options: &[&str]) -> Command {
        let mut command = Command::new(folder().join("python/bin/python"));
        command.arg(source(file)).args(options);
        command
    }

    /// Node looks for packages beside the file.
    pub fn node(file: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(folder().join("node").join(file));
        command
    }
}

fn source(file: &str) -> PathBuf {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/load/peers");
    peers.join(file)
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("run {command:?}: {error}"));
    assert!(status.success(), "{command:?} fails: {status}");
}
