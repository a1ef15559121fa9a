//! The audit on MongoDB. Without transactions there is no snapshot of all documents: stock that does not add up is
//! checked again, and reported if it stays the same.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use messaging::Outbox as _;
use mongodb::bson::{self, Bson, Document, RawDocumentBuf, doc};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    MongoStore,
    documents::{self, OrderDocument, StageName, count, not_hidden},
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

/// How much there is of something.
#[derive(Deserialize)]
struct Counted {
    #[serde(rename = "_id")]
    of: Bson,
    n: Bson,
}

/// The stock of a product as it is stored.
struct StockCount {
    id: bson::Uuid,
    available: i64,
    expected: i64,
    ops: Vec<bson::Uuid>,
}

impl StockCount {
    /// What is no number counts as none of them: the audit names what does not add up then.
    fn read(product: &Document) -> Option<Self> {
        let number = |field| product.get(field).and_then(whole).unwrap_or_default();
        let ops = product.get_array("ops").map(|ops| ops.iter().filter_map(stored_id).collect()).unwrap_or_default();
        Some(Self {
            id: stored_id(product.get("_id")?)?,
            available: number("available"),
            expected: number("stocked").saturating_add(number("restocked")),
            ops,
        })
    }
}

/// An order as it is stored: what cannot be read of it is left out, which agrees with nobody else.
fn audited(order: &Document) -> Option<AuditedOrder> {
    let line = |line: &Bson| {
        let line = line.as_document()?;
        whole(line.get("quantity")?)?.checked_mul(whole(line.get("price")?)?)
    };
    let lines = order.get_array("items").ok();
    let payment = order.get_document("payment").ok();
    let status = name(order.get("status"));
    Some(AuditedOrder {
        id: OrderId(uuid(stored_id(order.get("_id")?)?)),
        user: order.get("user").and_then(stored_id).map_or(UserId(Uuid::nil()), |user| UserId(uuid(user))),
        payment: payment.and_then(|payment| {
            Some((uuid(stored_id(payment.get("id")?)?), payment.get_str("status").ok()?.to_owned()))
        }),
        total: Sum {
            amount: order.get("total").and_then(whole).unwrap_or_default(),
            currency: order.get_str("currency").unwrap_or_default().to_owned(),
        },
        lines: lines.and_then(|lines| lines.iter().try_fold(0, |sum: i64, item| sum.checked_add(line(item)?))),
        confirmed: confirmed(&status, order.get_bool("was_confirmed").ok()),
        status,
    })
}

fn stored_id(value: &Bson) -> Option<bson::Uuid> {
    let Bson::Binary(binary) = value else { return None };
    binary.to_uuid().ok()
}

/// A whole number, whatever type it has.
fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        // Written by hand, in a shell.
        Bson::Double(n) if n.fract() == 0.0 && n.abs() < 2_f64.powi(53) =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
            Some(*n as i64)
        }
        _ => None,
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
        // Ids that are none of ours compare with none: they are in no page.
        let after = after.map_or(Uuid::nil(), |after| after.0);
        let filter = doc! { "stage.name": not_hidden(), "_id": { "$gt": id(after) } };
        let fields =
            doc! { "user": 1, "status": 1, "payment": 1, "total": 1, "currency": 1, "was_confirmed": 1, "items": 1 };
        let orders = self.orders.clone_with_type::<Document>();
        let found = async {
            let found = orders.find(filter).sort(doc! { "_id": 1 }).limit(i64::from(limit)).projection(fields);
            found.await?.try_collect::<Vec<_>>().await
        };
        let found = mongodb::within("find orders", found).await?;
        Ok(found.iter().filter_map(audited).collect())
    }

    /// Reads along the index of users, no further than it has to.
    async fn customers(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedCustomer>, StoreError> {
        let after = after.map_or(Uuid::nil(), |after| after.0);
        let filter = doc! { "stage.name": not_hidden(), "user": { "$gt": id(after) } };
        let fields = doc! { "user": 1, "status": 1, "was_confirmed": 1 };
        let orders = self.orders.clone_with_type::<Document>();
        let found = orders.find(filter).sort(doc! { "user": 1 }).projection(fields);
        let mut found = mongodb::within("find orders", found).await?;
        let mut customers: Vec<AuditedCustomer> = Vec::new();
        while let Some(order) = mongodb::limited(found.try_next()).await? {
            let Some(user) = order.get("user").and_then(stored_id) else { continue };
            let user = UserId(uuid(user));
            if customers.last().is_none_or(|last| last.user != user) {
                if customers.len() == limit as usize {
                    break;
                }
                customers.push(AuditedCustomer::new(user));
            }
            if let Some(customer) = customers.last_mut() {
                customer.count(&name(order.get("status")), order.get_bool("was_confirmed").ok(), 1);
            }
        }
        Ok(customers)
    }
}

impl MongoStore {
    async fn by_status(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let of_status = doc! { "$group": { "_id": "$status", "n": { "$sum": 1_i64 } } };
        let sums: Vec<Counted> =
            self.aggregate(vec![doc! { "$match": { "stage.name": not_hidden() } }, of_status]).await?;
        Ok(sums.iter().map(|sum| (name(Some(&sum.of)), count(whole(&sum.n).unwrap_or_default()))).collect())
    }

    async fn sums(&self, mut orders: Document) -> Result<Vec<Sum>, StoreError> {
        orders.insert("stage.name", not_hidden());
        let by_currency = doc! { "$group": { "_id": "$currency", "n": { "$sum": "$total" } } };
        let sums: Vec<Counted> =
            self.aggregate(vec![doc! { "$match": orders }, by_currency, doc! { "$sort": { "_id": 1 } }]).await?;
        let sum = |Counted { of, n }: &Counted| Sum { amount: whole(n).unwrap_or_default(), currency: name(Some(of)) };
        Ok(sums.iter().map(sum).collect())
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
            let orders = self.orders.clone_with_type::<RawDocumentBuf>();
            orders.find(doc! { "stage": { "$exists": true } }).await?.try_collect::<Vec<_>>().await
        };
        let in_stage = mongodb::within("find orders", in_stage).await?;
        // Of one that cannot be read the stock that it has taken does not add up, and is named.
        let in_stage: Vec<OrderDocument> = in_stage.iter().filter_map(|order| documents::read(order).ok()).collect();
        let held = self.held().await?;
        let fields = doc! { "available": 1, "stocked": 1, "restocked": 1, "ops": 1 };
        let products = self.products.clone_with_type::<Document>();
        let mut products = mongodb::within("find products", products.find(doc! {}).projection(fields)).await?;
        let mut violations = Vec::new();
        while let Some(product) = mongodb::limited(products.try_next()).await? {
            let Some(product) = StockCount::read(&product) else { continue };
            let in_transit: i64 = in_stage.iter().map(|order| in_transit(order, &product)).sum();
            let held = held.get(&product.id).copied().unwrap_or_default();
            let expected = product.expected - held - in_transit;
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
        let sums: Vec<Counted> = self
            .aggregate(vec![
                doc! { "$match": { "status": { "$in": holding }, "stage.name": not_hidden() } },
                doc! { "$unwind": "$items" },
                doc! { "$group": { "_id": "$items.product", "n": { "$sum": "$items.quantity" } } },
            ])
            .await?;
        Ok(sums.iter().filter_map(|sum| Some((stored_id(&sum.of)?, whole(&sum.n)?))).collect())
    }
}

/// The name of a status or a currency, whatever is stored for one.
fn name(stored: Option<&Bson>) -> String {
    let stored = stored.unwrap_or(&Bson::Null);
    stored.as_str().map_or_else(|| stored.to_string(), str::to_owned)
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
