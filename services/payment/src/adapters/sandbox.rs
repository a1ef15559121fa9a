//! The sandbox provider: test tokens, and a database of its own in which it keeps its charges as a provider would.
//!
//! It loses nothing when payment is killed, gives a repeated key the answer of the first call,
//! and keeps every charge, so that an audit can see whether anybody was charged twice.

mod postgres;
mod sqlite;

use std::{error::Error, fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use money::Money;
use postgres::Postgres;
use sqlite::Sqlite;
use uuid::Uuid;

use super::columns;
use crate::{
    app::ports::{Cause, IdempotencyKey, Instruction, Provider, ProviderError, StoreError, Target},
    domain::{Charge, ChargeReference, ChargeState, DeclineReason, Operation, OrderId, Outcome, PaymentToken},
};

/// How long `tok_slow` takes to answer.
const SLOW: Duration = Duration::from_secs(2);

/// How many calls for an order fail with `tok_unavailable`.
const UNAVAILABLE_CALLS: i64 = 2;

/// How long an answer can be asked for by its key.
const RETENTION: Duration = Duration::from_hours(30 * 24);
/// How long between two rounds of pruning, and how many rows are deleted at a time.
const PRUNE_INTERVAL: Duration = Duration::from_mins(5);
const PRUNE_BATCH: u32 = 1_000;

/// The sandbox provider.
#[derive(Debug, Clone)]
pub struct Sandbox {
    storage: Arc<dyn Storage>,
    repeats: bool,
}

/// The sandbox's database. Each call is atomic, whoever else uses the same one.
#[async_trait]
trait Storage: Debug + Send + Sync {
    /// The answer that was given under a key.
    async fn find_answer(&self, key: IdempotencyKey) -> Result<Option<Outcome>, ProviderError>;

    /// Applies an effect and stores its answer under the key; where there is one already, returns that and does nothing.
    async fn apply_once(&self, key: IdempotencyKey, effect: ProviderEffect<'_>) -> Result<Outcome, ProviderError>;

    /// Counts a call for an order; returns how many there have been.
    async fn count_call(&self, order: OrderId) -> Result<i64, ProviderError>;

    /// Every charge of an order.
    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError>;

    /// Charges by ascending reference.
    async fn list(&self, after: Option<&ChargeReference>, limit: u32) -> Result<Vec<Charge>, ProviderError>;

    /// Voids a charge that is authorized, under no key.
    async fn release(&self, order: OrderId, charge: &ChargeReference) -> Result<Outcome, ProviderError>;

    /// Orders with more than one charge that was not voided.
    async fn charged_twice(&self) -> Result<i64, ProviderError>;

    /// Deletes up to `limit` answers, and as many counts of calls, that are older than [`RETENTION`]; says how many in all.
    /// Charges are kept.
    async fn prune(&self, limit: u32) -> Result<u64, ProviderError>;
    /// Whether the database can be written.
    async fn ping(&self) -> Result<(), Cause>;

    /// Closes the database.
    async fn close(&self);
}

/// What a call does to the charges.
#[derive(Debug, Clone, Copy)]
enum ProviderEffect<'a> {
    /// Makes a charge, which holds the money.
    Charge(Money),
    /// Makes none.
    Decline(DeclineReason),
    /// Makes none, nor does anything later under the key.
    Revoke,
    /// Changes a charge from the first state to the second.
    Change(&'a ChargeReference, ChargeState, ChargeState),
}

/// What a test token asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Approve,
    Decline(DeclineReason),
    UnavailableTwice,
    LoseAnswer,
    Slow,
}

impl Behaviour {
    fn of(token: &PaymentToken) -> Option<Self> {
        Some(match token.expose() {
            "tok_ok" => Self::Approve,
            "tok_declined" => Self::Decline(DeclineReason::Declined),
            "tok_insufficient_funds" => Self::Decline(DeclineReason::InsufficientFunds),
            "tok_unavailable" => Self::UnavailableTwice,
            "tok_unknown" => Self::LoseAnswer,
            "tok_slow" => Self::Slow,
            _ => return None,
        })
    }
}

impl Sandbox {
    /// Opens the provider's database on this machine: a `sqlite:` URL.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub async fn on_sqlite(url: &str) -> Result<Self, ::sqlite::Error> {
        Ok(Self { storage: Arc::new(Sqlite::open(url, false).await?), repeats: false })
    }

    /// The same, for tests, without what makes a provider patient: a call under a key that was used is carried out again.
    /// It still tells what was done under a key, and does nothing under one that was revoked.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub async fn repeating(url: &str) -> Result<Self, ::sqlite::Error> {
        Ok(Self { storage: Arc::new(Sqlite::open(url, true).await?), repeats: true })
    }

    /// Opens the provider's schema in a database that any number of processes share: a `postgres:` URL.
    /// Brings it up to date where `migrate`, and otherwise makes sure that it is.
    ///
    /// # Errors
    /// The database cannot be used, or its schema is too old.
    pub async fn on_postgres(url: &str, migrate: bool) -> Result<Self, ::postgres::Error> {
        Ok(Self { storage: Arc::new(Postgres::open(url, migrate).await?), repeats: false })
    }

    /// Forgets old answers, batch after batch until one is not full.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn prune(&self) -> Result<(), ProviderError> {
        while self.storage.prune(PRUNE_BATCH).await? >= u64::from(PRUNE_BATCH) {}
        Ok(())
    }

    /// Does so again and again.
    pub async fn prune_forever(&self) {
        loop {
            if let Err(error) = self.prune().await {
                tracing::warn!(error = &error as &dyn Error, "the sandbox forgets no old answers; will be retried");
            }
            tokio::time::sleep(PRUNE_INTERVAL).await;
        }
    }

    /// Whether it takes calls.
    ///
    /// # Errors
    /// Its database cannot be written.
    pub async fn ping(&self) -> Result<(), Cause> {
        self.storage.ping().await
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.storage.close().await;
    }

    async fn authorize(&self, instruction: &Instruction, token: &PaymentToken) -> Result<Outcome, ProviderError> {
        let behaviour = Behaviour::of(token).ok_or_else(|| unavailable("unknown payment token"))?;
        let Instruction { key, amount, .. } = instruction;
        // Before the calls are counted: a repeated key is not a new call. Of others the answer is found where it would be stored.
        let is_plain = matches!(behaviour, Behaviour::Approve | Behaviour::Decline(_));
        if !is_plain
            && let Some(outcome) = self.storage.find_answer(*key).await?
            && !self.repeats
        {
            return Ok(outcome);
        }
        if behaviour == Behaviour::UnavailableTwice && self.storage.count_call(key.order_id).await? <= UNAVAILABLE_CALLS
        {
            return Err(unavailable("the sandbox fails the first calls for this token"));
        }
        let effect = match behaviour {
            Behaviour::Decline(reason) => ProviderEffect::Decline(reason),
            _ => ProviderEffect::Charge(*amount),
        };
        let outcome = self.storage.apply_once(*key, effect).await?;
        match behaviour {
            // The charge is made all the same: that is what makes a lost answer dangerous.
            Behaviour::LoseAnswer => Err(ProviderError::OutcomeUnknown(None)),
            Behaviour::Slow => {
                tokio::time::sleep(SLOW).await;
                Ok(outcome)
            }
            _ => Ok(outcome),
        }
    }
}

#[async_trait]
impl Provider for Sandbox {
    async fn knows_token(&self, token: &PaymentToken) -> Result<bool, ProviderError> {
        Ok(Behaviour::of(token).is_some())
    }

    async fn execute(&self, instruction: &Instruction) -> Result<Outcome, ProviderError> {
        use ChargeState::{Authorized, Captured, Refunded, Voided};
        let key = instruction.key;
        let effect = match (key.operation, &instruction.target) {
            (Operation::Authorize, Target::Token(token)) => return self.authorize(instruction, token).await,
            (Operation::Capture, Target::Charge(charge)) => ProviderEffect::Change(charge, Authorized, Captured),
            (Operation::Void, Target::Charge(charge)) => ProviderEffect::Change(charge, Authorized, Voided),
            (Operation::Refund, Target::Charge(charge)) => ProviderEffect::Change(charge, Captured, Refunded),
            (Operation::Authorize, Target::Charge(_)) | (_, Target::Token(_)) => {
                return Err(unavailable("the instruction makes no sense"));
            }
        };
        self.storage.apply_once(key, effect).await
    }

    async fn find_outcome(&self, key: IdempotencyKey) -> Result<Option<Outcome>, ProviderError> {
        self.storage.find_answer(key).await
    }

    async fn revoke(&self, key: IdempotencyKey) -> Result<Outcome, ProviderError> {
        self.storage.apply_once(key, ProviderEffect::Revoke).await
    }

    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError> {
        self.storage.charges(order).await
    }

    // A reference begins with the time at which it was made.
    async fn list(&self, after: Option<&ChargeReference>, limit: u32) -> Result<Vec<Charge>, ProviderError> {
        self.storage.list(after, limit).await
    }

    async fn release(&self, order: OrderId, charge: &ChargeReference) -> Result<Outcome, ProviderError> {
        self.storage.release(order, charge).await
    }

    async fn charged_twice(&self) -> Result<u64, ProviderError> {
        Ok(u64::try_from(self.storage.charged_twice().await?).unwrap_or_default())
    }
}

/// The reason why there is no charge under a key that was revoked.
const REVOKED: &str = "revoked";

/// A stored answer: the reference of a charge, or why there is none.
type Answer = (Option<String>, Option<String>);

fn read_answer((reference, reason): Answer) -> Result<Outcome, ProviderError> {
    match (reference, reason) {
        (Some(reference), _) => Ok(Outcome::Approved(ChargeReference::new(reference))),
        (None, Some(reason)) if reason == REVOKED => Ok(Outcome::Revoked),
        (None, Some(reason)) => Ok(Outcome::Declined(columns::parse_decline_reason(&reason)?)),
        (None, None) => Err(columns::unreadable("answer").into()),
    }
}

/// The answer to store. A conflict is none: nothing was done, and the same call may succeed later.
fn answer_columns(outcome: &Outcome) -> Option<Answer> {
    match outcome {
        Outcome::Approved(reference) => Some((Some(reference.as_str().to_owned()), None)),
        Outcome::Declined(reason) => Some((None, Some(reason.name().to_owned()))),
        Outcome::Revoked => Some((None, Some(REVOKED.to_owned()))),
        Outcome::Conflict => None,
    }
}

/// A stored charge: reference, order, amount, currency, state.
type ChargeRow = (String, Uuid, i64, String, String);

fn read_charge((reference, order, amount, currency, state): ChargeRow) -> Charge {
    let known = [ChargeState::Authorized, ChargeState::Captured, ChargeState::Voided, ChargeState::Refunded];
    let state = known.into_iter().find(|known| known.name() == state).unwrap_or(ChargeState::Unknown);
    let amount = columns::parse_money(amount, &currency).ok();
    Charge { reference: ChargeReference::new(reference), order_id: order.into(), amount, state }
}

/// A reference for a new charge.
fn new_reference() -> ChargeReference {
    ChargeReference::new(format!("ch_{}", Uuid::now_v7().simple()))
}

fn unavailable(reason: &'static str) -> ProviderError {
    ProviderError::Unavailable(Some(Cause::from(reason)))
}

// Whatever fails in the sandbox's database may have been committed: only asking by key can tell.
impl From<sqlx::Error> for ProviderError {
    fn from(error: sqlx::Error) -> Self {
        Self::OutcomeUnknown(Some(error.into()))
    }
}

impl From<StoreError> for ProviderError {
    fn from(error: StoreError) -> Self {
        Self::OutcomeUnknown(Some(error.into()))
    }
}
