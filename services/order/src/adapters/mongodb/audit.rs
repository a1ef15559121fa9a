//! The audit on MongoDB. Without transactions there is no snapshot of all documents: stock that does not add up is
//! checked again, and reported if it stays the same.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use messaging::Outbox as _;
use mongodb::bson::{self, Bson, Document, doc};
use serde::Deserialize;

use super::{
    MongoStore,
    documents::{OrderDocument, StageName, count, not_hidden},
    id, outbox, uuid,
};
use crate::{
    app::ports::{Audit, AuditedCustomer, AuditedOrder, StockViolation, StoreError, Sum, Totals, confirmed},
    domain::{
        ids::{OrderId, ProductId, UserId},
        status::{PaymentStatus, Status},
    },
};

/// How often stock that does not add up is checked, and the pause between two checks.
const CHECKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);
/// The most violations that are reported.
const MAX_VIOLATIONS: usize = 100;

#[derive(Deserialize)]
struct Counted<K> {
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

/// What the audit reads of an order, whatever else is in it.
#[derive(Deserialize)]
struct AuditedDocument {
    #[serde(rename = "_id")]
    id: bson::Uuid,
    user: bson::Uuid,
    #[serde(default)]
    status: Bson,
    payment: Option<AuditedPayment>,
    #[serde(default)]
    total: i64,
    #[serde(default)]
    currency: String,
    was_confirmed: Option<bool>,
    #[serde(default)]
    items: Vec<Line>,
}

#[derive(Deserialize)]
struct AuditedPayment {
    id: bson::Uuid,
    status: String,
}

#[derive(Deserialize)]
struct Line {
    quantity: i64,
    price: i64,
}

impl AuditedDocument {
    fn order(self) -> AuditedOrder {
        let sum = |sum: i64, line: &Line| sum.checked_add(line.quantity.checked_mul(line.price)?);
        let status = name(&self.status);
        AuditedOrder {
            id: OrderId(uuid(self.id)),
            user: UserId(uuid(self.user)),
            payment: self.payment.map(|payment| (uuid(payment.id), payment.status)),
            total: Sum { amount: self.total, currency: self.currency },
            lines: self.items.iter().try_fold(0, sum),
            confirmed: confirmed(&status, self.was_confirmed),
            status,
        }
    }
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

    async fn orders(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<AuditedOrder>, StoreError> {
        let mut filter = doc! { "stage.name": not_hidden() };
        if let Some(after) = after {
            filter.insert("_id", doc! { "$gt": id(after.0) });
        }
        let fields =
            doc! { "user": 1, "status": 1, "payment": 1, "total": 1, "currency": 1, "was_confirmed": 1, "items": 1 };
        let orders = self.orders.clone_with_type::<AuditedDocument>();
        let found = async {
            let found = orders.find(filter).sort(doc! { "_id": 1 }).limit(i64::from(limit)).projection(fields);
            found.await?.try_collect::<Vec<_>>().await
        };
        let found = mongodb::within("find orders", found).await?;
        Ok(found.into_iter().map(AuditedDocument::order).collect())
    }

    /// Reads along the index of users, no further than it has to.
    async fn customers(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedCustomer>, StoreError> {
        let mut filter = doc! { "stage.name": not_hidden() };
        if let Some(after) = after {
            filter.insert("user", doc! { "$gt": id(after.0) });
        }
        let fields = doc! { "user": 1, "status": 1, "was_confirmed": 1 };
        let orders = self.orders.clone_with_type::<AuditedDocument>();
        let found = orders.find(filter).sort(doc! { "user": 1 }).projection(fields);
        let mut found = mongodb::within("find orders", found).await?;
        let mut customers: Vec<AuditedCustomer> = Vec::new();
        while let Some(order) = mongodb::limited(found.try_next()).await? {
            let user = UserId(uuid(order.user));
            if customers.last().is_none_or(|last| last.user != user) {
                if customers.len() == limit as usize {
                    break;
                }
                customers.push(AuditedCustomer::new(user));
            }
            if let Some(customer) = customers.last_mut() {
                customer.count(&name(&order.status), order.was_confirmed, 1);
            }
        }
        Ok(customers)
    }
}

impl MongoStore {
    async fn by_status(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let of_status = doc! { "$group": { "_id": "$status", "n": { "$sum": 1_i64 } } };
        let sums: Vec<Counted<Bson>> =
            self.aggregate(vec![doc! { "$match": { "stage.name": not_hidden() } }, of_status]).await?;
        Ok(sums.into_iter().map(|sum| (name(&sum.of), count(sum.n))).collect())
    }

    async fn sums(&self, mut orders: Document) -> Result<Vec<Sum>, StoreError> {
        orders.insert("stage.name", not_hidden());
        let by_currency = doc! { "$group": { "_id": "$currency", "n": { "$sum": "$total" } } };
        let sums: Vec<Counted<String>> =
            self.aggregate(vec![doc! { "$match": orders }, by_currency, doc! { "$sort": { "_id": 1 } }]).await?;
        Ok(sums.into_iter().map(|sum| Sum { amount: sum.n, currency: sum.of }).collect())
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
        let sums: Vec<Counted<bson::Uuid>> = self
            .aggregate(vec![
                doc! { "$match": { "status": { "$in": holding }, "stage.name": not_hidden() } },
                doc! { "$unwind": "$items" },
                doc! { "$group": { "_id": "$items.product", "n": { "$sum": "$items.quantity" } } },
            ])
            .await?;
        Ok(sums.into_iter().map(|sum| (sum.of, sum.n)).collect())
    }
}

/// The name of a status, whatever is stored for one.
fn name(status: &Bson) -> String {
    status.as_str().map_or_else(|| status.to_string(), str::to_owned)
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
