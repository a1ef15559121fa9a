//! Folders and ports that belong to one test.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has to stop, and this crate is for tests only")]

use std::{
    net::TcpListener,
    process,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;

/// Below the ports that a system gives to outgoing connections (from 32768 on Linux), one of which could take a port
/// between this and its use; and below those of `trireme up`.
const PORTS: (u16, u16) = (10_000, 20_000);

/// Where this process looks next: processes begin at different places, and none gets a port twice.
static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(process::id().wrapping_mul(101)));

/// Makes an empty folder that goes away with the returned guard.
///
/// # Panics
///
/// When the folder cannot be made.
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new().prefix("trireme-").tempdir().expect("a temporary folder can be made")
}

/// Returns the address of a database file of this name in the folder.
///
/// # Panics
///
/// When the folder's path is not UTF-8.
pub fn sqlite_url(folder: &TempDir, name: &str) -> String {
    let path = folder.path().join(name);
    format!("sqlite://{}", path.to_str().expect("the temporary folder's path is UTF-8"))
}

/// Returns a TCP port that was free a moment ago; where the code under test takes port 0, use that instead.
///
/// # Panics
///
/// When no port can be had.
pub fn free_port() -> u16 {
    let (first, end) = PORTS;
    let mut ports = (first..end).map(|_| {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed) % u32::from(end - first);
        first + u16::try_from(turn).unwrap_or_default()
    });
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lives_as_long_as_its_guard() {
        let folder = temp_dir();
        let path = folder.path().to_owned();
        assert!(path.is_dir());
        assert!(sqlite_url(&folder, "a.db").ends_with("/a.db"));
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let (a, b) = (free_port(), free_port());
        assert!(a != b && TcpListener::bind(("127.0.0.1", a)).is_ok());
    }
}
