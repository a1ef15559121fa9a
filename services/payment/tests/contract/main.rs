//! The contracts of payment's ports, over each adapter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod payments;
mod postgres;
mod provider;
mod sandbox;
mod sqlite;

use money::{Currency, Money};
use uuid::Uuid;

fn euros(amount: i64) -> Money {
    Money::new(amount, Currency::parse("EUR").unwrap())
}

fn new_id<T: From<Uuid>>() -> T {
    Uuid::now_v7().into()
}
