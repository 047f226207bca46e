//! What users would write instead, installed by package name.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::consumer::folder;

/// Their sources.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/peers");

/// Copies them below the folder for built things, where what they bring along
/// may lie as well, and installs what is not there yet.
pub fn install() {
    let folder = peers();
    fs::create_dir_all(&folder).expect("make a folder");
    for entry in fs::read_dir(SOURCES).expect("read the consumers' folder") {
        let entry = entry.expect("read an entry");
        let copied = fs::copy(entry.path(), folder.join(entry.file_name()));
        copied.expect("copy a consumer");
    }
    run(Command::new("python3").args(["-m", "venv", "venv"]));
    run(Command::new(folder.join("venv/bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["-r", "requirements.txt"]));
    run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--silent"]));
}

/// A consumer in Python.
pub fn python(file: &str, options: &[&str]) -> Command {
    let mut command = Command::new(peers().join("venv/bin/python"));
    command.arg(peers().join(file)).args(options);
    command
}

/// One in JavaScript.
pub fn node(file: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(peers().join(file));
    command
}

fn peers() -> PathBuf {
    folder().join("peers")
}

fn run(command: &mut Command) {
    let status = command.current_dir(peers()).stdin(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("run {command:?}: {error}"));
    assert!(status.success(), "{command:?} fails: {status}");
}
