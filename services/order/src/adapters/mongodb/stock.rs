//! Stock, changed exactly once per operation and product, however often and by however many processes it is tried.
//!
//! A product lists the operations (`ops`) that have changed it, so that a second try finds the first. That list has to
//! be pruned, and then a try that was suspended meanwhile must not count again. So a product has an `epoch` that goes
//! up with each pruning, and a try
//!
//! 1. reads the product's epoch,
//! 2. makes sure that the order is in the operation's stage,
//! 3. changes the stock where the epoch is the one it read and the operation is not in the list.
//!
//! An operation is pruned only after its order has left the stage. A try that passed 2 before that has read an epoch
//! from before the pruning, so 3 matches nothing.

use std::{collections::HashMap, time::Duration};

use futures::TryStreamExt as _;
use mongodb::{
    bson::{self, Bson, Document, RawArrayBuf, doc},
    options::ReadConcern,
};
use resilience::Backoff;
use serde::Deserialize;

use super::{MongoStore, contention, documents::StageName};
use crate::app::ports::StoreError;

/// Operations in a product's list before it is pruned: some kilobytes, read and written with each change. It is more than
/// twice the orders of one process that are being placed at once, so that most of them are over by then.
const PRUNE_AT: usize = 256;
/// Tries of one change; another is needed only after somebody else's change of the same product.
const MAX_TRIES: u32 = 64;
/// The pauses between them, so that those that compete drift apart.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(50));

/// What a product has in stock, and what is needed to change it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StockLevel {
    #[serde(rename = "_id")]
    product: bson::Uuid,
    pub(super) available: i64,
    epoch: i64,
    /// As they came: hundreds are read with each order, and hardly ever is one of them wanted.
    #[serde(default)]
    ops: RawArrayBuf,
}

impl StockLevel {
    fn ops(&self) -> impl Iterator<Item = bson::Uuid> {
        let ids = self.ops.into_iter().map(|op| op.ok()?.as_binary()?.bytes.try_into().ok());
        ids.flatten().map(bson::Uuid::from_bytes)
    }
}

/// The stock levels of some products.
pub(super) type StockLevels = HashMap<bson::Uuid, StockLevel>;

/// A change of the stock of all products of an order, and the stage that the order is in meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) order: bson::Uuid,
    pub(super) stage: StageName,
    pub(super) id: bson::Uuid,
}

/// What came of changing one product's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StockChange {
    /// It is applied, now or before.
    Applied,
    /// There is less than should be taken.
    Insufficient,
    /// The order has left the stage: the operation has been completed or aborted.
    StageOver,
}

impl MongoStore {
    /// The stock levels of those products.
    pub(super) async fn stock_levels(&self, products: &[bson::Uuid]) -> Result<StockLevels, StoreError> {
        let all = self.products.clone_with_type::<StockLevel>();
        let fields = doc! { "available": 1, "epoch": 1, "ops": 1 };
        let found = async {
            all.find(doc! { "_id": { "$in": products } }).projection(fields).await?.try_collect::<Vec<_>>().await
        };
        Ok(mongodb::within("find products", found).await?.into_iter().map(|level| (level.product, level)).collect())
    }

    /// Adds pieces to a product for an operation, takes them where `pieces` is negative.
    ///
    /// `read` is the level as it was before the order entered the stage, which is 1 and 2 in one; without it both
    /// are asked for here.
    pub(super) async fn change_stock(
        &self,
        operation: Operation,
        product: bson::Uuid,
        pieces: i64,
        mut read: Option<StockLevel>,
    ) -> Result<StockChange, StoreError> {
        for tried in 0..MAX_TRIES {
            if tried > 0 {
                tokio::time::sleep(PAUSE.delay(tried)).await;
            }
            // Good for the first try only: where that matches nothing, the level has changed.
            let level = match read.take() {
                Some(read) => read,
                None => match self.stock_level_in_stage(operation, product).await? {
                    Ok(level) => level,
                    Err(outcome) => return Ok(outcome),
                },
            };
            if level.ops().any(|op| op == operation.id) {
                return Ok(StockChange::Applied);
            }
            if level.available + pieces < 0 {
                return Ok(StockChange::Insufficient);
            }
            let _turn = self.gates.turn(product).await?;
            let mut filter = doc! { "_id": product, "epoch": level.epoch, "ops": { "$ne": operation.id } };
            if pieces < 0 {
                // Others may have taken some since the level was read: it is the update that keeps stock above zero.
                filter.insert("available", doc! { "$gte": -pieces });
            }
            let change = doc! { "$inc": { "available": pieces }, "$push": { "ops": operation.id } };
            if mongodb::within("update products", self.products.update_one(filter, change)).await?.matched_count == 1 {
                if level.ops().count() >= PRUNE_AT {
                    self.prune(&level).await;
                }
                return Ok(StockChange::Applied);
            }
            // Pruned, undone, applied by another process, or sold out meanwhile: the next try sees which.
        }
        Err(contention())
    }

    /// The stock level, read before the order was seen to be in the stage. The other way round the operation could be
    /// completed and pruned between the two reads, and the new epoch would let it be applied again.
    async fn stock_level_in_stage(
        &self,
        operation: Operation,
        product: bson::Uuid,
    ) -> Result<Result<StockLevel, StockChange>, StoreError> {
        let Some(level) = self.stock_levels(&[product]).await?.remove(&product) else {
            return Ok(Err(StockChange::Insufficient));
        };
        Ok(if self.is_in_stage(operation).await? { Ok(level) } else { Err(StockChange::StageOver) })
    }

    /// Whether the order is in the operation's stage.
    ///
    /// The read is linearizable. What a majority has not got yet may be rolled back, and what a deposed primary still
    /// believes may be over; either would let stock be changed for an operation that is not there.
    pub(super) async fn is_in_stage(&self, operation: Operation) -> Result<bool, StoreError> {
        let orders = self.orders.clone_with_type::<Document>();
        let filter = doc! { "_id": operation.order, "stage.op": operation.id, "stage.name": operation.stage.name() };
        let found = orders.find_one(filter).projection(doc! { "_id": 1 }).read_concern(ReadConcern::linearizable());
        Ok(mongodb::within("find orders", found).await?.is_some())
    }

    /// Undoes an operation on a product, whether it was applied or not, and makes sure that it never is again.
    ///
    /// The order is in the stage `aborting` by now. A try that began before finds another epoch; one that begins later
    /// finds the order in another stage.
    pub(super) async fn undo(&self, operation: Operation, product: bson::Uuid, pieces: i64) -> Result<(), StoreError> {
        for tried in 0..MAX_TRIES {
            if tried > 0 {
                tokio::time::sleep(PAUSE.delay(tried)).await;
            }
            let _turn = self.gates.turn(product).await?;
            // Applied: taken back once, since the same update removes it from the list.
            let applied = doc! { "_id": product, "ops": operation.id };
            let undo = doc! { "$inc": { "available": -pieces, "epoch": 1_i64 }, "$pull": { "ops": operation.id } };
            if mongodb::within("update products", self.products.update_one(applied, undo)).await?.matched_count == 1 {
                return Ok(());
            }
            // Not applied, or undone before: the new epoch fences off a try that is suspended right before its update.
            let not_applied = doc! { "_id": product, "ops": { "$ne": operation.id } };
            let fence = doc! { "$inc": { "epoch": 1_i64 } };
            if mongodb::within("update products", self.products.update_one(not_applied, fence)).await?.matched_count
                == 1
            {
                return Ok(());
            }
            if !self.stock_levels(&[product]).await?.contains_key(&product) {
                return Ok(());
            }
            // Applied between the two updates: the next round undoes it.
        }
        Err(contention())
    }

    /// Removes operations that are over from a product's list, unless somebody has done so since `level` was read: each
    /// pruning makes all who read an earlier epoch try again. What fails here is done after the next change.
    async fn prune(&self, level: &StockLevel) {
        let prune = async {
            let orders = self.orders.clone_with_type::<Document>();
            // A majority had the order in its stage before the product had the operation: an operation that no order
            // names is over, and not one that has not begun.
            let ops: Vec<bson::Uuid> = level.ops().collect();
            let filter = doc! { "stage.op": { "$in": &ops } };
            let found =
                async { orders.find(filter).projection(doc! { "stage.op": 1 }).await?.try_collect::<Vec<_>>().await };
            let open: Vec<Document> = mongodb::within("find orders", found).await?;
            let open: Vec<&Bson> =
                open.iter().filter_map(|order| order.get_document("stage").ok()?.get("op")).collect();
            let over: Vec<Bson> = ops.iter().map(|op| Bson::from(*op)).filter(|op| !open.contains(&op)).collect();
            // For the few it is not worth it.
            if over.len() * 2 < ops.len() {
                return Ok(());
            }
            let unpruned = doc! { "_id": level.product, "epoch": level.epoch };
            let update = doc! { "$pull": { "ops": { "$in": over } }, "$inc": { "epoch": 1_i64 } };
            mongodb::within("update products", self.products.update_one(unpruned, update)).await.map(drop)
        };
        let pruned: Result<(), mongodb::Error> = prune.await;
        if let Err(error) = pruned {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(product.id = %level.product, error, "cannot prune a product's list of operations");
        }
    }
}
