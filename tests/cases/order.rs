//! FIFO queues: what fails stops the later messages of its own group and no
//! others, and rows are written in the order of their group.

use super::scene::{Kind, Scene};
use crate::fake_queue::store::message::Outgoing;
use crate::support::canary::nothing_leaked;
use crate::support::login::{Login, bodies, rows};

const GROUPS: [&str; 3] = ["red", "green", "blue"];
const MESSAGES_PER_GROUP: usize = 6;

/// Logins in turn for each group; the nth of them belongs to group n mod 3.
struct Groups {
    scene: Scene,
    logins: Vec<Login>,
    ids: Vec<String>,
    day: i32,
}

impl Groups {
    /// The red group's nth message is spoilt in this way.
    fn new(test: &str, kind: Kind, nth: usize, spoil: fn(&mut Login)) -> Groups {
        let scene = Scene::of_kind(kind);
        scene
            .database
            .execute("ALTER TABLE user_logins ADD written serial");
        let mut logins = Login::several(test, MESSAGES_PER_GROUP * GROUPS.len());
        spoil(&mut logins[nth * GROUPS.len()]);
        let messages = bodies(&logins).into_iter().enumerate().map(|(n, body)| {
            let message = Outgoing::new(body).group(GROUPS[n % GROUPS.len()]);
            message.deduplication_id(&n.to_string())
        });
        let sent = scene.put(messages);
        Groups {
            scene,
            logins,
            ids: sent.ids,
            day: sent.day,
        }
    }

    /// All of them but the red group's from the nth on.
    fn without_red_from(&self, nth: usize) -> Vec<Login> {
        let all = self.logins.iter().enumerate();
        all.filter(|(n, _)| n % GROUPS.len() != 0 || n / GROUPS.len() < nth)
            .map(|(_, login)| login.clone())
            .collect()
    }

    /// The names of a group's users count up, so their order is known.
    #[track_caller]
    fn assert_in_order(&self) {
        for (n, name) in GROUPS.iter().enumerate() {
            let group: Vec<String> = self.logins[n..]
                .iter()
                .step_by(GROUPS.len())
                .map(|login| format!("'{}'", login.user_id))
                .collect();
            let disorder = format!(
                "user_logins a, user_logins b WHERE a.user_id IN ({0}) AND b.user_id IN ({0})
                 AND a.user_id < b.user_id AND a.written > b.written",
                group.join(",")
            );
            assert_eq!(self.scene.database.count(&disorder), 0, "in {name}");
        }
    }
}

fn too_long(login: &mut Login) {
    login.device_type = "x".repeat(33);
}

fn malformed(login: &mut Login) {
    // A version that the component refuses.
    login.version = ("not a version", 0);
}

/// What is rejected, and can go nowhere, stops the rest of its group.
fn later_ones_wait(test: &str, nth: usize, spoil: fn(&mut Login), reason: &str) {
    let groups = Groups::new(test, Kind::FifoWithoutDeadLetters, nth, spoil);
    let scene = &groups.scene;

    let run = scene.host().until_empty().run().exited(0);

    let left = MESSAGES_PER_GROUP - nth;
    scene.assert_rejected(&groups.ids[nth * GROUPS.len()], reason);
    assert_eq!(scene.left(), left, "the message and all behind it");
    scene
        .database
        .assert_rows(&rows(&groups.without_red_from(nth), groups.day));
    groups.assert_in_order();
    scene.queue.assert_deletes_lawful(1);
    scene.assert_calm();
    nothing_leaked(&groups.logins, &[&run], &scene.database);
}

/// Case 108.
#[test]
fn later_messages_of_its_group_wait_for_one_that_the_component_rejects() {
    later_ones_wait("waits_component", 2, malformed, "invalid");
}

/// Case 108.
#[test]
fn later_messages_of_its_group_wait_for_one_that_the_database_refuses() {
    later_ones_wait("waits_database", 2, too_long, "database-22001");
}

/// Case 109.
#[test]
fn poison_at_the_head_of_a_group_keeps_that_group_and_no_other() {
    later_ones_wait("poison_kept", 0, too_long, "database-22001");
}

/// What is rejected and gone lets the rest of its group pass.
fn later_ones_follow(test: &str, nth: usize, spoil: fn(&mut Login), reason: &str) {
    let groups = Groups::new(test, Kind::Fifo, nth, spoil);
    let scene = &groups.scene;

    let run = scene.host().until_empty().run().exited(0);

    let poison = nth * GROUPS.len();
    scene.assert_rejected(&groups.ids[poison], reason);
    assert_eq!(scene.dead_letters(), [groups.logins[poison].body()]);
    let mut good = groups.logins.clone();
    good.remove(poison);
    groups.assert_in_order();
    scene.assert_well(&rows(&good, groups.day), 1, &groups.logins, &[&run]);
}

/// Case 108.
#[test]
fn a_group_goes_on_once_its_bad_message_is_a_dead_letter() {
    later_ones_follow("follows", 3, malformed, "invalid");
}

/// Case 109.
#[test]
fn poison_at_the_head_of_a_group_is_buried_and_the_group_follows() {
    later_ones_follow("poison_buried", 0, too_long, "database-22001");
}

/// Cases 81 and 108.
#[test]
fn a_cut_connection_keeps_the_order() {
    let groups = Groups::new("cut_in_order", Kind::Fifo, 0, |_| {});
    let scene = &groups.scene;
    let after = scene.network.cut_after_write(1);

    let run = scene.host().until_empty().run().exited(0);

    after.assert_fired();
    groups.assert_in_order();
    scene.assert_well(
        &rows(&groups.logins, groups.day),
        0,
        &groups.logins,
        &[&run],
    );
}
