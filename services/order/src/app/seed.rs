//! Seeding the catalogue from a JSON file.

use money::{Currency, Money};
use serde::Deserialize;

use super::{App, Error, create_product::NewProduct, ports::Idempotent, published};
use crate::domain::{
    event::ProductEvent,
    values::{Description, Name, Price, Sku, Stock},
};

/// The products that come with the service.
pub const PRODUCTS: &str = include_str!("../../seed/products.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    sku: String,
    name: String,
    description: String,
    price: PriceEntry,
    stock: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceEntry {
    amount: i64,
    currency: String,
}

/// How a seeding went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Products that were added.
    pub added: usize,
    /// Products that were there already, and were left as they are.
    pub present: usize,
}

/// Reads products from JSON: an array of objects like the body of `POST /v1/products`.
///
/// # Errors
/// It is no such array, or a product is not valid.
pub fn read(json: &str) -> Result<Vec<NewProduct>, Error> {
    let entries: Vec<Entry> = serde_json::from_str(json).map_err(|error| Error::Seed(error.to_string()))?;
    entries.iter().map(parse).collect()
}

fn parse(entry: &Entry) -> Result<NewProduct, Error> {
    let wrong = |field: &str, why: String| Error::Seed(format!("{}: {field} {why}", entry.sku));
    let currency = Currency::parse(&entry.price.currency).map_err(|e| wrong("price.currency", e.to_string()))?;
    let money = Money::new(entry.price.amount, currency);
    Ok(NewProduct {
        sku: Sku::parse(&entry.sku).map_err(|e| wrong("sku", e))?,
        name: Name::parse(&entry.name).map_err(|e| wrong("name", e))?,
        description: Description::parse(&entry.description).map_err(|e| wrong("description", e))?,
        price: Price::parse(money).map_err(|e| wrong("price.amount", e))?,
        stock: Stock::parse(entry.stock).map_err(|e| wrong("stock", e))?,
    })
}

impl App {
    /// Adds those products whose article number the catalogue does not have.
    ///
    /// # Errors
    /// The store failed.
    pub async fn seed(&self, products: Vec<NewProduct>) -> Result<Seeded, Error> {
        let mut seeded = Seeded::default();
        for product in products {
            let now = self.clock.now();
            let product = product.at(now);
            let created = published::product_event(&product, ProductEvent::Created, now)?;
            match self.products.create(&product, None, vec![created]).await? {
                Idempotent::Done(_) => seeded.added += 1,
                Idempotent::Refused | Idempotent::Replayed(_) | Idempotent::KeyReused => seeded.present += 1,
            }
        }
        Ok(seeded)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_products_that_come_with_the_service_can_be_read() {
        let products = read(PRODUCTS).unwrap();
        assert!(products.len() >= 50);
        let skus: HashSet<_> = products.iter().map(|p| p.sku.as_str()).collect();
        assert_eq!(skus.len(), products.len(), "a sku twice");
        assert!(products.iter().all(|p| p.stock.pieces() > 0));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error =
            read(r#"[{"sku":"a b","name":"N","description":"","price":{"amount":1,"currency":"EUR"},"stock":1}]"#);
        assert!(error.unwrap_err().to_string().contains("a b: sku"));
    }
}
