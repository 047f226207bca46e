//! Who consumes the queue: etl-host, or what users would write instead.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::peers;
use crate::sqs_endpoint::queue_url;

/// Where etl-host keeps the compiled component, and all say what they say.
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/load");

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consumer {
    Host,
    /// asyncio with uvloop: aiobotocore and psycopg.
    PythonUvloop,
    /// The same on asyncio's own loop.
    PythonAsyncio,
    /// Threads: boto3 and psycopg.
    PythonThreads,
    /// sqs-consumer and pg.
    Node,
}

impl Consumer {
    pub const PEERS: [Consumer; 4] = [
        Consumer::PythonUvloop,
        Consumer::PythonAsyncio,
        Consumer::PythonThreads,
        Consumer::Node,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Consumer::Host => "etl-host",
            Consumer::PythonUvloop => "Python, asyncio + uvloop",
            Consumer::PythonAsyncio => "Python, asyncio",
            Consumer::PythonThreads => "Python, threads",
            Consumer::Node => "Node, sqs-consumer + pg",
        }
    }

    /// Whether it ends by itself once the queue is empty.
    pub fn ends_by_itself(self) -> bool {
        self == Consumer::Host
    }

    /// The table in which it keeps which messages it has stored.
    pub fn keeps_in(self) -> &'static str {
        match self {
            Consumer::Host => "etl_host.ledger",
            _ => "processed_messages",
        }
    }

    /// How it is started, with nothing in its environment but what it needs.
    pub fn command(self, place: &Place<'_>) -> Command {
        let mut command = match self {
            Consumer::Host => host(place),
            Consumer::PythonUvloop => peers::python("consumer.py", &["--uvloop"]),
            Consumer::PythonAsyncio => peers::python("consumer.py", &[]),
            Consumer::PythonThreads => peers::python("consumer_threads.py", &[]),
            Consumer::Node => peers::node("consumer.mjs"),
        };
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "invented")
            .env("AWS_SECRET_ACCESS_KEY", "invented")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL_SQS", place.endpoint)
            .env("ETL_HOST_CACHE_DIR", folder().join("cache"))
            .env("QUEUE_URL", queue_url(place.endpoint))
            .env("DATABASE_URL", &place.database);
        command
    }
}

/// What a consumer works between.
pub struct Place<'a> {
    pub endpoint: &'a str,
    pub database: String,
    /// Further options of etl-host.
    pub options: &'a [String],
}

fn host(place: &Place<'_>) -> Command {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_etl-host"));
    command
        .arg("--until-empty")
        .arg("--transform")
        .arg(repository.join("guests/sha256_mask.wasm"))
        .arg("--queue-url")
        .arg(queue_url(place.endpoint))
        .args(place.options);
    command
}

/// A folder of this benchmark's own, which nobody else may enter.
pub fn folder() -> PathBuf {
    let folder = PathBuf::from(FOLDER);
    for folder in [&folder, &folder.join("cache")] {
        fs::create_dir_all(folder).expect("make a folder");
        let private = Permissions::from_mode(0o700);
        fs::set_permissions(folder, private).expect("close the folder to others");
    }
    folder
}
