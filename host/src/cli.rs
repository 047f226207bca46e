//! The command line: what is typed, and what it means once checked.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use crate::event::Event;
use crate::exit::{Ends, Failure, Kind, failure};
use crate::manual::{CompletionsArgs, ManArgs};
use crate::output::{Database, STATEMENT_SECS_DEFAULT, Settings, is_table_name};
use crate::pipeline::{
    BrakeLimits, DRAIN_SECS_DEFAULT, FAULTS_PERCENT_DEFAULT, FAULTS_WINDOW_MESSAGES_DEFAULT, Plan,
    REFUSED_PERCENT_DEFAULT, REJECTED_PERCENT_DEFAULT, Shape, Until,
};
use crate::queue::{POLL_SECS_DEFAULT, POLL_SECS_MAX, QueueSettings};
use crate::sandbox::{
    self, Cache, Capabilities, Compiler, Conditions, Digest, Isolation, Keys, Limits, Pointer,
};
use crate::workbench::{
    BenchArgs, CompareArgs, Fuzz, InspectArgs, NewArgs, ReplayArgs, RunOnceArgs, Test,
};

/// Loads SQS messages into PostgreSQL through a sandboxed transform component.
///
/// Without a subcommand it runs the pipeline. Region, credentials and endpoint
/// of the queue are the AWS SDK's own (AWS_REGION, AWS_PROFILE,
/// AWS_ENDPOINT_URL, …). Every option can be given as a variable; flags win.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Example:
  etl-host --transform guests/sha256_mask.wasm \\
      --queue-url http://localhost:9324/000000000000/login-queue \\
      --database-url postgres://user:password@localhost/logins --until-empty")]
pub struct Cli {
    /// What to do instead of running the pipeline.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run the pipeline.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What can be done beside running the pipeline.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check everything that a run with the same options depends on, without
    /// receiving or changing anything.
    Check(Box<RunArgs>),
    /// Ask a running host whether it is ready; for images without curl.
    Healthcheck(HealthcheckArgs),
    /// Print the statements that create the ledger, for a database
    /// administrator; with --transform, those for the target table too.
    Ddl(DdlArgs),
    /// Begin a policy: a project that builds, with its interface, its first
    /// cases and a page that says how it goes on.
    New(NewArgs),
    /// Try a component on cases, in the sandbox and under the limits of a run,
    /// and check what holds of every message.
    Test(Box<TestArgs>),
    /// Compare two components on the same messages: which columns of how many
    /// change, and what is newly refused or accepted.
    Compare(Box<CompareArgs>),
    /// Judge what a dead-letter queue holds by another component, without
    /// touching it; with --send, send back what would now be accepted.
    Replay(Box<ReplayArgs>),
    /// Show what a component is, what it wants, and whether this host would run
    /// it, with which options.
    Inspect(Box<InspectArgs>),
    /// Run one message through a component, and show the rows or the rejection,
    /// and what that took of each limit.
    RunOnce(Box<RunOnceArgs>),
    /// Measure how fast a component is and what it takes of each limit, alone or
    /// beside another one.
    Bench(Box<BenchArgs>),
    /// Print the keyed hashes of values, which are read from standard input, a
    /// line each: the id of each key, and the hash that hmac_mask stores under
    /// it. So somebody's rows are found, before a rotation and after it.
    KeyedHash(KeyedHashArgs),
    /// Print what makes a shell complete etl-host's commands and options.
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands into a folder.
    Man(ManArgs),
    /// Run the whole path on this machine, with a queue and a database of its
    /// own: nothing to install, nothing to configure.
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
}

/// What the healthcheck subcommand takes.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// The host's admin address.
    #[arg(long, value_name = "ADDR", env = "ETL_HOST_ADMIN_ADDR")]
    pub admin_addr: String,
    /// Ask only whether it is alive.
    #[arg(long)]
    pub live: bool,
}

/// What the test subcommand takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  etl-host test guests/sha256_mask.wasm cases/
  etl-host test my_mask.wasm --update                 # write what came out into the cases
  etl-host test my_mask.wasm --fuzz 10000 --junit target/junit.xml

A case file (.toml):
  [[case]]
  body = '{\"order\":\"o1\",\"card\":\"0000-4711\"}'
  [[case.rows]]
  order_id = \"o1\"
  masked_card = \"3f1ff4…\"")]
pub struct TestArgs {
    /// The transform component (.wasm).
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// Cases (.toml), messages as SQS writes them (.json), bodies, one a line
    /// (.jsonl), or folders with such files; default: the folder `cases`.
    #[arg(value_name = "CASES")]
    cases: Vec<PathBuf>,
    /// Fields of which different values may become one, because the component
    /// makes them coarser on purpose.
    #[arg(long, value_name = "POINTER,…", value_parser = sensitive, value_delimiter = ',')]
    may_collide: Vec<Pointer>,
    /// Change the case files (.toml) to what came out, after showing it: also
    /// those that expected nothing in particular. Faults are never written.
    #[arg(long)]
    update: bool,
    /// Try it on N more bodies, mutated from the cases and hostile ones: no
    /// fault, no leak. What fails is made as small as it can be and kept as a
    /// case beside the first CASES.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    fuzz: Option<usize>,
    /// What the bodies of --fuzz are drawn from; default: at random, and told.
    #[arg(long, value_name = "SEED", requires = "fuzz")]
    seed: Option<u64>,
    /// Write the result as JUnit XML, too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    conditions: ComponentArgs,
    /// How the result is printed.
    #[arg(long, env = "ETL_HOST_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// What the ddl subcommand takes.
#[derive(Debug, Args)]
pub struct DdlArgs {
    /// The transform component (.wasm) whose table is to be created.
    #[arg(long, value_name = "FILE", env = "ETL_HOST_TRANSFORM")]
    pub transform: Option<PathBuf>,
    /// The target table, [schema.]table.
    #[arg(long, value_name = "NAME", env = "ETL_HOST_TABLE", default_value = TABLE_DEFAULT)]
    pub table: String,
    #[command(flatten)]
    parameters: ParameterArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// What the demo takes.
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The transform component (.wasm); default: guests/sha256_mask.wasm.
    #[arg(long, value_name = "FILE", env = "ETL_HOST_TRANSFORM")]
    pub transform: Option<PathBuf>,
    /// Load message bodies from a file, one a line, instead of invented ones.
    #[arg(long, value_name = "FILE.jsonl")]
    pub input: Option<PathBuf>,
    /// Leave queue and database running, and print their URLs.
    #[arg(long)]
    pub keep: bool,
    /// How the summary is printed.
    #[arg(long, env = "ETL_HOST_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// The target table's name in the exercise that this grew out of.
pub(crate) const TABLE_DEFAULT: &str = "user_logins";

/// Messages of one statement, at most: of more, PostgreSQL gains little.
pub(crate) const BATCH_MESSAGES_DEFAULT: usize = 500;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a person.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum IsolationArg {
    /// A fresh instance of the component for each batch.
    Batch,
    /// A fresh instance for each message.
    Message,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AllowArg {
    /// An empty WASI, for language runtimes that want one (Go, Rust with std):
    /// no files, variables, arguments or sockets, output is dropped, clocks and
    /// randomness are fixed.
    Wasi,
}

/// How to run the pipeline, as typed.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The transform component (.wasm).
    #[arg(long, value_name = "FILE", env = "ETL_HOST_TRANSFORM")]
    transform: Option<PathBuf>,
    /// The SHA-256 that the component must have, as sha256sum prints it: any
    /// other file is refused. Several, where another one is to take over.
    #[arg(
        long,
        value_name = "HEX,…",
        env = "ETL_HOST_TRANSFORM_SHA256",
        value_parser = digest,
        value_delimiter = ','
    )]
    transform_sha256: Vec<Digest>,
    /// A component that judges the same messages beside it: nothing of it is
    /// written, and how it differs is told, without a value.
    #[arg(long, value_name = "FILE", env = "ETL_HOST_SHADOW")]
    shadow: Option<PathBuf>,
    /// Replace the component whenever its file changes, or that of the keys,
    /// as a SIGHUP does. Who may write the file may then decide what is masked.
    #[arg(long, env = "ETL_HOST_WATCH")]
    watch: bool,
    /// The SQS queue, standard or FIFO.
    #[arg(long, value_name = "URL", env = "ETL_HOST_QUEUE_URL", value_parser = NonEmptyStringValueParser::new())]
    queue_url: Option<String>,
    /// The database: postgres://user:password@host/db?sslmode=MODE, where MODE
    /// is disable, require, verify-ca or verify-full. Give it as DATABASE_URL
    /// to keep the password out of the process list; what it leaves open comes
    /// from the PG* variables.
    #[arg(
        long,
        value_name = "URL",
        env = "ETL_HOST_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// The target, [schema.]table.
    #[arg(long, value_name = "NAME", env = "ETL_HOST_TABLE", default_value = TABLE_DEFAULT)]
    table: String,
    /// Create the target from the component's description if it is missing.
    #[arg(long, env = "ETL_HOST_CREATE_TABLE")]
    create_table: bool,
    /// Stop once the queue is empty and all is settled, and print a summary.
    #[arg(long, env = "ETL_HOST_UNTIL_EMPTY")]
    until_empty: bool,
    /// Where a producer's own event id stands in the body; default: the
    /// message's id is its identity.
    #[arg(long, value_name = "POINTER", env = "ETL_HOST_EVENT_ID", value_parser = pointer)]
    event_id: Option<String>,
    /// Where rejected messages go; default: the target of the queue's own
    /// RedrivePolicy, if it has one.
    #[arg(long, value_name = "URL", env = "ETL_HOST_DEAD_LETTER_QUEUE_URL")]
    dead_letter_queue_url: Option<String>,
    /// Where /livez, /readyz and /metrics are served, as HOST:PORT; off by
    /// default. It has neither password nor TLS.
    #[arg(long, value_name = "ADDR", env = "ETL_HOST_ADMIN_ADDR")]
    pub admin_addr: Option<String>,
    /// How the summary is printed.
    #[arg(long, env = "ETL_HOST_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
    /// For how long a service is waited for at start-up, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ETL_HOST_STARTUP_WAIT_SECS",
        default_value_t = 60
    )]
    startup_wait_secs: u64,
    /// For how long a stop may go on, in seconds; then what is not finished is
    /// handed back to the queue, which takes 4 seconds at most. With less than
    /// 20, what an open receive brings later stays hidden for a while.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ETL_HOST_DRAIN_SECS_MAX",
        default_value_t = DRAIN_SECS_DEFAULT
    )]
    drain_secs_max: u64,
    /// How long a receive waits for a message, in seconds, from 1 to 20. A stop
    /// waits for the open receives; an idle host makes two of them at a time,
    /// each of which is paid for.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ETL_HOST_RECEIVE_WAIT_SECS",
        default_value_t = POLL_SECS_DEFAULT,
        value_parser = clap::value_parser!(u64).range(1..=POLL_SECS_MAX)
    )]
    receive_wait_secs: u64,
    /// For how long a statement's answer is waited for, in seconds; then it is
    /// cancelled and tried again over a new connection.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ETL_HOST_STATEMENT_SECS_MAX",
        default_value_t = STATEMENT_SECS_DEFAULT,
        value_parser = value_parser!(u64).range(1..)
    )]
    statement_secs_max: u64,
    #[command(flatten)]
    component: ComponentArgs,
    #[command(flatten, next_help_heading = "How much may go wrong")]
    brakes: BrakeArgs,
    #[command(flatten, next_help_heading = "How much at once")]
    shape: ShapeArgs,
}

#[derive(Debug, Args)]
struct ParameterArgs {
    /// A parameter of the component; the variable holds one a line.
    #[arg(
        long = "param",
        value_name = "NAME=VALUE",
        env = "ETL_HOST_PARAM",
        value_parser = parameter,
        value_delimiter = '\n'
    )]
    given: Vec<(String, String)>,
}

/// How a component is run, whatever for.
#[derive(Debug, Args)]
pub(crate) struct ComponentArgs {
    #[command(flatten)]
    parameters: ParameterArgs,
    /// Fields of the body whose raw values must not get out of the component,
    /// beside those that it declares sensitive.
    #[arg(
        long,
        value_name = "POINTER,…",
        env = "ETL_HOST_SENSITIVE",
        value_parser = sensitive,
        value_delimiter = ','
    )]
    sensitive: Vec<Pointer>,
    /// How long an instance of the component lives.
    #[arg(long, env = "ETL_HOST_ISOLATION", value_enum, default_value = "batch")]
    isolation: IsolationArg,
    /// What a component may reach that cannot do without.
    #[arg(
        long,
        value_name = "CAPABILITY,…",
        env = "ETL_HOST_ALLOW",
        value_enum,
        value_delimiter = ','
    )]
    allow: Vec<AllowArg>,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten, next_help_heading = "Limits of the component")]
    limits: LimitArgs,
}

impl ComponentArgs {
    /// Checks what was typed.
    ///
    /// # Errors
    /// The keys cannot be read, or the cache cannot be used (78).
    pub(crate) fn conditions(&self, digests: Vec<Digest>) -> Result<Conditions, Failure> {
        Ok(Conditions {
            parameters: self.parameters.given.clone(),
            digests,
            sensitive: self.sensitive.clone(),
            limits: self.limits.checked(),
            isolation: match self.isolation {
                IsolationArg::Batch => Isolation::Batch,
                IsolationArg::Message => Isolation::Message,
            },
            capabilities: Capabilities::new(
                self.keys.read()?,
                self.allow.contains(&AllowArg::Wasi),
            ),
            cache: self.cache.open()?,
            compiler: Compiler::child(),
        })
    }
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// The keys under which a component of world keyed-transform hashes: a line
    /// ID:HEXADECIMAL each, the current one first. Its owner alone may read it,
    /// or root's group. Or the lines themselves as ETL_HOST_KEY.
    #[arg(long, value_name = "FILE", env = "ETL_HOST_KEY_FILE")]
    key_file: Option<PathBuf>,
}

/// The keys themselves: a variable and no option, because every user of a
/// machine may read the options of its programs.
const KEY_VARIABLE: &str = "ETL_HOST_KEY";

impl KeyArgs {
    /// The keys, where there are any.
    ///
    /// # Errors
    /// They cannot be read, or are given twice (78).
    fn read(&self) -> Result<Option<Keys>, Failure> {
        let keys = match (&self.key_file, std::env::var_os(KEY_VARIABLE)) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let words =
                    format!("the keys are given twice: as --key-file and as {KEY_VARIABLE}");
                return Err(failure(Kind::Configuration, words));
            }
            (None, Some(text)) => {
                Keys::parse(&text.to_string_lossy()).with_context(|| format!("read {KEY_VARIABLE}"))
            }
            (Some(file), None) => Keys::read(file),
        };
        keys.map(Some).ends_as(Kind::Configuration)
    }
}

/// What the keyed-hash subcommand takes.
#[derive(Debug, Args)]
pub struct KeyedHashArgs {
    #[command(flatten)]
    keys: KeyArgs,
}

impl KeyedHashArgs {
    /// The keys.
    ///
    /// # Errors
    /// There are none, or they cannot be read (2, 78).
    pub fn keys(&self) -> Result<Keys, Failure> {
        required(
            self.keys.read()?,
            "--key-file FILE",
            "the keys to hash under",
        )
    }
}

#[derive(Debug, Args)]
struct CacheArgs {
    /// The folder where compiled components are kept, which must be yours
    /// alone, and no folder above it open to others; `off` for none. Default: etl-host in $XDG_CACHE_HOME or ~/.cache.
    #[arg(long, value_name = "FOLDER", env = "ETL_HOST_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
}

impl CacheArgs {
    /// The cache. The default one is not needed: where it cannot be used, the
    /// start takes longer, and the log says why.
    ///
    /// # Errors
    /// The folder that was asked for cannot be used (78).
    fn open(&self) -> Result<Option<Cache>, Failure> {
        match &self.cache_dir {
            Some(off) if off.as_os_str() == "off" => Ok(None),
            Some(folder) => Cache::open(folder).map(Some).ends_as(Kind::Configuration),
            None => Ok(default_cache_folder().and_then(|folder| {
                let opened = Cache::open(&folder);
                let told = |error: &anyhow::Error| {
                    let words = format!(
                        "compiled components are not kept: {error:#} (--cache-dir FOLDER, or off)"
                    );
                    Event::Warning(&words).log();
                };
                opened.inspect_err(told).ok()
            })),
        }
    }
}

/// By the XDG base directory specification, which wants an absolute path.
fn default_cache_folder() -> Option<PathBuf> {
    let of = |variable| std::env::var_os(variable).map(PathBuf::from);
    let caches = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")))?;
    caches.is_absolute().then(|| caches.join("etl-host"))
}

#[derive(Debug, Args)]
struct LimitArgs {
    /// Memory of one instance, all its memories together, in MiB.
    #[arg(long, value_name = "MIB", env = "ETL_HOST_TRANSFORM_MEMORY_MIB_MAX",
        default_value_t = sandbox::MEMORY_MIB_DEFAULT,
        value_parser = value_parser!(u16).range(1..=i64::from(sandbox::MEMORY_MIB_MAX)))]
    transform_memory_mib_max: u16,
    /// The stack of a call, in KiB.
    #[arg(long, value_name = "KIB", env = "ETL_HOST_TRANSFORM_STACK_KIB_MAX",
        default_value_t = sandbox::STACK_KIB_DEFAULT,
        value_parser = value_parser!(u16)
            .range(i64::from(sandbox::STACK_KIB_MIN)..=i64::from(sandbox::STACK_KIB_MAX)))]
    transform_stack_kib_max: u16,
    /// Elements of one instance's tables, all of them together.
    #[arg(long, value_name = "ELEMENTS", env = "ETL_HOST_TRANSFORM_TABLE_ELEMENTS_MAX",
        default_value_t = sandbox::TABLE_ELEMENTS_DEFAULT,
        value_parser = value_parser!(u32).range(1..=i64::from(sandbox::TABLE_ELEMENTS_MAX)))]
    transform_table_elements_max: u32,
    /// Core instances that it is made of: its own and its adapters'.
    #[arg(long, value_name = "INSTANCES", env = "ETL_HOST_TRANSFORM_CORE_INSTANCES_MAX",
        default_value_t = sandbox::CORE_INSTANCES_DEFAULT,
        value_parser = value_parser!(u32).range(1..=i64::from(sandbox::CORE_INSTANCES_MAX)))]
    transform_core_instances_max: u32,
    /// Processor time for one message, in milliseconds.
    #[arg(long, value_name = "MS", env = "ETL_HOST_TRANSFORM_MESSAGE_MS_MAX",
        default_value_t = sandbox::MESSAGE_MS_DEFAULT,
        value_parser = value_parser!(u64).range(1..=sandbox::CALL_MS_MAX))]
    transform_message_ms_max: u64,
    /// Processor time for one batch, in milliseconds.
    #[arg(long, value_name = "MS", env = "ETL_HOST_TRANSFORM_BATCH_MS_MAX",
        default_value_t = sandbox::BATCH_MS_DEFAULT,
        value_parser = value_parser!(u64).range(1..=sandbox::CALL_MS_MAX))]
    transform_batch_ms_max: u64,
    /// Processor time of the host to check what comes out of one message, in
    /// milliseconds; a message that needs more is rejected with check-limit.
    #[arg(long, value_name = "MS", env = "ETL_HOST_TRANSFORM_CHECK_MS_MAX",
        default_value_t = sandbox::CHECK_MS_DEFAULT,
        value_parser = value_parser!(u64).range(1..=sandbox::CALL_MS_MAX))]
    transform_check_ms_max: u64,
    /// Rows out of one message.
    #[arg(long, value_name = "ROWS", env = "ETL_HOST_TRANSFORM_ROWS_PER_MESSAGE_MAX",
        default_value_t = sandbox::ROWS_PER_MESSAGE_DEFAULT,
        value_parser = value_parser!(u32).range(1..))]
    transform_rows_per_message_max: u32,
    /// Values out of one message, in KiB.
    #[arg(long, value_name = "KIB", env = "ETL_HOST_TRANSFORM_RESULT_KIB_MAX",
        default_value_t = sandbox::RESULT_KIB_DEFAULT,
        value_parser = value_parser!(u32).range(1..=i64::from(sandbox::RESULT_KIB_MAX)))]
    transform_result_kib_max: u32,
    /// Time to compile it in, in seconds.
    #[arg(long, value_name = "SECONDS", env = "ETL_HOST_TRANSFORM_COMPILE_SECS_MAX",
        default_value_t = sandbox::COMPILE_SECS_DEFAULT,
        value_parser = value_parser!(u64).range(1..=sandbox::COMPILE_SECS_MAX))]
    transform_compile_secs_max: u64,
    /// Memory to compile it in, in MiB.
    #[arg(long, value_name = "MIB", env = "ETL_HOST_TRANSFORM_COMPILE_MIB_MAX",
        default_value_t = sandbox::COMPILE_MIB_DEFAULT,
        value_parser = value_parser!(u32)
            .range(i64::from(sandbox::COMPILE_MIB_MIN)..=i64::from(sandbox::COMPILE_MIB_MAX)))]
    transform_compile_mib_max: u32,
    /// The percentage of messages on which it may fault (trap, overrun a limit,
    /// break the interface); beyond that it is quarantined: receiving pauses.
    /// 100 for no quarantine.
    #[arg(long, value_name = "PERCENT", env = "ETL_HOST_TRANSFORM_FAULTS_PERCENT_MAX",
        default_value_t = FAULTS_PERCENT_DEFAULT, value_parser = value_parser!(u8).range(0..=100))]
    transform_faults_percent_max: u8,
    /// The messages over which that percentage is allowed at once.
    #[arg(long, value_name = "MESSAGES", env = "ETL_HOST_TRANSFORM_FAULTS_WINDOW_MESSAGES",
        default_value_t = FAULTS_WINDOW_MESSAGES_DEFAULT)]
    transform_faults_window_messages: u32,
}

#[derive(Debug, Args)]
struct BrakeArgs {
    /// The percentage of the last 200 messages that the component may reject;
    /// beyond that receiving pauses, and the rest is judged a few at a time: it
    /// is hardly the policy for this queue. 100 for no such brake.
    #[arg(long, value_name = "PERCENT", env = "ETL_HOST_REJECTED_PERCENT_MAX",
        default_value_t = REJECTED_PERCENT_DEFAULT, value_parser = value_parser!(u8).range(0..=100))]
    rejected_percent_max: u8,
    /// The percentage of the last 100 records (20 at least) that the database
    /// may refuse while it stores others; beyond that receiving pauses, and the
    /// rest is tried a few at a time. 100 for no such brake.
    #[arg(long, value_name = "PERCENT", env = "ETL_HOST_REFUSED_PERCENT_MAX",
        default_value_t = REFUSED_PERCENT_DEFAULT, value_parser = value_parser!(u8).range(0..=100))]
    refused_percent_max: u8,
}

#[derive(Debug, Args)]
struct ShapeArgs {
    /// Receives open at a time, at most: there are as many as it takes to keep
    /// the workers busy at the queue's latency, and two while nothing comes.
    #[arg(long, value_name = "N", env = "ETL_HOST_RECEIVES", default_value_t = 128, value_parser = at_least_one)]
    receives: usize,
    /// Database connections, each writing a batch at a time.
    #[arg(long, value_name = "N", env = "ETL_HOST_DATABASE_CONNECTIONS", default_value_t = 2, value_parser = at_least_one)]
    database_connections: usize,
    /// Messages of one statement.
    #[arg(long, value_name = "N", env = "ETL_HOST_BATCH_MESSAGES_MAX", default_value_t = BATCH_MESSAGES_DEFAULT, value_parser = at_least_one)]
    batch_messages_max: usize,
    /// Messages in work at a time.
    #[arg(long, value_name = "N", env = "ETL_HOST_MESSAGES_IN_WORK_MAX", default_value_t = 10_000, value_parser = at_least_one)]
    messages_in_work_max: usize,
    /// The bytes of the messages in work, in MiB; every open receive counts
    /// with 10, and with less where messages have been smaller lately.
    #[arg(long, value_name = "MIB", env = "ETL_HOST_MIB_IN_WORK_MAX", default_value_t = 128, value_parser = at_least_one)]
    mib_in_work_max: usize,
    /// For how long the ledger remembers a message, in days; default: twice
    /// the longest time that SQS keeps one.
    #[arg(
        long,
        value_name = "DAYS",
        env = "ETL_HOST_LEDGER_DAYS",
        default_value_t = 28
    )]
    ledger_days: u32,
}

impl RunArgs {
    /// When the run ends.
    pub fn until(&self) -> Until {
        match self.until_empty {
            true => Until::Empty,
            false => Until::Stopped,
        }
    }

    /// Checks what was typed.
    ///
    /// # Errors
    /// Something that is needed is missing (2), or makes no sense (78).
    pub fn plan(self) -> Result<Plan, Failure> {
        let transform = required(
            self.transform,
            "--transform FILE",
            "the component that decides what becomes of a message, such as \
             guests/sha256_mask.wasm",
        )?;
        let url = required(
            self.queue_url,
            "--queue-url URL",
            "the SQS queue to receive from",
        )?;
        let sandbox_threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Plan {
            transform,
            shadow: self.shadow,
            watch: self.watch,
            conditions: self.component.conditions(self.transform_sha256)?,
            key_file: self.component.keys.key_file,
            queue: QueueSettings {
                url,
                dead_letter_url: self.dead_letter_queue_url,
                poll_max: Duration::from_secs(match self.until_empty {
                    true => self.receive_wait_secs.min(POLL_SECS_UNTIL_EMPTY),
                    false => self.receive_wait_secs,
                }),
            },
            database: database(self.database_url, self.statement_secs_max)?,
            table: table(self.table)?,
            create_table: self.create_table,
            event_id: self.event_id,
            brakes: self.brakes.limits(&self.component.limits),
            startup_wait: Duration::from_secs(self.startup_wait_secs),
            drain_max: Duration::from_secs(self.drain_secs_max),
            shape: self.shape.checked(sandbox_threads),
        })
    }
}

/// Short, so that the end is noticed soon.
const POLL_SECS_UNTIL_EMPTY: u64 = 1;

impl LimitArgs {
    fn checked(&self) -> Limits {
        Limits {
            memory_bytes_max: usize::from(self.transform_memory_mib_max) << 20,
            stack_bytes_max: usize::from(self.transform_stack_kib_max) << 10,
            table_elements_max: self.transform_table_elements_max as usize,
            core_instances_max: self.transform_core_instances_max,
            message_ms_max: self.transform_message_ms_max,
            batch_ms_max: self.transform_batch_ms_max,
            check_ms_max: self.transform_check_ms_max,
            message_instructions_max: sandbox::MESSAGE_INSTRUCTIONS_DEFAULT,
            rows_per_message_max: self.transform_rows_per_message_max as usize,
            result_bytes_max: (self.transform_result_kib_max as usize) << 10,
            compile_secs_max: self.transform_compile_secs_max,
            compile_mib_max: u64::from(self.transform_compile_mib_max),
        }
    }
}

impl BrakeArgs {
    fn limits(&self, limits: &LimitArgs) -> BrakeLimits {
        BrakeLimits {
            faults_percent_max: limits.transform_faults_percent_max,
            faults_window_messages: limits.transform_faults_window_messages,
            rejected_percent_max: self.rejected_percent_max,
            refused_percent_max: self.refused_percent_max,
        }
    }
}

impl ShapeArgs {
    fn checked(&self, sandbox_threads: usize) -> Shape {
        Shape {
            receives: self.receives,
            connections: self.database_connections,
            sandbox_threads,
            batch_messages_max: self.batch_messages_max,
            messages_in_work_max: self.messages_in_work_max,
            bytes_in_work_max: self.mib_in_work_max << 20,
            ledger_days: self.ledger_days,
        }
    }
}

impl TestArgs {
    /// Checks what was typed.
    ///
    /// # Errors
    /// Something makes no sense (78).
    pub fn test(self) -> Result<Test, Failure> {
        Ok(Test {
            component: self.component,
            inputs: self.cases,
            may_collide: self.may_collide,
            update: self.update,
            fuzz: self.fuzz.map(|inputs| Fuzz {
                inputs,
                seed: self.seed.unwrap_or_else(rand::random),
            }),
            conditions: self.conditions.conditions(Vec::new())?,
        })
    }
}

impl DdlArgs {
    /// The statements.
    ///
    /// # Errors
    /// The component cannot be loaded, or the table's name is none (78).
    pub fn statements(self) -> Result<String, Failure> {
        let table = table(self.table)?;
        let mut statements = crate::output::Ledger::ddl();
        if let Some(file) = self.transform {
            let conditions = Conditions {
                parameters: self.parameters.given,
                digests: Vec::new(),
                sensitive: Vec::new(),
                limits: Limits::default(),
                isolation: Isolation::Batch,
                capabilities: Capabilities::default(),
                cache: self.cache.open()?,
                compiler: Compiler::child(),
            };
            let described = sandbox::Sandbox::describe(&file, &conditions);
            let description = described.ends_as(Kind::Configuration)?;
            statements.push_str(&crate::output::Table::ddl(&table, &description.columns));
        }
        Ok(statements)
    }
}

fn required<T>(given: Option<T>, flag: &str, meaning: &str) -> Result<T, Failure> {
    given.ok_or_else(|| {
        failure(
            Kind::Usage,
            format!("{flag} is missing: {meaning} (`etl-host --help` shows all options)"),
        )
    })
}

pub(crate) fn table(name: String) -> Result<String, Failure> {
    match is_table_name(&name) {
        true => Ok(name),
        false => Err(failure(
            Kind::Configuration,
            format!("--table {name}: this is no [schema.]table; put an unusual name in \"…\""),
        )),
    }
}

/// The variables that say by themselves where the database is.
const PLACES: [&str; 4] = ["PGHOST", "PGHOSTADDR", "PGDATABASE", "PGSERVICE"];

pub(crate) fn database(url: Option<String>, statement_secs_max: u64) -> Result<Database, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let url = match url.or_else(|| variable("DATABASE_URL")) {
        Some(url) => url,
        None if PLACES.iter().any(|name| variable(name).is_some()) => String::new(),
        None => required(
            None,
            "--database-url URL",
            "the PostgreSQL database to write to; or DATABASE_URL, or the PG* variables",
        )?,
    };
    let settings = Settings::parse(&url, variable).ends_as(Kind::Configuration)?;
    Database::new(settings, statement_secs_max).ends_as(Kind::Configuration)
}

pub(crate) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).ok_or_else(|| "expected 64 hexadecimal digits".to_owned())
}

/// A JSON pointer to one field.
///
/// # Errors
/// It does not begin as one.
pub(crate) fn pointer(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("a JSON pointer starts with `/`, as in /event/id".into()),
    }
}

fn sensitive(text: &str) -> Result<Pointer, String> {
    Pointer::parse(text)
        .filter(|_| !text.is_empty())
        .ok_or_else(|| "expected JSON pointers, as in /ip,/device/id".into())
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("expected a whole number".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_missing_is_named() {
        let cli = Cli::try_parse_from(["etl-host", "--queue-url", "http://q"]).unwrap();
        let failure = cli.run.plan().err().expect("incomplete");
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(failure.message().contains("--transform FILE is missing"));
    }
}
