//! The real servers under the services: starts them on the data directory, restarts those that exit, stops them last.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use servers::{Installed, Server};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{program_loop::ProgramLoop, shared::Shared};
use crate::{
    ports,
    service::Service,
    state::{ServerState, State},
};

/// A slow machine may take this long for PostgreSQL's first start.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The servers that were started; none where the services run on embedded defaults.
#[derive(Debug)]
pub(super) struct Servers {
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// Keeps the ports of the last run where they are free; without servers there are none.
pub(super) fn pick_ports(state: &mut State, wanted: bool) -> Result<()> {
    let kept = std::mem::take(&mut state.servers);
    if !wanted {
        return Ok(());
    }
    let taken: Vec<u16> = state.services.iter().filter_map(|service| service.addresses.ports()).flatten().collect();
    let fresh: [u16; Server::ALL.len()] = ports::pick_some(&taken)?;
    for (server, fresh) in Server::ALL.into_iter().zip(fresh) {
        let before = kept.iter().find(|state| state.name == server.slug()).map(|state| state.port);
        let port = before.filter(|port| ports::is_free(*port) && !taken.contains(port)).unwrap_or(fresh);
        let name = server.slug().to_owned();
        state.servers.push(ServerState { name, pid: None, started: None, port, restarts: 0 });
    }
    Ok(())
}

impl Servers {
    /// Starts what the state has ports for and waits until it answers.
    pub(super) async fn start(shared: &Arc<Shared>) -> Result<Self> {
        let started = Self { tracker: TaskTracker::new(), stop: CancellationToken::new() };
        if !shared.options.servers {
            return Ok(started);
        }
        let installed = find()?;
        let _waiting = shared.output().wait("starting PostgreSQL, MongoDB, NATS and Redis");
        for (server, installed) in Server::ALL.into_iter().zip(installed) {
            let folder = folder(shared, server)?;
            let password = shared.options.data.password()?;
            installed.prepare(&folder, Some(&password)).with_context(|| format!("cannot prepare {server}"))?;
            let port = shared.state().server_port(server).context("no port was picked")?;
            let own = folder.clone();
            let process = ProgramLoop {
                name: server.name(),
                slug: server.slug(),
                command: Box::new(move || installed.command(&own, port)),
                folder,
                // PostgreSQL waits for its clients on SIGTERM, and not on SIGINT.
                ending: if server == Server::Postgres { Signal::SIGINT } else { Signal::SIGTERM },
                shared: Arc::clone(shared),
                stop: started.stop.clone(),
            };
            started.tracker.spawn(process.run());
        }
        let outcome = tokio::select! {
            outcome = timeout(READY_TIMEOUT, answering(shared)) => {
                outcome.unwrap_or_else(|_| bail!("PostgreSQL, MongoDB, NATS and Redis are not ready within {READY_TIMEOUT:?}"))
            }
            failure = shared.failed() => Err(anyhow::Error::msg(failure)),
        };
        if outcome.is_err() {
            started.stop().await;
        }
        outcome.map(|()| started)
    }

    /// Asks them to end and waits until they have.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

fn find() -> Result<Vec<Installed>> {
    let found: Vec<Option<Installed>> = Server::ALL.into_iter().map(Installed::find).collect();
    let missing = Server::ALL.iter().zip(&found).filter(|(_, found)| found.is_none());
    let missing: Vec<&str> = missing.map(|(server, _)| server.name()).collect();
    if !missing.is_empty() {
        bail!("{} not installed: run `make servers`", missing.join(", "));
    }
    Ok(found.into_iter().flatten().collect())
}

/// The folder of a server: its data, its log and, of some, its password.
fn folder(shared: &Shared, server: Server) -> Result<PathBuf> {
    let data = shared.options.data.path();
    let (all, own) = (data.join("servers"), data.join("servers").join(server.slug()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
    if nix::unistd::geteuid().is_root() {
        // Root starts PostgreSQL as another user, who has to pass through; only root reads the secrets.
        for folder in [data, &all, &own] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
        }
    }
    Ok(own)
}

/// Waits until all of them answer, and makes the databases.
async fn answering(shared: &Shared) -> Result<()> {
    let state = shared.state();
    for server in &state.servers {
        while TcpStream::connect(("127.0.0.1", server.port)).await.is_err() {
            sleep(POLL_INTERVAL).await;
        }
    }
    for service in [Service::User, Service::Payment] {
        let url = shared.options.data.database(&state, service)?;
        let started = Instant::now();
        while let Err(error) = postgres::create(&url).await {
            if started.elapsed() > READY_TIMEOUT / 2 {
                return Err(error).with_context(|| format!("cannot make the database of {service}"));
            }
            sleep(POLL_INTERVAL).await;
        }
    }
    Ok(())
}
