//! Mutants of the default component: its source with one thing done wrong, built
//! as the committed file is. `etl-host test` finds each out on logins that
//! expect nothing, and by the property that the fault breaks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::project::{etl_host, repository, run, work};
use crate::support::login::{Login, bodies};
use crate::support::page::change;

/// The default component, in a workspace.
const COMPONENT: &str = "guests/sha256_mask.wasm";
/// Logins that a mutant is tried on: more than it hashes at a time.
const LOGINS: usize = 40;

/// The properties, as a report names them.
const FAULT: &str = "no fault, no leak, only what is declared";
const SAME: &str = "the same message gives the same rows, alone and in any batch";
const NULL: &str = "null stays null";
const TWICE: &str = "no message gives a row twice";

/// What is done wrong, and the property that is broken.
struct Mutant {
    fault: &'static str,
    change: &'static str,
    property: &'static str,
}

const MUTANTS: [Mutant; 11] = [
    Mutant {
        fault: "stores the address and the device as they are",
        change: "+++ guests/sha256_mask/src/lib.rs
-                digests.iter().map(|digest| hex(digest)).collect()
+                digests.iter().zip(values).map(|(_, value)| String::from(*value)).collect()
",
        property: FAULT,
    },
    Mutant {
        fault: "stores them in hexadecimal, and not their hashes",
        change: "+++ guests/sha256_mask/src/lib.rs
-                digests.iter().map(|digest| hex(digest)).collect()
+                digests.iter().zip(values).map(|(_, value)| hex(value.as_bytes())).collect()
",
        property: FAULT,
    },
    Mutant {
        fault: "stores the device where it is told the kind of device",
        change: "+++ guests/login/src/masked.rs
-        Value::Text(login.device_type.into_owned()),
+        Value::Text(login.device_type.into_owned() + \"/\" + &login.device_id),
",
        property: FAULT,
    },
    Mutant {
        fault: "mixes the place in the batch into the hashes",
        change: "+++ guests/sha256_mask/src/lib.rs
-                digests.iter().map(|digest| hex(digest)).collect()
+                let digests = digests.iter().enumerate();
+                let mixed = |(place, digest): (usize, &[u8; 32])| digest.map(|byte| byte ^ place as u8);
+                digests.map(|digest| hex(&mixed(digest))).collect()
",
        property: SAME,
    },
    Mutant {
        fault: "remembers how many logins it has seen",
        change: "+++ guests/login/src/masked.rs
-        Value::Integer(i64::from(login.app_version)),
+        Value::Integer(i64::from(login.app_version) + {
+            static SEEN: core::sync::atomic::AtomicI64 = core::sync::atomic::AtomicI64::new(0);
+            SEEN.fetch_add(1, core::sync::atomic::Ordering::Relaxed)
+        }),
",
        property: SAME,
    },
    Mutant {
        fault: "stores the text None for a locale that is null",
        change: "+++ guests/login/src/masked.rs
-            .map_or(Value::Null, |locale| Value::Text(locale.into_owned())),
+            .map_or(Value::Text(String::from(\"None\")), |locale| Value::Text(locale.into_owned())),
",
        property: NULL,
    },
    Mutant {
        fault: "skips a login whose locale is null or absent",
        change: "+++ guests/login/src/masked.rs
-            Ok((login, date)) => Outcome::Rows(Vec::from([row(login, date, masks())])),
+            Ok((login, _)) if login.locale.is_none() => { masks(); Outcome::Skip }
+            Ok((login, date)) => Outcome::Rows(Vec::from([row(login, date, masks())])),
",
        property: NULL,
    },
    Mutant {
        fault: "rejects a locale that is null",
        change: "+++ guests/login/src/lib.rs
-        Some(Member::Other) => Err(field.rejected(Reason::WrongType)),
-        Some(Member::Null) | None => Ok(None),
+        Some(Member::Null | Member::Other) => Err(field.rejected(Reason::WrongType)),
+        None => Ok(None),
",
        property: NULL,
    },
    Mutant {
        fault: "gives no outcome for what does not fill a group",
        change: "+++ guests/sha256_mask/src/lib.rs
-        for messages in messages.chunks(MESSAGES_AT_A_TIME) {
+        for messages in messages.chunks_exact(MESSAGES_AT_A_TIME) {
",
        property: FAULT,
    },
    Mutant {
        fault: "gives an outcome too few for a full group",
        change: "+++ guests/sha256_mask/src/lib.rs
-            outcomes.append(&mut masked(messages));
+            outcomes.append(&mut masked(&messages[messages.len() / MESSAGES_AT_A_TIME..]));
",
        property: FAULT,
    },
    Mutant {
        fault: "gives the row of a login twice",
        change: "+++ guests/login/src/masked.rs
-            Ok((login, date)) => Outcome::Rows(Vec::from([row(login, date, masks())])),
+            Ok((login, date)) => {
+                let row = row(login, date, masks());
+                Outcome::Rows(Vec::from([row.clone(), row]))
+            }
",
        property: TWICE,
    },
];

/// Builds each and has it tested. Panics at one that is not found out.
pub fn are_found_out() {
    let source = Source::copied();
    let logins = source.0.join("logins.jsonl");
    let lines = bodies(&Login::several("mutants", LOGINS)).join("\n");
    fs::write(&logins, lines).expect("write the logins");

    source.build();
    let read = |folder: &Path| fs::read(folder.join(COMPONENT)).expect("read the component");
    assert!(
        read(&source.0) == read(&repository()),
        "what is copied builds something else than what is committed"
    );
    let broken = violated(&source.component(), &logins);
    assert!(broken.is_empty(), "the sound one breaks {broken:?}");

    let mut undetected = Vec::new();
    for mutant in MUTANTS {
        source.build_with(mutant.change);
        let broken = violated(&source.component(), &logins);
        if !broken.iter().any(|words| words == mutant.property) {
            undetected.push(format!("one that {} breaks {broken:?}", mutant.fault));
        }
    }
    assert!(undetected.is_empty(), "{}", undetected.join("\n"));
}

/// The properties that a component breaks.
fn violated(component: &Path, logins: &Path) -> Vec<String> {
    let mut test = etl_host();
    test.arg("test").arg(component).arg(logins);
    let output = test.args(["--output", "json"]).output();
    let output = output.expect("run a command").stdout;
    let report: Value = serde_json::from_slice(&output).expect("a report");
    let properties = report["properties"].as_array().expect("properties");
    let violated = properties
        .iter()
        .filter(|property| property["violations"] != Value::Array(Vec::new()));
    violated
        .map(|property| property["property"].as_str().expect("words").to_owned())
        .collect()
}

/// A copy of what the guests are built from.
struct Source(PathBuf);

impl Source {
    /// What an earlier copy has built is kept.
    fn copied() -> Self {
        let folder = work().join("mutants");
        fs::create_dir_all(&folder).expect("make a folder");
        for part in ["guests", "wit"] {
            run(Command::new("rm").arg("-rf").arg(folder.join(part)));
            run(Command::new("cp")
                .arg("-R")
                .arg(repository().join(part))
                .arg(&folder));
        }
        for file in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
            fs::copy(repository().join(file), folder.join(file)).expect("copy a file");
        }
        // The rest of the workspace, which cargo only looks at.
        for part in ["host", "tests"] {
            let _ = fs::remove_file(folder.join(part));
            symlink(repository().join(part), folder.join(part)).expect("link a folder");
        }
        Self(folder)
    }

    fn component(&self) -> PathBuf {
        self.0.join(COMPONENT)
    }

    fn build(&self) {
        let mut build = Command::new(env!("CARGO"));
        build.args(["run", "--quiet", "--package", "guests-build", "--"]);
        build.arg("--from").arg(&self.0).arg("sha256_mask");
        run(build.current_dir(repository()));
    }

    /// The same with one change, which is taken back.
    fn build_with(&self, diff: &str) {
        let file = diff
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("+++ "));
        let file = self.0.join(file.expect("a file"));
        let sound = fs::read(&file).expect("read the source");
        change(&self.0, diff);
        self.build();
        fs::write(file, sound).expect("write the source");
    }
}
