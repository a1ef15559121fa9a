//! One running system: `trireme up --detach` in a temporary folder, ended on drop.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use tempfile::TempDir;

/// What `trireme status --json` says of one service.
#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    /// `user`, `order` or `payment`.
    pub name: String,
    /// The process, where it runs.
    pub pid: Option<i32>,
    /// Base URL of the public HTTP interface.
    pub http: String,
    /// Base URL of gRPC.
    pub grpc: String,
    /// Base URL of the admin port.
    pub admin: String,
}

#[derive(Deserialize)]
struct Status {
    services: Vec<Process>,
}

/// Three services on embedded defaults and their supervisor.
#[derive(Debug)]
pub struct Cluster {
    data: TempDir,
}

impl Cluster {
    /// Starts everything and waits until it is ready.
    pub fn start() -> Result<Self> {
        let cluster = Self { data: tempfile::tempdir()? };
        cluster.tool(&["up", "--detach"])?;
        Ok(cluster)
    }

    /// The folder with databases, logs and secrets.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Runs a command of `trireme` on this cluster and returns what it printed.
    pub fn tool(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "trireme {arguments:?} ended with {}:\n{out}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(out)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let tool = binary("trireme")?;
        Command::new(&tool)
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", tool.display()))
    }

    /// What runs where, now.
    pub fn processes(&self) -> Result<Vec<Process>> {
        let text = self.tool(&["status", "--json"])?;
        let status: Status = serde_json::from_str(&text).context(text)?;
        Ok(status.services)
    }

    /// One service of [`Cluster::processes`].
    pub fn process(&self, name: &str) -> Result<Process> {
        let all = self.processes()?;
        all.into_iter().find(|p| p.name == name).with_context(|| format!("no service {name}"))
    }

    /// Sends a signal to a service; `false` where it does not run at the moment.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<bool> {
        let Some(pid) = self.process(name)?.pid else { return Ok(false) };
        Ok(kill(Pid::from_raw(pid), signal).is_ok())
    }

    /// What a service has logged so far.
    pub fn log(&self, name: &str) -> Result<String> {
        let path = self.data().join("logs").join(format!("{name}.log"));
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.tool(&["down"]) {
            eprintln!("{error:#}");
        }
    }
}

/// A binary that was built beside the running test.
///
/// # Errors
///
/// Says which command builds it where it is missing.
pub fn binary(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace --bins`"))
}
