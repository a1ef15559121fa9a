//! What is listed page by page: where a page begins, and what cannot be read in it.

use std::fmt;

use time::OffsetDateTime;

use super::StoreError;
use crate::domain::{ids::OrderId, order::Order, product::Product, values::Sku};

/// A cursor in the list of orders: the page begins after this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// When the order was placed.
    pub created_at: OffsetDateTime,
    /// Its id.
    pub id: OrderId,
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// What is listed, by a key that says where the list goes on.
pub trait Listed {
    /// What it is called.
    const NAME: &'static str;
    /// Its key.
    type Key: fmt::Display + fmt::Debug + Send;

    /// Its key.
    fn key(&self) -> Self::Key;
}

impl Listed for Order {
    const NAME: &'static str = "order";
    type Key = After;

    fn key(&self) -> After {
        After { created_at: self.created_at, id: self.id }
    }
}

impl Listed for Product {
    const NAME: &'static str = "product";
    type Key = Sku;

    fn key(&self) -> Sku {
        self.sku.clone()
    }
}

/// What is stored and cannot be read.
#[derive(Debug)]
pub struct Unreadable<K> {
    /// Its key, where at least that can be read.
    pub key: Option<K>,
    /// Why.
    pub cause: StoreError,
}

/// One of several that were read.
pub type Row<T> = Result<T, Unreadable<<T as Listed>::Key>>;
