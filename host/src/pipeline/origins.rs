//! Claims to an origin: what the queue cannot prove by itself, the ledger bears
//! out or nobody does.
//!
//! A claim that nobody bears out changes nothing: the message keeps the id and
//! the time that the queue gave it, and its attributes are its producer's.

use std::collections::HashSet;

use super::patience::Stop;
use super::worker::Worker;
use crate::message::Message;
use crate::origin::{Claim, Open};
use crate::output::{Identity, Key};
use crate::queue::{Delivery, Lease};

impl Worker {
    /// Settles whose the messages of a batch are. Gives none of them where a
    /// stop is asked for while the database is away.
    pub(super) async fn with_origins(&mut self, mut deliveries: Vec<Delivery>) -> Vec<Delivery> {
        if deliveries.iter().all(|delivery| delivery.claim.is_none()) {
            return deliveries;
        }
        match self.settle_claims(&mut deliveries).await {
            Ok(()) => deliveries,
            Err(()) => {
                self.give_back(deliveries).await;
                Vec::new()
            }
        }
    }

    async fn settle_claims(&mut self, deliveries: &mut [Delivery]) -> Result<(), ()> {
        let claims = deliveries
            .iter()
            .filter_map(|delivery| delivery.claim.as_ref());
        let is_newer = |claim: &Claim| self.rules.secrets.open(claim) == Open::NewerSecret;
        if claims.clone().any(is_newer) {
            self.read_secrets().await?;
            for delivery in deliveries.iter_mut() {
                if delivery.claim.take().is_some() {
                    delivery.claim = self.rules.secrets.read(&mut delivery.message);
                }
            }
        }
        let claims: Vec<(Key, &str)> = deliveries
            .iter()
            .filter_map(|delivery| Some((&delivery.message, delivery.claim.as_ref()?)))
            .map(|(message, claim)| (self.claimed_key(message, claim), &*claim.origin_id))
            .collect();
        let mut vouched = self.vouched(&claims).await?.into_iter();
        for delivery in deliveries {
            let Some(claim) = delivery.claim.take() else {
                continue;
            };
            let vouched = vouched.next() == Some(true);
            if vouched && self.rules.secrets.open(&claim) == Open::Ledger {
                delivery.message.accept(&claim);
            }
        }
        Ok(())
    }

    /// The key that a message has in the ledger if its claim is true.
    fn claimed_key(&self, message: &Message, claim: &Claim) -> Key {
        let event_id = self.rules.event_id.as_ref();
        let event_id = event_id.and_then(|pointer| message.event_id(pointer));
        let identity = match &event_id {
            Some(id) => Identity::Event(id),
            None => Identity::Message(&claim.origin_id),
        };
        Key::new(&self.rules.table, identity)
    }

    /// Reads the secrets that have come to the ledger since the start.
    async fn read_secrets(&mut self) -> Result<(), ()> {
        loop {
            match self.commit.patience.secrets().await {
                Ok(Some(ring)) => {
                    self.rules.secrets.replace(ring);
                    return Ok(());
                }
                Ok(None) | Err(Stop::Refused(_)) => return Ok(()),
                Err(Stop::Abandoned) if self.settler.stop.is_requested() => return Err(()),
                // Another policy decides now, which is no concern of a claim.
                Err(Stop::Abandoned) => {}
            }
        }
    }

    /// Which claims the ledger bears out. Where it refuses to say, none.
    async fn vouched(&mut self, claims: &[(Key, &str)]) -> Result<Vec<bool>, ()> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        loop {
            match self.commit.patience.vouched(claims).await {
                Ok(vouched) => return Ok(vouched),
                Err(Stop::Refused(_)) => return Ok(vec![false; claims.len()]),
                Err(Stop::Abandoned) if self.settler.stop.is_requested() => return Err(()),
                Err(Stop::Abandoned) => {}
            }
        }
    }

    /// Messages go back to the queue unjudged, and with them what waits here of
    /// their groups: it must not overtake them.
    async fn give_back(&self, deliveries: Vec<Delivery>) {
        let groups: HashSet<String> = deliveries
            .iter()
            .filter_map(|delivery| delivery.message.group().map(str::to_owned))
            .collect();
        let mut leases: Vec<Lease> = deliveries.into_iter().map(|given| given.lease).collect();
        for group in groups {
            let waiting = self.batcher.withdraw(&group).into_iter();
            leases.extend(waiting.map(|delivery| delivery.lease));
        }
        self.settler.release(leases).await;
    }
}
