//! A product of the catalogue.

use time::OffsetDateTime;

use super::{
    ids::ProductId,
    values::{Description, Name, Price, Sku},
};

/// A product, with the pieces of it that can still be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its article number; no two products share one.
    pub sku: Sku,
    /// What it is called.
    pub name: Name,
    /// What there is to say about it.
    pub description: Description,
    /// What a piece costs.
    pub price: Price,
    /// Pieces that no order holds.
    pub available: i64,
    /// Raised by [`Product::change`] alone; sales and restocking do not.
    pub version: u64,
    /// When it came into the catalogue.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
}

/// What is to be different about a product; `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// A new name.
    pub name: Option<Name>,
    /// A new description.
    pub description: Option<Description>,
    /// A new price. Orders that were placed keep theirs.
    pub price: Option<Price>,
}

impl Product {
    /// Applies a change and says whether anything is different now.
    pub fn change(&mut self, change: Change, now: OffsetDateTime) -> bool {
        let before = self.clone();
        if let Some(name) = change.name {
            self.name = name;
        }
        if let Some(description) = change.description {
            self.description = description;
        }
        if let Some(price) = change.price {
            self.price = price;
        }
        let changed = *self != before;
        if changed {
            self.version += 1;
            self.updated_at = now;
        }
        changed
    }
}
