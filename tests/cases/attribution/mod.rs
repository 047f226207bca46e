//! Whose fault it is, told by comparison: each SQLSTATE once as one record's
//! fault among stored ones, once as everybody's. `README.md` shows the table.

mod causes;
mod kinds;
mod load;

use std::collections::BTreeSet;
use std::fs;

use self::causes::{CAUSES, Side, cause};
use self::load::{HANDFUL, HELD, Load};
use crate::support::repository;

/// A record meets it alone: it is dead-lettered, the others are stored, and the
/// host is ready. Then everybody meets it: the host is held and says why, until
/// it is mended; then all is stored.
#[track_caller]
fn both_ways(name: &str) {
    let cause = cause(name);
    let mut load = Load::new(&name.replace(' ', "_"));
    if let Some(setting) = cause.setting {
        load.set(setting);
    }
    load.start();

    let lock = bring_about(&load, &cause.one);
    let odd = load.send_with_an_odd_one();
    load.wait_until("the others are settled", |load| load.left() == 0);
    load.scene
        .assert_rejected(&odd, &format!("database-{}", cause.sqlstate));
    assert_eq!(load.dead_letters(), 1, "one record is at fault");
    load.assert_named(&odd, cause.one.named);
    let field = format!("\"sqlstate\":\"{}\"", cause.sqlstate);
    load.wait_until_a_line_says(&["\"rejected\"", &odd, &field]);
    load.wait_until_ready();
    if let Some(lock) = lock {
        lock.release();
    }
    load.scene.database.execute(cause.one.mend);

    let lock = bring_about(&load, &cause.all);
    load.send();
    let sqlstate = format!("SQLSTATE {}", cause.sqlstate);
    load.wait_until_held(&[&sqlstate, cause.all.named]);
    load.wait_until_a_line_says(&[HELD, &field]);
    load.wait_until_leases_are_extended();
    assert!(
        load.dead_letters() <= 1 + HANDFUL,
        "{}",
        load.dead_letters()
    );
    load.assert_held_with(&[&sqlstate, cause.all.named]);
    if let Some(lock) = lock {
        lock.release();
    }
    load.scene.database.execute(cause.all.mend);
    load.finish(1 + HANDFUL);
}

fn bring_about(load: &Load, side: &Side) -> Option<crate::support::database::TableLock> {
    load.scene.database.execute(side.sql);
    side.locks.map(|table| load.scene.database.lock(table))
}

/// A test for each row of the table.
macro_rules! causes {
    ($($test:ident: $name:literal;)+) => {
        $(
            #[test]
            fn $test() {
                both_ways($name);
            }
        )+
        const TESTED: &[&str] = &[$($name),+];
    };
}

causes! {
    case_74_dropped_rows: "dropped rows";
    case_71_a_number_out_of_range: "number out of range";
    case_121_a_sequence_used_up: "sequence used up";
    case_122_a_null_refused: "null refused";
    case_121_a_key_taken: "key taken";
    case_72_a_check_violated: "check violated";
    case_85_a_serialization_failure: "serialization failure";
    case_96_a_grant_missing: "grant missing";
    case_124_row_level_security: "row-level security";
    case_125_a_table_missing: "table missing";
    case_123_an_identity_column: "identity column";
    case_94_a_full_disk: "disk full";
    case_125_a_limit_exceeded: "limit exceeded";
    case_125_a_wrong_state: "not in this state";
    case_126_a_lock_timeout: "lock timeout";
    case_125_a_statement_timeout: "statement timeout";
    case_125_a_triggers_own_code: "a trigger's own";
    case_125_an_internal_error: "internal error";
}

/// The rows of the page's table.
fn page_rows() -> Vec<String> {
    let row = |cause: &causes::Cause| {
        format!(
            "| {} | {} | {} | dead-lettered, the others stored | {} | held, then all stored |",
            cause.sqlstate, cause.name, cause.one.what, cause.all.what
        )
    };
    CAUSES.iter().map(row).collect()
}

#[test]
fn the_page_shows_the_table_and_each_row_has_its_test() {
    let page = repository().join("tests/cases/attribution/README.md");
    let page = fs::read_to_string(page).expect("read the page");
    let shown: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| SQLSTATE"))
        .collect();
    let expected = page_rows();
    assert_eq!(
        shown,
        expected,
        "the page should hold:\n{}",
        expected.join("\n")
    );
    let names: BTreeSet<&str> = CAUSES.iter().map(|cause| cause.name).collect();
    assert_eq!(names.len(), CAUSES.len(), "a name stands twice");
    assert_eq!(names, TESTED.iter().copied().collect());
}
