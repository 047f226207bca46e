//! A project of `etl-host new`, built and tested as its README says.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::runner;
use crate::support::page::Reader;

/// What a new project has to stand beside its cases.
const FUZZED_BODIES: &str = "2000";

/// A language, and the guest that is written in it.
pub struct Language {
    /// What `--lang` takes.
    pub name: &'static str,
    /// How people call it.
    pub title: &'static str,
    /// The folder in `guests/` whose file of this name is the guest's policy;
    /// the guest of Rust is built by `cargo guests`.
    guest: Option<(&'static str, &'static str)>,
    /// Whether its runtime wants a WASI.
    pub wasi: bool,
    /// Whether the guide has it, and `cargo verify` does not follow that.
    pub in_guide: bool,
}

pub static LANGUAGES: [Language; 5] = [
    Language {
        name: "rust",
        title: "Rust",
        guest: None,
        wasi: false,
        in_guide: false,
    },
    Language {
        name: "python",
        title: "Python",
        guest: Some(("python", "policy.py")),
        wasi: false,
        in_guide: false,
    },
    Language {
        name: "javascript",
        title: "JavaScript",
        guest: Some(("javascript", "policy.js")),
        wasi: false,
        in_guide: true,
    },
    Language {
        name: "c",
        title: "C",
        guest: Some(("c", "policy.c")),
        wasi: false,
        in_guide: false,
    },
    Language {
        name: "go",
        title: "Go",
        guest: Some(("go", "policy.go")),
        wasi: true,
        in_guide: false,
    },
];

/// A project.
pub struct Project {
    folder: PathBuf,
    name: &'static str,
    language: &'static Language,
}

/// What a project has built.
pub struct Component {
    pub file: PathBuf,
    pub wasi: bool,
}

/// The folder of all projects: what they install is kept for the next time.
pub fn work() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages")
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What builds of a language install, kept for the next time.
fn tools(language: &Language) -> PathBuf {
    work().join(format!("tools-{}", language.name))
}

/// The cases that all guests pass.
pub fn cases() -> PathBuf {
    repository().join("guests/cases")
}

/// Clears what an earlier run has built, and keeps what it has installed.
pub fn begin() {
    for language in &LANGUAGES {
        let folder = work().join(language.name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                panic!("clear {}: {error}", folder.display())
            }
            _ => fs::create_dir_all(folder).expect("make a folder"),
        }
    }
}

impl Project {
    /// Writes a project of this name.
    pub fn new(name: &'static str, language: &'static Language) -> Self {
        let folder = work().join(language.name);
        let mut new = etl_host();
        new.args(["new", name, "--lang", language.name]);
        run(new.current_dir(&folder));
        Self {
            folder: folder.join(name),
            name,
            language,
        }
    }

    /// Who writes one by hand, beside the others of the language.
    pub fn reader(language: &'static Language) -> Reader {
        Reader::at(work().join(language.name)).with("ETL_HOST_TOOLS", tools(language))
    }

    /// The same with the guest's policy in place of the one it begins with.
    pub fn of_the_guest(self) -> Option<Self> {
        let (folder, policy) = self.language.guest?;
        let guest = repository().join("guests").join(folder).join(policy);
        fs::copy(guest, self.folder.join(policy)).expect("copy the guest's policy");
        Some(self)
    }

    /// Builds it, by its one command.
    pub fn build(&self) -> Component {
        let mut build = Command::new("./build.sh");
        let tools = tools(self.language);
        run(build.current_dir(&self.folder).env("ETL_HOST_TOOLS", tools));
        Component {
            file: self.folder.join(format!("{}.wasm", self.name)),
            wasi: self.language.wasi,
        }
    }
}

impl Component {
    /// The committed one, that all others are compared with.
    pub fn reference() -> Self {
        Self {
            file: repository().join("guests/sha256_mask.wasm"),
            wasi: false,
        }
    }

    /// Tests it on cases, those of its own folder or others.
    pub fn test(&self, cases: impl AsRef<Path>) {
        run(&mut self.tested_on(cases));
    }

    /// The same, and on hostile bodies made out of the cases.
    pub fn test_and_fuzz(&self, cases: impl AsRef<Path>) {
        let mut test = self.tested_on(cases);
        test.args(["--fuzz", FUZZED_BODIES]);
        if let Some(seed) = env::var_os(runner::SEED) {
            test.arg("--seed").arg(seed);
        }
        run(&mut test);
    }

    fn tested_on(&self, cases: impl AsRef<Path>) -> Command {
        let mut test = etl_host();
        test.arg("test").arg(&self.file).arg(cases.as_ref());
        if self.wasi {
            test.args(["--allow", "wasi"]);
        }
        test.current_dir(self.file.parent().expect("a folder"));
        test
    }
}

pub fn etl_host() -> Command {
    let mut host = Command::new(env!("CARGO_BIN_EXE_etl-host"));
    // Each component is new: nothing is gained by keeping it.
    host.env("ETL_HOST_CACHE_DIR", "off");
    host
}

/// Runs a command to its end. Panics with all that it said unless it ends well.
pub fn run(command: &mut Command) {
    let output = command.output().expect("run a command");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
