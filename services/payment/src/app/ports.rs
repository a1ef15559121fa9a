//! What the use cases need from outside: a store of payments and a payment provider.

use std::error::Error as StdError;

use async_trait::async_trait;
use messaging::{Effects, Receipt};
use money::Money;
use telemetry::Carrier;
use time::OffsetDateTime;

use crate::domain::{
    ChargeState, Operation, OrderId, Outcome, Payment, PaymentId, PaymentToken, Reference, ledger::Transaction,
};

/// The cause of a failure, of whatever technology.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Busy or gone; a retry may help.
    #[error("the payment store is not available")]
    Unavailable(#[source] Cause),
    /// It refused, or holds what cannot be read.
    #[error("the payment store failed")]
    Broken(#[source] Cause),
}

/// What is stored for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Its payment.
    Payment(Payment),
    /// It was voided before it had a payment, and never gets one.
    Closed,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Stored.
    Done,
    /// Nothing stored: somebody with a newer fence or version was there before.
    Stale,
    /// Nothing stored: the message behind it was handled before.
    Duplicate,
}

/// The id that the provider gave a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookId(pub String);

/// The messages that a write answers, remembered with it so that they are applied once.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// An event from the bus.
    pub receipt: Option<Receipt>,
    /// A webhook, and when it came.
    pub webhook: Option<(WebhookId, OffsetDateTime)>,
}

impl Marks {
    /// Whether there is nothing to remember.
    pub const fn is_empty(&self) -> bool {
        self.receipt.is_none() && self.webhook.is_none()
    }
}

/// Everything that is stored in one transaction.
#[derive(Debug)]
pub struct Write<'a> {
    /// The payment as it shall be.
    pub payment: &'a Payment,
    /// The version that must be stored now; `None` when nothing must.
    pub expected: Option<u64>,
    /// The lock's fencing token: refused when a higher one was seen.
    pub fence: i64,
    /// What is booked.
    pub books: Vec<Transaction>,
    /// Events to publish, and the inbox row.
    pub effects: Effects,
    /// The webhook to remember, and when it came.
    pub webhook: Option<(WebhookId, OffsetDateTime)>,
    /// When the sweeper has to look at the payment, where something is open.
    pub look_again: Option<OffsetDateTime>,
    /// The request behind an open intent, for the sweeper to go on under.
    pub carrier: Carrier,
}

/// A payment that the sweeper has to look at.
#[derive(Debug, Clone)]
pub struct Due {
    /// Its order.
    pub order_id: OrderId,
    /// The request that left it open.
    pub carrier: Carrier,
}

/// What the stored books say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Sums of what was ever captured, per currency.
    pub captured: Vec<Money>,
    /// Sums of what was given back, per currency.
    pub refunded: Vec<Money>,
    /// Sums of what is held now, per currency.
    pub held: Vec<Money>,
    /// Ledger transactions that do not sum to zero.
    pub unbalanced: u64,
    /// Intents without an outcome.
    pub unresolved: u64,
    /// Payments, of whatever status.
    pub payments: u64,
}

/// The stored payments, each with its books and events.
#[async_trait]
pub trait Payments: Send + Sync {
    /// What is stored for an order.
    async fn by_order(&self, order: OrderId) -> Result<Option<Record>, StoreError>;

    /// A payment by its own id.
    async fn by_id(&self, id: PaymentId) -> Result<Option<Payment>, StoreError>;

    /// Stores a payment with its books, events and marks, all or nothing.
    async fn save(&self, write: Write<'_>) -> Result<Written, StoreError>;

    /// Closes an order that has no payment; `Stale` when it has something after all.
    async fn close(
        &self,
        order: OrderId,
        fence: i64,
        now: OffsetDateTime,
        marks: &Marks,
    ) -> Result<Written, StoreError>;

    /// Remembers messages that changed nothing.
    async fn remember(&self, marks: &Marks) -> Result<Written, StoreError>;

    /// Whether a webhook is remembered.
    async fn seen(&self, webhook: &WebhookId) -> Result<bool, StoreError>;

    /// Forgets webhooks that came before a moment.
    async fn forget_webhooks(&self, before: OffsetDateTime) -> Result<(), StoreError>;

    /// Takes payments that are due to be looked at, and puts the next look off until `next`.
    async fn take_due(&self, now: OffsetDateTime, next: OffsetDateTime, limit: u32) -> Result<Vec<Due>, StoreError>;

    /// Says that nothing of an order's payment is open any more; a stale fence changes nothing.
    async fn rest(&self, order: OrderId, fence: i64) -> Result<(), StoreError>;

    /// Sums up the books.
    async fn books(&self) -> Result<Books, StoreError>;
}

/// Why the provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It refused to work: certainly nothing was done.
    #[error("the payment provider is not available")]
    Refused(#[source] Option<Cause>),
    /// The answer was lost: it may have been done.
    #[error("the payment provider's answer is not known")]
    Unknown(#[source] Option<Cause>),
}

/// The idempotency key of one operation for one order: the provider does each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The order.
    pub order_id: OrderId,
    /// The operation.
    pub operation: Operation,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.order_id, self.operation.name())
    }
}

/// What the provider shall do.
#[derive(Debug, Clone)]
pub struct Instruction {
    /// Its idempotency key.
    pub key: Key,
    /// The whole amount of the payment.
    pub amount: Money,
    /// On what it works.
    pub target: Target,
}

/// What an instruction works on.
#[derive(Debug, Clone)]
pub enum Target {
    /// What the customer pays with: for an authorization.
    Token(PaymentToken),
    /// A charge that the provider has: for everything else.
    Charge(Reference),
}

/// A charge as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The provider's name for it.
    pub reference: Reference,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub state: ChargeState,
}

/// A payment provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Whether it knows a payment token.
    async fn knows(&self, token: &PaymentToken) -> Result<bool, ProviderError>;

    /// Carries out an instruction; given again with the same key, it gives the same answer.
    async fn execute(&self, instruction: &Instruction) -> Result<Outcome, ProviderError>;

    /// The answer that was given under a key; `None` when nothing was done under it.
    async fn find(&self, key: Key) -> Result<Option<Outcome>, ProviderError>;

    /// Every charge it has for an order.
    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError>;

    /// Orders with more than one approved authorization, capture or refund.
    async fn charged_twice(&self) -> Result<u64, ProviderError>;
}
