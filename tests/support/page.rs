//! A page of documentation, followed word for word: its commands are run in
//! their order, its changes are made, and what it says comes out has to.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::credentials::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// A reader: the shell that the commands are typed into.
pub struct Reader {
    folder: PathBuf,
    environment: Vec<(String, OsString)>,
}

/// A fenced block of a page: what stands behind its fence, and its text.
struct Block {
    kind: String,
    text: String,
}

impl Reader {
    /// One in a folder, with this program, what the machine has, and nothing of
    /// what the program is told by variables.
    pub fn at(folder: impl Into<PathBuf>) -> Reader {
        let program = Path::new(env!("CARGO_BIN_EXE_etl-host"));
        let mut path = program.parent().expect("a folder").as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut reader = Reader {
            folder: folder.into(),
            environment: Vec::new(),
        };
        for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "ETL_HOST_TOOLS"] {
            if let Some(value) = std::env::var_os(name) {
                reader = reader.with(name, value);
            }
        }
        let cache = reader.folder.join("cache");
        reader.with("PATH", path).with("ETL_HOST_CACHE_DIR", cache)
    }

    /// With a variable.
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Reader {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// With a queue and a database to run on.
    pub fn with_services(self, endpoint: &str, queue_url: &str, database_url: &str) -> Reader {
        self.with("AWS_ENDPOINT_URL_SQS", endpoint)
            .with("ETL_HOST_QUEUE_URL", queue_url)
            .with("DATABASE_URL", database_url)
            .with("AWS_REGION", REGION)
            .with("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .with("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            // Nothing outside this machine is ever asked for credentials.
            .with("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// Follows a page that is written for several languages, in one of them. Its
    /// project is a folder of this name.
    pub fn follow(mut self, page: &str, lang: &str, project: &str) {
        let page = page.replace("--lang rust", &format!("--lang {lang}"));
        let project = self.folder.join(project);
        let mut said = String::new();
        let mut steps = 0;
        for Block { kind, text } in blocks(&page) {
            match kind.as_str() {
                "sh" | "sh fails" => {
                    steps += 1;
                    let output = self.types(&text);
                    said = String::from_utf8_lossy(&output.stdout).into_owned();
                    assert_eq!(output.status.success(), kind == "sh", "{}", all_of(&output));
                    // A reader's shell stays where it was led.
                    if project.is_dir() {
                        self.folder.clone_from(&project);
                    }
                }
                "text" => {
                    for line in text.lines() {
                        assert!(said.contains(line.trim()), "no {line:?} in\n{said}");
                    }
                }
                diff if diff == format!("diff {lang}") => change(&self.folder, &text),
                "diff rust" | "diff javascript" => {}
                kind => panic!("nobody knows what to do with {kind}"),
            }
        }
        assert!(steps > 0, "there is nothing to do");
    }

    /// Types one command, and gives what it says. Panics unless it ends well.
    #[allow(dead_code, reason = "for `cargo languages`")]
    pub fn runs(&mut self, command: &str) -> String {
        if let Some(folder) = command.strip_prefix("cd ") {
            self.folder.push(folder);
            assert!(self.folder.is_dir(), "{command}: there is no such folder");
            return String::new();
        }
        let output = self.types(command);
        assert!(output.status.success(), "{command}: {}", all_of(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Where the reader is.
    #[allow(dead_code, reason = "for `cargo languages`")]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn types(&self, commands: &str) -> Output {
        let mut shell = Command::new("sh");
        shell
            .args(["-euxc", commands])
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        shell.output().expect("run sh")
    }
}

fn all_of(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(kind) => {
                inside = true;
                let (kind, text) = (kind.to_owned(), String::new());
                blocks.push(Block { kind, text });
            }
            None if inside => {
                let block = blocks.last_mut().expect("a block");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!inside, "a block does not end");
    blocks
}

/// Makes a change as a reader would: the lines with a minus and without a sign
/// are looked for, and those with a plus and without a sign take their place.
pub fn change(folder: &Path, diff: &str) {
    let (file, lines) = diff.split_once('\n').expect("a file");
    let file = folder.join(file.strip_prefix("+++ ").expect("a file's name"));
    let side = |other: char| -> String {
        let lines = lines.lines().filter(|line| !line.starts_with(other));
        let lines = lines.map(|line| line.get(1..).unwrap_or_default());
        lines.flat_map(|line| [line, "\n"]).collect()
    };
    let (before, after) = (side('+'), side('-'));
    let text = fs::read_to_string(&file).expect("the file");
    assert_eq!(
        text.matches(&before).count(),
        1,
        "once:\n{before}\nin\n{text}"
    );
    fs::write(&file, text.replace(&before, &after)).expect("write the file");
}
