//! Leases: kept for as long as the work takes, whatever becomes of single
//! extensions, and let go for good once a message has its fate.

use std::time::{Duration, Instant};

use super::scene::{SOURCE, Scene};
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::journal::{Effect, Entry};
use crate::fake_queue::operation::{EXTENSIONS, Operation};
use crate::fake_queue::refusal::Refusal;

/// As short as leases are here, so that work outlasts them soon.
const LEASE_SECS: u32 = 4;

impl Scene {
    /// How often each message has been extended, the rarest of them.
    fn extensions_min(&self) -> usize {
        let extended = |id: &String| {
            let effects = self.fake.journal().effects(id).into_iter();
            effects.filter(|effect| *effect == Effect::Extended).count()
        };
        self.ids.iter().map(extended).min().unwrap_or(0)
    }

    #[track_caller]
    fn assert_each_received_once(&self) {
        let tally = self.counts().tally;
        assert_eq!(
            tally.received, tally.sent,
            "given out again: a lease was lost"
        );
    }
}

/// Cases 31 and 32. The table is locked for twice the lease: one batch is in
/// work, and the others wait for it in the host.
#[test]
fn work_and_waiting_longer_than_the_lease_lose_no_lease() {
    let mut scene = Scene::with_lease("longer", LEASE_SECS);
    scene.send(40);
    let lock = scene.database.lock("user_logins");
    let mut host = scene
        .host()
        .option("--database-connections", "1")
        .option("--batch-messages-max", "20")
        .start();
    host.wait_until("all is taken", || scene.counts().in_flight == 40);
    let taken = Instant::now();
    host.wait_until("twice the lease is over, and each extended twice", || {
        taken.elapsed() > Duration::from_secs(2 * u64::from(LEASE_SECS))
            && scene.extensions_min() >= 2
    });
    lock.release();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);

    scene.assert_each_received_once();
    scene.assert_settled();
}

/// Case 33.
#[test]
fn an_extension_that_fails_in_part_is_tried_again_in_time() {
    let mut scene = Scene::with_lease("in_part", LEASE_SECS);
    scene.send(10);
    let error = Action::FailEntry(Refusal::internal_error());
    let failing = Fault::on(EXTENSIONS, error).at_positions([0, 3, 9]);
    let failing = scene.fake.fault(failing.in_queue(SOURCE).times(3));
    let lock = scene.database.lock("user_logins");
    let mut host = scene.host().start();
    host.wait_until("each has been extended twice", || {
        scene.extensions_min() >= 2
    });
    assert_eq!(failing.count(), 3);
    lock.release();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);

    scene.assert_each_received_once();
    scene.assert_settled();
}

/// Case 35. No extension gets through, so another host receives the messages,
/// stores and deletes them; then the first one's write goes through.
#[test]
fn what_another_host_settled_after_a_lost_lease_is_a_duplicate() {
    let mut scene = Scene::with_lease("lost_lease", 2).for_two_hosts();
    let mut first = scene
        .host()
        // No room to receive again what it has lost.
        .option("--messages-in-work-max", "10")
        .start();
    first.wait_until("it polls", || {
        scene.fake.journal().open(Operation::ReceiveMessage) > 0
    });
    let paused = scene.network.pause();
    let refused = scene.always(EXTENSIONS, Action::Refuse(Refusal::unavailable()));
    scene.send_at_once(10);
    first.wait_until("a write is on its way", || {
        paused.count() > 0 && scene.counts().in_flight == 10
    });
    first.wait_until("its leases are lost", || {
        refused.count() > 0 && scene.counts().visible == 10
    });
    let second = scene.host_past_the_network().until_empty().start();
    assert_eq!(scene.ended(second)["stored"], 10);
    refused.stop();
    scene.network.resume();
    let gone = || scene.counts().tally.deletes_of_the_gone;
    first.wait_until("it has deleted what is gone", || gone() == 10);
    let summary = scene.stop(first);

    assert_eq!(summary["duplicates"], 10);
    scene.assert_calls_bounded(Operation::ChangeMessageVisibilityBatch, 12);
    scene.assert_settled();
}

/// I6. With 300 messages in hand an extension is due every 0.7 s, in 30
/// calls; while they fail the queue is asked few times, and all goes on once
/// they succeed.
#[test]
fn a_queue_that_refuses_extensions_is_asked_seldom() {
    const MESSAGES: usize = 300;
    const SECS: u64 = 5;
    let mut scene = Scene::with_lease("refused", LEASE_SECS);
    let lock = scene.database.lock("user_logins");
    let refused = scene.always(EXTENSIONS, Action::Refuse(Refusal::unavailable()));
    scene.send(MESSAGES);
    let mut host = scene
        .host()
        // No room to receive again what it has lost.
        .option("--messages-in-work-max", MESSAGES.to_string())
        .start();
    host.wait_until("all is taken", || scene.counts().tally.received >= MESSAGES);
    host.wait_until("leases are lost", || scene.counts().visible > 0);
    let (since, before) = (Instant::now(), refused.count());
    host.wait_until("some rounds are over", || {
        since.elapsed() > Duration::from_secs(SECS) && refused.count() > before
    });
    let asked = refused.count() - before;
    assert!((1..=50).contains(&asked), "{asked} times in {SECS} s");
    refused.stop();
    lock.release();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);
    scene.assert_settled();
}

/// Case 37. The extension comes after the delete, which it was sent before.
#[test]
fn an_extension_that_a_delete_overtakes_does_no_harm() {
    let mut scene = Scene::with_lease("overtaken", LEASE_SECS);
    scene.send(10);
    let late = scene.always(EXTENSIONS, Action::HoldBack);
    let lock = scene.database.lock("user_logins");
    let mut host = scene.host().start();
    host.wait_until("an extension is on its way", || late.count() > 0);
    lock.release();
    host.wait_until("the queue is empty", || scene.is_empty());
    late.stop();
    let overtaken = || {
        scene.fake.journal().matching(|call| {
            let mut entries = call.entries.iter();
            entries.any(|entry| matches!(entry.effect, Effect::NotExtended(_)))
        })
    };
    host.wait_until("a delete has overtaken it", || overtaken() > 0);
    scene.stop(host);

    scene.assert_each_received_once();
    scene.assert_settled();
}

/// Case 38, to scale: 1,000 messages, as many as a host keeps waiting by
/// default, with a lease of 10 s. (In full it is 10,000 with 30 s: more leases
/// for every second than that.) More it does not take: they would only wait,
/// hidden from others.
#[test]
fn no_lease_of_a_long_backlog_is_lost() {
    const WAITING: usize = 1_000;
    /// The time that a receive may take grows with it. With 4 s the host gave
    /// receives up on a busy machine, and what they had hidden came again.
    const LEASE_SECS: u32 = 10;
    let mut scene = Scene::with_lease("backlog", LEASE_SECS);
    scene.send(3 * WAITING);
    let lock = scene.database.lock("user_logins");
    let mut host = scene
        .host()
        .option("--receives", "8")
        .option("--database-connections", "1")
        .start();
    host.wait_until("a backlog is taken", || scene.counts().in_flight >= WAITING);
    let taken = Instant::now();
    let extended = || {
        let extends = |entry: &Entry| entry.effect == Effect::Extended;
        let journal = scene.fake.journal();
        journal.matching(|call| call.entries.iter().any(extends))
    };
    host.wait_until("twice the lease is over, in many extensions", || {
        taken.elapsed() > Duration::from_secs(2 * u64::from(LEASE_SECS))
            && extended() > WAITING / 10
    });
    let in_hand = scene.counts().in_flight;
    // A batch of 500 is at work, and eight receives may bring ten each.
    assert!(in_hand <= WAITING + 500 + 80, "{in_hand} in hand");
    lock.release();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);

    scene.assert_each_received_once();
    scene.assert_settled();
}

/// Case 40. The database refuses everybody: the messages are kept, not handed
/// back and received again.
#[test]
fn while_the_database_is_away_nothing_is_delivered_again() {
    let mut scene = Scene::with_lease("away", LEASE_SECS);
    let mut host = scene.idle_host();
    let refusing = scene.network.refuse();
    scene.network.reset_all();
    // All of it before the first failure, which pauses receiving.
    scene.send_at_once(20);
    host.wait_until("all is in hand", || scene.counts().in_flight == 20);
    host.wait_until("each has been extended twice", || {
        scene.extensions_min() >= 2
    });
    assert!(
        (2..60).contains(&refusing.count()),
        "{} connections",
        refusing.count()
    );
    scene.network.admit();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);

    scene.assert_each_received_once();
    scene.assert_settled();
}

/// Case 40. A rejected message that has nowhere to go is hidden, for longer
/// each time.
#[test]
fn a_rejected_message_that_stays_comes_seldom() {
    let mut scene = Scene::without_dead_letters("comes_seldom");
    scene.send_spoilt(5, [2]);
    let mut host = scene.host().start();
    let received = |times| scene.fake.journal().receives(&scene.ids[2]) == times;
    let hidden = || scene.counts().in_flight == 1 && scene.counts().visible == 0;
    // A minute, two, four; each time it comes soon after and not before.
    for (times, secs) in [(1, 60), (2, 120), (3, 240)] {
        host.wait_until("it is hidden", || {
            received(times) && hidden() && hidden_for(&scene) > secs - 30
        });
        scene.fake.put_clock_forward(Duration::from_secs(secs));
    }
    host.wait_until("it came once more", || received(4) && hidden());
    scene.stop(host);
    scene.assert_nothing_wrong();
}

/// For how many seconds the only message left was hidden at the last change.
fn hidden_for(scene: &Scene) -> u64 {
    use crate::fake_queue::store::message::State;
    let messages = scene.fake.messages(SOURCE);
    match messages.first().map(|message| message.state) {
        Some(State::InFlight { until, .. }) => until.saturating_sub(scene.fake.now()).as_secs(),
        _ => 0,
    }
}
