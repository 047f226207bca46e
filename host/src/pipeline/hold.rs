//! Held: the environment is at fault, and receiving pauses until it works again.
//!
//! A holder enters its cause and leaves it. What follows from the causes that
//! stand (readiness, metrics, log lines) is derived in `telemetry`.

use std::fmt;

use crate::telemetry::{Cause, Receiving, StandingCauses, Telemetry};

pub(super) use crate::telemetry::{Dependency, Holder};

/// Where the parts of the pipeline say that they cannot go on.
#[derive(Clone)]
pub(super) struct Hold {
    causes: StandingCauses,
}

impl Hold {
    /// Nobody is held.
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            causes: telemetry.causes.clone(),
        }
    }

    /// A holder cannot go on: the host is not ready, and nothing is received.
    /// `sqlstate` is PostgreSQL's code, where it gave one.
    pub(super) fn enter(
        &self,
        holder: Holder,
        dependency: Dependency,
        cause: &dyn fmt::Display,
        sqlstate: Option<&str>,
    ) {
        let cause = Cause::new(dependency, cause).with_sqlstate(sqlstate);
        self.causes.enter(holder, cause);
    }

    /// A holder cannot go on, and needs more messages to find the fault: the
    /// host is not ready, but receiving goes on.
    pub(super) fn enter_receiving(
        &self,
        holder: Holder,
        dependency: Dependency,
        cause: &dyn fmt::Display,
        sqlstate: Option<&str>,
    ) {
        let cause = Cause::new(dependency, cause).with_sqlstate(sqlstate);
        let cause = cause.with_receiving(Receiving::GoesOn);
        self.causes.enter(holder, cause);
    }

    /// A holder goes on.
    pub(super) fn leave(&self, holder: Holder) {
        self.causes.leave(holder);
    }

    /// Waits until nobody is held.
    pub(super) async fn released(&self) {
        self.causes.receiving().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn receiving_pauses_until_the_last_one_goes_on() {
        let telemetry = Telemetry::new(Duration::from_secs(30));
        let hold = Hold::new(&telemetry);
        hold.enter(Holder::Worker(0), Dependency::Database, &"down", None);
        hold.enter(Holder::Deleter, Dependency::Queue, &"down", None);
        hold.leave(Holder::Worker(0));
        assert!(!telemetry.causes.is_receiving());
        hold.leave(Holder::Deleter);
        hold.released().await;
        hold.enter_receiving(Holder::Worker(0), Dependency::Database, &"odd", None);
        hold.released().await;
    }
}
