//! The whole path under load, and what it costs: `cargo load`.

mod ceiling;
mod endpoint_process;
#[path = "../stage/login.rs"]
mod login;
#[path = "../stage/sqs_endpoint/mod.rs"]
mod sqs_endpoint;

use clap::Parser;

/// Measures the whole path under load.
#[derive(Debug, Parser)]
struct Arguments {
    /// Measure what the endpoint itself can do at most, and nothing else.
    #[arg(long)]
    ceiling: bool,
    /// Messages a run.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    messages: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, words)) = words.split_first()
        && role == endpoint_process::ROLE
    {
        endpoint_process::be(words);
    }
    let arguments = Arguments::parse();
    if arguments.ceiling {
        let ceiling = ceiling::measure(arguments.messages);
        println!(
            "the endpoint: {:.0} messages/s, {:.2} CPU-us a message",
            ceiling.messages_per_second, ceiling.endpoint_us_per_message
        );
    }
}
