//! The pipeline alone, for benchmarks: nothing but what it does itself.
//!
//! Its queue's calls and its judge are given, and a store that forgets stands
//! in for the database.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::decider::{Decider, decider};
use super::{BrakeLimits, DRAIN_SECS_DEFAULT, Parts, Shape, Until, run};
use crate::origin::{SecretRing, Secrets};
use crate::output::{Committed, Entry, Key, Policy, Reply, Store, TableName};
use crate::queue::{Queue, SourceCalls, Timing};
use crate::sandbox::Judge;
use crate::shutdown::{Shutdown, StopSwitch};
use crate::telemetry::Telemetry;

/// For how long the queue hides a message.
const VISIBILITY_SECS: u64 = 30;

/// Runs until a stop is asked for; whether it ended well.
pub async fn alone(
    calls: Arc<dyn SourceCalls>,
    judge: Arc<dyn Judge>,
    shape: Shape,
    stop: (StopSwitch, Shutdown),
) -> bool {
    let visibility = Duration::from_secs(VISIBILITY_SECS);
    let timing = Timing::new(visibility, visibility);
    // Nobody is to succeed it, but the place must not be empty.
    let (_successor, present) = decider(Decider::simulated(0, judge));
    let forgetful = || -> Box<dyn Store> { Box::new(Forgetful) };
    let parts = Parts {
        queue: Queue::simulated(calls, timing, false),
        dead_letter_queue: None,
        present,
        shadow: None,
        stores: (0..shape.connections).map(|_| forgetful()).collect(),
        ledger: forgetful(),
        table: TableName {
            schema: "public".into(),
            name: "target".into(),
        },
        secrets: Secrets::default(),
        event_id: None,
        brakes: BrakeLimits::default(),
        shape,
        drain_max: Duration::from_secs(DRAIN_SECS_DEFAULT),
    };
    let telemetry = Telemetry::new(timing.receive_max);
    run(parts, Until::Stopped, stop, telemetry).await.is_ok()
}

/// Says that everything is committed, and keeps nothing.
struct Forgetful;

impl Store for Forgetful {
    fn write<'a>(
        &'a mut self,
        _: &'a Policy,
        entries: &'a [Entry<'a>],
    ) -> Reply<'a, Vec<Committed>> {
        let committed = entries.iter().map(|_| Committed::simulated(false));
        Box::pin(ready(Ok(committed.collect())))
    }

    fn vouched<'a>(&'a mut self, claims: &'a [(Key, &'a str)]) -> Reply<'a, Vec<bool>> {
        Box::pin(ready(Ok(vec![false; claims.len()])))
    }

    fn secrets(&mut self) -> Reply<'_, Option<SecretRing>> {
        Box::pin(ready(Ok(None)))
    }

    fn rejected(&mut self) -> Reply<'_, u64> {
        Box::pin(ready(Ok(0)))
    }

    fn prune(&mut self, _: u32) -> Reply<'_, u64> {
        Box::pin(ready(Ok(0)))
    }

    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(ready(()))
    }
}
