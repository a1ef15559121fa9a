//! Orders on MongoDB: a change of an order and what it causes are one update of one document.

use async_trait::async_trait;
use clock::micros;
use futures::TryStreamExt as _;
use messaging::{Effects, Receipt};
use mongodb::{
    bson::{self, Document, doc},
    is_recorded, record_receipt, recording,
};
use time::OffsetDateTime;

use super::{
    MongoStore,
    documents::{OrderDocument, StageName, change_of, number, placed},
    id,
    stock::{Shelves, Step},
    uuid,
};
use crate::{
    app::ports::{Behind, Orders, Owner, Placed, Saved, StoreError},
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
        let found = mongodb::within(self.orders.find_one(doc! { "_id": super::id(id.0) })).await?;
        found.filter(OrderDocument::is_placed).map(OrderDocument::order).transpose()
    }

    async fn list(&self, owner: Owner, behind: Option<Behind>, limit: u32) -> Result<Vec<Order>, StoreError> {
        let mut filter = doc! { "stage.name": placed() };
        if let Owner::User(user) = owner {
            filter.insert("user", id(user.0));
        }
        if let Some(behind) = behind {
            let at = micros(behind.created_at);
            // The bound for the index, then the place in it.
            filter.insert("created_at", doc! { "$lte": at });
            let older = doc! { "created_at": { "$lt": at } };
            filter.insert("$or", [older, doc! { "created_at": at, "_id": { "$lt": id(behind.id.0) } }]);
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
        if let Some(receipt) = &effects.receipt
            && is_recorded(&self.database, receipt).await?
        {
            return Ok(Saved::Duplicate);
        }
        let items: Vec<_> = order.items.iter().map(|item| (id(item.product.0), item.quantity.pieces())).collect();
        let products: Vec<bson::Uuid> = items.iter().map(|(product, _)| *product).collect();
        let step = Step { order: id(order.id.0), name: StageName::Returning, op: bson::Uuid::new() };
        // Before the order enters the step.
        let shelves = if release_stock { self.shelves(&products).await? } else { Shelves::new() };
        if !self.update(order, expected, release_stock.then_some(step), &effects).await? {
            return self.why_not(order.id, effects.receipt.as_ref()).await;
        }
        if !effects.events.is_empty() {
            self.wake.poke();
        }
        if release_stock && let Err(error) = self.give_back(step, &items, shelves).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the stock of an order is given back later");
        }
        Ok(Saved::Stored)
    }

    async fn postpone(&self, order: &Order) -> Result<(), StoreError> {
        let (change, _) = change_of(order);
        let later: Document =
            change.into_iter().filter(|(name, _)| matches!(name.as_str(), "due_at" | "attempts")).collect();
        let stored = doc! { "_id": id(order.id.0), "version": number(order.version) };
        mongodb::within(self.orders.update_one(stored, doc! { "$set": later })).await?;
        Ok(())
    }

    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Order>, StoreError> {
        if let Err(error) = self.tend().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "orders left behind half-way stay so for now");
        }
        let due = doc! { "due_at": { "$lte": micros(now) }, "stage.name": placed() };
        self.find(due, doc! { "due_at": 1 }, limit).await
    }

    async fn of_user_in(&self, user: UserId, states: &[Status], limit: u32) -> Result<Vec<OrderId>, StoreError> {
        let orders = self.orders.clone_with_type::<Document>();
        let ids = doc! { "_id": 1 };
        let filter = of_user(user, states);
        let found = async {
            orders.find(filter).limit(i64::from(limit)).projection(ids).await?.try_collect::<Vec<Document>>().await
        };
        let read = |order: Document| order.get("_id").and_then(|id| bson::deserialize_from_bson(id.clone()).ok());
        let found = mongodb::within(found).await?;
        found
            .into_iter()
            .map(|order| read(order).map(|id| OrderId(uuid(id))).ok_or(super::corrupt("order id")))
            .collect()
    }

    async fn count_of_user_in(&self, user: UserId, states: &[Status]) -> Result<u64, StoreError> {
        Ok(mongodb::within(self.orders.count_documents(of_user(user, states))).await?)
    }

    async fn note(&self, receipt: Receipt) -> Result<(), StoreError> {
        Ok(record_receipt(&self.database, &receipt, self.clock.now()).await?)
    }
}

impl MongoStore {
    /// Replaces the order of that version; says whether it was there.
    async fn update(
        &self,
        order: &Order,
        expected: u64,
        returning: Option<Step>,
        effects: &Effects,
    ) -> Result<bool, StoreError> {
        let recording = recording(effects).map_err(|error| StoreError::Failed(error.into()))?;
        let mut filter = recording.filter;
        filter.insert("_id", id(order.id.0));
        filter.insert("version", number(expected));
        let (mut set, unset) = change_of(order);
        if let Some(step) = returning {
            filter.insert("stage", doc! { "$exists": false });
            let at = micros(self.clock.now());
            set.insert("stage", doc! { "name": step.name.name(), "op": step.op, "at": at });
        } else {
            filter.insert("stage.name", placed());
        }
        let mut update = recording.update;
        update.insert("$set", set);
        if !unset.is_empty() {
            update.insert("$unset", unset);
        }
        Ok(mongodb::within(self.orders.update_one(filter, update)).await?.matched_count == 1)
    }

    async fn why_not(&self, order: OrderId, receipt: Option<&Receipt>) -> Result<Saved, StoreError> {
        let Some(receipt) = receipt else {
            return Ok(Saved::Conflict);
        };
        let applied = doc! { "_id": id(order.0), "inbox": id(receipt.event_id) };
        let found = mongodb::within(self.orders.find_one(applied)).await?;
        Ok(if found.is_some() { Saved::Duplicate } else { Saved::Conflict })
    }

    async fn find(&self, filter: Document, sort: Document, limit: u32) -> Result<Vec<Order>, StoreError> {
        let found = async {
            self.orders.find(filter).sort(sort).limit(i64::from(limit)).await?.try_collect::<Vec<OrderDocument>>().await
        };
        mongodb::within(found).await?.into_iter().map(OrderDocument::order).collect()
    }
}

fn of_user(user: UserId, states: &[Status]) -> Document {
    let states: Vec<&str> = states.iter().map(|status| status.name()).collect();
    doc! { "user": id(user.0), "status": { "$in": states }, "stage.name": placed() }
}
