//! Standard input, which is at its end, and standard output and error, which
//! drop what they are given; and waiting, which is over at once.

use wasmtime::component::Resource;
use wasmtime::{Result, Trap};
use wasmtime_wasi::p2::bindings::cli::{stderr, stdin, stdout};
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};

use super::EmptyWasi;

/// What a stream takes at a time, in bytes: a runtime that asks beforehand
/// writes no more, so this is what the host copies and drops.
const WRITE_BYTES_MAX: u64 = 64 << 10;

/// A handle of which the host keeps nothing: all that could be told apart by
/// its number is the same.
fn handle<T: 'static>() -> Resource<T> {
    Resource::new_own(0)
}

/// Something to wait for that has happened already.
pub(super) fn ready() -> Resource<DynPollable> {
    handle()
}

impl poll::Host for EmptyWasi {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        // So says the interface.
        if pollables.is_empty() {
            return Err(Trap::UnreachableCodeReached.into());
        }
        Ok((0..).take(pollables.len()).collect())
    }
}

impl poll::HostPollable for EmptyWasi {
    fn ready(&mut self, _: Resource<DynPollable>) -> Result<bool> {
        Ok(true)
    }

    fn block(&mut self, _: Resource<DynPollable>) -> Result<()> {
        Ok(())
    }

    fn drop(&mut self, _: Resource<DynPollable>) -> Result<()> {
        Ok(())
    }
}

impl stdin::Host for EmptyWasi {
    fn get_stdin(&mut self) -> Result<Resource<DynInputStream>> {
        Ok(handle())
    }
}

impl stdout::Host for EmptyWasi {
    fn get_stdout(&mut self) -> Result<Resource<DynOutputStream>> {
        Ok(handle())
    }
}

impl stderr::Host for EmptyWasi {
    fn get_stderr(&mut self) -> Result<Resource<DynOutputStream>> {
        Ok(handle())
    }
}

impl streams::Host for EmptyWasi {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        match error {
            StreamError::Trap(error) => Err(error),
            // An operation that failed would be a handle to an error; none does.
            StreamError::Closed | StreamError::LastOperationFailed(_) => {
                Ok(streams::StreamError::Closed)
            }
        }
    }
}

impl streams::HostInputStream for EmptyWasi {
    fn read(&mut self, _: Resource<DynInputStream>, _: u64) -> StreamResult<Vec<u8>> {
        Err(StreamError::Closed)
    }

    fn blocking_read(&mut self, _: Resource<DynInputStream>, _: u64) -> StreamResult<Vec<u8>> {
        Err(StreamError::Closed)
    }

    fn skip(&mut self, _: Resource<DynInputStream>, _: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn blocking_skip(&mut self, _: Resource<DynInputStream>, _: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn subscribe(&mut self, _: Resource<DynInputStream>) -> Result<Resource<DynPollable>> {
        Ok(ready())
    }

    fn drop(&mut self, _: Resource<DynInputStream>) -> Result<()> {
        Ok(())
    }
}

impl streams::HostOutputStream for EmptyWasi {
    fn check_write(&mut self, _: Resource<DynOutputStream>) -> StreamResult<u64> {
        Ok(WRITE_BYTES_MAX)
    }

    fn write(&mut self, _: Resource<DynOutputStream>, _: Vec<u8>) -> StreamResult<()> {
        Ok(())
    }

    fn blocking_write_and_flush(
        &mut self,
        _: Resource<DynOutputStream>,
        _: Vec<u8>,
    ) -> StreamResult<()> {
        Ok(())
    }

    fn flush(&mut self, _: Resource<DynOutputStream>) -> StreamResult<()> {
        Ok(())
    }

    fn blocking_flush(&mut self, _: Resource<DynOutputStream>) -> StreamResult<()> {
        Ok(())
    }

    fn subscribe(&mut self, _: Resource<DynOutputStream>) -> Result<Resource<DynPollable>> {
        Ok(ready())
    }

    fn write_zeroes(&mut self, _: Resource<DynOutputStream>, _: u64) -> StreamResult<()> {
        Ok(())
    }

    fn blocking_write_zeroes_and_flush(
        &mut self,
        _: Resource<DynOutputStream>,
        _: u64,
    ) -> StreamResult<()> {
        Ok(())
    }

    fn splice(
        &mut self,
        _: Resource<DynOutputStream>,
        _: Resource<DynInputStream>,
        _: u64,
    ) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn blocking_splice(
        &mut self,
        _: Resource<DynOutputStream>,
        _: Resource<DynInputStream>,
        _: u64,
    ) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn drop(&mut self, _: Resource<DynOutputStream>) -> Result<()> {
        Ok(())
    }
}
