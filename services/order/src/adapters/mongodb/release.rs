//! Releasing the stock of an order that has ended, and recovering operations whose process seems to be dead.

use std::time::Duration;

use clock::micros;
use futures::TryStreamExt as _;
use mongodb::bson::{self, Document, doc};

use super::{
    MongoStore, contention,
    documents::{OrderDocument, StageName},
    stock::{Operation, StockChange, StockLevels},
};
use crate::app::ports::StoreError;

/// Operations that are recovered at a time.
const BATCH: i64 = 100;
/// After this long another process releases the stock too: the order has ended, so this cannot be wrong, and stock
/// that is missing helps nobody.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

impl MongoStore {
    /// Releases the lines; `levels` are the stock levels from before the order entered the stage.
    pub(super) async fn release_stock(
        &self,
        operation: Operation,
        items: &[(bson::Uuid, i64)],
        mut levels: StockLevels,
    ) -> Result<(), StoreError> {
        for (product, pieces) in items {
            match self.change_stock(operation, *product, *pieces, levels.remove(product)).await? {
                StockChange::Applied => {}
                // Another process has released all of it.
                StockChange::StageOver => return Ok(()),
                // More is never too much; only a product that is not there cannot take it.
                StockChange::Insufficient => return Err(contention()),
            }
        }
        // Last: until all is released, the stage tells the sweeper what is left. By the operation's id, since the order
        // may have changed otherwise.
        let released = doc! { "_id": operation.order, "stage.op": operation.id };
        mongodb::within("update orders", self.orders.update_one(released, doc! { "$unset": { "stage": "" } })).await?;
        Ok(())
    }

    /// Carries on the operations of those who seem to be dead: an order that was being placed is aborted, stock that
    /// was being released is released. If they are not dead, no harm is done.
    pub(super) async fn recover(&self) -> Result<(), StoreError> {
        let now = self.read_server_time().await?;
        let before = |age| micros(now - age);
        let returning = StageName::Returning.name();
        let release_timeout = RELEASE_TIMEOUT.min(self.stage_timeout);
        let releasing = doc! { "stage.at": { "$lte": before(release_timeout) }, "stage.name": returning };
        let placing = doc! { "stage.at": { "$lte": before(self.stage_timeout) }, "stage.name": { "$ne": returning } };
        // Begun in the future: while the server's clock was wrong.
        let astray = doc! { "stage.at": { "$gt": micros(now + clock::HORIZON) } };
        let old = doc! { "$or": [releasing, placing, astray] };
        let orders = self.orders.clone_with_type::<Document>();
        let found = async { orders.find(old).limit(BATCH).await?.try_collect::<Vec<Document>>().await };
        for stored in mongodb::within("find orders", found).await? {
            let id = stored.get("_id").map(ToString::to_string).unwrap_or_default();
            // One that cannot be read or recovered holds up no other.
            let recovered = match bson::deserialize_from_document(stored) {
                Ok(order) => self.recover_order(&order).await,
                Err(error) => Err(StoreError::Failed(error.into())),
            };
            if let Err(error) = recovered {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(order.id = id, error, "cannot complete or abort an operation in progress");
            }
        }
        Ok(())
    }

    async fn recover_order(&self, order: &OrderDocument) -> Result<(), StoreError> {
        let Some(operation) = order.operation(StageName::Returning) else {
            // Aborted rather than completed: whoever wanted it has had an error or is gone, and may retry.
            return self.abort(order).await;
        };
        let items: Vec<_> = order.items.iter().map(|item| (item.product, item.quantity)).collect();
        // No levels: the order has been in the stage for long, so each is read before the stage is checked.
        self.release_stock(operation, &items, StockLevels::new()).await
    }
}
