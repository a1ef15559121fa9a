//! The async runtime of a service.

use std::{io, thread};

use tokio::runtime::{Builder, Runtime};

/// Threads that wait for blocking work: files, password hashes, the flush at the end.
const BLOCKING: usize = 16;

/// Builds the runtime: a worker per core, 2 at least (the telemetry exporters deadlock on fewer) and 4 at most (a
/// service waits more than it computes, and every thread costs memory).
///
/// # Errors
///
/// The system has no threads left.
pub fn runtime() -> io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    Builder::new_multi_thread().worker_threads(cores.clamp(2, 4)).max_blocking_threads(BLOCKING).enable_all().build()
}
