//! Whoever calls: this program, started again, with the variables that the AWS
//! SDK reads.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use crate::bare::Bare;
use crate::cpu;
use crate::host::Host;
use crate::sdk::Sdk;
use crate::signer::Signer;
use crate::sqs_endpoint::queue_url;

/// The word by which this program is told to call.
pub const ROLE: &str = "caller";
const REGION: &str = "eu-central-1";
const ACCESS_KEY_ID: &str = "AKIAINVENTEDFORBENCHES";
const SECRET_ACCESS_KEY: &str = "invented-secret-access-key";

/// As many as a host has for what waits.
const RUNTIME_THREADS: usize = 1;
/// Messages of a call (SQS quota).
pub const CALL_MESSAGES: usize = 10;
/// What is measured.
pub const MESSAGES: usize = 40_000;
/// What comes first: connections are made, credentials are found.
const FIRST_MESSAGES: usize = 1_600;
/// What the endpoint is filled with.
pub const MESSAGES_IN_ALL: usize = FIRST_MESSAGES + MESSAGES;

/// How it is called.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Way {
    Bare,
    Signed,
    Sdk,
    Host,
}

impl Way {
    /// The floor first.
    pub const ALL: [Self; 4] = [Self::Bare, Self::Signed, Self::Sdk, Self::Host];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare HTTP",
            Self::Signed => "bare HTTP, signed",
            Self::Sdk => "the AWS SDK",
            Self::Host => "the host, leases included",
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Caller {
    pub way: Way,
    pub pollers: usize,
}

/// What it took.
#[derive(Serialize, Deserialize)]
pub struct Taken {
    pub cpu_secs: f64,
    pub secs: f64,
}

impl Caller {
    /// Has everything received and deleted by a process of its own.
    pub fn start(self, endpoint: &str) -> Taken {
        let this = std::env::current_exe().expect("this program's file");
        let caller = serde_json::to_string(&self).expect("a caller is JSON");
        let output = Command::new(this)
            .args([ROLE, &caller, endpoint])
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL_SQS", endpoint)
            .stderr(Stdio::inherit())
            .output()
            .expect("start a caller");
        serde_json::from_slice(&output.stdout).expect("what it took")
    }

    async fn call(self, endpoint: &str) -> Taken {
        let (pollers, url) = (self.pollers, queue_url(endpoint));
        match self.way {
            Way::Bare => measured(Bare::connect(endpoint, &url, pollers, None).await).await,
            Way::Signed => {
                let signer = Signer::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, REGION);
                measured(Bare::connect(endpoint, &url, pollers, Some(signer)).await).await
            }
            Way::Sdk => measured(Sdk::load(url, pollers).await).await,
            Way::Host => measured(Host::find(url, pollers).await).await,
        }
    }
}

/// Who receives and deletes.
pub trait Calls {
    /// Takes turns, each poller as it is free: ten are received and deleted.
    async fn drain(&mut self, turns: Turns);
}

async fn measured(mut calls: impl Calls) -> Taken {
    calls.drain(Turns::of(FIRST_MESSAGES)).await;
    let (cpu_before, began) = (cpu::own(), Instant::now());
    calls.drain(Turns::of(MESSAGES)).await;
    Taken {
        cpu_secs: (cpu::own() - cpu_before).as_secs_f64(),
        secs: began.elapsed().as_secs_f64(),
    }
}

/// The turns that are left.
#[derive(Clone)]
pub struct Turns(Arc<AtomicUsize>);

impl Turns {
    fn of(messages: usize) -> Self {
        Self(Arc::new((messages / CALL_MESSAGES).into()))
    }

    /// Takes one, if one is left.
    pub fn take(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.is_ok()
    }
}

/// Calls, and tells what it took.
pub fn be(words: &[String]) {
    let [caller, endpoint] = words else {
        panic!("a caller and an endpoint are wanted");
    };
    let caller: Caller = serde_json::from_str(caller).expect("a caller");
    let runtime = Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build();
    let runtime = runtime.expect("start a runtime");
    let taken = runtime.block_on(caller.call(endpoint));
    println!("{}", serde_json::to_string(&taken).expect("times are JSON"));
}
