//! What the component may try with its WASI.

use std::hint::black_box;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use wasip2::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use wasip2::io::poll::poll;
use wasip2::random::random::get_random_bytes;

/// Everywhere that a program may print to.
pub fn print(text: &str) {
    println!("printed {text}");
    eprintln!("printed {text}");
    print!("without an end of line {text}");
    io::stdout().flush().expect("nothing stands in the way");
    dbg!(text);
}

pub fn sleep(secs: u64) {
    thread::sleep(Duration::from_secs(secs));
}

/// Without end where the clock stands still.
pub fn wait_for_the_clock() {
    let before = Instant::now();
    while before.elapsed() < Duration::from_millis(1) {}
}

pub fn take_randomness(bytes: u64) {
    black_box(get_random_bytes(bytes));
}

/// Makes so many things to wait for, and keeps them; none means without end.
/// Then it waits for all of them.
pub fn make_pollables(many: u64) {
    let mut pollables = Vec::new();
    while many == 0 || (pollables.len() as u64) < many {
        pollables.push(match pollables.len() % 2 {
            0 => subscribe_duration(u64::MAX),
            _ => subscribe_instant(u64::MAX),
        });
    }
    let borrowed: Vec<_> = pollables.iter().collect();
    assert_eq!(poll(&borrowed).len(), pollables.len());
    pollables[0].block();
    assert!(pollables[0].ready());
}

/// Reads as much as can be asked for, in each way.
pub fn read() {
    let input = wasip2::cli::stdin::get_stdin();
    input.subscribe().block();
    assert!(input.read(u64::MAX).is_err());
    assert!(input.blocking_read(u64::MAX).is_err());
    assert!(input.skip(u64::MAX).is_err());
    assert!(input.blocking_skip(u64::MAX).is_err());
    let output = wasip2::cli::stdout::get_stdout();
    assert!(output.splice(&input, u64::MAX).is_err());
    assert!(output.blocking_splice(&input, u64::MAX).is_err());
}

/// Writes so many MiB, and as many zeroes as can be asked for.
pub fn write(mib: u64) {
    let output = wasip2::cli::stderr::get_stderr();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..mib {
        output.subscribe().block();
        assert!(output.check_write().is_ok());
        assert!(output.write(&chunk).is_ok());
        assert!(output.blocking_write_and_flush(&chunk).is_ok());
    }
    assert!(output.write_zeroes(u64::MAX).is_ok());
    assert!(output.blocking_write_zeroes_and_flush(u64::MAX).is_ok());
    assert!(output.flush().is_ok());
    assert!(output.blocking_flush().is_ok());
}
