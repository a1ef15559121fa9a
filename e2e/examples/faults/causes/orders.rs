//! An order that a newer version wrote.

use anyhow::{Context as _, Result};
use mongodb::bson::{self, Document, doc};
use servers::Server;

use crate::{system::System, watch::Watch};

/// A copy of an order, with a status of its own, which the sweeper finds at once and its customer in the list. It is put
/// right by deleting it.
pub(super) async fn unknown_status(system: &System, watch: &Watch<'_>) -> Result<()> {
    let database = mongodb::connect(&format!("{}/order", system.url(Server::MongoDb)?), "faults").await?;
    let orders = database.collection::<Document>("orders");
    watch.begins().await?;
    let mut order = orders.find_one(doc! { "status": "confirmed" }).await?.context("no order")?;
    let id = bson::Uuid::new();
    order.extend(doc! { "_id": id, "status": "teleported", "due_at": 0_i64 });
    // Its events are those of the order that it was copied from.
    order.remove("outbox");
    order.remove("waiting");
    orders.insert_one(order).await?;
    watch.stands().await;
    orders.delete_one(doc! { "_id": id }).await?;
    Ok(())
}
