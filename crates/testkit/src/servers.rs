//! Real servers for tests: on a free loopback port, in a folder of their own, gone when the test process is.
//!
//! A server is taken from its variable (`TEST_POSTGRES_URL`) where that is set, else from an installed program. Where
//! there is none its tests are left out and say so; with `TEST_ALL=1` that is a failure.
#![allow(clippy::expect_used, clippy::panic, reason = "a server that does not start has to fail its tests")]

mod nats;
mod postgres;

use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

pub use nats::Nats;
pub use postgres::Postgres;

/// Where `make servers` puts what it installs.
fn installed() -> PathBuf {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    folder("SERVERS_DIR").or_else(|| Some(cache()?.join("trireme/servers"))).unwrap_or_default()
}

/// Says loudly that a server is missing.
fn missing(server: &str, variable: &str) {
    assert!(
        std::env::var_os("TEST_ALL").is_none_or(|value| value != "1"),
        "{server} is not installed and {variable} is not set, but TEST_ALL=1 asks for it"
    );
    eprintln!("NOT TESTED: {server} is not installed and {variable} is not set");
}

/// The processes that a process has started and that still run.
fn children(parent: u32) -> Vec<String> {
    let status = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let text = std::fs::read_to_string(entry.path().join("status")).ok()?;
        let of = text.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse::<u32>().ok()?;
        (of == parent).then(|| pid.to_string())
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(status).collect()
}

/// A process that kills another and removes its folder as soon as this one ends, however it ends.
#[derive(Debug)]
struct Watch(Child);

impl Watch {
    fn over(pid: u32, folder: &Path) -> io::Result<Self> {
        Command::new("sh")
            .args(["-c", "read _; kill -9 \"$0\"; sleep 0.2; rm -rf \"$1\""])
            .arg(pid.to_string())
            .arg(folder)
            .stdin(Stdio::piped()) // closed by the system when we are gone
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }

    /// Calls it off.
    fn stop(mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}
