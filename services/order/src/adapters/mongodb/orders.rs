//! Orders on MongoDB: a change of an order and what it causes are one update of one document.

use async_trait::async_trait;
use clock::{from_micros, micros};
use futures::TryStreamExt as _;
use messaging::{Effects, Receipt};
use mongodb::{
    bson::{self, Bson, Document, RawDocumentBuf, doc},
    is_recorded, record_receipt, recording,
};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    MongoStore,
    documents::{self, OrderDocument, StageName, changes, count, not_hidden, number},
    id,
    stock::{Operation, StockLevels},
    uuid,
};
use crate::{
    app::ports::{After, Orders, Owner, Placed, Row, Sagas, Saved, StoreError},
    domain::{
        ids::{OrderId, UserId},
        order::Order,
        status::Status,
    },
};

#[async_trait]
impl Orders for MongoStore {
    async fn place(&self, order: &Order, effects: Effects) -> Result<Placed, StoreError> {
        self.place_order(order, &effects.events).await
    }

    async fn get(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let found = mongodb::within("find orders", self.orders.find_one(doc! { "_id": super::id(id.0) })).await?;
        found.filter(OrderDocument::is_placed).map(OrderDocument::order).transpose()
    }

    async fn get_many(&self, ids: &[OrderId]) -> Result<Vec<Row<Order>>, StoreError> {
        let (asked, n) = (ids.iter().map(|id| super::id(id.0)), u32::try_from(ids.len()).unwrap_or(u32::MAX));
        let filter = doc! { "_id": { "$in": asked.collect::<Vec<_>>() }, "stage.name": not_hidden() };
        self.find(filter, doc! { "_id": 1 }, n).await
    }

    async fn list(&self, owner: Owner, after: Option<After>, limit: u32) -> Result<Vec<Row<Order>>, StoreError> {
        let mut filter = doc! { "stage.name": not_hidden() };
        if let Owner::User(user) = owner {
            filter.insert("user", id(user.0));
        }
        if let Some(after) = after {
            let at = micros(after.created_at);
            // A bound that the index can use; the alternatives below only refine it.
            filter.insert("created_at", doc! { "$lte": at });
            let older = doc! { "created_at": { "$lt": at } };
            filter.insert("$or", [older, doc! { "created_at": at, "_id": { "$lt": id(after.id.0) } }]);
        }
        self.find(filter, doc! { "created_at": -1, "_id": -1 }, limit).await
    }

    async fn save(
        &self,
        order: &Order,
        expected: u64,
        release_stock: bool,
        effects: Effects,
    ) -> Result<Saved, StoreError> {
        // Receipts that were stored with a change are in the order, where the update below checks them; this finds those
        // that were recorded alone.
        if let Some(receipt) = &effects.receipt
            && is_recorded(&self.database, receipt).await?
        {
            return Ok(Saved::Duplicate);
        }
        let items: Vec<_> = order.items.iter().map(|item| (id(item.product.0), item.quantity.pieces())).collect();
        let products: Vec<bson::Uuid> = items.iter().map(|(product, _)| *product).collect();
        let operation = Operation { order: id(order.id.0), stage: StageName::Returning, id: bson::Uuid::new() };
        // Before the order enters the stage, so that the epochs are older than it (see `stock`).
        let levels = if release_stock { self.stock_levels(&products).await? } else { StockLevels::new() };
        if !self.update(order, expected, release_stock.then_some(operation), &effects).await? {
            return self.stale_or_duplicate(order.id, effects.receipt.as_ref()).await;
        }
        if !effects.events.is_empty() {
            self.wake.poke();
        }
        // The order is saved, and its stage says what is left: an error here must not look as if it were not.
        if release_stock && let Err(error) = self.release_stock(operation, &items, levels).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(order.id = %order.id, error, "stock not released yet: the sweeper retries");
        }
        Ok(Saved::Stored)
    }

    async fn postpone(&self, order: &Order) -> Result<(), StoreError> {
        let (set, _) = changes(order);
        let schedule: Document =
            set.into_iter().filter(|(name, _)| matches!(name.as_str(), "due_at" | "attempts")).collect();
        let stored = doc! { "_id": id(order.id.0), "version": number(order.version) };
        mongodb::within("update orders", self.orders.update_one(stored, doc! { "$set": schedule })).await?;
        Ok(())
    }

    async fn set_aside(&self, id: OrderId, now: OffsetDateTime, until: OffsetDateTime) -> Result<(), StoreError> {
        let due = doc! { "_id": super::id(id.0), "$or": due_at(now) };
        let later = doc! { "$set": { "due_at": micros(until) } };
        mongodb::within("update orders", self.orders.update_one(due, later)).await?;
        Ok(())
    }

    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Row<Order>>, StoreError> {
        // Orders in a stage are the sweeper's as well. What cannot be recovered now must not hold up those that are due.
        if let Err(error) = self.recover().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot recover operations in progress now");
        }
        let due = doc! { "$or": due_at(now), "stage.name": not_hidden() };
        self.find(due, doc! { "due_at": 1 }, limit).await
    }

    async fn sagas(&self, limit: u32) -> Result<Sagas, StoreError> {
        let groups: Vec<SagasOf> = self
            .aggregate(vec![
                doc! { "$match": { "due_at": { "$exists": true }, "stage.name": not_hidden() } },
                doc! { "$sort": { "due_at": 1 } },
                doc! { "$limit": i64::from(limit) },
                doc! { "$group": { "_id": "$status", "n": { "$sum": 1_i64 }, "oldest": { "$min": "$updated_at" } } },
            ])
            .await?;
        let by_status = |group: &SagasOf| Some((Status::named(group.status.as_str()?)?, count(group.n)));
        Ok(Sagas {
            // What cannot be read is set aside by the sweeper.
            by_status: groups.iter().filter_map(by_status).collect(),
            oldest: groups.iter().filter_map(|group| group.oldest.as_i64()).map(from_micros).min(),
        })
    }

    async fn of_user_in(&self, user: UserId, statuses: &[Status], limit: u32) -> Result<Vec<OrderId>, StoreError> {
        let orders = self.orders.clone_with_type::<Document>();
        let ids = doc! { "_id": 1 };
        let filter = of_user(user, statuses);
        let found = async {
            orders.find(filter).limit(i64::from(limit)).projection(ids).await?.try_collect::<Vec<Document>>().await
        };
        let parse = |order: Document| order.get("_id").and_then(|id| bson::deserialize_from_bson(id.clone()).ok());
        let found = mongodb::within("find orders", found).await?;
        found
            .into_iter()
            .map(|order| parse(order).map(|id| OrderId(uuid(id))).ok_or(super::corrupt("order id")))
            .collect()
    }

    async fn count_of_user_in(&self, user: UserId, statuses: &[Status]) -> Result<u64, StoreError> {
        Ok(mongodb::within("aggregate orders", self.orders.count_documents(of_user(user, statuses))).await?)
    }

    async fn record_receipt(&self, receipt: Receipt) -> Result<(), StoreError> {
        Ok(record_receipt(&self.database, &receipt, self.clock.now()).await?)
    }
}

impl MongoStore {
    /// Replaces the order of that version, and puts it into the stage of `releasing`; says whether it did.
    async fn update(
        &self,
        order: &Order,
        expected: u64,
        releasing: Option<Operation>,
        effects: &Effects,
    ) -> Result<bool, StoreError> {
        let recording = recording(effects).map_err(|error| StoreError::Failed(error.into()))?;
        let mut filter = recording.filter;
        filter.insert("_id", id(order.id.0));
        filter.insert("version", number(expected));
        let (mut set, unset) = changes(order);
        if let Some(operation) = releasing {
            // One operation at a time: another stage would make the order forget the one that it is in.
            filter.insert("stage", doc! { "$exists": false });
            let at = micros(self.server_time().await?);
            set.insert("stage", doc! { "name": operation.stage.name(), "op": operation.id, "at": at });
        } else {
            // Releasing goes on beside other changes; an order that is being placed has no other changes.
            filter.insert("stage.name", not_hidden());
        }
        let mut update = recording.update;
        update.insert("$set", set);
        if !unset.is_empty() {
            update.insert("$unset", unset);
        }
        Ok(mongodb::within("update orders", self.orders.update_one(filter, update)).await?.matched_count == 1)
    }

    /// Why the order was not saved: its inbox has the event, or its version is another.
    async fn stale_or_duplicate(&self, order: OrderId, receipt: Option<&Receipt>) -> Result<Saved, StoreError> {
        let Some(receipt) = receipt else {
            return Ok(Saved::Stale);
        };
        let applied = doc! { "_id": id(order.0), "inbox": id(receipt.event_id) };
        let found = mongodb::within("find orders", self.orders.find_one(applied)).await?;
        Ok(if found.is_some() { Saved::Duplicate } else { Saved::Stale })
    }

    async fn find(&self, filter: Document, sort: Document, limit: u32) -> Result<Vec<Row<Order>>, StoreError> {
        let orders = self.orders.clone_with_type::<RawDocumentBuf>();
        let found = orders.find(filter).sort(sort).limit(i64::from(limit));
        let found = mongodb::within("find orders", async { found.await?.try_collect::<Vec<_>>().await }).await?;
        Ok(found.iter().map(|stored| documents::row(stored)).collect())
    }
}

/// The sagas in one status.
#[derive(Debug, Deserialize)]
struct SagasOf {
    #[serde(rename = "_id")]
    status: Bson,
    n: i64,
    oldest: Bson,
}

fn of_user(user: UserId, statuses: &[Status]) -> Document {
    let names: Vec<&str> = statuses.iter().map(|status| status.name()).collect();
    doc! { "user": id(user.0), "status": { "$in": names }, "stage.name": not_hidden() }
}

/// One of these holds of an order that is due: its time is over, or lies further ahead than anything lasts.
fn due_at(now: OffsetDateTime) -> [Document; 2] {
    let (past, astray) = (doc! { "$lte": micros(now) }, doc! { "$gt": micros(now + clock::HORIZON) });
    [doc! { "due_at": past }, doc! { "due_at": astray }]
}
