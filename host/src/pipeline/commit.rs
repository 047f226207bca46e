//! Committing a batch: what can be stored is, and of the rest it is told whose
//! fault it is (see `attribution`).

use std::sync::Arc;
use std::time::Duration;

use rand::seq::index;
use tokio::time::Instant;

use super::attribution::{Evidence, Fault, HANDFUL, TRANSIENT_SECS, TRANSIENT_TRIES, fault};
use super::brake::Brake;
use super::history::History;
use super::item::{Item, each_key_once};
use super::patience::{Patience, Stop, Tries};
use super::search::Search;
use crate::backoff::Backoff;
use crate::output::{Class, Committed, DatabaseError, Policy};

/// The rows of one statement, in bytes; more are split into several.
const STATEMENT_BYTES_MAX: usize = 16 << 20;
/// Single records, drawn from all over a batch, that are tried where its head
/// stores nothing: ten poisonous ones in front must not look like everybody's
/// fault. They are drawn by chance: records may be bad at regular intervals.
const SAMPLES: usize = 8;
/// No further one of them is tried after this time, in milliseconds: where each
/// waits for a lock, one is enough.
const SAMPLING_MS_MAX: u64 = 1_000;
/// The pace at which peers are received meanwhile, in seconds, before it is
/// known how many are at hand.
const PEERS_SECS: u64 = 60;

/// Commits, and attributes what is refused.
pub(super) struct Commit {
    pub(super) patience: Patience,
    pub(super) history: History,
    /// The share of refused records.
    pub(super) brake: Brake,
}

/// What became of a batch.
#[derive(Default)]
pub(super) struct Committal {
    /// Committed, each with its proof.
    pub(super) committed: Vec<(Item, Committed)>,
    /// At fault for the database's refusal; the verdict says why.
    pub(super) refused: Vec<Item>,
    /// Not committed, because a stop is asked for, or another policy decides,
    /// while the database is away.
    pub(super) abandoned: Vec<Item>,
    /// Everybody's fault, as far as can be told, or over the share.
    pub(super) left: Left,
}

/// What waits for evidence. All of it is of one policy.
#[derive(Default)]
pub(super) struct Left {
    /// Refused alone.
    suspects: Vec<Suspect>,
    /// Refused among others, or not tried for want of hope.
    rest: Vec<Item>,
    /// Statements that had stored something when the rest was refused.
    met: u64,
    /// What it meets.
    error: Option<DatabaseError>,
    /// Statements that had stored something when it was last looked at.
    seen: u64,
    /// Whether a few records are to be tried before all others.
    pub(super) some_first: bool,
}

struct Suspect {
    item: Item,
    error: DatabaseError,
    /// Statements that had stored something before it was first refused.
    since: u64,
    /// The same, when it was last tried.
    tried_at: Option<u64>,
    /// It is at fault, and one too many.
    braked: bool,
}

/// What a further look says of a suspect.
enum Look {
    Guilty,
    Unclear,
    Stored(Committed),
}

impl Commit {
    /// Commits a batch of one policy, and what was left of earlier ones. A bad
    /// record costs at most about log₂ n + 2 statements more; the others are
    /// stored.
    pub(super) async fn commit(&mut self, mut left: Left, batch: Vec<Item>) -> Committal {
        let mut done = Committal::default();
        let some_first = std::mem::take(&mut left.some_first) && batch.is_empty();
        if some_first && !self.try_some(&mut left, &mut done).await {
            done.left = left;
            return done;
        }
        // What was left before met its refusal before: whatever has been stored
        // since speaks against it.
        let (old, met) = (std::mem::take(&mut left.rest), left.met);
        let new = self.attribute(batch, None, &mut left, &mut done).await;
        let old = self.attribute(old, Some(met), &mut left, &mut done).await;
        left.rest = new;
        left.rest.extend(old);
        left.met = left.seen;
        if left.is_empty() {
            self.patience.resume();
            left = Left::default();
        }
        done.left = left;
        done
    }

    /// Stores what can be stored of a batch, and tells whose fault the rest is
    /// for as long as that leads on; gives what is still untried. `met` is what
    /// had been stored when it was refused before, if it was.
    async fn attribute(
        &mut self,
        batch: Vec<Item>,
        met: Option<u64>,
        left: &mut Left,
        done: &mut Committal,
    ) -> Vec<Item> {
        let mut queue = batch;
        loop {
            let before = done.ended();
            let policy = left.policy().or_else(|| policy_of(&queue));
            left.seen = policy.map_or(0, |policy| self.history.stores(&policy));
            let (mut now, later) = each_key_once(queue);
            let known = left.suspects.len();
            self.search(&mut now, left, done).await;
            for suspect in &mut left.suspects[known..] {
                suspect.since = met.unwrap_or(suspect.since).min(suspect.since);
            }
            now.extend(later);
            queue = now;
            self.judge(left, queue.len(), done).await;
            if queue.is_empty() || done.ended() == before {
                return queue;
            }
        }
    }

    /// Writes a batch as a whole, in order. Gives it back where it is refused.
    pub(super) async fn whole(&mut self, batch: Vec<Item>) -> Result<Committal, Vec<Item>> {
        let mut done = Committal::default();
        match self.write(&batch, Tries::Patient).await {
            Ok(proofs) => done.committed = batch.into_iter().zip(proofs).collect(),
            Err(Stop::Abandoned) => done.abandoned = batch,
            Err(Stop::Refused(_)) => return Err(batch),
        }
        Ok(done)
    }

    /// Writes records, and remembers what that proves.
    async fn write(&mut self, batch: &[Item], tries: Tries) -> Result<Vec<Committed>, Stop> {
        let proofs = self.patience.write(batch, tries).await?;
        let fresh = batch
            .iter()
            .zip(&proofs)
            .filter(|(item, proof)| item.has_rows() && !proof.duplicate);
        let fresh = fresh.count();
        if let Some(first) = batch.first().filter(|_| fresh > 0) {
            self.history.stored(&first.policy);
            self.brake.good(&first.policy, fresh);
            self.patience.resume();
        }
        Ok(proofs)
    }

    /// Tries a few records that are left, drawn by chance, so that neither a
    /// poisonous one nor a row of them hides a table that works again. Whether
    /// something was stored, or nothing is left to be tried so.
    async fn try_some(&mut self, left: &mut Left, done: &mut Committal) -> bool {
        let Some(policy) = left.policy() else {
            return true;
        };
        let (began, before) = (Instant::now(), self.history.stores(&policy));
        for place in drawn(left.len()) {
            let item = left.at(place);
            match self.write(std::slice::from_ref(item), Tries::Few).await {
                Ok(proofs) => {
                    let item = left.remove(place);
                    done.committed.extend([item].into_iter().zip(proofs));
                }
                Err(Stop::Abandoned) => done.abandoned.push(left.remove(place)),
                Err(Stop::Refused(error)) => left.error = Some(error),
            }
            let long = began.elapsed() >= Duration::from_millis(SAMPLING_MS_MAX);
            if long || self.history.stores(&policy) > before {
                break;
            }
        }
        self.history.stores(&policy) > before || left.is_empty()
    }

    /// Stores what can be stored. What is refused alone is a suspect; what is
    /// not worth a try stays.
    async fn search(&mut self, rest: &mut Vec<Item>, left: &mut Left, done: &mut Committal) {
        let mut search = Search::over(rest.len());
        let mut tries = Tries::Patient;
        while let Some(policy) = rest.first().map(|item| Arc::clone(&item.policy)) {
            if search.is_spent() {
                if !self.samples(rest, left, done).await {
                    return;
                }
                search.found_good();
                search.forget();
                continue;
            }
            let next = fitting(rest, search.next(rest.len()));
            let since = self.history.stores(&policy);
            match self.write(&rest[..next], tries).await {
                Ok(proofs) => {
                    if self.history.stores(&policy) > since {
                        search.found_good();
                    }
                    search.stored(next);
                    done.committed.extend(rest.drain(..next).zip(proofs));
                }
                Err(Stop::Abandoned) => done.abandoned.append(rest),
                Err(Stop::Refused(error)) => {
                    search.refused(next);
                    if error.class() != Class::Refused {
                        // What lasts is told while it is searched for.
                        tries = Tries::Few;
                        self.patience.tell(&error, Duration::from_secs(PEERS_SECS));
                    }
                    if next == 1 {
                        let suspect = Suspect::new(rest.remove(0), error.clone(), since);
                        left.suspects.push(suspect);
                    }
                    left.error = Some(error);
                }
            }
        }
    }

    /// Tries single records from all over the rest. Whether one was stored.
    async fn samples(
        &mut self,
        rest: &mut Vec<Item>,
        left: &mut Left,
        done: &mut Committal,
    ) -> bool {
        let began = Instant::now();
        for place in drawn(rest.len()) {
            if began.elapsed() >= Duration::from_millis(SAMPLING_MS_MAX) {
                break;
            }
            let Some(item) = rest.get(place).filter(|item| item.has_rows()) else {
                continue;
            };
            let policy = Arc::clone(&item.policy);
            let since = self.history.stores(&policy);
            match self.write(std::slice::from_ref(item), Tries::Few).await {
                Ok(proofs) => {
                    let item = rest.remove(place);
                    done.committed.extend([item].into_iter().zip(proofs));
                }
                Err(Stop::Abandoned) => {
                    done.abandoned.append(rest);
                    return false;
                }
                Err(Stop::Refused(error)) => {
                    let suspect = Suspect::new(rest.remove(place), error, since);
                    left.suspects.push(suspect);
                }
            }
            if self.history.stores(&policy) > since {
                return true;
            }
        }
        false
    }

    /// Tries suspects once more where there is something new to compare them
    /// with, and tells whose fault it is. So many more are `untried`.
    async fn judge(&mut self, left: &mut Left, untried: usize, done: &mut Committal) {
        let Some(policy) = left.policy() else {
            return;
        };
        let seen = self.history.stores(&policy);
        left.seen = seen;
        let unresolved = left.suspects.len() + untried + self.history.charges(&policy);
        let brake_is_on = self.brake.until(&policy).is_some();
        let due = |suspect: &Suspect| match suspect.braked {
            true => !brake_is_on,
            false => {
                let compared = suspect.since < seen || unresolved <= HANDFUL;
                compared && suspect.tried_at != Some(seen)
            }
        };
        let suspects = std::mem::take(&mut left.suspects);
        let (due, wait): (Vec<_>, Vec<_>) = suspects.into_iter().partition(due);
        left.suspects = wait;
        for mut suspect in self.once_more(due, done).await {
            suspect.tried_at = Some(seen);
            let fault = fault(&Evidence {
                error: &suspect.error,
                stored_meanwhile: suspect.since < seen,
                stored_lately: self.history.lately(&policy),
                unresolved,
            });
            let look = match fault {
                Fault::Record => Look::Guilty,
                Fault::Everybody => Look::Unclear,
                Fault::RecordIfOthersPass => self.look(&mut suspect, &policy).await,
            };
            let by_history = suspect.since >= seen;
            match look {
                Look::Stored(proof) => done.committed.push((suspect.item, proof)),
                Look::Guilty if !by_history || self.history.charge(&policy, seen, HANDFUL) => {
                    suspect.braked = !self.brake.takes_bad(&policy);
                    match suspect.braked {
                        true => left.suspects.push(suspect),
                        false => done.refused.push(suspect.item.refused(&suspect.error)),
                    }
                }
                Look::Guilty | Look::Unclear => {
                    left.error = Some(suspect.error.clone());
                    left.suspects.push(suspect);
                }
            }
        }
    }

    /// Tries each alone once more, and what a moment refuses for as long as one
    /// may last. Gives those that are still refused.
    async fn once_more(&mut self, suspects: Vec<Suspect>, done: &mut Committal) -> Vec<Suspect> {
        let (began, mut backoff) = (Instant::now(), Backoff::default());
        let (mut refused, mut open, mut rounds) = (Vec::new(), suspects, 0);
        while let Some(policy) = open.first().map(|suspect| Arc::clone(&suspect.item.policy)) {
            rounds += 1;
            let mut again = Vec::new();
            for mut suspect in open {
                let item = std::slice::from_ref(&suspect.item);
                match self.write(item, Tries::Few).await {
                    Ok(proofs) => {
                        done.committed
                            .extend([suspect.item].into_iter().zip(proofs));
                    }
                    Err(Stop::Abandoned) => done.abandoned.push(suspect.item),
                    Err(Stop::Refused(error)) => {
                        let passes = error.class() == Class::Moment;
                        suspect.error = error;
                        match passes {
                            true => again.push(suspect),
                            false => refused.push(suspect),
                        }
                    }
                }
            }
            let long = began.elapsed() >= Duration::from_secs(TRANSIENT_SECS);
            if long && rounds >= TRANSIENT_TRIES {
                refused.append(&mut again);
            }
            open = again;
            if !open.is_empty() {
                self.patience.wait(&policy, &mut backoff).await;
            }
        }
        refused
    }

    /// Whether the statement passes without the suspect.
    async fn look(&mut self, suspect: &mut Suspect, policy: &Arc<Policy>) -> Look {
        if let Err(error) = self.patience.probe(policy).await {
            suspect.error = error;
            return Look::Unclear;
        }
        if suspect.error.class() != Class::Unknown {
            return Look::Guilty;
        }
        // The server is there: does it still not answer this one?
        let item = std::slice::from_ref(&suspect.item);
        match self
            .write(item, Tries::Few)
            .await
            .map(|mut proofs| proofs.pop())
        {
            Ok(Some(proof)) => Look::Stored(proof),
            Err(Stop::Refused(_)) => Look::Guilty,
            Ok(None) | Err(Stop::Abandoned) => Look::Unclear,
        }
    }
}

impl Committal {
    /// How many have left for good.
    fn ended(&self) -> usize {
        self.committed.len() + self.refused.len() + self.abandoned.len()
    }
}

impl Left {
    pub(super) fn is_empty(&self) -> bool {
        self.suspects.is_empty() && self.rest.is_empty()
    }

    /// Whose verdicts they are.
    pub(super) fn policy(&self) -> Option<Arc<Policy>> {
        let mut items = self.items();
        items.next().map(|item| Arc::clone(&item.policy))
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        let suspects = self.suspects.iter().map(|suspect| &suspect.item);
        suspects.chain(&self.rest)
    }

    pub(super) fn into_items(self) -> Vec<Item> {
        let suspects = self.suspects.into_iter().map(|suspect| suspect.item);
        suspects.chain(self.rest).collect()
    }

    /// What they meet.
    pub(super) fn error(&self) -> Option<&DatabaseError> {
        self.error.as_ref()
    }

    /// What had been stored when they were last looked at.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    fn len(&self) -> usize {
        self.suspects.len() + self.rest.len()
    }

    fn at(&self, place: usize) -> &Item {
        match place.checked_sub(self.suspects.len()) {
            Some(place) => &self.rest[place],
            None => &self.suspects[place].item,
        }
    }

    fn remove(&mut self, place: usize) -> Item {
        match place.checked_sub(self.suspects.len()) {
            Some(place) => self.rest.remove(place),
            None => self.suspects.remove(place).item,
        }
    }
}

impl Suspect {
    fn new(item: Item, error: DatabaseError, since: u64) -> Self {
        Self {
            item,
            error,
            since,
            tried_at: None,
            braked: false,
        }
    }
}

/// A few places of so many, drawn by chance; from the back, so that the other
/// ones stay what they are where one is taken out.
fn drawn(places: usize) -> Vec<usize> {
    let drawn = index::sample(&mut rand::rng(), places, SAMPLES.min(places));
    let mut drawn = drawn.into_vec();
    drawn.sort_unstable_by(|one, next| next.cmp(one));
    drawn
}

fn policy_of(items: &[Item]) -> Option<Arc<Policy>> {
    items.first().map(|item| Arc::clone(&item.policy))
}

/// As many of the first `next` records as fit into a statement; at least one.
fn fitting(records: &[Item], next: usize) -> usize {
    let mut room = STATEMENT_BYTES_MAX;
    let fits = |item: &&Item| {
        let left = room.checked_sub(item.bytes());
        room = left.unwrap_or(0);
        left.is_some()
    };
    records[..next].iter().take_while(fits).count().max(1)
}
