//! Metrics: what happens, counted and timed for Prometheus.
//!
//! Names follow Prometheus (base units, `_total` on counters). Labels come out
//! of closed sets, SQLSTATEs up to a bound, and the component's description of
//! itself: never out of a message. Every series of a closed set stands at 0
//! from the start, because a rate cannot see a series' first step.
//!
//! Why `prometheus-client` (2026-11-23): it is the Prometheus project's own,
//! label sets are types and a registry is a value; it adds three small crates.
//! `metrics` with its exporter adds twelve and a global recorder. `prometheus`
//! adds only itself, but takes labels by position and panics where one is
//! missing.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{
    EncodeGaugeValue, EncodeLabelSet, EncodeMetric, MetricEncoder, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{Atomic, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::labels::{Dependency, Operation, Replacement, ShadowResult, Stage};
use crate::verdict::Reason;

/// The format of [`Metrics::text`]: the one that every scraper reads.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// SQLSTATEs that get a series of their own: a trigger may raise any code, and
/// even make it up out of a row.
const SQLSTATES_MAX: usize = 64;
/// The longest name or version of a component that is shown, in characters.
const COMPONENT_CHARS_MAX: usize = 128;

/// Messages of a statement.
const BATCH_MESSAGES: [f64; 11] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0,
];
/// Seconds from sending to commit: from a live stream to the 14 days that SQS
/// keeps a message at most.
const MESSAGE_AGE_SECS: [f64; 14] = [
    0.1,
    0.5,
    1.0,
    5.0,
    15.0,
    60.0,
    300.0,
    900.0,
    3_600.0,
    14_400.0,
    43_200.0,
    86_400.0,
    345_600.0,
    1_209_600.0,
];
/// Seconds for judging a batch: its limit is 5 s unless set otherwise.
const TRANSFORM_SECS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];
/// Seconds for a statement.
const COMMIT_SECS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0,
];
/// Seconds from a message's receive to its deletion; a long hold is in here.
const RECEIVE_TO_DELETE_SECS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0, 43_200.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFate {
    fate: &'static str,
    /// Empty, which is to Prometheus as if it were absent, unless rejected.
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStage {
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCause {
    cause: Dependency,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOperation {
    operation: Operation,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: Replacement,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByShadowResult {
    result: ShadowResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByColumn {
    column: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByComponent {
    name: String,
    version: String,
    digest: String,
}

/// The running counts and durations. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Series>);

/// What holds the host.
#[derive(Default)]
struct Holding {
    dependencies: BTreeSet<Dependency>,
    counted_until: Option<Instant>,
}

/// How many messages are in work at this moment.
type InFlight = Box<dyn Fn() -> usize + Send + Sync>;

struct Series {
    registry: Registry,
    received: Total,
    fates: Family<ByFate, Total>,
    stored: Total,
    duplicates: Total,
    skipped: Total,
    sqlstates: Mutex<BTreeSet<String>>,
    rows: Total,
    retries: Family<ByStage, Total>,
    held: Gauge,
    held_seconds: Family<ByCause, Total<f64>>,
    /// What holds the host now, and the moment up to which it is counted.
    holding: Mutex<Holding>,
    delete_failures: Total,
    leases_lost: Total,
    lease_extensions: Total,
    receive_errors: Total,
    in_flight: Gauge,
    in_flight_now: OnceLock<InFlight>,
    batch_messages: Histogram,
    message_age: Histogram,
    transform: Histogram,
    commit: Histogram,
    receive_to_delete: Histogram,
    component: Family<ByComponent, Gauge>,
    replacements: Family<ByResult, Total>,
    shadow_messages: Family<ByShadowResult, Total>,
    shadow_differences: Family<ByColumn, Total>,
    queue_calls: Family<ByOperation, Total>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Series::registered(Registry::with_prefix(
            "etl_host",
        ))))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A receive brought messages, or none.
    pub fn received(&self, messages: usize) {
        self.0.received.add(messages);
    }

    /// A receive failed.
    pub fn receive_failed(&self) {
        self.0.receive_errors.add(1);
    }

    /// The queue was called.
    pub fn called(&self, operation: Operation) {
        let by_operation = ByOperation { operation };
        self.0.queue_calls.get_or_create(&by_operation).add(1);
    }

    /// How many messages are in work is asked for whenever someone looks; the
    /// first to say how is asked.
    pub fn count_in_flight(&self, now: impl Fn() -> usize + Send + Sync + 'static) {
        let _ = self.0.in_flight_now.set(Box::new(now));
    }

    /// The component has judged a batch.
    pub fn judged(&self, took: Duration) {
        self.0.transform.observe(took.as_secs_f64());
    }

    /// A statement is committed. `sent_ms` is when each of its messages was
    /// sent, in milliseconds since 1970.
    pub fn committed(&self, sent_ms: impl IntoIterator<Item = u64>, took: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.unwrap_or_default().as_millis() as u64;
        let mut messages = 0_u32;
        for sent_ms in sent_ms {
            messages += 1;
            // Where the queue's clock is ahead of this one, the age is 0.
            let age = Duration::from_millis(now_ms.saturating_sub(sent_ms));
            self.0.message_age.observe(age.as_secs_f64());
        }
        self.0.batch_messages.observe(messages.into());
        self.0.commit.observe(took.as_secs_f64());
    }

    /// A message's rows are committed.
    pub fn stored(&self, rows: usize) {
        self.0.stored.add(1);
        self.0.rows.add(rows);
    }

    /// A message had been settled before.
    pub fn duplicate(&self) {
        self.0.duplicates.add(1);
    }

    /// The component skipped a message.
    pub fn skipped(&self) {
        self.0.skipped.add(1);
    }

    /// A message was refused.
    pub fn rejected(&self, reason: &Reason) {
        let reason = self.0.bounded(reason);
        self.0.fates.get_or_create(&refused(reason)).add(1);
    }

    /// Something is tried again.
    pub fn retried(&self, stage: Stage) {
        self.0.retries.get_or_create(&ByStage { stage }).add(1);
    }

    /// These dependencies hold the host from now on; with none it goes on.
    pub(super) fn held(&self, dependencies: BTreeSet<Dependency>, now: Instant) {
        let mut holding = self.0.count_held(now);
        self.0.held.set(i64::from(!dependencies.is_empty()));
        holding.dependencies = dependencies;
    }

    /// A message is deleted.
    pub fn deleted(&self, after_receive: Duration) {
        let seconds = after_receive.as_secs_f64();
        self.0.receive_to_delete.observe(seconds);
    }

    /// Messages could not be deleted this time.
    pub fn delete_failed(&self, messages: usize) {
        self.0.delete_failures.add(messages);
    }

    /// Leases were extended.
    pub fn leases_extended(&self, leases: usize) {
        self.0.lease_extensions.add(leases);
    }

    /// Leases ended before their messages were settled.
    pub fn leases_lost(&self, leases: usize) {
        self.0.leases_lost.add(leases);
    }

    /// The component that decides from now on.
    pub fn component(&self, name: &str, version: &str, digest: &str) {
        let shown = |text: &str| text.chars().take(COMPONENT_CHARS_MAX).collect();
        let component = ByComponent {
            name: shown(name),
            version: shown(version),
            digest: shown(digest),
        };
        self.0.component.clear();
        self.0.component.get_or_create(&component).set(1);
    }

    /// Another component was to take over.
    pub fn replaced(&self, result: Replacement) {
        let replacements = &self.0.replacements;
        replacements.get_or_create(&ByResult { result }).add(1);
    }

    /// A shadow was shown messages.
    pub fn shadowed(&self, result: ShadowResult, messages: u64) {
        let by_result = self
            .0
            .shadow_messages
            .get_or_create(&ByShadowResult { result });
        by_result.0.inc_by(messages);
    }

    /// A shadow gave other values for a column.
    pub fn shadow_differs(&self, column: &str, values: u64) {
        let column = column.to_owned();
        let by_column = self
            .0
            .shadow_differences
            .get_or_create(&ByColumn { column });
        by_column.0.inc_by(values);
    }

    /// All of it, as Prometheus text.
    ///
    /// # Errors
    /// None that is known; formatting can fail in principle.
    pub fn text(&self) -> Result<String, fmt::Error> {
        self.text_at(Instant::now())
    }

    fn text_at(&self, now: Instant) -> Result<String, fmt::Error> {
        // Counted up to now: a hold of hours is seen while it lasts.
        drop(self.0.count_held(now));
        if let Some(now) = self.0.in_flight_now.get() {
            self.0.in_flight.set(now() as i64);
        }
        let mut exposition = String::new();
        text::encode_registry(&mut exposition, &self.0.registry)?;
        Ok(exposition)
    }
}

impl Series {
    fn registered(mut registry: Registry) -> Self {
        // The registry ends each help with a full stop of its own.
        let r = &mut registry;
        let fates = registered(
            r,
            "messages_total",
            "Messages by fate, and by reason where rejected",
            Family::<ByFate, Total>::default(),
        );
        let settled = |fate| {
            let reason = String::new();
            fates.get_or_create_owned(&ByFate { fate, reason })
        };
        let series = Self {
            received: registered(
                r,
                "messages_received_total",
                "Messages taken from the queue, redeliveries included",
                Total::default(),
            ),
            stored: settled("stored"),
            duplicates: settled("duplicate"),
            skipped: settled("skipped"),
            sqlstates: Mutex::default(),
            rows: registered(
                r,
                "rows_written_total",
                "Rows committed to the target table",
                Total::default(),
            ),
            retries: registered(
                r,
                "retries_total",
                "Tries after the first",
                Family::default(),
            ),
            held: registered(
                r,
                "held",
                "1 while nothing goes on because the environment is at fault",
                Gauge::default(),
            ),
            held_seconds: registered(
                r,
                "held_seconds_total",
                "Seconds held, by cause",
                Family::default(),
            ),
            holding: Mutex::default(),
            delete_failures: registered(
                r,
                "delete_failures_total",
                "Deletions that failed and are tried again",
                Total::default(),
            ),
            leases_lost: registered(
                r,
                "leases_lost_total",
                "Leases that ended before their message was settled",
                Total::default(),
            ),
            lease_extensions: registered(
                r,
                "lease_extensions_total",
                "Leases extended",
                Total::default(),
            ),
            receive_errors: registered(
                r,
                "receive_errors_total",
                "Receives that failed",
                Total::default(),
            ),
            in_flight: registered(
                r,
                "messages_in_flight",
                "Messages in work at this moment",
                Gauge::default(),
            ),
            in_flight_now: OnceLock::new(),
            batch_messages: registered(
                r,
                "batch_messages",
                "Messages of a committed statement",
                Histogram::new(BATCH_MESSAGES),
            ),
            message_age: registered(
                r,
                "message_age_seconds",
                "From a message's sending to its commit",
                Histogram::new(MESSAGE_AGE_SECS),
            ),
            transform: registered(
                r,
                "transform_seconds",
                "Time in which the component judges a batch",
                Histogram::new(TRANSFORM_SECS),
            ),
            commit: registered(
                r,
                "commit_seconds",
                "Time in which a statement is committed",
                Histogram::new(COMMIT_SECS),
            ),
            receive_to_delete: registered(
                r,
                "receive_to_delete_seconds",
                "From a message's receive to its deletion",
                Histogram::new(RECEIVE_TO_DELETE_SECS),
            ),
            component: registered(
                r,
                "component_info",
                "The component that decides",
                Family::default(),
            ),
            replacements: registered(
                r,
                "component_replacements_total",
                "Times another component was to take over, by what became of it",
                Family::default(),
            ),
            shadow_messages: registered(
                r,
                "shadow_messages_total",
                "Messages that a shadow was shown, by what it made of them",
                Family::default(),
            ),
            shadow_differences: registered(
                r,
                "shadow_different_values_total",
                "Values that a shadow gives otherwise, by column",
                Family::default(),
            ),
            queue_calls: registered(
                r,
                "queue_calls_total",
                "Calls to SQS, by operation",
                Family::default(),
            ),
            fates,
            registry,
        };
        series.start_at_zero();
        series
    }

    fn start_at_zero(&self) {
        for stage in Stage::ALL {
            drop(self.retries.get_or_create(&ByStage { stage }));
        }
        for cause in Dependency::ALL {
            drop(self.held_seconds.get_or_create(&ByCause { cause }));
        }
        for operation in Operation::ALL {
            drop(self.queue_calls.get_or_create(&ByOperation { operation }));
        }
        for result in Replacement::ALL {
            drop(self.replacements.get_or_create(&ByResult { result }));
        }
        // All but PostgreSQL's own, which are not a closed set here.
        for reason in Reason::NAMED {
            drop(self.fates.get_or_create(&refused(reason.to_string())));
        }
    }

    /// Counts each dependency that holds the host up to this moment.
    fn count_held(&self, now: Instant) -> MutexGuard<'_, Holding> {
        let mut holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now.max(holding.counted_until.unwrap_or(now));
        if let Some(since) = holding.counted_until {
            let seconds = until.saturating_duration_since(since).as_secs_f64();
            for cause in &holding.dependencies {
                let by_cause = ByCause { cause: *cause };
                self.held_seconds.get_or_create(&by_cause).0.inc_by(seconds);
            }
        }
        holding.counted_until = Some(until);
        holding
    }

    /// The label of a reason; SQLSTATEs beyond the bound share one.
    fn bounded(&self, reason: &Reason) -> String {
        let Reason::Database(sqlstate) = reason else {
            return reason.to_string();
        };
        let mut known = self
            .sqlstates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() < SQLSTATES_MAX {
            known.insert(sqlstate.clone());
        }
        match known.contains(sqlstate) {
            true => reason.to_string(),
            false => Reason::Database("other".to_owned()).to_string(),
        }
    }
}

fn refused(reason: String) -> ByFate {
    ByFate {
        fate: "rejected",
        reason,
    }
}

fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// A counter that is registered under its whole name.
///
/// The crate writes OpenMetrics, where a counter's type is declared without the
/// `_total` that its samples have; read as Prometheus text, its type is lost.
/// Without that suffix the two formats are one.
struct Total<N = u64>(Counter<N, AtomicU64>);

impl Total {
    fn add(&self, number: usize) {
        self.0.inc_by(number as u64);
    }
}

impl<N> Default for Total<N> {
    fn default() -> Self {
        Self(Counter::default())
    }
}

impl<N> Clone for Total<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<N> fmt::Debug for Total<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Total").finish_non_exhaustive()
    }
}

impl<N> prometheus_client::metrics::TypedMetric for Total<N> {
    const TYPE: MetricType = MetricType::Counter;
}

impl<N: EncodeGaugeValue> EncodeMetric for Total<N>
where
    AtomicU64: Atomic<N>,
{
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        encoder.encode_gauge(&self.0.get())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn busy() -> Metrics {
        let metrics = Metrics::default();
        metrics.received(10);
        metrics.called(Operation::ReceiveMessage);
        metrics.count_in_flight(|| 7);
        metrics.judged(Duration::from_millis(3));
        metrics.committed([0, u64::MAX], Duration::from_millis(20));
        metrics.stored(3);
        metrics.duplicate();
        metrics.skipped();
        metrics.rejected(&Reason::Malformed);
        metrics.rejected(&Reason::Database("22001".into()));
        metrics.retried(Stage::Commit);
        metrics.held([Dependency::Database].into(), Instant::now());
        metrics.deleted(Duration::from_millis(150));
        metrics.delete_failed(2);
        metrics.leases_extended(10);
        metrics.leases_lost(1);
        metrics.receive_failed();
        metrics.component("sha256_mask", "1.0 \"b\\\n", "ab12");
        metrics.replaced(Replacement::Done);
        metrics.shadowed(ShadowResult::Different, 2);
        metrics.shadow_differs("masked_ip", 2);
        metrics
    }

    /// The value of each series, and the type of each name. Panics at what
    /// Prometheus would refuse.
    fn parsed(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
        let (mut series, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        let mut current = String::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("words");
                assert!(
                    !words.is_empty() && helped.insert(name.to_owned()),
                    "{line}"
                );
            } else if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').expect("a type");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "{line}");
                assert!(
                    types.insert(name.to_owned(), kind.to_owned()).is_none(),
                    "{line}"
                );
                name.clone_into(&mut current);
            } else {
                let (name_and_labels, value) = line.rsplit_once(' ').expect("a value");
                let name = name_and_labels.split('{').next().expect("a name");
                let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                assert!(name.chars().all(letter), "{line}");
                let base = match types[&current].as_str() {
                    "histogram" => ["_sum", "_count", "_bucket"]
                        .iter()
                        .find_map(|suffix| name.strip_suffix(suffix))
                        .expect("a part of a histogram"),
                    kind => {
                        assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                        name
                    }
                };
                assert_eq!(base, current, "samples stand below their type");
                let value = value.parse().expect("a number");
                let unique = series.insert(name_and_labels.to_owned(), value);
                assert!(unique.is_none(), "twice: {line}");
            }
        }
        (series, types)
    }

    fn value(metrics: &Metrics, series: &str) -> f64 {
        let text = metrics.text().unwrap();
        let (all, _) = parsed(&text);
        *all.get(series)
            .unwrap_or_else(|| panic!("no {series} in\n{text}"))
    }

    #[test]
    fn metrics_are_valid_prometheus_text() {
        let text = busy().text().unwrap();
        let (series, types) = parsed(&text);
        let histograms = types.iter().filter(|(_, kind)| *kind == "histogram");
        for (name, _) in histograms {
            let prefix = format!("{name}_bucket{{le=\"");
            let mut buckets: Vec<(f64, f64)> = series
                .iter()
                .filter_map(|(series, count)| {
                    let bound = series.strip_prefix(&prefix)?.strip_suffix("\"}")?;
                    Some((bound.parse().expect("a bound"), *count))
                })
                .collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                buckets.is_sorted_by(|a, b| a.1 <= b.1),
                "{name} {buckets:?}"
            );
            let count = series[&format!("{name}_count")];
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{name}");
            assert!(count > 0.0, "{name}");
        }
        let names: Vec<&str> = types.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "etl_host_batch_messages",
                "etl_host_commit_seconds",
                "etl_host_component_info",
                "etl_host_component_replacements_total",
                "etl_host_delete_failures_total",
                "etl_host_held",
                "etl_host_held_seconds_total",
                "etl_host_lease_extensions_total",
                "etl_host_leases_lost_total",
                "etl_host_message_age_seconds",
                "etl_host_messages_in_flight",
                "etl_host_messages_received_total",
                "etl_host_messages_total",
                "etl_host_queue_calls_total",
                "etl_host_receive_errors_total",
                "etl_host_receive_to_delete_seconds",
                "etl_host_retries_total",
                "etl_host_rows_written_total",
                "etl_host_shadow_different_values_total",
                "etl_host_shadow_messages_total",
                "etl_host_transform_seconds",
            ]
        );
    }

    #[test]
    fn each_fate_is_counted_under_its_name() {
        let metrics = busy();
        for (series, count) in [
            (r#"messages_total{fate="stored",reason=""}"#, 1.0),
            (r#"messages_total{fate="duplicate",reason=""}"#, 1.0),
            (r#"messages_total{fate="skipped",reason=""}"#, 1.0),
            (r#"messages_total{fate="rejected",reason="malformed"}"#, 1.0),
            (
                r#"messages_total{fate="rejected",reason="database-22001"}"#,
                1.0,
            ),
            (r#"messages_total{fate="rejected",reason="trap"}"#, 0.0),
            ("messages_received_total", 10.0),
            ("rows_written_total", 3.0),
            ("messages_in_flight", 7.0),
            ("batch_messages_sum", 2.0),
            ("message_age_seconds_count", 2.0),
            ("delete_failures_total", 2.0),
            ("leases_lost_total", 1.0),
            ("lease_extensions_total", 10.0),
            ("receive_errors_total", 1.0),
            (r#"retries_total{stage="commit"}"#, 1.0),
            (r#"shadow_messages_total{result="different"}"#, 2.0),
            (r#"shadow_different_values_total{column="masked_ip"}"#, 2.0),
            (r#"component_replacements_total{result="done"}"#, 1.0),
            (r#"component_replacements_total{result="refused"}"#, 0.0),
            (r#"queue_calls_total{operation="receive_message"}"#, 1.0),
            (r#"queue_calls_total{operation="send_message_batch"}"#, 0.0),
        ] {
            assert_eq!(value(&metrics, &format!("etl_host_{series}")), count);
        }
    }

    /// The seconds held by each of two causes, as seen at a moment.
    fn held_seconds(metrics: &Metrics, now: Instant) -> (f64, f64) {
        let (series, _) = parsed(&metrics.text_at(now).unwrap());
        let by = |cause| series[&format!("etl_host_held_seconds_total{{cause=\"{cause}\"}}")];
        (by("database"), by("dead_letter_queue"))
    }

    #[test]
    fn a_hold_is_counted_while_it_lasts() {
        let (metrics, begun) = (Metrics::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(held_seconds(&metrics, begun), (0.0, 0.0));
        metrics.held([Dependency::Database].into(), begun);
        assert_eq!(held_seconds(&metrics, after(3_600)), (3_600.0, 0.0));
        assert_eq!(value(&metrics, "etl_host_held"), 1.0);
        metrics.held([Dependency::Database].into(), after(5_000));
        assert_eq!(held_seconds(&metrics, after(7_200)), (7_200.0, 0.0));
        metrics.held(BTreeSet::new(), after(7_300));
        assert_eq!(held_seconds(&metrics, after(9_000)), (7_300.0, 0.0));
        assert_eq!(value(&metrics, "etl_host_held"), 0.0);
    }

    #[test]
    fn two_causes_at_a_time_count_for_each() {
        let (metrics, begun) = (Metrics::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        metrics.held([Dependency::Database].into(), begun);
        let both = [Dependency::Database, Dependency::DeadLetterQueue];
        metrics.held(both.into(), after(10));
        metrics.held([Dependency::Database].into(), after(30));
        metrics.held(BTreeSet::new(), after(40));
        assert_eq!(held_seconds(&metrics, after(90)), (40.0, 20.0));
    }

    #[test]
    fn a_hold_that_changes_its_cause_counts_for_each() {
        let (metrics, begun) = (Metrics::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        metrics.held([Dependency::Database].into(), begun);
        metrics.held([Dependency::DeadLetterQueue].into(), after(10));
        metrics.held(BTreeSet::new(), after(40));
        assert_eq!(held_seconds(&metrics, after(90)), (10.0, 30.0));
    }

    #[test]
    fn invented_sqlstates_do_not_make_series_without_end() {
        let metrics = Metrics::default();
        for number in 0..10_000 {
            metrics.rejected(&Reason::Database(format!("{number:05}")));
        }
        let (series, _) = parsed(&metrics.text().unwrap());
        let of_database = |series: &&String| series.contains("reason=\"database-");
        assert_eq!(series.keys().filter(of_database).count(), SQLSTATES_MAX + 1);
        let other = r#"etl_host_messages_total{fate="rejected",reason="database-other"}"#;
        assert_eq!(series[other], (10_000 - SQLSTATES_MAX) as f64);
    }

    #[test]
    fn a_component_that_is_replaced_leaves_no_series_behind() {
        let metrics = busy();
        metrics.component("truncate_mask", "2.0", "cd34");
        let (series, _) = parsed(&metrics.text().unwrap());
        let infos: Vec<&String> = series
            .keys()
            .filter(|series| series.contains("component_info"))
            .collect();
        assert_eq!(
            infos,
            [r#"etl_host_component_info{name="truncate_mask",version="2.0",digest="cd34"}"#]
        );
    }
}
