//! Clocks that stand still and randomness that repeats itself.
//!
//! A message may be judged more than once: delivered again, or alone after a
//! batch that faulted. Its row must then be the same, so what a guest is told
//! here is the same at every call: were it only the same sequence, it would
//! depend on which messages the instance saw before.

use wasmtime::component::Resource;
use wasmtime::{Result, Trap};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Duration, Instant};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::EmptyWasi;
use super::streams::ready;

/// The date: 1970-01-01T00:00:00Z, which nobody takes for the real one.
const NOW: Datetime = Datetime {
    seconds: 0,
    nanoseconds: 0,
};
/// The monotonic clock, in nanoseconds. Go takes 0 for a clock that is broken.
const MONOTONIC_NS: Instant = 1;
/// What either clock claims to tell apart, in nanoseconds: not 0, which some
/// would divide by.
const RESOLUTION_NS: u32 = 1;
/// The most random bytes at a time; they stand in the host's memory before they
/// stand in the guest's. Runtimes take some dozens to seed themselves.
const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// Anything, but not 0, of which some generators make nothing but 0.
const RANDOM_U64: u64 = 0x0706_0504_0302_0100;

impl wall_clock::Host for EmptyWasi {
    fn now(&mut self) -> Result<Datetime> {
        Ok(NOW)
    }

    fn resolution(&mut self) -> Result<Datetime> {
        Ok(Datetime {
            seconds: 0,
            nanoseconds: RESOLUTION_NS,
        })
    }
}

/// Whoever sleeps is woken at once. Whoever looks at the clock until it has
/// moved meets the time limit.
impl monotonic_clock::Host for EmptyWasi {
    fn now(&mut self) -> Result<Instant> {
        Ok(MONOTONIC_NS)
    }

    fn resolution(&mut self) -> Result<Duration> {
        Ok(RESOLUTION_NS.into())
    }

    fn subscribe_instant(&mut self, _: Instant) -> Result<Resource<DynPollable>> {
        Ok(ready())
    }

    fn subscribe_duration(&mut self, _: Duration) -> Result<Resource<DynPollable>> {
        Ok(ready())
    }
}

/// 0, 1, 2, … 255, 0, …
fn random_bytes(len: u64) -> Result<Vec<u8>> {
    if len > RANDOM_BYTES_MAX {
        return Err(Trap::AllocationTooLarge.into());
    }
    Ok((0..len).map(|n| n.to_le_bytes()[0]).collect())
}

impl random::Host for EmptyWasi {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        random_bytes(len)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(RANDOM_U64)
    }
}

impl insecure::Host for EmptyWasi {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(RANDOM_U64)
    }
}

impl insecure_seed::Host for EmptyWasi {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((RANDOM_U64, RANDOM_U64))
    }
}
