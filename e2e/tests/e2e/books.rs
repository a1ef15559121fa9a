//! Reads what stores and bus hold after a run, so that the proof does not depend on what the services say of themselves.

mod files;
mod servers;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use e2e::Cluster;
use serde_json::Value;

use self::{files::Files, servers::Servers};

/// The stores and the bus of a running cluster.
pub(crate) enum Books {
    Files(Files),
    Servers(Box<Servers>),
}

/// An event on the bus: its kind, its data.
type Told = (String, Value);

impl Books {
    pub(crate) async fn open(cluster: &Cluster) -> Result<Self> {
        Ok(match Servers::open(cluster).await? {
            Some(servers) => Self::Servers(Box::new(servers)),
            None => Self::Files(Files::open(cluster.data()).await?),
        })
    }

    /// Orders that are stored.
    pub(crate) async fn orders(&self) -> Result<u64> {
        match self {
            Self::Files(files) => files.orders().await,
            Self::Servers(servers) => servers.orders().await,
        }
    }

    /// Deliveries that are not settled yet, and dead letters.
    pub(crate) async fn waiting_and_dead(&self) -> Result<(u64, u64)> {
        match self {
            Self::Files(files) => files.waiting_and_dead().await,
            Self::Servers(servers) => servers.waiting_and_dead().await,
        }
    }

    /// Delivers every event to every group once more, as a bus that promises "at least once" may.
    pub(crate) async fn redeliver(&self) -> Result<u64> {
        match self {
            Self::Files(files) => files.redeliver().await,
            Self::Servers(servers) => servers.redeliver().await,
        }
    }

    pub(crate) async fn events(&self) -> Result<Vec<Told>> {
        match self {
            Self::Files(files) => files.events().await,
            Self::Servers(servers) => servers.events().await,
        }
    }

    /// How many different orders of each user were confirmed, by the events on the bus.
    pub(crate) async fn confirmed_by_user(&self) -> Result<BTreeMap<String, u64>> {
        let mut orders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, data) in self.events().await?.into_iter().filter(|(kind, _)| kind == "order.confirmed.v1") {
            orders.entry(text(&data, "user_id")?).or_default().insert(text(&data, "order_id")?);
        }
        Ok(orders.into_iter().map(|(user, orders)| (user, orders.len() as u64)).collect())
    }

    /// The kinds of events that the bus has of each order, by the order's id.
    pub(crate) async fn published(&self) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut published: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let of_order = |kind: &str| kind.starts_with("order.") || kind.starts_with("payment.");
        for (kind, data) in self.events().await?.into_iter().filter(|(kind, _)| of_order(kind)) {
            published.entry(text(&data, "order_id")?).or_default().insert(kind);
        }
        Ok(published)
    }
}

fn text(data: &Value, name: &str) -> Result<String> {
    Ok(data[name].as_str().with_context(|| format!("an event without {name}: {data}"))?.to_owned())
}
