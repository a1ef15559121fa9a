//! Servers that are stopped for a while.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use e2e::Paused;
use nix::sys::signal::{Signal, kill};
use servers::Server;
use sqlx::{Connection as _, PgConnection};
use tokio::net::TcpStream;

use crate::{
    system::{System, until},
    watch::Watch,
};

/// While this lives a server does not run, nor is it started again.
struct Stopped<'a> {
    system: &'a System,
    server: Server,
    supervisor: Paused,
}

impl<'a> Stopped<'a> {
    async fn stop(system: &'a System, server: Server) -> Result<Self> {
        let cluster = &system.cluster;
        let supervisor = Paused::all(vec![cluster.supervisor()?]);
        let process = cluster.pid(server.slug())?.with_context(|| format!("{server} does not run"))?;
        // PostgreSQL waits for its clients on SIGTERM, and not on SIGINT.
        kill(process, if server == Server::Postgres { Signal::SIGINT } else { Signal::SIGTERM })?;
        // Whoever should ask for its end stands still.
        let ended = async || {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            status.is_empty() || status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
        };
        until("it ends", ended).await?;
        Ok(Self { system, server, supervisor })
    }

    /// Has it started again, and waits until it answers.
    async fn start(self) -> Result<()> {
        drop(self.supervisor);
        let url = format!("{}/postgres", self.system.url(self.server)?);
        let address = format!("127.0.0.1:{}", self.system.port(self.server)?);
        let answers = async || match self.server {
            Server::Postgres => PgConnection::connect(&url).await.is_ok(),
            _ => TcpStream::connect(&address).await.is_ok(),
        };
        until("it answers", answers).await
    }
}

/// It is not there.
pub(super) async fn away(system: &System, watch: &Watch<'_>, server: Server) -> Result<()> {
    watch.begins().await?;
    let stopped = Stopped::stop(system, server).await?;
    watch.stands().await;
    stopped.start().await
}

/// NATS is stopped, and then has what it had before the customers came, and no more.
pub(super) async fn restored(system: &System, watch: &Watch<'_>) -> Result<()> {
    let folder = system.cluster.data().join("servers").join(Server::Nats.slug());
    let (data, older) = (folder.join("data"), folder.join("older"));
    let stopped = Stopped::stop(system, Server::Nats).await?;
    let copied = Command::new("cp").arg("-a").arg(&data).arg(&older).status()?;
    ensure!(copied.success(), "cp: {copied}");
    stopped.start().await?;
    watch.begins().await?;
    let stopped = Stopped::stop(system, Server::Nats).await?;
    watch.stands().await;
    fs::remove_dir_all(&data)?;
    fs::rename(&older, &data)?;
    stopped.start().await
}
