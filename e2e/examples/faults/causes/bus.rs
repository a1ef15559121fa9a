//! A bus that takes no large events.

use anyhow::{Context as _, Result};
use async_nats::{ConnectOptions, jetstream};
use servers::Server;

use crate::{system::System, watch::Watch};

/// Bytes with the headers: an event of an order of one line has less, one of forty lines more.
const SMALL: i32 = 1_500;
const STREAM: &str = "trireme-events";

/// The stream has a limit. It is put right by lifting it, and by replaying the dead letters, as an operator would.
pub(super) async fn large_refused(system: &System, watch: &Watch<'_>) -> Result<()> {
    let url = system.url(Server::Nats)?;
    let (login, address) = url.trim_start_matches("nats://").split_once('@').context("a login")?;
    let (user, password) = login.split_once(':').context("a password")?;
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    let context = jetstream::new(options.connect(address).await?);
    let config = context.get_stream(STREAM).await?.cached_info().config.clone();
    let limit = async |bytes| {
        context.update_stream(jetstream::stream::Config { max_message_size: bytes, ..config.clone() }).await
    };
    watch.begins().await?;
    limit(SMALL).await?;
    watch.stands().await;
    limit(config.max_message_size).await?;
    system.cluster.tool(&["dlq", "replay", "--all"]).map(drop)
}
