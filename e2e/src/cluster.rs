//! One running system: `trireme up --detach` in a temporary folder, ended on drop.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{Wrapped, binary};

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

/// What it says of a server that the services run on.
#[derive(Clone, Debug, Deserialize)]
pub struct ServerProcess {
    /// `postgres`, `mongodb`, `nats`…
    pub name: String,
    /// The process, where it runs.
    pub pid: Option<i32>,
    /// Where it listens on the loopback address.
    pub port: u16,
}

#[derive(Deserialize)]
struct Status {
    pid: Option<i32>,
    services: Vec<Process>,
    servers: Vec<ServerProcess>,
}

/// Three services, and the servers that they run on, under their supervisor.
#[derive(Debug)]
pub struct Cluster {
    data: TempDir,
    /// What runs instead of the programs that were built, where that is decided.
    wrapped: Option<Wrapped>,
}

impl Cluster {
    /// Starts everything on embedded defaults and waits until it is ready.
    pub fn start() -> Result<Self> {
        Self::up(&["up", "--detach"], &[])
    }

    /// The same with these variables in the services' environment.
    pub fn start_with(variables: &[(&str, &str)]) -> Result<Self> {
        Self::up(&["up", "--detach"], variables)
    }

    /// The same on PostgreSQL, MongoDB, Redis, OpenSearch and this bus.
    pub fn start_on_servers(bus: servers::Server) -> Result<Self> {
        Self::up(&["up", "--detach", "--servers", "--bus", bus.slug()], &[])
    }

    /// Starts it by `trireme up` with more arguments, and with variables in the services' environment.
    pub fn up(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        Self { data: tempfile::tempdir()?, wrapped: None }.started(arguments, variables)
    }

    /// The same in a folder that is given, with services whose environment can be changed.
    pub fn up_wrapped(data: TempDir, wrapped: Wrapped, arguments: &[&str]) -> Result<Self> {
        Self { data, wrapped: Some(wrapped) }.started(arguments, &[])
    }

    fn started(self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        printed(arguments, &self.run(arguments, variables)?)?;
        Ok(self)
    }

    /// What decides the services' environment, if [`Cluster::up_wrapped`] started them.
    pub fn wrapped(&self) -> Option<&Wrapped> {
        self.wrapped.as_ref()
    }

    /// Ends it and starts it again on the same data, by `trireme up` with other arguments and variables.
    pub fn restart(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
        self.tool(&["down"])?;
        printed(arguments, &self.run(arguments, variables)?).map(drop)
    }

    /// The folder with databases, logs and secrets.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Runs a command of `trireme` on this cluster and returns what it printed.
    pub fn tool(&self, arguments: &[&str]) -> Result<String> {
        printed(arguments, &self.run(arguments, &[])?)
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
        let tool = self.wrapped.as_ref().map_or_else(|| binary("trireme"), |wrapped| Ok(wrapped.tool()))?;
        Command::new(&tool)
            .args(arguments)
            .envs(variables.iter().copied())
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", tool.display()))
    }

    /// What runs where, now.
    pub fn processes(&self) -> Result<Vec<Process>> {
        Ok(self.status()?.services)
    }

    /// The servers that the services run on; none on embedded defaults.
    pub fn servers(&self) -> Result<Vec<ServerProcess>> {
        Ok(self.status()?.servers)
    }

    /// The address of one of them, with its password; `None` on embedded defaults.
    pub fn server_url(&self, server: servers::Server) -> Result<Option<String>> {
        let found = self.servers()?.into_iter().find(|process| process.name == server.slug());
        let Some(process) = found else { return Ok(None) };
        let password = std::fs::read_to_string(self.data().join("servers.password"))?;
        Ok(Some(server.url(process.port, Some(password.trim_end()))))
    }

    /// The address of the bus.
    pub fn bus_url(&self) -> Result<String> {
        for bus in servers::Server::BUSES {
            if let Some(url) = self.server_url(bus)? {
                return Ok(url);
            }
        }
        Ok(format!("sqlite://{}", self.data().join("bus.db").display()))
    }

    fn status(&self) -> Result<Status> {
        let text = self.tool(&["status", "--json"])?;
        serde_json::from_str(&text).context(text)
    }

    /// One service of [`Cluster::processes`].
    pub fn process(&self, name: &str) -> Result<Process> {
        let all = self.processes()?;
        all.into_iter().find(|p| p.name == name).with_context(|| format!("no service {name}"))
    }

    /// Sends a signal to a service or a server; `false` where it does not run at the moment.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<bool> {
        Ok(self.pid(name)?.is_some_and(|pid| kill(pid, signal).is_ok()))
    }

    /// The process of a service or a server, where it runs at the moment.
    pub fn pid(&self, name: &str) -> Result<Option<Pid>> {
        let Status { services, servers, .. } = self.status()?;
        let services = services.into_iter().map(|process| (process.name, process.pid));
        let mut all = services.chain(servers.into_iter().map(|process| (process.name, process.pid)));
        let (_, pid) = all.find(|(running, _)| running == name).with_context(|| format!("nothing is called {name}"))?;
        Ok(pid.map(Pid::from_raw))
    }

    /// The process that starts again what has ended.
    pub fn supervisor(&self) -> Result<Pid> {
        Ok(Pid::from_raw(self.status()?.pid.context("no supervisor")?))
    }

    /// The environment of a service that runs.
    pub fn environment(&self, service: &str) -> Result<Vec<(String, String)>> {
        let pid = self.pid(service)?.with_context(|| format!("{service} does not run"))?;
        let text = String::from_utf8(std::fs::read(format!("/proc/{pid}/environ"))?)?;
        let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
        Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// How another process of a service is started: in the environment of the one that runs.
    pub fn another(&self, service: &str) -> Result<Command> {
        let mut command = Command::new(binary(service)?);
        command.arg("serve").env_clear().envs(self.environment(service)?);
        Ok(command)
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

/// What a command that succeeded printed.
fn printed(arguments: &[&str], output: &Output) -> Result<String> {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "trireme {arguments:?} ended with {}:\n{out}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(out)
}
