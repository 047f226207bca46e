//! The commands, each from its arguments to its printed result.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::{self, Probe, healthcheck};
use crate::cli::{Cli, Command, Output, RunArgs, TestArgs};
use crate::event::Event;
use crate::exit::{Ends, Failure, Kind};
use crate::pipeline::{self, Plan, Until, Wish};
use crate::sandbox::Keys;
use crate::shutdown::{StopSwitch, shutdown};
use crate::summary::{Counts, Summary};
use crate::telemetry::Telemetry;
use crate::workbench::{BenchArgs, CompareArgs, InspectArgs, ReplayArgs, RunOnceArgs};

/// Between two updates of the progress line.
const PROGRESS_MS: u64 = 100;
/// The exit code of a second signal: the shell's for an interrupt.
const INTERRUPTED: i32 = 130;

/// Does what the command line asks for.
///
/// # Errors
/// What ends the program other than well, with its exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Some(Command::Check(run)) => check(*run),
        Some(Command::Healthcheck(asked)) => {
            let probe = match asked.live {
                true => Probe::Live,
                false => Probe::Ready,
            };
            print(&format!(
                "{}\n",
                healthcheck(&asked.admin_addr, probe)?.trim_end()
            ))
        }
        Some(Command::Test(asked)) => test(*asked),
        Some(Command::Compare(asked)) => compare(*asked),
        Some(Command::Replay(asked)) => replay(*asked),
        Some(Command::Inspect(asked)) => inspect(*asked),
        Some(Command::RunOnce(asked)) => run_once(*asked),
        Some(Command::Bench(asked)) => bench(*asked),
        Some(Command::New(asked)) => print(&asked.write()?),
        Some(Command::Ddl(ddl)) => print(&ddl.statements()?),
        Some(Command::KeyedHash(asked)) => keyed_hashes(&asked.keys()?),
        Some(Command::Completions(asked)) => print(&asked.script()),
        Some(Command::Man(asked)) => print(&asked.page()?),
        #[cfg(feature = "demo")]
        Some(Command::Demo(demo)) => crate::demo::run(demo),
        None => {
            let output = cli.run.output;
            let until = cli.run.until();
            let admin_addr = cli.run.admin_addr.clone();
            let plan = cli.run.plan()?;
            let runtime = runtime()?;
            let summary = runtime.block_on(load(plan, until, output, admin_addr));
            // A name that does not resolve must not keep a stopped host.
            runtime.shutdown_background();
            match summary? {
                Some(summary) => show(&summary, output),
                None => Ok(()),
            }
        }
    }
}

/// One thread for everything that waits. Beside it the component runs on
/// threads of its own, and PostgreSQL and the queue elsewhere: a second one
/// would cost a tenth more, for passing work to and fro, and only a host that
/// handles more than some 80,000 messages a second would need it.
const RUNTIME_THREADS: usize = 1;

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .ends_as(Kind::Internal)
}

/// Prints the hashes of each line of standard input, as it comes.
fn keyed_hashes(keys: &Keys) -> Result<(), Failure> {
    for value in std::io::stdin().lines() {
        let value = value.context("read a value").ends_as(Kind::Data)?;
        for (key_id, hash) in keys.hashes(value.as_bytes()) {
            print(&format!("{key_id} {hash}\n"))?;
        }
    }
    Ok(())
}

/// Tests a component, and prints what it shows.
fn test(asked: TestArgs) -> Result<(), Failure> {
    let (output, junit) = (asked.output, asked.junit.clone());
    let tested = asked.test()?.run()?;
    let report = &tested.report;
    print_result(output, report, || report.text())?;
    if let Some(file) = junit {
        let text = report.junit().ends_as(Kind::Internal)?;
        let written = std::fs::write(&file, text);
        let what = || format!("write {}", file.display());
        written.with_context(what).ends_as(Kind::CannotCreate)?;
    }
    tested.update()?;
    report.failure().map_or(Ok(()), Err)
}

/// Compares two components, and prints what changes.
fn compare(asked: CompareArgs) -> Result<(), Failure> {
    let output = asked.output;
    let report = asked.run()?;
    print_result(output, &report, || report.text())
}

/// Judges dead letters, sends them back where that is asked for, and prints
/// what became of them.
fn replay(asked: ReplayArgs) -> Result<(), Failure> {
    let output = asked.output;
    let replay = asked.replay()?;
    let runtime = runtime()?;
    let report = runtime.block_on(async {
        let (switch, stop) = shutdown();
        tokio::spawn(stop_on_signal(switch, || {}));
        replay.run(stop).await
    });
    runtime.shutdown_background();
    let report = report?;
    print_result(output, &report, || report.text())?;
    report.failure().map_or(Ok(()), Err)
}

/// Looks into a component, and prints what it finds.
fn inspect(asked: InspectArgs) -> Result<(), Failure> {
    let output = asked.output;
    let report = asked.run()?;
    print_result(output, &report, || report.text())?;
    report.failure().map_or(Ok(()), Err)
}

/// Runs one message through a component, and prints what becomes of it.
fn run_once(asked: RunOnceArgs) -> Result<(), Failure> {
    let output = asked.output;
    let report = asked.run()?;
    print_result(output, &report, || report.text())?;
    report.failure().map_or(Ok(()), Err)
}

/// Measures a component, and prints what it took.
fn bench(asked: BenchArgs) -> Result<(), Failure> {
    let output = asked.output;
    let report = asked.run()?;
    print_result(output, &report, || report.text())
}

/// Checks what a run depends on, and prints what it finds.
fn check(run: RunArgs) -> Result<(), Failure> {
    let output = run.output;
    let plan = run.plan()?;
    let runtime = runtime()?;
    let report = runtime.block_on(plan.check());
    print_result(output, &report, || report.text())?;
    report.failure().map_or(Ok(()), Err)
}

/// Runs the pipeline with signals and progress. None where it is stopped
/// before it has begun.
async fn load(
    plan: Plan,
    until: Until,
    output: Output,
    admin_addr: Option<String>,
) -> Result<Option<Summary>, Failure> {
    let (switch, mut signal) = shutdown();
    let telemetry = Telemetry::new(plan.queue.receive_max());
    // Until the very end, so that a drain can be watched.
    let (_serving, served) = shutdown();
    if let Some(addr) = admin_addr {
        let listener = admin::listen(&addr).await?;
        Event::AdminListening(&addr).log();
        if let Some(words) = listener.local_addr().ok().and_then(admin::warning) {
            Event::Warning(&words).log();
        }
        let (health, metrics) = (telemetry.health.clone(), telemetry.metrics.clone());
        tokio::spawn(admin::serve(listener, health, metrics, served));
    }
    let health = telemetry.health.clone();
    tokio::spawn(stop_on_signal(switch.clone(), move || health.stopping()));
    let wish = Wish::default();
    tokio::spawn(wish_on_hangup(wish.clone()));
    let prepared = plan.prepare(wish, &telemetry, &mut signal).await?;
    let Some((parts, replacer)) = prepared else {
        return Ok(None);
    };
    let replacing = tokio::spawn(replacer.run());
    let progress = progress(Arc::clone(&telemetry.counts), output);
    let summary = pipeline::run(parts, until, (switch, signal), telemetry).await;
    replacing.abort();
    if let Some(progress) = progress {
        progress.finish_and_clear();
    }
    summary.map(Some)
}

/// Prints a summary to stdout.
fn show(summary: &Summary, output: Output) -> Result<(), Failure> {
    match output {
        Output::Text => print(&format!("{}\n", summary.text())),
        Output::Json => print_json(summary),
    }
}

fn print_result(
    output: Output,
    result: &impl serde::Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match output {
        Output::Text => print(&text()),
        Output::Json => print_json(result),
    }
}

fn print_json(result: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(result).ends_as(Kind::Internal)?;
    print(&format!("{json}\n"))
}

/// Prints a result to stdout. A reader that has gone away is not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends_as(Kind::Internal),
    }
}

/// The first SIGTERM or SIGINT drains, the second one ends at once.
async fn stop_on_signal(switch: StopSwitch, stopping: impl Fn()) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    for first in [true, false] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if first {
            Event::Stopping.log();
            stopping();
            switch.stop();
        } else {
            std::process::exit(INTERRUPTED);
        }
    }
}

/// SIGHUP asks for the component to be loaded anew.
async fn wish_on_hangup(wish: Wish) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return;
    };
    while hangup.recv().await.is_some() {
        wish.express();
    }
}

/// A line on a terminal that follows the counts.
fn progress(counts: Arc<Counts>, output: Output) -> Option<ProgressBar> {
    if output != Output::Text || !stderr().is_terminal() {
        return None;
    }
    let line = ProgressBar::new_spinner();
    let shown = line.clone();
    tokio::spawn(async move {
        while !shown.is_finished() {
            shown.set_message(counts.summary().line());
            shown.tick();
            tokio::time::sleep(Duration::from_millis(PROGRESS_MS)).await;
        }
    });
    Some(line)
}
