//! Stock, changed exactly once per step and line, however often it is tried and whoever tries it.
//!
//! A product keeps the steps (`ops`) that have changed it, so that a second try finds the first. That list has to be
//! shortened, and then a try that slept meanwhile must not count again. So a product has an `epoch` that goes up with
//! each shortening, and a try
//!
//! 1. reads the product's epoch,
//! 2. makes sure that the order still is in that step,
//! 3. changes the stock where epoch is what it was and the step is not in the list.
//!
//! A step is taken from the list only after its order has left it. A try that passed 2 before that read an epoch from
//! before the shortening, so 3 does nothing.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use mongodb::{
    bson::{self, Bson, Document, doc},
    options::ReadConcern,
};
use serde::Deserialize;

use super::{MongoStore, contention, documents::StageName};
use crate::app::ports::StoreError;

/// Steps in a product's list before it is shortened: some kilobytes, read and written with each change.
const LISTED: usize = 64;
/// Tries of one change; another comes only after somebody else's change of the same product.
const TRIES: usize = 64;

/// What a product has in stock.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Shelf {
    #[serde(rename = "_id")]
    product: bson::Uuid,
    pub(super) available: i64,
    epoch: i64,
    #[serde(default)]
    ops: Vec<bson::Uuid>,
}

/// The shelves of some products.
pub(super) type Shelves = HashMap<bson::Uuid, Shelf>;

/// A step of an order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) order: bson::Uuid,
    pub(super) name: StageName,
    pub(super) op: bson::Uuid,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// It is done, now or before.
    Done,
    /// There is less than should be taken.
    Short,
    /// The order is not in that step any longer.
    Over,
}

impl MongoStore {
    /// The shelves of those products.
    pub(super) async fn shelves(&self, products: &[bson::Uuid]) -> Result<Shelves, StoreError> {
        let all = self.products.clone_with_type::<Shelf>();
        let fields = doc! { "available": 1, "epoch": 1, "ops": 1 };
        let found = async {
            all.find(doc! { "_id": { "$in": products } }).projection(fields).await?.try_collect::<Vec<_>>().await
        };
        Ok(mongodb::within(found).await?.into_iter().map(|shelf| (shelf.product, shelf)).collect())
    }

    /// Adds pieces to a product for a step, takes them where `pieces` is negative.
    ///
    /// `read` is what was on the shelf before the order was known to be in the step; without it both are looked up.
    pub(super) async fn change_stock(
        &self,
        step: Step,
        product: bson::Uuid,
        pieces: i64,
        mut read: Option<Shelf>,
    ) -> Result<Changed, StoreError> {
        for _ in 0..TRIES {
            let known = match read.take() {
                Some(read) => read,
                None => match self.shelf_of(step, product).await? {
                    Ok(found) => found,
                    Err(changed) => return Ok(changed),
                },
            };
            if known.ops.contains(&step.op) {
                return Ok(Changed::Done);
            }
            if known.available + pieces < 0 {
                return Ok(Changed::Short);
            }
            let mut filter = doc! { "_id": product, "epoch": known.epoch, "ops": { "$ne": step.op } };
            if pieces < 0 {
                filter.insert("available", doc! { "$gte": -pieces });
            }
            let change = doc! { "$inc": { "available": pieces }, "$push": { "ops": step.op } };
            if mongodb::within(self.products.update_one(filter, change)).await?.matched_count == 1 {
                if known.ops.len() >= LISTED {
                    self.shorten(&known).await;
                }
                return Ok(Changed::Done);
            }
        }
        Err(contention())
    }

    /// The shelf, read before the order was seen to be in the step.
    async fn shelf_of(&self, step: Step, product: bson::Uuid) -> Result<Result<Shelf, Changed>, StoreError> {
        let Some(found) = self.shelves(&[product]).await?.remove(&product) else {
            return Ok(Err(Changed::Short));
        };
        Ok(if self.is_in(step).await? { Ok(found) } else { Err(Changed::Over) })
    }

    /// Whether the order is in that step: neither something that a majority might lose, nor something that was.
    pub(super) async fn is_in(&self, step: Step) -> Result<bool, StoreError> {
        let orders = self.orders.clone_with_type::<Document>();
        let there = orders
            .find_one(doc! { "_id": step.order, "stage.op": step.op, "stage.name": step.name.name() })
            .projection(doc! { "_id": 1 })
            .read_concern(ReadConcern::linearizable());
        Ok(mongodb::within(there).await?.is_some())
    }

    /// Undoes a change, done or not: whoever sleeps before doing it finds another epoch.
    pub(super) async fn undo(&self, step: Step, product: bson::Uuid, pieces: i64) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let done = doc! { "_id": product, "ops": step.op };
            let undo = doc! { "$inc": { "available": -pieces, "epoch": 1_i64 }, "$pull": { "ops": step.op } };
            if mongodb::within(self.products.update_one(done, undo)).await?.matched_count == 1 {
                return Ok(());
            }
            let never = doc! { "_id": product, "ops": { "$ne": step.op } };
            let fence = doc! { "$inc": { "epoch": 1_i64 } };
            if mongodb::within(self.products.update_one(never, fence)).await?.matched_count == 1 {
                return Ok(());
            }
            if !self.shelves(&[product]).await?.contains_key(&product) {
                return Ok(());
            }
        }
        Err(contention())
    }

    /// Takes the steps that are over from a product's list. What fails here is done by the next change.
    async fn shorten(&self, known: &Shelf) {
        let shorten = async {
            let orders = self.orders.clone_with_type::<Document>();
            let under_way = doc! { "stage.op": { "$in": &known.ops } };
            let found = async {
                orders.find(under_way).projection(doc! { "stage.op": 1 }).await?.try_collect::<Vec<_>>().await
            };
            let open: Vec<Document> = mongodb::within(found).await?;
            let open: Vec<&Bson> =
                open.iter().filter_map(|order| order.get_document("stage").ok()?.get("op")).collect();
            let over: Vec<Bson> = known.ops.iter().map(|op| Bson::from(*op)).filter(|op| !open.contains(&op)).collect();
            if over.is_empty() {
                return Ok(());
            }
            let update = doc! { "$pull": { "ops": { "$in": over } }, "$inc": { "epoch": 1_i64 } };
            mongodb::within(self.products.update_one(doc! { "_id": known.product }, update)).await.map(drop)
        };
        let shortened: Result<(), mongodb::Error> = shorten.await;
        if let Err(error) = shortened {
            tracing::debug!(error = &error as &dyn std::error::Error, "a product's list of steps stays long");
        }
    }
}
