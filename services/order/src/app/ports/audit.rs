//! The port `Audit`: everything that is stored, in sums and order by order.

use async_trait::async_trait;
use serde::Serialize;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{
    ids::{OrderId, ProductId, UserId},
    status::Status,
};

/// Minor units of a currency, by the name under which that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Minor units.
    pub amount: i64,
    /// As stored.
    pub currency: String,
}

/// Sums over everything that is stored, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Orders by the name of their status, also of one that this version does not know.
    pub orders: Vec<(String, u64)>,
    /// Totals of confirmed orders, by currency: the money that is held for them.
    pub held: Vec<Sum>,
    /// Totals of orders whose payment was captured, by currency.
    pub captured: Vec<Sum>,
    /// Totals of orders whose payment was refunded, by currency.
    pub refunded: Vec<Sum>,
    /// Products in the catalogue.
    pub products: u64,
    /// Products whose stock is not what the orders say.
    pub violations: Vec<StockViolation>,
    /// Events that are not published yet.
    pub outbox: u64,
}

/// A product whose stock does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockViolation {
    /// The product.
    pub product: ProductId,
    /// What is available.
    pub available: i64,
    /// What should be: created + restocked − held by orders.
    pub expected: i64,
}

/// An order as it is stored, whether this version can read all of it or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedOrder {
    /// Its id.
    pub id: OrderId,
    /// Whose it is.
    pub user: UserId,
    /// The name of its status.
    pub status: String,
    /// Its payment's id and the name of that one's status.
    pub payment: Option<(Uuid, String)>,
    /// What it costs.
    pub total: Sum,
    /// What its lines add up to; `None` where they cannot be read.
    pub lines: Option<i64>,
    /// Whether it was ever confirmed; `None` where nobody knows.
    pub confirmed: Option<bool>,
}

/// What a user's orders say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedCustomer {
    /// Whose orders.
    pub user: UserId,
    /// How many were ever confirmed.
    pub confirmed: u64,
    /// Of how many nobody knows whether they were.
    pub unknown: u64,
    /// How many keep the account from being closed.
    pub open: u64,
}

impl AuditedCustomer {
    /// Of a user of whose orders nothing has been counted.
    pub const fn new(user: UserId) -> Self {
        Self { user, confirmed: 0, unknown: 0, open: 0 }
    }

    /// Counts `n` orders that are alike.
    pub fn count(&mut self, status: &str, was_confirmed: Option<bool>, n: u64) {
        match confirmed(status, was_confirmed) {
            Some(true) => self.confirmed += n,
            Some(false) => {}
            None => self.unknown += n,
        }
        if Status::named(status).is_some_and(Status::blocks_account_closing) {
            self.open += n;
        }
    }
}

/// Whether an order was ever confirmed: its status tells, or what was noted when its cancel was accepted.
pub fn confirmed(status: &str, was_confirmed: Option<bool>) -> Option<bool> {
    was_confirmed.or(Status::named(status).and_then(Status::was_confirmed))
}

/// Proof that stock and money add up.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Adds up.
    async fn totals(&self) -> Result<Totals, StoreError>;

    /// At most `limit` orders by ascending id, after `after`.
    async fn orders(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<AuditedOrder>, StoreError>;

    /// What the orders of at most `limit` users say, by the users' ascending id, after `after`.
    async fn customers(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedCustomer>, StoreError>;
}
