//! From what a customer asks for to what the catalogue charges.

use std::collections::HashSet;

use money::Money;

use super::{
    ids::ProductId,
    product::Product,
    values::{Name, Quantity},
};

/// A line as the customer asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The product.
    pub product: ProductId,
    /// The pieces.
    pub quantity: Quantity,
}

/// A line of an order, with name and price as they were when it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The product.
    pub product: ProductId,
    /// Its name at that time.
    pub name: Name,
    /// The pieces.
    pub quantity: Quantity,
    /// What a piece cost at that time.
    pub unit_price: Money,
}

/// Lines with their prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basket {
    /// At least one.
    pub items: Vec<Item>,
    /// Their sum.
    pub total: Money,
}

/// The index of a line, and what is wrong with it.
pub type LineFault = (usize, Fault);

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The catalogue does not have the product.
    UnknownProduct,
    /// An earlier line has the product already.
    DuplicateProduct,
    /// The product's price is in another currency than the lines before.
    CurrencyMismatch,
    /// The total does not fit its type.
    Overflow,
}

/// Prices the lines from the catalogue and adds them up.
///
/// # Errors
/// Every line at fault, by its index, in order.
pub fn price(lines: &[Line], catalogue: &[Product]) -> Result<Basket, Vec<LineFault>> {
    let (mut items, mut faults, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut total: Option<Money> = None;
    for (index, line) in lines.iter().enumerate() {
        if !seen.insert(line.product) {
            faults.push((index, Fault::DuplicateProduct));
            continue;
        }
        let Some(product) = catalogue.iter().find(|product| product.id == line.product) else {
            faults.push((index, Fault::UnknownProduct));
            continue;
        };
        match add(total, product, line.quantity) {
            Ok(sum) => total = Some(sum),
            Err(fault) => faults.push((index, fault)),
        }
        items.push(Item {
            product: product.id,
            name: product.name.clone(),
            quantity: line.quantity,
            unit_price: product.price.money(),
        });
    }
    match total {
        Some(total) if faults.is_empty() => Ok(Basket { items, total }),
        _ => Err(faults),
    }
}

fn add(total: Option<Money>, product: &Product, quantity: Quantity) -> Result<Money, Fault> {
    let unit = product.price.money();
    if total.is_some_and(|sum| sum.currency != unit.currency) {
        return Err(Fault::CurrencyMismatch);
    }
    let line = unit.amount.checked_mul(quantity.pieces());
    line.and_then(|line| line.checked_add(total.map_or(0, |sum| sum.amount)))
        .map(|amount| Money::new(amount, unit.currency))
        .ok_or(Fault::Overflow)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use money::Currency;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::{
        super::values::{Description, Price, Sku},
        *,
    };

    fn product(id: u128, amount: i64, currency: &str) -> Product {
        let price = Money::new(amount, Currency::parse(currency).unwrap());
        Product {
            id: ProductId(Uuid::from_u128(id)),
            sku: Sku::parse(&format!("sku-{id}")).unwrap(),
            name: Name::parse("Thing").unwrap(),
            description: Description::parse("").unwrap(),
            price: Price::parse(price).unwrap(),
            available: 1,
            version: 1,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn catalogue() -> [Product; 3] {
        [product(1, 250, "EUR"), product(2, 100, "EUR"), product(3, 100, "USD")]
    }

    fn line(id: u128, pieces: i64) -> Line {
        Line { product: ProductId(Uuid::from_u128(id)), quantity: Quantity::parse(pieces).unwrap() }
    }

    #[test]
    fn the_catalogue_sets_the_price() {
        let Basket { items, total } = price(&[line(1, 3), line(2, 2)], &catalogue()).unwrap();
        assert_eq!(total.amount, 950);
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].unit_price.amount, 250);
    }

    #[test]
    fn every_fault_is_reported() {
        let lines = [line(1, 1), line(9, 1), line(3, 1), line(1, 1)];
        let faults = price(&lines, &catalogue()).unwrap_err();
        assert_eq!(faults, [(1, Fault::UnknownProduct), (2, Fault::CurrencyMismatch), (3, Fault::DuplicateProduct)]);
    }
}
