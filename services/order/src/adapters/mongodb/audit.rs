//! The audit on MongoDB. Without transactions there is no snapshot of all documents: stock that does not add up is
//! checked again, and reported if it stays the same.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use messaging::Outbox as _;
use money::{Currency, Money};
use mongodb::bson::{self, Document, doc};
use serde::Deserialize;

use super::{
    MongoStore, corrupt,
    documents::{OrderDocument, StageName, count, not_hidden},
    outbox, uuid,
};
use crate::{
    app::ports::{Audit, StockViolation, StoreError, Totals},
    domain::{
        ids::ProductId,
        status::{PaymentStatus, Status},
    },
};

/// How often stock that does not add up is checked, and the pause between two checks.
const CHECKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);
/// The most violations that are reported.
const MAX_VIOLATIONS: usize = 100;

#[derive(Deserialize)]
struct Sum<K> {
    #[serde(rename = "_id")]
    of: K,
    n: i64,
}

#[derive(Deserialize)]
struct StockCount {
    #[serde(rename = "_id")]
    id: bson::Uuid,
    available: i64,
    stocked: i64,
    restocked: i64,
    #[serde(default)]
    ops: Vec<bson::Uuid>,
}

#[async_trait]
impl Audit for MongoStore {
    async fn totals(&self) -> Result<Totals, StoreError> {
        let paid = |status: &[PaymentStatus]| {
            let names: Vec<&str> = status.iter().map(|status| status.name()).collect();
            doc! { "payment.status": { "$in": names } }
        };
        let depth = outbox(&self.database, self.clock.clone()).depth().await;
        let depth = depth.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Totals {
            orders: self.by_status().await?,
            held: self.sums(doc! { "status": Status::Confirmed.name() }).await?,
            captured: self.sums(paid(&[PaymentStatus::Captured, PaymentStatus::Refunded])).await?,
            refunded: self.sums(paid(&[PaymentStatus::Refunded])).await?,
            products: mongodb::within("aggregate products", self.products.count_documents(doc! {})).await?,
            violations: self.persistent_violations().await?,
            outbox: depth.count + depth.dead,
        })
    }
}

impl MongoStore {
    async fn by_status(&self) -> Result<Vec<(Status, u64)>, StoreError> {
        let of_status = doc! { "$group": { "_id": "$status", "n": { "$sum": 1_i64 } } };
        let sums: Vec<Sum<String>> =
            self.aggregate(vec![doc! { "$match": { "stage.name": not_hidden() } }, of_status]).await?;
        let parse = |sum: Sum<String>| Ok((Status::named(&sum.of).ok_or(corrupt("status"))?, count(sum.n)));
        sums.into_iter().map(parse).collect()
    }

    async fn sums(&self, mut orders: Document) -> Result<Vec<Money>, StoreError> {
        orders.insert("stage.name", not_hidden());
        let by_currency = doc! { "$group": { "_id": "$currency", "n": { "$sum": "$total" } } };
        let sums: Vec<Sum<String>> =
            self.aggregate(vec![doc! { "$match": orders }, by_currency, doc! { "$sort": { "_id": 1 } }]).await?;
        let parse =
            |sum: Sum<String>| Ok(Money::new(sum.n, Currency::parse(&sum.of).map_err(|_| corrupt("currency"))?));
        sums.into_iter().map(parse).collect()
    }

    /// Violations that stay the same from one check to the next.
    async fn persistent_violations(&self) -> Result<Vec<StockViolation>, StoreError> {
        let mut found = self.violations().await?;
        for _ in 1..CHECKS {
            if found.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            let now = self.violations().await?;
            found.retain(|violation| now.contains(violation));
        }
        found.truncate(MAX_VIOLATIONS);
        Ok(found)
    }

    /// Products whose stock is not what creation, restocking and orders say.
    async fn violations(&self) -> Result<Vec<StockViolation>, StoreError> {
        // Before the products: an operation that begins in between looks like a violation once, and is checked again.
        let in_stage = async {
            self.orders.find(doc! { "stage": { "$exists": true } }).await?.try_collect::<Vec<OrderDocument>>().await
        };
        let in_stage = mongodb::within("find orders", in_stage).await?;
        let held = self.held().await?;
        let fields = doc! { "available": 1, "stocked": 1, "restocked": 1, "ops": 1 };
        let products = self.products.clone_with_type::<StockCount>();
        let mut products = mongodb::within("find products", products.find(doc! {}).projection(fields)).await?;
        let mut violations = Vec::new();
        while let Some(product) = mongodb::limited(products.try_next()).await? {
            let in_transit: i64 = in_stage.iter().map(|order| in_transit(order, &product)).sum();
            let held = held.get(&product.id).copied().unwrap_or_default();
            let expected = product.stocked + product.restocked - held - in_transit;
            if product.available != expected || product.available < 0 {
                let (id, available) = (ProductId(uuid(product.id)), product.available);
                violations.push(StockViolation { product: id, available, expected });
            }
        }
        Ok(violations)
    }

    /// Pieces that orders hold, by product.
    async fn held(&self) -> Result<HashMap<bson::Uuid, i64>, StoreError> {
        let holding: Vec<&str> =
            Status::ALL.into_iter().filter(|status| status.holds_stock()).map(Status::name).collect();
        let sums: Vec<Sum<bson::Uuid>> = self
            .aggregate(vec![
                doc! { "$match": { "status": { "$in": holding }, "stage.name": not_hidden() } },
                doc! { "$unwind": "$items" },
                doc! { "$group": { "_id": "$items.product", "n": { "$sum": "$items.quantity" } } },
            ])
            .await?;
        Ok(sums.into_iter().map(|sum| (sum.of, sum.n)).collect())
    }
}

/// Pieces that an order in a stage has taken, and that its status does not say it holds.
fn in_transit(order: &OrderDocument, product: &StockCount) -> i64 {
    let Some(stage) = order.stage else { return 0 };
    let applied = product.ops.contains(&stage.op);
    // Taken by an order that is not placed yet, or not yet released by one that has ended.
    if applied == (stage.name == StageName::Returning) {
        return 0;
    }
    order.items.iter().filter(|item| item.product == product.id).map(|item| item.quantity).sum()
}
