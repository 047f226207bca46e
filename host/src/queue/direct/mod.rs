//! The two calls that every message takes, without the SDK's orchestration.
//!
//! Of the SDK's 18 µs of CPU a message some 4 are spent on the wire; the rest is
//! what makes it good for every operation of every service: endpoints and
//! identities resolved anew for each call, plugins, interceptors, retries. So
//! receives and deletes are written here as HTTP requests, over the SDK's own
//! connections, under its cached credentials, signed by its own signer.
//!
//! Only a plain success is dealt with here. Whatever else comes (an error, a
//! connection that breaks, an answer that cannot be read) is the SDK's: the same
//! call is made by it, in the time that is left, and it knows what is retried,
//! how a clock is corrected, and what an error means. Both calls may be made
//! twice: a message that a lost answer has hidden comes back, and a handle
//! deletes once. After that direct calls cool down for a while, because what failed
//! once would mostly fail again.

mod cooldown;
mod delete;
mod receive;
mod signed;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::timeout;

use self::cooldown::Cooldown;
use self::signed::Signed;
use super::error::QueueError;
use super::sdk_runtime::SdkRuntime;

/// A way to make the two calls.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    runtime: SdkRuntime,
    /// Made of the first call of the SDK, and none where the SDK's parts do not do.
    signed: Arc<OnceLock<Option<Signed>>>,
    cooldown: Arc<Cooldown>,
    region: String,
    connect_max: Duration,
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum Tried<T> {
    /// The queue has done what it was asked.
    Done(T),
    /// No answer in time, and no time left.
    Late(QueueError),
    /// Anything else: the SDK is to make the call.
    NotPlain,
}

impl Direct {
    /// Calls of the SDK in this region, once it has shown where they go.
    pub(super) fn new(runtime: SdkRuntime, region: String, connect_max: Duration) -> Self {
        Self {
            runtime,
            signed: Arc::default(),
            cooldown: Arc::default(),
            region,
            connect_max,
        }
    }

    /// Makes a call that takes no longer than `call_max`.
    async fn call<T>(
        &self,
        operation: &'static str,
        body: Vec<u8>,
        call_max: Duration,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Tried<T> {
        let Some(signed) = self.signed() else {
            return Tried::NotPlain;
        };
        let answer = match timeout(call_max, answer(signed, operation, body)).await {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                self.cooldown.begin();
                return Tried::NotPlain;
            }
            Err(_) => {
                self.cooldown.begin();
                return Tried::Late(self.runtime.of_silence(QueueError::late()));
            }
        };
        match read(answer.as_ref()) {
            Some(read) => Tried::Done(read),
            None => {
                self.cooldown.for_good();
                Tried::NotPlain
            }
        }
    }

    /// None while direct calls cool down, and before the first call of the SDK.
    fn signed(&self) -> Option<&Signed> {
        if self.cooldown.goes_on() {
            return None;
        }
        let made = self.runtime.made()?;
        let signed = || Signed::new(made, &self.region, self.connect_max);
        self.signed.get_or_init(signed).as_ref()
    }
}

/// The body of a success.
async fn answer(
    signed: &Signed,
    operation: &'static str,
    body: Vec<u8>,
) -> Option<impl AsRef<[u8]>> {
    let answer = signed.send(operation, body).await?;
    if !answer.status().is_success() {
        return None;
    }
    let body = answer.into_body().collect().await.ok()?;
    Some(body.to_bytes())
}
