//! The services' clocks.

use anyhow::{Context as _, Result};
use e2e::SERVICES;

use crate::{system::System, watch::Watch};

/// They are wrong by so many seconds, all at once, and then right again; the servers' are right all the time.
pub(super) async fn wrong(system: &System, watch: &Watch<'_>, seconds: i64) -> Result<()> {
    let (wrapped, library) = (system.wrapped()?, servers::faketime().context("no libfaketime")?);
    for service in SERVICES {
        wrapped.shiftable(service, &library)?;
    }
    system.restart(&SERVICES).await?;
    watch.begins().await?;
    for service in SERVICES {
        wrapped.shift(service, seconds)?;
    }
    watch.stands().await;
    SERVICES.iter().try_for_each(|service| wrapped.shift(service, 0))
}
