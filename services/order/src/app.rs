//! The use cases, one a file, and the ports they need.

use std::{sync::Arc, time::Duration};

use clock::SharedClock;

pub mod advance;
pub mod audit;
pub mod cancel_order;
pub mod catalogue;
pub mod close_account;
pub mod create_product;
pub mod error;
pub mod follow_up;
pub mod fulfil_order;
pub mod orders;
pub mod place_order;
pub mod ports;
pub mod published;
pub mod restock_product;
pub mod seed;
pub mod shelf;
pub mod sweep;
pub mod tokens;

pub use error::Error;
use follow_up::FollowUps;
use ports::{Accounts, Audit, Orders, Payments, Products};
use shelf::Shelf;
use tokens::Tokens;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long a request waits for payment to answer.
    pub wait: Duration,
    /// How long an order may stay without an answer from payment before it is given up.
    pub patience: Duration,
}

/// What the use cases work with.
pub struct App {
    /// Orders.
    pub orders: Arc<dyn Orders>,
    /// The catalogue and its stock.
    pub products: Arc<dyn Products>,
    /// Products that were looked at lately.
    pub shelf: Shelf,
    /// Accounts that are closing.
    pub accounts: Arc<dyn Accounts>,
    /// Sums over everything stored.
    pub audit: Arc<dyn Audit>,
    /// The payment service.
    pub payments: Arc<dyn Payments>,
    /// Payment tokens that were asked about lately.
    pub tokens: Tokens,
    /// Orders to be looked after at once, in the background.
    pub follow_ups: FollowUps,
    /// The time.
    pub clock: SharedClock,
    /// How long things may take.
    pub times: Times,
}
