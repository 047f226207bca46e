//! Where log lines go: text on a terminal, one JSON object a line otherwise.
//!
//! Only this program's own events pass, at every level. The AWS SDK's and the
//! database driver's lines hold message bodies and bound parameters at `debug`
//! and `trace`, so no setting of `RUST_LOG` lets them through.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging to stderr. `level` is `RUST_LOG`'s: a level's name, of which
/// the default is `info`.
pub fn start(level: Option<&str>) {
    let level = level
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer().with_writer(stderr).with_target(false);
    let lines = match stderr().is_terminal() {
        true => lines.compact().boxed(),
        false => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(ours))
        .init();
}
