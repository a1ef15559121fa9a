//! Giving the lines of an order back into stock, and looking after steps that were left behind.

use std::time::Duration;

use clock::micros;
use futures::TryStreamExt as _;
use mongodb::bson::doc;

use super::{
    MongoStore, contention,
    documents::{OrderDocument, StageName},
    stock::{Changed, Shelves, Step},
};
use crate::app::ports::StoreError;

/// Steps left behind that are looked after at a time.
const BATCH: i64 = 100;
/// After this long a second one gives back too: the order has ended, and stock that is missing helps nobody.
const LATE: Duration = Duration::from_secs(2);

impl MongoStore {
    /// Gives the lines back; `shelves` are what they were before the order entered the step.
    pub(super) async fn give_back(
        &self,
        step: Step,
        items: &[(mongodb::bson::Uuid, i64)],
        mut shelves: Shelves,
    ) -> Result<(), StoreError> {
        for (product, pieces) in items {
            match self.change_stock(step, *product, *pieces, shelves.remove(product)).await? {
                Changed::Done => {}
                Changed::Over => return Ok(()),
                Changed::Short => return Err(contention()),
            }
        }
        let returned = doc! { "_id": step.order, "stage.op": step.op };
        mongodb::within(self.orders.update_one(returned, doc! { "$unset": { "stage": "" } })).await?;
        Ok(())
    }

    /// Finishes the steps of those who seem to be dead: what was to be placed is called off, what was to be given back
    /// is.
    pub(super) async fn tend(&self) -> Result<(), StoreError> {
        let before = |age| micros(self.clock.now() - age);
        let returning = StageName::Returning.name();
        let late = doc! { "stage.at": { "$lte": before(LATE.min(self.abandoned)) }, "stage.name": returning };
        let old = doc! { "stage.at": { "$lte": before(self.abandoned) }, "stage.name": { "$ne": returning } };
        let old = doc! { "$or": [late, old] };
        let found = async { self.orders.find(old).limit(BATCH).await?.try_collect::<Vec<OrderDocument>>().await };
        for order in mongodb::within(found).await? {
            match order.step(StageName::Returning) {
                Some(step) => {
                    let items: Vec<_> = order.items.iter().map(|item| (item.product, item.quantity)).collect();
                    self.give_back(step, &items, Shelves::new()).await?;
                }
                None => self.abort(&order).await?,
            }
        }
        Ok(())
    }
}
