//! What the use cases need from outside.
//!
//! The ports are shaped so that a database with transactions and one that can
//! only change one document atomically can both keep the promises made here:
//! each command is one call with its whole effect, and the adapter decides how.

mod audit;
mod listed;
pub mod search;

use async_trait::async_trait;
use messaging::{Effects, Event, Receipt};
use time::OffsetDateTime;

use crate::domain::{
    ids::{OrderId, ProductId, UserId},
    order::{Order, Payment},
    product::Product,
    status::{Reason, Status},
    values::{PaymentToken, RestockQuantity, Sku},
};

pub use self::audit::{Audit, AuditedCustomer, AuditedOrder, StockViolation, Sum, Totals, confirmed};
pub use self::listed::{After, Listed, Row, Unreadable};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is too busy; a retry may help.
    #[error("the store does not answer")]
    Unavailable(#[source] Source),
    /// It refused, or holds something that cannot be read.
    #[error("the store failed")]
    Failed(#[source] Source),
}

/// A line of an order that the stock cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The index of the line.
    pub line: usize,
    /// Pieces that are available.
    pub available: i64,
}

/// The outcome of [`Orders::place`].
#[derive(Debug)]
pub enum Placed {
    /// Stored, stock reserved, events recorded.
    Stored,
    /// An order with that id was there already.
    Existing(Box<Order>),
    /// Nothing was reserved or stored.
    Shortage(Vec<Shortage>),
    /// The account takes no more orders.
    AccountClosing,
}

/// The outcome of [`Orders::save`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// Stored, with its effects.
    Stored,
    /// The stored order has another version: nothing was done.
    Stale,
    /// The receipt's event was handled before: nothing was done.
    Duplicate,
}

/// Whose orders to list or to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// One user's.
    User(UserId),
    /// Everybody's.
    All,
}

/// The sagas that are under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sagas {
    /// How many there are, by status; those without any are left out.
    pub by_status: Vec<(Status, u64)>,
    /// When the one that has been in its status for longest came to it.
    pub oldest: Option<OffsetDateTime>,
}

/// Orders, with the stock they hold and the events they cause.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Stores a new order and reserves its stock, all or nothing. The same order
    /// placed again, also at the same time, finds [`Placed::Existing`].
    async fn place(&self, order: &Order, effects: Effects) -> Result<Placed, StoreError>;

    /// The order with that id.
    async fn get(&self, id: OrderId) -> Result<Option<Order>, StoreError>;

    /// Those of these orders that exist, in no order.
    async fn get_many(&self, ids: &[OrderId]) -> Result<Vec<Row<Order>>, StoreError>;

    /// At most `limit` orders, newest first, beginning after the cursor.
    async fn list(&self, owner: Owner, after: Option<After>, limit: u32) -> Result<Vec<Row<Order>>, StoreError>;

    /// Replaces the order if its stored version is `expected`, releases its stock
    /// if `release_stock`, and records the effects: all or nothing.
    async fn save(
        &self,
        order: &Order,
        expected: u64,
        release_stock: bool,
        effects: Effects,
    ) -> Result<Saved, StoreError>;

    /// Stores the order's schedule, if its version is still the stored one.
    async fn postpone(&self, order: &Order) -> Result<(), StoreError>;

    /// Lets an order that cannot be read, and is due now, be due `until` then.
    async fn set_aside(&self, id: OrderId, now: OffsetDateTime, until: OffsetDateTime) -> Result<(), StoreError>;

    /// At most `limit` orders that are due, the longest waiting first. They stay
    /// due until they are saved, postponed or set aside.
    ///
    /// Also those whose time lies beyond [`clock::HORIZON`].
    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Row<Order>>, StoreError>;

    /// The sagas that are under way: orders that have a next step. Of more than `limit` only so many are counted, those
    /// that are due first.
    async fn sagas(&self, limit: u32) -> Result<Sagas, StoreError>;

    /// At most `limit` orders of a user with one of these statuses, in no order.
    async fn of_user_in(&self, user: UserId, statuses: &[Status], limit: u32) -> Result<Vec<OrderId>, StoreError>;

    /// How many orders of a user have one of these statuses.
    async fn count_of_user_in(&self, user: UserId, statuses: &[Status]) -> Result<u64, StoreError>;

    /// Records that an event was handled that is of no order.
    async fn record_receipt(&self, receipt: Receipt) -> Result<(), StoreError>;
}

/// An idempotency key with what it was used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandKey {
    /// Whose it is.
    pub user: UserId,
    /// The request's method and path.
    pub command: String,
    /// As the caller sent it.
    pub key: String,
    /// SHA-256 of the request's body.
    pub digest: [u8; 32],
    /// When the request came.
    pub at: OffsetDateTime,
}

/// The outcome of a command with a [`CommandKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idempotent {
    /// Done now.
    Done(Box<Product>),
    /// Done before, under this key: the product as it is now.
    Replayed(Box<Product>),
    /// The key was used with another body.
    KeyReused,
    /// Not done: the article number is taken, or the stock would be too large.
    /// Nothing is stored, and the key may be used again.
    Refused,
}

/// The catalogue.
#[async_trait]
pub trait Products: Send + Sync {
    /// Adds a product, unless another has its article number, and stores the key and the events: all or nothing.
    async fn create(
        &self,
        product: &Product,
        key: Option<&CommandKey>,
        events: Vec<Event>,
    ) -> Result<Idempotent, StoreError>;

    /// The product with that id.
    async fn get(&self, id: ProductId) -> Result<Option<Product>, StoreError>;

    /// Those of these products that exist, in no order.
    async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Product>, StoreError>;

    /// At most `limit` products by article number, those after `after`. With
    /// `tokens`, those in whose number, name or description each token begins a word.
    async fn list(&self, tokens: &[String], after: Option<Sku>, limit: u32) -> Result<Vec<Row<Product>>, StoreError>;

    /// Stores name, description and price, and the events, if the stored version is `expected`; says whether it was.
    async fn update(&self, product: &Product, expected: u64, events: Vec<Event>) -> Result<bool, StoreError>;

    /// Adds to the stock, unless that would be more than
    /// [`Stock::MAX`](crate::domain::values::Stock::MAX), and stores the key.
    async fn restock(
        &self,
        id: ProductId,
        quantity: RestockQuantity,
        key: &CommandKey,
    ) -> Result<Idempotent, StoreError>;
}

/// Whether an account may change anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Active,
    /// An operator keeps its owner out.
    Disabled,
    /// It is closing or closed, which is for ever.
    Closing,
}

/// Accounts that take no more orders.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Whether the account may change anything.
    async fn standing(&self, user: UserId) -> Result<Standing, StoreError>;

    /// Stores that an operator disabled the account, or enabled it, in this version of the account; of what comes late or
    /// twice the highest version counts.
    async fn set_disabled(&self, user: UserId, version: u64, disabled: bool) -> Result<(), StoreError>;

    /// Marks the account. From then on [`Orders::place`] refuses.
    async fn close(&self, user: UserId, now: OffsetDateTime) -> Result<(), StoreError>;
}

/// Payment's answer to an authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization {
    /// The money is held.
    Authorized(Payment),
    /// It is not, and never will be. No payment where none was tried.
    Declined(Option<Payment>, Reason),
    /// It was voided before: it never will be.
    Voided(Payment),
}

/// Payment's answer to a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// The money was taken.
    Captured(Payment),
    /// There is no authorization to take it from.
    Impossible,
}

/// Payment's answer to a void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Void {
    /// No money is held, and none will be. No payment where none was tried.
    Released(Option<Payment>),
    /// Payment cannot void it. Nearly always because the money was taken already, by whoever: then a refund gives it back.
    Refused,
}

/// Payment gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// It could not be reached.
    #[error("payment cannot be reached")]
    Down(#[source] Source),
    /// It does not know the outcome yet, or did not answer in time.
    #[error("payment does not know yet")]
    Undecided(#[source] Source),
    /// It answered something that is not in the contract.
    #[error("payment gave an answer that makes no sense")]
    Failed(#[source] Source),
}

/// The payment service. Every command is idempotent by order.
#[async_trait]
pub trait Payments: Send + Sync {
    /// Whether the provider knows the token.
    async fn knows_token(&self, token: &PaymentToken) -> Result<bool, PaymentError>;

    /// Holds the order's total.
    async fn authorize(&self, order: &Order, token: &PaymentToken) -> Result<Authorization, PaymentError>;

    /// Takes the money.
    async fn capture(&self, order: OrderId) -> Result<Capture, PaymentError>;

    /// Holds no money any longer; an order without payment never gets one.
    async fn void(&self, order: OrderId) -> Result<Void, PaymentError>;

    /// Gives the money back.
    async fn refund(&self, order: OrderId) -> Result<Payment, PaymentError>;
}

/// The state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// Open.
    Active,
    /// Being closed: its owner may only read.
    Closing,
    /// Closed; nothing personal is left.
    Closed,
}

/// The account of somebody who orders.
#[derive(Clone)]
pub struct Customer {
    /// Its id.
    pub id: UserId,
    /// The e-mail address; none once it is closed.
    pub email: Option<String>,
    /// The person's name; none once it is closed.
    pub name: Option<String>,
    /// Its state.
    pub status: AccountStatus,
    /// Orders that were ever confirmed.
    pub orders_placed: u64,
}

/// The user service gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CustomersError {
    /// It could not be reached, or did not answer in time.
    #[error("user does not answer")]
    Down(#[source] Source),
    /// It answered something that is not in the contract.
    #[error("user gave an answer that makes no sense")]
    Failed(#[source] Source),
}

/// The user service, as far as accounts are read.
#[async_trait]
pub trait Customers: Send + Sync {
    /// Those of these accounts, 100 at most, that exist, in no order.
    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<Customer>, CustomersError>;
}
