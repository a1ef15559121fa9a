//! Brings faults about, and puts them right: each function in turn makes ready, lets the fault begin, breaks something, waits
//! as long as it stands, and mends it.

mod bus;
mod clock;
mod orders;
mod postgres;
mod redis;
mod stopped;

use anyhow::{Context as _, Result};
use servers::Server;

use crate::{faults::Cause, system::System, watch::Watch};

/// Until it is put right.
pub(crate) async fn bring_about(cause: Cause, system: &System, watch: &Watch<'_>) -> Result<()> {
    match cause {
        Cause::Nothing => {
            watch.begins().await?;
            watch.stands().await;
            Ok(())
        }
        Cause::DiskFull | Cause::DatabaseDiskFull => disk_full(system, watch).await,
        Cause::ReadOnly => postgres::read_only(system, watch).await,
        Cause::DatabaseMoved => postgres::moved(system, watch).await,
        Cause::RedisMoved => redis::moved(system, watch).await,
        Cause::Clock(seconds) => clock::wrong(system, watch, seconds).await,
        Cause::Password => postgres::password(system, watch).await,
        Cause::RedisFull => redis::full(system, watch).await,
        Cause::DatabaseAway => stopped::away(system, watch, Server::Postgres).await,
        Cause::OrdersAway => stopped::away(system, watch, Server::MongoDb).await,
        Cause::BusRestored => stopped::restored(system, watch).await,
        Cause::BadOrder => orders::unknown_status(system, watch).await,
        Cause::BadOutbox => postgres::bad_outbox(system, watch).await,
        Cause::LargeEvents => bus::large_refused(system, watch).await,
    }
}

async fn disk_full(system: &System, watch: &Watch<'_>) -> Result<()> {
    let disk = system.disk.as_ref().context("no disk")?;
    watch.begins().await?;
    disk.fill()?;
    watch.stands().await;
    disk.free()
}
