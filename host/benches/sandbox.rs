//! What a message costs in the sandbox, beside the same policy natively in the
//! same run: `cargo speed`. At the end stands a table of nanoseconds a message
//! and of the limits beside what was used of them.

mod stage;

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use etl_host::message::Message;
use etl_host::row::{Row, Value};
use etl_host::sandbox::{Isolation, MeteredSandbox, Sandbox, Usage};
use etl_host::verdict::Verdict;
use etl_transform::Policy;
use hmac_mask::HmacMask;
use serde::de::IgnoredAny;
use sha256_mask::Sha256Mask;

/// The sizes of batches; the last is what a host takes at most by default.
const BATCHES: [usize; 4] = [1, 10, 100, 500];
/// The size of a batch where it does not matter.
const BATCH: usize = 100;
const GROUP: &str = "login";

fn main() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("speed");
    let mut criterion = Criterion::default()
        .output_directory(&folder)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group(GROUP);
    let mut bench = Bench {
        group: &mut group,
        table: Table::new(folder.join(GROUP)),
    };

    let sha256 = stage::sandbox("sha256_mask.wasm", Isolation::Batch, 1);
    bench.natively::<Sha256Mask>("sha256_mask natively", &sha256);
    for batch in BATCHES {
        bench.sandboxed(&format!("sha256_mask, batches of {batch}"), &sha256, batch);
    }
    let alone = stage::sandbox("sha256_mask.wasm", Isolation::Message, 1);
    bench.sandboxed("sha256_mask, an instance a message", &alone, BATCH);
    let (whole, guard) = (
        format!("sha256_mask, batches of {BATCH}"),
        "the leak guard's part of it",
    );
    bench.guard(guard, &sha256, rows);
    bench.table.add_difference(&whole, guard);
    bench.guard("the guard's reading of the body", &sha256, |_| &[]);
    bench.floor("the same body read by serde_json", |body| {
        serde_json::from_str::<IgnoredAny>(body).expect("it is JSON")
    });

    let hmac = stage::sandbox("hmac_mask.wasm", Isolation::Batch, 1);
    bench.natively::<HmacMask>("hmac_mask natively", &hmac);
    bench.sandboxed(&format!("hmac_mask, batches of {BATCH}"), &hmac, BATCH);

    let table = bench.table;
    group.finish();
    criterion.bench_function("start from the cache", |bencher| {
        bencher.iter_with_large_drop(|| stage::sandbox("sha256_mask.wasm", Isolation::Batch, 1));
    });
    criterion.final_summary();
    table.print();
    limits();
}

/// The benchmarks of one login, and what is to stand in the table.
struct Bench<'c, 'g> {
    group: &'g mut BenchmarkGroup<'c, WallTime>,
    table: Table,
}

impl Bench<'_, '_> {
    /// The policy without any sandbox: what the others are compared with. It
    /// gives the same rows, which is checked first.
    fn natively<P: Policy>(&mut self, name: &str, sandbox: &Sandbox) {
        let policy = P::configure(&[]).unwrap_or_else(|_| panic!("it takes no parameters"));
        let messages = stage::messages(BATCH);
        let native: Vec<etl_transform::Message> = messages.iter().map(of_the_guest).collect();
        for (verdict, message) in sandbox.judge(&messages).iter().zip(&native) {
            assert_eq!(rows(verdict), rows_of_the_guest(policy.transform(message)));
        }
        self.table.compare_with(name);
        self.measure(name, BATCH, || policy.transform_all(&native));
    }

    fn sandboxed(&mut self, name: &str, sandbox: &Sandbox, batch: usize) {
        let messages = stage::messages(batch);
        self.measure(name, batch, || sandbox.judge(&messages));
    }

    /// The leak guard over those of a verdict's rows that it is given.
    fn guard(&mut self, name: &str, sandbox: &Sandbox, given: fn(&Verdict) -> &[Row]) {
        let messages = stage::messages(BATCH);
        let verdicts = sandbox.judge(&messages);
        self.measure(name, BATCH, || {
            let mut inspector = sandbox.guard().inspector();
            for (message, verdict) in messages.iter().zip(&verdicts) {
                let passed = inspector.inspect(&message.body, given(verdict));
                assert_eq!(black_box(passed), Ok(()));
            }
        });
    }

    /// What a body takes by itself.
    fn floor<T>(&mut self, name: &str, read: impl Fn(&str) -> T) {
        let messages = stage::messages(BATCH);
        self.measure(name, BATCH, || {
            for message in &messages {
                black_box(read(&message.body));
            }
        });
    }

    fn measure<T>(&mut self, name: &str, batch: usize, mut work: impl FnMut() -> T) {
        self.group.throughput(Throughput::Elements(batch as u64));
        self.group
            .bench_function(name, |bencher| bencher.iter(&mut work));
        self.table.add(name, batch);
    }
}

fn of_the_guest(message: &Message) -> etl_transform::Message {
    etl_transform::Message {
        id: message.origin_id.clone(),
        body: message.body.clone(),
        sent_ms: message.sent_ms,
        attributes: Vec::new(),
    }
}

fn rows(verdict: &Verdict) -> &[Row] {
    match verdict {
        Verdict::Rows(rows) => rows,
        other => panic!("a good login is {other:?}"),
    }
}

fn rows_of_the_guest(outcome: etl_transform::Outcome) -> Vec<Row> {
    use etl_transform::{Outcome, Value as Guests};
    let value = |value| match value {
        Guests::Null => Value::Null,
        Guests::Text(text) => Value::Text(text),
        Guests::Integer(integer) => Value::Integer(integer),
        Guests::Date(days) => Value::Date(days),
        other => panic!("no login has {other:?}"),
    };
    match outcome {
        Outcome::Rows(rows) => rows
            .into_iter()
            .map(|row| row.into_iter().map(value).collect())
            .collect(),
        other => panic!("a good login is {other:?}"),
    }
}

/// Criterion's medians, a message, and how they compare.
struct Table {
    folder: PathBuf,
    began: SystemTime,
    lines: Vec<Line>,
    native: String,
}

struct Line {
    name: String,
    batch: usize,
    native: String,
    /// What is taken off, measured with batches of the same size.
    less: Option<String>,
}

impl Table {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            began: SystemTime::now(),
            lines: Vec::new(),
            native: String::new(),
        }
    }

    fn add(&mut self, name: &str, batch: usize) {
        self.lines.push(Line {
            name: name.to_owned(),
            batch,
            native: self.native.clone(),
            less: None,
        });
    }

    fn add_difference(&mut self, name: &str, less: &str) {
        self.add(name, BATCH);
        if let Some(line) = self.lines.last_mut() {
            line.less = Some(less.to_owned());
        }
    }

    /// What follows is compared with this one.
    fn compare_with(&mut self, name: &str) {
        self.native = name.to_owned();
    }

    fn print(&self) {
        println!("{:<44} {:>8} {:>10}", "a login", "ns", "x native");
        for line in &self.lines {
            let (mut name, mut ns) = (line.name.clone(), self.ns(&line.name, line.batch));
            if let Some(less) = &line.less {
                name.push_str(", guard aside");
                ns = ns.and_then(|ns| Some(ns - self.ns(less, line.batch)?));
            }
            match (ns, self.ns(&line.native, BATCH)) {
                (Some(ns), Some(native)) => {
                    println!("{name:<44} {ns:>8.0} {:>10.2}", ns / native);
                }
                (Some(ns), None) => println!("{name:<44} {ns:>8.0}"),
                (None, _) => {}
            }
        }
    }

    /// The median that criterion found, if it measured this one now.
    fn ns(&self, name: &str, batch: usize) -> Option<f64> {
        let file = self.folder.join(name).join("new/estimates.json");
        let written = fs::metadata(&file).and_then(|found| found.modified());
        written.ok().filter(|written| *written >= self.began)?;
        let estimates = fs::read(file).ok()?;
        let estimates: serde_json::Value = serde_json::from_slice(&estimates).ok()?;
        Some(estimates["median"]["point_estimate"].as_f64()? / batch as f64)
    }
}

/// Each limit of a component, and the most that a login or a batch took. The
/// engine that measures is slower than the one that runs.
fn limits() {
    let (file, conditions) = (
        stage::file("sha256_mask.wasm"),
        stage::conditions(Isolation::Message),
    );
    let metered = MeteredSandbox::load(&file, &conditions).expect("load the component");
    let limits = metered.limits();
    let messages = stage::messages(BATCHES[BATCHES.len() - 1]);
    let mut most = Usage::default();
    for message in &messages {
        let (verdict, usage) = metered.judge(message);
        assert_eq!(rows(&verdict).len(), 1);
        most = most.max(usage);
    }
    println!(
        "\nthe most of a limit that a login took, of {}",
        messages.len()
    );
    for share in most.shares(limits) {
        println!("    {share}");
    }
    let batch = metered.measure_batch(&messages);
    let batch = batch.unwrap_or_else(|reason| panic!("a good batch is {reason}"));
    println!(
        "and they all in one instance\n    time {} of {} µs\n    memory {} of {} bytes",
        batch.time.as_micros(),
        limits.batch_ms_max * 1_000,
        batch.memory_bytes,
        limits.memory_bytes_max,
    );
}
