//! What a fault is brought about in: the services, their servers, and what was started beside them.

use std::{
    any::Any,
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    process::{Child, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::{Api, Cluster, SERVICES, Wrapped, observe::free_port};
use nix::sys::signal::Signal;
use servers::{Installed, Server};
use tempfile::TempDir;
use testkit::Proxy;
use tokio::time::{Instant, sleep};
use trireme::http::Http;

use crate::{
    disk::Disk,
    faults::{Cause, Fault},
};

/// Mebibytes: what the databases of the embedded defaults need for some thousand orders, and `PostgreSQL` to begin with.
const DISK: u32 = 48;
const DATABASE_DISK: u32 = 224;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// What is started answers long before that.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Everything that runs, in the order in which it ends.
pub(crate) struct System {
    pub(crate) cluster: Cluster,
    pub(crate) api: Api,
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
    pub(crate) disk: Option<Disk>,
    /// The services' logs, where the data is on a disk that will be full.
    _logs: TempDir,
}

impl System {
    /// Starts the services as the fault needs them.
    pub(crate) fn start(fault: &Fault) -> Result<Self> {
        let logs = tempfile::tempdir()?;
        let (disk, data) = match fault.cause {
            Cause::DiskFull => {
                let disk = Disk::mount(DISK)?;
                let data = TempDir::new_in(disk.path())?;
                symlink(logs.path(), data.path().join("logs"))?;
                (Some(disk), data)
            }
            Cause::DatabaseDiskFull => {
                let (disk, data) = (Disk::mount(DATABASE_DISK)?, TempDir::new()?);
                fs::create_dir(data.path().join("servers"))?;
                symlink(disk.path(), data.path().join("servers").join(Server::Postgres.slug()))?;
                (Some(disk), data)
            }
            _ => (None, TempDir::new()?),
        };
        let servers: &[&str] = if fault.is_embedded() { &[] } else { &["--servers"] };
        let cluster = Cluster::up_wrapped(data, Wrapped::new()?, &[&["up", "--detach"], servers].concat())?;
        let api = Api::new(&cluster)?;
        Ok(Self { cluster, api, kept: Mutex::default(), disk, _logs: logs })
    }

    /// Keeps something until everything ends.
    pub(crate) fn keep(&self, what: impl Any + Send) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(what));
    }

    pub(crate) fn wrapped(&self) -> Result<&Wrapped> {
        self.cluster.wrapped().context("the services are not wrapped")
    }

    pub(crate) fn url(&self, server: Server) -> Result<String> {
        self.cluster.server_url(server)?.with_context(|| format!("{server} does not run"))
    }

    pub(crate) fn port(&self, server: Server) -> Result<u16> {
        let all = self.cluster.servers()?;
        let found = all.into_iter().find(|process| process.name == server.slug());
        Ok(found.with_context(|| format!("{server} does not run"))?.port)
    }

    pub(crate) fn password(&self) -> Result<String> {
        Ok(fs::read_to_string(self.cluster.data().join("servers.password"))?.trim_end().to_owned())
    }

    /// Starts services again, in the environment that they are given now.
    pub(crate) async fn restart(&self, services: &[&str]) -> Result<()> {
        for service in services {
            let (before, deadline) = (self.cluster.pid(service)?, Instant::now() + TIMEOUT);
            self.cluster.signal(service, Signal::SIGTERM)?;
            let ready = format!("{}/healthz/ready", self.cluster.process(service)?.admin);
            let http = Http::new();
            while self.cluster.pid(service)? == before
                || !http.get(&ready).await.is_ok_and(|answer| answer.status.is_success())
            {
                ensure!(Instant::now() < deadline, "{service} does not start again");
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Has the services that use a server reach it through a proxy.
    pub(crate) async fn through_a_proxy(&self, server: Server) -> Result<Proxy> {
        let address = format!("127.0.0.1:{}", self.port(server)?);
        let proxy = Proxy::to(&address).await;
        for service in SERVICES {
            let mut variables = self.cluster.environment(service)?;
            variables.retain(|(name, value)| name.starts_with("TRIREME_") && value.contains(&address));
            for (_, value) in &mut variables {
                *value = value.replace(&address, &proxy.address().to_string());
            }
            if !variables.is_empty() {
                let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
                self.wrapped()?.set(service, &variables)?;
                self.restart(&[service]).await?;
            }
        }
        Ok(proxy)
    }
}

/// A second server of a kind, ended when dropped.
pub(crate) struct Second {
    child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Second {
    /// A folder for its data, through which the user may pass that `PostgreSQL` runs as.
    pub(crate) fn folder() -> Result<TempDir> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        Ok(folder)
    }

    /// Starts it on the data of a folder.
    pub(crate) fn start(server: Server, folder: TempDir) -> Result<Self> {
        let installed = Installed::find(server).with_context(|| format!("{server} is not installed"))?;
        let (port, log) = (free_port()?, File::create(folder.path().join("server.log"))?);
        let mut command = installed.command(folder.path(), port);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child, port, _folder: folder })
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something that is looked for again and again is so.
pub(crate) async fn until(what: &str, look: impl AsyncFn() -> bool) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    while !look().await {
        ensure!(Instant::now() < deadline, "not within {TIMEOUT:?}: {what}");
        sleep(LOOK).await;
    }
    Ok(())
}
