//! Orders and products as documents.
//!
//! Ids are binary uuids, times microseconds since 1970 (BSON's own date knows milliseconds), money minor units.
//! What an order has for the relay (`outbox`, `waiting`, …) is described in [`mongodb::Outbox`].

use clock::{from_micros, micros};
use messaging::Event;
use money::{Currency, Money};
use mongodb::bson::{self, Binary, Bson, Document, RawDocument, doc, spec::BinarySubtype};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{corrupt, id, uuid};
use crate::{
    app::ports::{After, Row, StoreError, Unreadable},
    domain::{
        basket::Item,
        ids::{OrderId, ProductId, UserId},
        order::{Order, Origin, Payment, Schedule, State},
        product::Product,
        status::{PaymentStatus, Reason, Status},
        values::{Description, Name, PaymentToken, Price, Quantity, Sku},
    },
};

/// An order. What is `None` is left out, so that sparse indexes hold only orders that have the field.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OrderDocument {
    #[serde(rename = "_id")]
    pub(super) id: bson::Uuid,
    pub(super) user: bson::Uuid,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was_confirmed: Option<bool>,
    pub(super) items: Vec<ItemDocument>,
    total: i64,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentDocument>,
    /// Until payment has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// SHA-256 of the body it was placed with.
    digest: Binary,
    /// The context of the request it was placed by.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    canary: bool,
    version: i64,
    /// When the sweeper has to advance it.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<i64>,
    attempts: i64,
    pub(super) created_at: i64,
    updated_at: i64,
    /// The operation over several documents that is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<Stage>,
}

/// A line of an order; no two have the same product.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ItemDocument {
    pub(super) product: bson::Uuid,
    name: String,
    pub(super) quantity: i64,
    price: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PaymentDocument {
    id: bson::Uuid,
    status: String,
}

/// The stage of an operation over several documents.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Stage {
    pub(super) name: StageName,
    /// The operation's id, which the products list; drawn anew for each.
    pub(super) op: bson::Uuid,
    /// When the operation began, by the server's clock.
    pub(super) at: i64,
}

/// What the operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StageName {
    /// The order is not placed yet and not visible; its lines are being taken from stock.
    Reserving,
    /// It will not be placed; what was taken is being released, then the document is deleted.
    Aborting,
    /// It has ended; its lines are being released.
    Returning,
}

impl StageName {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reserving => "reserving",
            Self::Aborting => "aborting",
            Self::Returning => "returning",
        }
    }

    pub(super) fn is_hidden(self) -> bool {
        self != Self::Returning
    }
}

/// The condition on `stage.name` that an order has been placed.
pub(super) fn not_hidden() -> Document {
    doc! { "$nin": [StageName::Reserving.name(), StageName::Aborting.name()] }
}

impl OrderDocument {
    /// An order that is about to be placed.
    pub(super) fn reserving(order: &Order, op: bson::Uuid, now: OffsetDateTime) -> Self {
        let items = order.items.iter().map(|item| ItemDocument {
            product: id(item.product.0),
            name: item.name.as_str().to_owned(),
            quantity: item.quantity.pieces(),
            price: item.unit_price.amount,
        });
        Self {
            id: id(order.id.0),
            user: id(order.user.0),
            status: order.status.name().to_owned(),
            reason: order.reason.map(|reason| reason.name().to_owned()),
            was_confirmed: order.was_confirmed,
            items: items.collect(),
            total: order.total.amount,
            currency: order.total.currency.code().to_owned(),
            payment: order.payment.map(PaymentDocument::from),
            token: order.token.as_ref().map(|token| token.expose().to_owned()),
            digest: binary(&order.digest),
            traceparent: order.origin.traceparent.clone(),
            tracestate: order.origin.tracestate.clone(),
            canary: order.origin.canary,
            version: number(order.version),
            due_at: order.schedule.map(|schedule| micros(schedule.due_at)),
            attempts: order.schedule.map_or(0, |schedule| i64::from(schedule.attempts)),
            created_at: micros(order.created_at),
            updated_at: micros(order.updated_at),
            stage: Some(Stage { name: StageName::Reserving, op, at: micros(now) }),
        }
    }

    /// The same as BSON, with the events that are published once it is placed.
    pub(super) fn with_events(&self, events: &[Event]) -> Result<Document, StoreError> {
        let mut document = bson::serialize_to_document(self).map_err(|error| StoreError::Failed(error.into()))?;
        let entries = mongodb::entries(events).map_err(|error| StoreError::Failed(error.into()))?;
        document.insert("outbox", entries);
        Ok(document)
    }

    pub(super) fn is_placed(&self) -> bool {
        self.stage.is_none_or(|stage| !stage.name.is_hidden())
    }

    pub(super) fn order(self) -> Result<Order, StoreError> {
        let currency = Currency::parse(&self.currency).map_err(|_| corrupt("currency"))?;
        let reason = self.reason.as_deref().map(|name| Reason::named(name).ok_or(corrupt("reason")));
        let token = self.token.as_deref().map(PaymentToken::parse);
        let attempts = u32::try_from(self.attempts).unwrap_or(u32::MAX);
        Ok(Order::restore(State {
            id: OrderId(uuid(self.id)),
            user: UserId(uuid(self.user)),
            status: Status::named(&self.status).ok_or(corrupt("status"))?,
            reason: reason.transpose()?,
            was_confirmed: self.was_confirmed,
            items: self.items.into_iter().map(|item| item.item(currency)).collect::<Result<_, _>>()?,
            total: Money::new(self.total, currency),
            payment: self.payment.map(PaymentDocument::payment).transpose()?,
            token: token.transpose().map_err(|_| corrupt("payment token"))?,
            digest: self.digest.bytes.try_into().map_err(|_| corrupt("digest"))?,
            origin: Origin { traceparent: self.traceparent, tracestate: self.tracestate, canary: self.canary },
            version: count(self.version),
            schedule: self.due_at.map(|due_at| Schedule { due_at: from_micros(due_at), attempts }),
            created_at: from_micros(self.created_at),
            updated_at: from_micros(self.updated_at),
        }))
    }
}

/// An order by itself: one that cannot be read leaves the others as they are.
pub(super) fn row(stored: &RawDocument) -> Row<Order> {
    read(stored).and_then(OrderDocument::order).map_err(|cause| Unreadable { key: key(stored), cause })
}

/// A product by itself.
pub(super) fn product_row(stored: &RawDocument) -> Row<Product> {
    read(stored).and_then(ProductDocument::product).map_err(|cause| {
        let key = stored.get_str("sku").ok().and_then(|sku| Sku::parse(sku).ok());
        Unreadable { key, cause }
    })
}

/// Straight from its bytes, without a tree of values in between.
pub(super) fn read<T: DeserializeOwned>(stored: &RawDocument) -> Result<T, StoreError> {
    bson::deserialize_from_slice(stored.as_bytes()).map_err(|error| StoreError::Failed(error.into()))
}

/// An order's place in the list.
fn key(stored: &RawDocument) -> Option<After> {
    let id = Uuid::from_slice(stored.get_binary("_id").ok()?.bytes).ok()?;
    Some(After { created_at: from_micros(stored.get_i64("created_at").ok()?), id: OrderId(id) })
}

/// `$set` and `$unset` of the fields that may change.
pub(super) fn changes(order: &Order) -> (Document, Document) {
    let (mut set, mut unset) = (Document::new(), Document::new());
    let mut put = |name: &str, value: Option<Bson>| {
        match value {
            Some(value) => set.insert(name, value),
            None => unset.insert(name, ""),
        };
    };
    put("status", Some(order.status.name().into()));
    put("version", Some(number(order.version).into()));
    put("updated_at", Some(micros(order.updated_at).into()));
    put("reason", order.reason.map(|reason| reason.name().into()));
    put("was_confirmed", order.was_confirmed.map(Bson::from));
    put("token", order.token.as_ref().map(|token| token.expose().into()));
    let payment = order.payment.map(|payment| doc! { "id": id(payment.id), "status": payment.status.name() });
    put("payment", payment.map(Bson::from));
    put("due_at", order.schedule.map(|schedule| micros(schedule.due_at).into()));
    put("attempts", Some(order.schedule.map_or(0, |schedule| i64::from(schedule.attempts)).into()));
    (set, unset)
}

impl ItemDocument {
    fn item(self, currency: Currency) -> Result<Item, StoreError> {
        Ok(Item {
            product: ProductId(uuid(self.product)),
            name: Name::parse(&self.name).map_err(|_| corrupt("name"))?,
            quantity: Quantity::parse(self.quantity).map_err(|_| corrupt("quantity"))?,
            unit_price: Money::new(self.price, currency),
        })
    }
}

impl From<Payment> for PaymentDocument {
    fn from(payment: Payment) -> Self {
        Self { id: id(payment.id), status: payment.status.name().to_owned() }
    }
}

impl PaymentDocument {
    fn payment(self) -> Result<Payment, StoreError> {
        let status = PaymentStatus::named(&self.status).ok_or(corrupt("payment status"))?;
        Ok(Payment { id: uuid(self.id), status })
    }
}

/// The fields of a [`ProductDocument`]: of what else a product has, some grows with its name and its restocks.
pub(super) fn product_fields() -> Document {
    ["sku", "name", "description", "price", "currency", "version", "available", "created_at", "updated_at"]
        .into_iter()
        .map(|field| (field.to_owned(), Bson::from(1)))
        .collect()
}

/// A product as the catalogue reads it; `stock` and `audit` read the rest.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ProductDocument {
    #[serde(rename = "_id")]
    id: bson::Uuid,
    sku: String,
    name: String,
    description: String,
    price: i64,
    currency: String,
    version: i64,
    available: i64,
    created_at: i64,
    updated_at: i64,
}

impl ProductDocument {
    pub(super) fn product(self) -> Result<Product, StoreError> {
        let currency = Currency::parse(&self.currency).map_err(|_| corrupt("currency"))?;
        Ok(Product {
            id: ProductId(uuid(self.id)),
            sku: Sku::parse(&self.sku).map_err(|_| corrupt("sku"))?,
            name: Name::parse(&self.name).map_err(|_| corrupt("name"))?,
            description: Description::parse(&self.description).map_err(|_| corrupt("description"))?,
            price: Price::parse(Money::new(self.price, currency)).map_err(|_| corrupt("price"))?,
            available: self.available,
            version: count(self.version),
            created_at: from_micros(self.created_at),
            updated_at: from_micros(self.updated_at),
        })
    }
}

pub(super) fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
