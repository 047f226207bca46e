//! The verdict: whether the six invariants held, each on a line of its own.
//! What a good message must have become is computed from what was sent alone.

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::time::Duration;

use crate::fake_queue::journal::{Call, Outcome};
use crate::fake_queue::operation::{DELETES, EXTENSIONS, Operation, SENDS};
use crate::fake_queue::store::message::Stored;
use crate::fleet::Fleet;
use crate::mischief::Mischief;
use crate::stage::{DEAD, SOURCE, Stage, VISIBILITY_SECS};
use crate::stream::{CANARIES, Sent, Stream, What};
use crate::support::login::Row;
use crate::support::postgres::Server;
use crate::watch::Watch;

/// Of each kind of violation, so many are shown.
const SHOWN_MAX: usize = 5;
/// Fewer than one delete in so many may go unjudged, because the oracle got no
/// answer.
const UNJUDGED_ONE_IN_MIN: usize = 100;
/// From the last fault on, the queue is empty within this: what the last
/// killed hosts held comes back, and a debug build may share its machine.
const EMPTY_SECS_MAX: u64 = 60;
/// From the beginning of a respite to the next delete: a host may have to
/// start, and the back-off of its calls to end.
const RECOVERY_SECS_MAX: u64 = 30;
/// Good messages that a fault of the table may turn into dead letters: a handful
/// may be judged by what was stored before the fault began.
const DEAD_PER_TABLE_FAULT_MAX: usize = 5;
/// One host of a debug build, its compiled component included.
const PEAK_MIB_MAX: u64 = 256;
/// Calls of one host that are open at a time: an outage fails each of them once,
/// and all may have begun within a second (128 receives, 128 deletes).
const OPEN_CALLS_MAX: usize = 256;
/// Calls of one host that fail a second while an outage lasts, in the mean: a
/// probe of each kind of call, with the direct path's and the SDK's try.
const PROBES_PER_SECOND_MAX: usize = 8;
/// An outage is looked at for so long, in seconds: longer than one lasts here.
const OUTAGE_SECS: u64 = 6;
/// Extensions of one host that fail within a second: 2,000 messages in work,
/// ten a call, at each sixth of a lease of 4 s.
const FAILING_EXTENSIONS_PER_SECOND_MAX: usize = 300;

/// The findings on an invariant.
struct Finding {
    invariant: &'static str,
    told: String,
    violations: Vec<String>,
}

pub struct Verdict(Vec<Finding>);

/// Where a sensitive value stands in the text, as it is or in hexadecimal.
pub fn leaked(place: &str, text: &str) -> Vec<String> {
    let hex = |word: &str| -> String { word.bytes().map(|byte| format!("{byte:02x}")).collect() };
    let found = CANARIES
        .iter()
        .filter(|canary| text.contains(*canary) || text.contains(&hex(canary)));
    found
        .map(|canary| format!("{canary:?} stands in {place}"))
        .collect()
}

impl Verdict {
    pub fn on(
        stage: &Stage,
        stream: &Stream,
        fleet: &Fleet,
        watch: &Watch,
        mischief: &Mischief,
        drained: Option<Duration>,
    ) -> Verdict {
        let database = stage.database.reconnected();
        let rows = database.rows_of("user_logins");
        let letters = stage.queue.messages(DEAD);
        let ledger: HashMap<String, String> = database
            .ledger()
            .into_iter()
            .map(|entry| (entry.message_id, entry.outcome))
            .collect();
        let tables = database.text_of_every_table();
        Verdict(vec![
            nothing_lost(stage, stream, mischief, &rows, &letters),
            nothing_twice(stream, &rows, &letters, &ledger),
            deletes_lawful(stage),
            nothing_leaked(fleet, &tables),
            recovered(fleet, watch, drained),
            bounded(stage, stream, fleet, watch),
        ])
    }

    pub fn print(&self) -> ExitCode {
        for finding in &self.0 {
            let verdict = match finding.violations.len() {
                0 => "kept".to_owned(),
                count => format!("VIOLATED {count} times"),
            };
            println!("{}: {verdict}. {}", finding.invariant, finding.told);
            for violation in finding.violations.iter().take(SHOWN_MAX) {
                println!("    {violation}");
            }
        }
        match self.0.iter().all(|finding| finding.violations.is_empty()) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

/// The dead letters by their bodies, which are all different: an attribute may
/// be forged.
fn by_body(letters: &[Stored]) -> HashMap<&str, &Stored> {
    letters
        .iter()
        .map(|letter| (letter.sent.body.as_str(), letter))
        .collect()
}

fn nothing_lost(
    stage: &Stage,
    stream: &Stream,
    mischief: &Mischief,
    rows: &[Row],
    letters: &[Stored],
) -> Finding {
    let stored: HashSet<&str> = rows
        .iter()
        .filter_map(|row| row.user_id.as_deref())
        .collect();
    let dead = by_body(letters);
    let mut violations = Vec::new();
    let (mut good, mut bad, mut good_dead) = (0, 0, 0);
    for sent in &stream.sent {
        let id = &sent.id;
        let letter = dead.get(sent.body.as_str());
        match &sent.what {
            What::Good(login) => {
                good += 1;
                good_dead += usize::from(letter.is_some());
                // One that is judged anew before its deletion may be both.
                if !stored.contains(login.user_id.as_str()) && letter.is_none() {
                    violations.push(format!("good message {id} has no row"));
                }
            }
            What::Bad(kind) => {
                bad += 1;
                if letter.is_none() {
                    violations.push(format!("bad message {id} ({kind}) is no dead letter"));
                }
            }
        }
        if letter.is_some_and(|letter| !sent.forged && letter.origin_id() != id) {
            violations.push(format!("the dead letter of {id} has another origin"));
        }
    }
    let faults = mischief.table_faults();
    if good_dead > DEAD_PER_TABLE_FAULT_MAX * faults {
        violations.push(format!(
            "{good_dead} good messages are dead letters, after {faults} faults of the table"
        ));
    }
    for left in stage.left_in_queue() {
        violations.push(format!("message {} is still in the queue", left.message_id));
    }
    let given_up = stage.queue.counts(SOURCE).tally.given_up;
    Finding {
        invariant: "I1 nothing lost",
        told: format!(
            "{good} good messages became {} rows, {bad} bad ones and {good_dead} good ones {} \
             dead letters, of which {} came twice or more; {} messages claimed another one's \
             identity; {faults} faults of the table; {given_up} given up by the queue itself",
            rows.len(),
            letters.len(),
            letters.len() - dead.len(),
            stream.sent.iter().filter(|sent| sent.forged).count(),
        ),
        violations,
    }
}

fn nothing_twice(
    stream: &Stream,
    rows: &[Row],
    letters: &[Stored],
    ledger: &HashMap<String, String>,
) -> Finding {
    let dead = by_body(letters);
    let mut by_user: HashMap<Option<&str>, Vec<&Row>> = HashMap::new();
    for row in rows {
        let rows = by_user.entry(row.user_id.as_deref()).or_default();
        rows.push(row);
    }
    let mut violations = Vec::new();
    for sent in &stream.sent {
        let outcome = ledger.get(&sent.id).map(String::as_str);
        match &sent.what {
            What::Good(login) => {
                let found = by_user.remove(&Some(login.user_id.as_str()));
                let found = found.unwrap_or_default();
                if found.len() > 1 || found.iter().any(|row| !is_right(row, sent)) {
                    violations.push(format!("message {} became {found:?}", sent.id));
                }
                let expected = match (&found[..], dead.contains_key(sent.body.as_str())) {
                    ([], true) => "rejected",
                    _ => "stored",
                };
                if outcome != Some(expected) {
                    violations.push(format!("the ledger has {outcome:?} of good {}", sent.id));
                }
            }
            What::Bad(kind) if outcome != Some("rejected") => {
                violations.push(format!(
                    "the ledger has {outcome:?} of {} ({kind})",
                    sent.id
                ));
            }
            What::Bad(_) => {}
        }
    }
    for row in by_user.into_values().flatten() {
        violations.push(format!("nobody sent what became {row:?}"));
    }
    Finding {
        invariant: "I2 no second row",
        told: format!(
            "{} rows compared with an independent computation, {} ledger entries",
            rows.len(),
            ledger.len()
        ),
        violations,
    }
}

fn is_right(row: &Row, sent: &Sent) -> bool {
    let What::Good(login) = &sent.what else {
        return false;
    };
    sent.days.iter().any(|day| *row == login.row(*day))
}

fn deletes_lawful(stage: &Stage) -> Finding {
    let queue = &stage.queue;
    let violations = queue.violations();
    let mut violations: Vec<String> = violations.iter().map(|one| format!("{one:?}")).collect();
    // The database was away for too long. What is lost so is found as lost.
    let unjudged = queue.unjudged().len();
    let judged = queue.judged();
    if judged == 0 || unjudged * UNJUDGED_ONE_IN_MIN > judged {
        violations.push(format!("{unjudged} deletes not judged"));
    }
    let tally = queue.counts(SOURCE).tally;
    Finding {
        invariant: "I3 deleted means committed",
        told: format!(
            "{judged} deletes judged before they took effect, {unjudged} not; {} with an old handle, {} of what \
             was gone",
            tally.stale_deletes, tally.deletes_of_the_gone
        ),
        violations,
    }
}

fn nothing_leaked(fleet: &Fleet, tables: &str) -> Finding {
    let log = Server::get().log();
    let mut violations = fleet.leaks.clone();
    violations.extend(leaked("a table", tables));
    violations.extend(leaked("the server's log", &log));
    let kib = |bytes: usize| bytes / 1024;
    Finding {
        invariant: "I4 nothing leaked",
        told: format!(
            "searched {} KiB of the hosts' output, {} KiB of tables, {} KiB of the server's log",
            kib(fleet.output_bytes),
            kib(tables.len()),
            kib(log.len())
        ),
        violations,
    }
}

fn recovered(fleet: &Fleet, watch: &Watch, drained: Option<Duration>) -> Finding {
    let mut violations = fleet.strange_ends.clone();
    let mut recoveries = watch.recoveries.clone();
    recoveries.sort();
    for recovery in &recoveries {
        if *recovery > Duration::from_secs(RECOVERY_SECS_MAX) {
            violations.push(format!(
                "left in peace, it took {recovery:?} to the next delete"
            ));
        }
    }
    let slowest = recoveries.last().copied().unwrap_or_default();
    let median = recoveries.get(recoveries.len() / 2).copied();
    if drained.is_none_or(|drained| drained > Duration::from_secs(EMPTY_SECS_MAX)) {
        violations.push(format!("the queue was not empty within {EMPTY_SECS_MAX} s"));
    }
    let drained = drained.map_or("never".to_owned(), |drained| {
        format!("{:.1} s", drained.as_secs_f64())
    });
    Finding {
        invariant: "I5 recovers by itself",
        told: format!(
            "{} respites, to the next delete {:.1} s (median), {:.1} s (longest); queue empty \
             after the last fault: {drained}; under fire, longest time without a delete: {:.1} s \
             (visibility timeout: {VISIBILITY_SECS} s)",
            recoveries.len(),
            median.unwrap_or_default().as_secs_f64(),
            slowest.as_secs_f64(),
            watch.standstill_max.as_secs_f64(),
        ),
        violations,
    }
}

fn bounded(stage: &Stage, stream: &Stream, fleet: &Fleet, watch: &Watch) -> Finding {
    let journal = stage.queue.journal();
    let failed = |call: &Call| matches!(call.outcome, Outcome::Refused(_) | Outcome::Lost);
    let extends = |call: &Call| EXTENSIONS.contains(&call.operation);
    let outage = Duration::from_secs(OUTAGE_SECS);
    let failures = journal.in_busiest(outage, |call| failed(call) && !extends(call));
    let failing: usize = failures.values().sum();
    let failing_max = OPEN_CALLS_MAX + PROBES_PER_SECOND_MAX * OUTAGE_SECS as usize;
    let extending = journal.busiest_second(|call| failed(call) && extends(call));
    let hosts = fleet.size();
    let mut violations = Vec::new();
    if failing > failing_max * hosts {
        violations.push(format!(
            "{failing} failing calls in {OUTAGE_SECS} s ({failures:?})"
        ));
    }
    if extending > FAILING_EXTENSIONS_PER_SECOND_MAX * hosts {
        violations.push(format!("{extending} failing extensions in one second"));
    }
    if fleet.peak_kib > PEAK_MIB_MAX * 1024 {
        violations.push(format!("a host had {} KiB", fleet.peak_kib));
    }
    let per_message = |operations: &[Operation]| {
        let calls = journal.matching(|call| operations.contains(&call.operation));
        calls as f64 / stream.sent.len().max(1) as f64
    };
    Finding {
        invariant: "I6 bounded",
        told: format!(
            "peak memory of a host {} MiB; at most {failing} failing calls in \
             {OUTAGE_SECS} s and {extending} failing extensions a second of {hosts} hosts; at most {} messages hidden; {:.1} log lines a second and host; calls per \
             message: {:.2} receives, {:.2} deletes, {:.2} extensions, {:.2} sends",
            fleet.peak_kib / 1024,
            watch.in_flight_max,
            fleet.log_lines as f64 / fleet.quiet_secs.max(1.0),
            per_message(&[Operation::ReceiveMessage]),
            per_message(&DELETES),
            per_message(&EXTENSIONS),
            per_message(&SENDS),
        ),
        violations,
    }
}
