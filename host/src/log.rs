//! Where log lines go: text on a terminal, one JSON object a line otherwise.
//!
//! Only this program's own events pass, at every level. The AWS SDK's and the
//! database driver's lines hold message bodies and bound parameters at `debug`
//! and `trace`, so no setting of `RUST_LOG` lets them through.

use std::io::{IsTerminal, Stderr, Write, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Clears the progress line, which is drawn anew below what is written.
const CLEAR_LINE: &[u8] = b"\r\x1b[2K";

fn on_a_line_of_its_own() -> Stderr {
    let mut stderr = stderr();
    // A terminal that is gone is nothing to report to anyone.
    let _ = stderr.write_all(CLEAR_LINE);
    stderr
}

/// Starts logging to stderr. `level` is `RUST_LOG`'s: a level's name, of which
/// the default is `info`.
pub fn start(level: Option<&str>) {
    let level = level
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer().with_target(false);
    let lines = match stderr().is_terminal() {
        true => lines.with_writer(on_a_line_of_its_own).compact().boxed(),
        false => lines.with_writer(stderr).json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(ours))
        .init();
}
