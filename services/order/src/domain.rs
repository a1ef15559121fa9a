//! The business: products, stock and orders. No I/O, no clock.

pub mod basket;
pub mod event;
pub mod ids;
pub mod order;
pub mod product;
pub mod search;
pub mod status;
pub mod values;
