//! What the use cases need from outside: a store of payments and a payment provider.

use std::{error::Error as StdError, time::Duration};

use async_trait::async_trait;
use messaging::{Effects, Receipt};
use money::Money;
use telemetry::Carrier;
use time::OffsetDateTime;

use crate::domain::{
    Charge, ChargeReference, Operation, OrderId, Outcome, Payment, PaymentId, PaymentToken, ledger::Transaction,
};

/// The cause of an error, of whatever technology.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why the store gave no result.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Busy or unreachable; a retry may help.
    #[error("the payment store is not available")]
    Unavailable(#[source] Cause),
    /// It rejected the statement, or holds a value that cannot be read.
    #[error("the payment store failed")]
    Failed(#[source] Cause),
}

/// What is stored for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Its payment.
    Payment(Payment),
    /// It was voided before it had a payment, and never gets one.
    Closed,
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// Stored.
    Stored,
    /// Nothing stored: another version is stored, or a higher fencing token has written.
    Stale,
    /// Nothing stored: the message that asked for it was processed before.
    Duplicate,
}

/// The id that the provider gave a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookId(pub String);

/// The messages that a write answers, recorded with it so that each is applied once.
#[derive(Debug, Clone, Default)]
pub struct ProcessedMessages {
    /// An event from the bus.
    pub receipt: Option<Receipt>,
    /// A webhook, and when it came.
    pub webhook: Option<(WebhookId, OffsetDateTime)>,
}

impl ProcessedMessages {
    /// Whether there is nothing to record.
    pub const fn is_empty(&self) -> bool {
        self.receipt.is_none() && self.webhook.is_none()
    }
}

/// Everything that is stored in one transaction.
#[derive(Debug)]
pub struct Write<'a> {
    /// The payment as it shall be.
    pub payment: &'a Payment,
    /// The version that must be stored now; `None` when the order must have nothing stored.
    pub expected: Option<u64>,
    /// The lock's fencing token: the write is refused when a higher one has written.
    pub fence: i64,
    /// What is booked in the ledger.
    pub transactions: Vec<Transaction>,
    /// Events to publish, and the inbox row.
    pub effects: Effects,
    /// The webhook to record, and when it came.
    pub webhook: Option<(WebhookId, OffsetDateTime)>,
    /// When the sweeper has to resolve the payment, where something is open.
    pub due_at: Option<OffsetDateTime>,
    /// Trace and canary mark of the request behind an open intent, under which the sweeper goes on.
    pub carrier: Carrier,
}

/// How long a payment that the sweeper has claimed is left alone: doubles with each time, from the first pause to the longest.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// After the first time.
    pub first: Duration,
    /// Less than [`clock::HORIZON`].
    pub longest: Duration,
}

/// A payment that the sweeper has to resolve.
#[derive(Debug, Clone)]
pub struct DuePayment {
    /// Its order.
    pub order_id: OrderId,
    /// How often it was claimed since its intent was stored, this time included.
    pub attempts: u32,
    /// Trace and canary mark of the request that left it open.
    pub carrier: Carrier,
}

/// What is stored for an order, and what is booked.
#[derive(Debug)]
pub struct Booked {
    /// The order.
    pub order_id: OrderId,
    /// An error where a value of it cannot be read: the others are none the worse for it.
    pub stored: Result<(Record, Vec<Transaction>), StoreError>,
}

/// Sums over everything that is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
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

/// The stored payments, each with its ledger transactions and events.
#[async_trait]
pub trait Payments: Send + Sync {
    /// What is stored for an order.
    async fn by_order(&self, order: OrderId) -> Result<Option<Record>, StoreError>;

    /// A payment by its own id.
    async fn by_id(&self, id: PaymentId) -> Result<Option<Payment>, StoreError>;

    /// Stores a payment with its ledger transactions, events and processed messages, all or nothing.
    async fn save(&self, write: Write<'_>) -> Result<Saved, StoreError>;

    /// Closes an order that has no payment; `Stale` when it has something stored after all.
    async fn close(
        &self,
        order: OrderId,
        fence: i64,
        now: OffsetDateTime,
        processed: &ProcessedMessages,
    ) -> Result<Saved, StoreError>;

    /// Records messages that changed nothing; `Duplicate` when one was recorded before.
    async fn record_receipt(&self, processed: &ProcessedMessages) -> Result<Saved, StoreError>;

    /// Whether a webhook was processed.
    async fn is_processed(&self, webhook: &WebhookId) -> Result<bool, StoreError>;

    /// Deletes the records of up to `limit` webhooks that came before a moment, the oldest first; says how many.
    async fn delete_webhooks(&self, before: OffsetDateTime, limit: u32) -> Result<u64, StoreError>;

    /// Claims at most `limit` payments that are due, and makes them due again after a pause.
    ///
    /// Also those whose time lies beyond [`clock::HORIZON`].
    /// Two sweepers get different ones, and what the sweeper that claimed them does not resolve comes up again.
    async fn claim_due(&self, now: OffsetDateTime, pauses: Pauses, limit: u32) -> Result<Vec<DuePayment>, StoreError>;

    /// What is stored for an order, for whoever holds the payment's lock with the fencing token `lock`, and the token to
    /// write with: that one, or, where as high a one has written, the next higher, which is stored at once.
    ///
    /// Tokens of locks rise with a clock after the lock's store has forgotten the last one, and a clock may go back.
    async fn by_order_locked(&self, order: OrderId, lock: i64) -> Result<(Option<Record>, i64), StoreError>;

    /// Notes that nothing of an order's payment is open any more; a stale fencing token changes nothing.
    async fn clear_due(&self, order: OrderId, fence: i64) -> Result<(), StoreError>;

    /// By how much the last `limit` ledger transactions do not sum to zero, without sign, per currency that they are in.
    async fn imbalances(&self, limit: u32) -> Result<Vec<Money>, StoreError>;

    /// At most `limit` orders with their payments and ledgers, as they are at one moment, by ascending id after `after`.
    async fn page(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<Booked>, StoreError>;

    /// These orders with their payments and ledgers, as they are at one moment; those that have nothing are left out.
    async fn booked(&self, orders: &[OrderId]) -> Result<Vec<Booked>, StoreError>;

    /// The ledger transactions of an order.
    async fn ledger(&self, order: OrderId) -> Result<Vec<Transaction>, StoreError>;

    /// Adds up payments and ledger.
    async fn totals(&self) -> Result<Totals, StoreError>;
}

/// Why the provider gave no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It did not take the call: certainly nothing was done.
    #[error("the payment provider is not available")]
    Unavailable(#[source] Option<Cause>),
    /// The answer was lost: the call may have been carried out.
    #[error("the payment provider's answer is not known")]
    OutcomeUnknown(#[source] Option<Cause>),
}

/// The idempotency key of one operation for one order: the provider does each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The order.
    pub order_id: OrderId,
    /// The operation.
    pub operation: Operation,
}

impl std::fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.order_id, self.operation.name())
    }
}

/// What the provider shall do.
#[derive(Debug, Clone)]
pub struct Instruction {
    /// Its idempotency key.
    pub key: IdempotencyKey,
    /// The whole amount of the payment.
    pub amount: Money,
    /// What it works on.
    pub target: Target,
}

/// What an instruction works on.
#[derive(Debug, Clone)]
pub enum Target {
    /// What the customer pays with: for an authorization.
    Token(PaymentToken),
    /// A charge that the provider has: for everything else.
    Charge(ChargeReference),
}

/// A payment provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Whether it knows a payment token.
    async fn knows_token(&self, token: &PaymentToken) -> Result<bool, ProviderError>;

    /// Carries out an instruction; repeated with the same key, it gives the same outcome and does nothing.
    async fn execute(&self, instruction: &Instruction) -> Result<Outcome, ProviderError>;

    /// The outcome that was given under a key; `None` when nothing was done under it.
    async fn find_outcome(&self, key: IdempotencyKey) -> Result<Option<Outcome>, ProviderError>;

    /// Sees to it that nothing is done under a key any more. [`Outcome::Revoked`] when nothing was, and otherwise the
    /// outcome that was given before. What has not arrived yet is refused when it does.
    ///
    /// Providers call it a technical cancel, or the cancellation of a payment intent.
    async fn revoke(&self, key: IdempotencyKey) -> Result<Outcome, ProviderError>;

    /// Every charge it has for an order.
    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError>;

    /// At most `limit` charges of whatever order, in the sequence in which the provider made them, after `after`.
    ///
    /// Those that were made at the same time may appear in another sequence, and a little later.
    async fn list(&self, after: Option<&ChargeReference>, limit: u32) -> Result<Vec<Charge>, ProviderError>;

    /// Voids a charge that no payment has, whatever was done under the keys of its order.
    ///
    /// [`Outcome::Conflict`] where it holds nothing.
    async fn release(&self, order: OrderId, charge: &ChargeReference) -> Result<Outcome, ProviderError>;

    /// Orders with more than one charge that was not voided.
    async fn charged_twice(&self) -> Result<u64, ProviderError>;
}
