//! The use cases, one a file, and the ports they need.

use std::{sync::Arc, time::Duration};

use clock::SharedClock;

pub mod advance;
pub mod audit;
pub mod cancel_order;
pub mod catalogue;
pub mod close_account;
pub mod create_product;
pub mod customers;
pub mod error;
pub mod follow_up;
pub mod fulfil_order;
pub mod in_hand;
pub mod index;
pub mod live;
pub mod metrics;
pub mod orders;
mod origin;
pub mod place_order;
pub mod ports;
pub mod product_cache;
pub mod published;
pub mod reindex;
pub mod restock_product;
pub mod search;
pub mod seed;
pub mod set_aside;
pub mod sweep;
pub mod tickets;
pub mod token_cache;
pub mod watch_orders;

pub use error::Error;
use follow_up::FollowUps;
use in_hand::InHand;
use live::Live;
use metrics::Metrics;
use ports::{Accounts, Audit, Customers, Orders, Payments, Products};
use product_cache::ProductCache;
use search::Search;
use set_aside::SetAside;
use tickets::Tickets;
use token_cache::TokenCache;

/// How long the use cases wait for payment.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// How long a request waits for payment before it answers without it.
    pub payment_wait: Duration,
    /// How long an order may be pending before it is abandoned.
    pub pending: Duration,
}

/// The use cases' dependencies.
pub struct App {
    /// Orders.
    pub orders: Arc<dyn Orders>,
    /// The catalogue and its stock.
    pub products: Arc<dyn Products>,
    /// Products that were read lately.
    pub product_cache: ProductCache,
    /// Who searches.
    pub search: Search,
    /// Orders that cannot be read.
    pub set_aside: SetAside,
    /// Accounts that are closing.
    pub accounts: Arc<dyn Accounts>,
    /// Sums over everything stored.
    pub audit: Arc<dyn Audit>,
    /// The payment service.
    pub payments: Arc<dyn Payments>,
    /// The user service.
    pub customers: Arc<dyn Customers>,
    /// Payment tokens that the provider is known to know.
    pub token_cache: TokenCache,
    /// Orders to be advanced in the background at once.
    pub follow_ups: FollowUps,
    /// Orders that requests of this process see through.
    pub in_hand: InHand,
    /// What happens to orders, for those who watch.
    pub live: Live,
    /// Tickets of those who watch in a browser.
    pub tickets: Tickets,
    /// What is measured.
    pub metrics: Metrics,
    /// The clock.
    pub clock: SharedClock,
    /// How long they wait for payment.
    pub timeouts: Timeouts,
}
