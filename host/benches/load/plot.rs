//! The runs as a picture: where the processor time of a message goes, and how
//! many messages a second come through. SVG written by hand: bars and words.

use std::fmt::Write;

use crate::run::Measured;

const LABELS_PX: f64 = 330.0;
const BARS_PX: f64 = 420.0;
/// Beside a bar, for its number.
const NUMBER_PX: f64 = 70.0;
const LINE_PX: f64 = 24.0;
const BAR_PX: f64 = 15.0;
const HEAD_PX: f64 = 56.0;
const WIDTH_PX: f64 = LABELS_PX + 2.0 * (BARS_PX + NUMBER_PX);

/// The parts of a bar of processor time, from left to right, and their colours.
const PARTS: [(&str, &str); 3] = [
    ("consumer", "#c2410c"),
    ("PostgreSQL", "#64748b"),
    ("endpoint", "#cbd5e1"),
];
const SPEED: &str = "#1d4ed8";

/// All runs, a line each.
pub fn svg(runs: &[Measured]) -> String {
    let height = HEAD_PX + LINE_PX * (runs.len() as f64 + 0.5);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH_PX} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH_PX}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let speeds = LABELS_PX + BARS_PX + NUMBER_PX;
    text(&mut svg, LABELS_PX, 18.0, "CPU-µs a message");
    text(&mut svg, speeds, 18.0, "messages/s");
    for (n, (name, colour)) in PARTS.iter().enumerate() {
        let x = LABELS_PX + 110.0 * n as f64;
        bar(&mut svg, x, 28.0, BAR_PX, colour);
        text(&mut svg, x + BAR_PX + 5.0, 40.0, name);
    }
    let first = runs.first().map(|run| run.scenario.messages);
    let sizes_differ = runs.iter().any(|run| Some(run.scenario.messages) != first);
    let per_us = scale(runs.iter().map(|run| parts(run).iter().sum()));
    let per_message = scale(runs.iter().map(|run| run.messages_per_second));
    for (n, run) in runs.iter().enumerate() {
        let y = HEAD_PX + LINE_PX * n as f64;
        let words = y + BAR_PX - 3.0;
        text(&mut svg, 4.0, words, &label(run, sizes_differ));
        let mut x = LABELS_PX;
        for (us, (_, colour)) in parts(run).iter().zip(PARTS) {
            bar(&mut svg, x, y, us * per_us, colour);
            x += us * per_us;
        }
        let own = format!("{:.1}", run.consumer_cpu_us);
        text(&mut svg, x + 5.0, words, &own);
        let speed = run.messages_per_second * per_message;
        bar(&mut svg, speeds, y, speed, SPEED);
        let number = format!("{:.0}", run.messages_per_second);
        text(&mut svg, speeds + speed + 5.0, words, &number);
    }
    svg + "</svg>\n"
}

fn parts(run: &Measured) -> [f64; PARTS.len()] {
    [
        run.consumer_cpu_us,
        run.postgresql_cpu_us,
        run.endpoint_cpu_us,
    ]
}

fn label(run: &Measured, messages: bool) -> String {
    let scenario = &run.scenario;
    let mut label = scenario.consumer.name().to_owned();
    if scenario.processes > 1 {
        let _ = write!(label, " × {}", scenario.processes);
    }
    if messages {
        let _ = write!(label, ", {} messages", scenario.messages);
    }
    let (queue, database) = (scenario.queue_latency_ms, scenario.database_latency_ms);
    if queue + database > 0 {
        let _ = write!(label, ", {queue} ms to queue, {database} ms to database");
    }
    label
}

/// Pixels a unit.
fn scale(numbers: impl Iterator<Item = f64>) -> f64 {
    BARS_PX / numbers.fold(f64::EPSILON, f64::max)
}

// Writing to a text cannot fail.
fn bar(svg: &mut String, x: f64, y: f64, width: f64, colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR_PX}\" fill=\"{colour}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}
