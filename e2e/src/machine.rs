//! What something was measured on.

use std::{process::Command, thread::available_parallelism};

use servers::{Installed, Server};

/// Cores, the build, and the versions of the servers that the services run on: a sentence.
pub fn machine() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let versions = [Server::Postgres, Server::MongoDb, Server::Redis, Server::Nats].into_iter().filter_map(|server| {
        let installed = Installed::find(server)?;
        Some(format!("{} {}", installed.description(), installed.version().unwrap_or_default()))
    });
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{cores} cores, {build} builds, {}.", versions.collect::<Vec<_>>().join(", "))
}

/// The commit, and whether there is more than it has.
pub fn commit() -> String {
    let described = Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]).output();
    let text = described.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { "an unknown commit".to_owned() } else { text }
}
