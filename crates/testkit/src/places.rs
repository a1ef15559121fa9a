//! Folders and ports that belong to one test.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has to stop, and this crate is for tests only")]

use tempfile::TempDir;

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
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
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
        assert!(std::net::TcpListener::bind(("127.0.0.1", free_port())).is_ok());
    }
}
