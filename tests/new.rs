//! `etl-host new`: a project of each language is whole, its name is one, nothing
//! is overwritten, and a missing toolchain is told with its remedy. That projects
//! build and pass their cases is shown by `cargo languages`, which needs the
//! toolchains.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::folder::Folder;
use crate::support::host::Host;
use crate::support::{guest, repository};

/// Each language, and the program without which nothing is built.
const LANGUAGES: [(&str, &str); 5] = [
    ("rust", "cargo"),
    ("python", "python3"),
    ("javascript", "npm"),
    ("c", "python3"),
    ("go", "cargo"),
];

fn new(folder: &Path, name: &str, language: &str) -> Host {
    let host = Host::bare().word("new").word(name).inside(folder);
    host.option("--lang", language)
}

#[test]
fn a_project_has_the_interface_cases_and_what_its_readme_names() {
    for (language, _) in LANGUAGES {
        let folder = Folder::new("new");
        let run = new(folder.path(), "my_mask", language).run().exited(0);
        assert!(run.stdout.contains("./build.sh"), "{}", run.stdout);
        let project = folder.path().join("my_mask");
        let wit = fs::read(project.join("wit/transform.wit")).expect("the interface");
        assert_eq!(
            wit,
            fs::read(repository().join("wit/transform.wit")).unwrap()
        );
        let readme = fs::read_to_string(project.join("README.md")).expect("a page");
        let named = readme.lines().filter_map(|line| line.strip_prefix("| `"));
        let named: Vec<&str> = named.filter_map(|line| line.split('`').next()).collect();
        assert_eq!(named.len(), 4, "{readme}");
        for file in named {
            assert!(project.join(file).is_file(), "{language}: no {file}");
        }
        assert!(!project.join("my_mask.wasm").exists());
        // Its cases can be read: of a component of other columns they say which.
        let told = Host::bare().word("test").word(guest("sha256_mask.wasm"));
        told.inside(project)
            .run()
            .exited(65)
            .says(&["orders.toml:", "no column is called"]);
    }
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let folder = Folder::new("taken");
    let note = folder.keep("taken/note.txt", "mine", 0o600);
    new(folder.path(), "taken", "python")
        .run()
        .exited(73)
        .says(&["taken", "not empty"]);
    let left = fs::read_dir(folder.path().join("taken")).unwrap().count();
    assert_eq!(
        (left, fs::read_to_string(note).unwrap()),
        (1, "mine".into())
    );
    folder.keep("a_file", "mine", 0o600);
    new(folder.path(), "a_file", "python").run().exited(73);
    // An empty one is what somebody made for it.
    fs::create_dir(folder.path().join("empty")).unwrap();
    new(folder.path(), "empty", "python").run().exited(0);
}

#[test]
fn what_is_no_name_or_no_language_is_refused_and_nothing_is_written() {
    let folder = Folder::new("names");
    for name in ["My_mask", "my-mask", "../mask", "2masks", ""] {
        new(folder.path(), name, "rust")
            .run()
            .exited(2)
            .says(&["my_mask"]);
    }
    new(folder.path(), "my_mask", "cobol")
        .run()
        .exited(2)
        .says(&["rust", "python", "javascript"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_toolchain_is_told_with_its_remedy() {
    for (language, program) in LANGUAGES {
        let folder = Folder::new("bare");
        new(folder.path(), "my_mask", language).run().exited(0);
        let built = build_with_next_to_nothing(folder.path());
        let said = String::from_utf8_lossy(&built.stderr);
        assert_eq!(built.status.code(), Some(69), "{language}: {said}");
        let wanted = format!("build.sh: {program} is missing: install ");
        assert!(said.starts_with(&wanted), "{language}: {said}");
    }
}

/// Builds the project where a shell and `dirname` are all there is.
fn build_with_next_to_nothing(folder: &Path) -> Output {
    let programs = folder.join("programs");
    fs::create_dir(&programs).expect("make a folder");
    for program in ["sh", "dirname"] {
        let path = std::env::var_os("PATH").expect("PATH");
        let mut found = std::env::split_paths(&path).map(|folder| folder.join(program));
        let found = found.find(|file| file.is_file());
        symlink(found.expect("it is everywhere"), programs.join(program)).expect("link it");
    }
    let mut build = Command::new(folder.join("my_mask/build.sh"));
    let build = build.env_clear().env("PATH", programs);
    build.output().expect("run the build")
}
