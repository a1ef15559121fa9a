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
use tokio::time::{Instant, sleep};

use super::{
    program_loop::Program,
    programs::{self, POLL_INTERVAL, Programs, taken},
    shared::Shared,
};
use crate::{service::Service, state::State};

/// A slow machine may take this long for PostgreSQL's first start.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// Keeps the ports of the last run where they are free; without servers there are none.
pub(super) fn pick_ports(state: &mut State, bus: Option<Server>) -> Result<()> {
    let kept = std::mem::take(&mut state.servers);
    if let Some(bus) = bus {
        state.servers = programs::pick_ports(Server::stack(bus).map(Server::slug), &kept, &taken(state))?;
    }
    Ok(())
}

/// Starts what the state has ports for and waits until it answers.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<Programs> {
    let started = Programs::none(shared);
    let Some(bus) = shared.options.servers else { return Ok(started) };
    let stack = Server::stack(bus);
    let (installed, names) = (find(stack)?, stack.map(Server::name).join(", "));
    let _waiting = shared.output().wait(&format!("starting {names}"));
    for (server, installed) in stack.into_iter().zip(installed) {
        let folder = folder(shared, server)?;
        let password = shared.options.data.password()?;
        installed.prepare(&folder, Some(&password)).with_context(|| format!("cannot prepare {server}"))?;
        let port = shared.state().server_port(server).context("no port was picked")?;
        let own = folder.clone();
        started.start(Program {
            name: server.name(),
            slug: server.slug(),
            command: Box::new(move || installed.command(&own, port)),
            folder,
            // PostgreSQL waits for its clients on SIGTERM, and not on SIGINT.
            ending: if server == Server::Postgres { Signal::SIGINT } else { Signal::SIGTERM },
        });
    }
    let folder = shared.options.data.join("servers");
    started.ready(answering(shared), READY_TIMEOUT, (&names, folder)).await
}

fn find(stack: [Server; 5]) -> Result<Vec<Installed>> {
    let found = stack.map(Installed::find);
    let missing: Vec<&str> =
        stack.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(server, _)| server.name()).collect();
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
        programs::listening(server.port).await;
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
