//! A real browser without a screen, which opens a file of this machine, and
//! tells what it made of it and what it complains about.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::folder::Folder;
use super::patience::Deadline;
use super::supervised::on_path;
use super::{WAIT_SECS_MAX, pause};

/// By the names that packages give it.
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "chromium-headless-shell",
    "google-chrome",
    "google-chrome-stable",
];
const WHAT_TO_INSTALL: &str = "These tests need Chromium. Install it, for example `apt-get install \
     chromium` on Debian, `dnf install chromium` on Fedora; PATH must lead to it.";

/// What the browser must not do on the way: ask anybody, or keep anything.
const QUIET: [&str; 9] = [
    "--headless",
    // The tests may run as root, which Chromium's own sandbox refuses.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
];

/// Asks the page itself, once it is laid out.
const PROBE: &str = r#"<script id="probe">
addEventListener("load", () => {
  const main = document.querySelector("main");
  const answer = {
    text: main.innerText,
    tables: document.querySelectorAll("table").length,
    scripts: document.scripts.length - 1,
    loaded: performance.getEntriesByType("resource").length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    ground: getComputedStyle(document.body).backgroundColor,
    letters: getComputedStyle(document.body).color,
  };
  const told = document.createElement("pre");
  told.id = "answer";
  told.textContent = JSON.stringify(answer);
  document.body.append(told);
});
</script>"#;

/// What a browser made of a file.
pub struct Opened {
    /// The document as it understood it.
    pub document: String,
    /// What it complained about, among other things.
    pub log: String,
}

pub struct Browser(PathBuf);

impl Browser {
    /// The one that this machine has.
    pub fn installed() -> Browser {
        let found = on_path()
            .into_iter()
            .flat_map(|folder| NAMES.map(|name| folder.join(name)))
            .find(|program| program.is_file());
        Browser(found.unwrap_or_else(|| panic!("{WHAT_TO_INSTALL}")))
    }

    /// Opens a file as it is.
    pub fn open(&self, file: &Path) -> Opened {
        let logging = ["--enable-logging=stderr", "--v=0", "--dump-dom"];
        self.run(&logging, file)
    }

    /// Asks a copy of the page what a person would see, in a window of this
    /// width. The copy has no policy, which would forbid to ask.
    pub fn ask(&self, page: &str, width: u32, options: &[&str]) -> Value {
        let policy = page.find("<meta http-equiv=").expect("the page's policy");
        let rest = &page[policy..];
        let end = rest.find('>').expect("its end") + 1;
        let copy = format!("{}{PROBE}{}", &page[..policy], &rest[end..]);
        let folder = Folder::new("probe");
        let file = folder.keep("page.html", &copy, 0o600);
        let size = format!("--window-size={width},900");
        let options = [options, &["--dump-dom", &size]].concat();
        let opened = self.run(&options, Path::new(&file));
        let answer = opened.document.split(r#"<pre id="answer">"#).nth(1);
        let answer = answer.and_then(|rest| rest.split("</pre>").next());
        let answer = answer.unwrap_or_else(|| panic!("no answer in {}", opened.document));
        let answer = answer.replace("&lt;", "<").replace("&gt;", ">");
        let answer = answer.replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
        serde_json::from_str(&answer).expect("the probe's answer")
    }

    /// Prints a file, and gives what would go to the printer.
    pub fn print(&self, file: &Path) -> Vec<u8> {
        let folder = Folder::new("printed");
        let printed = folder.path().join("page.pdf");
        let option = format!("--print-to-pdf={}", printed.display());
        let opened = self.run(&[&option], file);
        fs::read(&printed).unwrap_or_else(|error| panic!("{error}: {}", opened.log))
    }

    fn run(&self, options: &[&str], file: &Path) -> Opened {
        let folder = Folder::new("browser");
        let (document, log) = (folder.path().join("document"), folder.path().join("log"));
        let create = |path: &Path| File::create(path).expect("create a file");
        let profile = format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        );
        let browser = Command::new(&self.0)
            .args(QUIET)
            .arg(profile)
            .args(options)
            .arg(format!("file://{}", file.display()))
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(create(&document))
            .stderr(create(&log))
            .spawn()
            .expect("run the browser");
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("read")).into_owned();
        let ended = ends(browser);
        let opened = Opened {
            document: read(&document),
            log: read(&log),
        };
        assert!(
            ended,
            "the browser does not end, or not well:\n{}",
            opened.log
        );
        opened
    }
}

/// Whether it ends well within the time that anything may take.
fn ends(mut browser: Child) -> bool {
    let deadline = Deadline::after_secs(WAIT_SECS_MAX);
    while !deadline.is_over() {
        if let Some(status) = browser.try_wait().expect("look at the browser") {
            return status.success();
        }
        pause();
    }
    let _ = browser.kill();
    let _ = browser.wait();
    false
}
