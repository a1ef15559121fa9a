//! The sandbox provider: test tokens, and a database of its own that stands for the provider's side of the world.
//!
//! It forgets nothing when payment is killed, answers a repeated key as it did the first time,
//! and counts what it did, so that an audit can see whether anybody was charged twice.

mod postgres;
mod sqlite;

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use money::Money;
use postgres::Postgres;
use sqlite::Sqlite;

use super::words;
use crate::{
    app::ports::{Cause, Charge, Instruction, Key, Provider, ProviderError, StoreError, Target},
    domain::{ChargeState, DeclineReason, Operation, OrderId, Outcome, PaymentToken, Reference},
};

/// How long `tok_slow` takes to answer.
const SLOW: Duration = Duration::from_secs(2);

/// How often `tok_unavailable` is refused for an order.
const REFUSALS: i64 = 2;

/// The sandbox provider.
#[derive(Debug, Clone)]
pub struct Sandbox {
    storage: Arc<dyn Storage>,
}

/// What the sandbox remembers. Each call is atomic, whoever else uses the same database.
#[async_trait]
trait Storage: Debug + Send + Sync {
    /// The answer that was given under a key.
    async fn answered(&self, key: Key) -> Result<Option<Outcome>, ProviderError>;

    /// Does a deed and remembers its answer under the key; where there is one already, gives that and does nothing.
    async fn settle(&self, key: Key, deed: Deed<'_>) -> Result<Outcome, ProviderError>;

    /// Counts a call for an order; returns how many there have been.
    async fn count_call(&self, order: OrderId) -> Result<i64, ProviderError>;

    /// Every charge of an order.
    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError>;

    /// Orders with more than one approved authorization, capture or refund.
    async fn charged_twice(&self) -> Result<i64, ProviderError>;

    /// Closes the database.
    async fn close(&self);
}

/// What is done under a key.
#[derive(Debug, Clone, Copy)]
enum Deed<'a> {
    /// A new charge.
    Charge(Money),
    /// No charge.
    Decline(DeclineReason),
    /// Another state of a charge that is in the first one.
    Change(&'a Reference, ChargeState, ChargeState),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Approve,
    Decline(DeclineReason),
    RefuseTwice,
    LoseAnswer,
    Slow,
}

impl Behaviour {
    fn of(token: &PaymentToken) -> Option<Self> {
        Some(match token.expose() {
            "tok_ok" => Self::Approve,
            "tok_declined" => Self::Decline(DeclineReason::Declined),
            "tok_insufficient_funds" => Self::Decline(DeclineReason::InsufficientFunds),
            "tok_unavailable" => Self::RefuseTwice,
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
        Ok(Self { storage: Arc::new(Sqlite::open(url).await?) })
    }

    /// Opens the provider's schema in a database that any number of processes share: a `postgres:` URL.
    /// Brings it up to date where `migrate`, and otherwise makes sure that it is.
    ///
    /// # Errors
    /// The database cannot be used, or its schema is too old.
    pub async fn on_postgres(url: &str, migrate: bool) -> Result<Self, ::postgres::Error> {
        Ok(Self { storage: Arc::new(Postgres::open(url, migrate).await?) })
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.storage.close().await;
    }

    async fn authorize(&self, instruction: &Instruction, token: &PaymentToken) -> Result<Outcome, ProviderError> {
        let behaviour = Behaviour::of(token).ok_or_else(|| refused("unknown payment token"))?;
        let Instruction { key, amount, .. } = instruction;
        if let Some(outcome) = self.storage.answered(*key).await? {
            return Ok(outcome);
        }
        if behaviour == Behaviour::RefuseTwice && self.storage.count_call(key.order_id).await? <= REFUSALS {
            return Err(refused("the sandbox refuses the first calls for this token"));
        }
        let deed = match behaviour {
            Behaviour::Decline(reason) => Deed::Decline(reason),
            _ => Deed::Charge(*amount),
        };
        let outcome = self.storage.settle(*key, deed).await?;
        match behaviour {
            Behaviour::LoseAnswer => Err(ProviderError::Unknown(None)),
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
    async fn knows(&self, token: &PaymentToken) -> Result<bool, ProviderError> {
        Ok(Behaviour::of(token).is_some())
    }

    async fn execute(&self, instruction: &Instruction) -> Result<Outcome, ProviderError> {
        use ChargeState::{Authorized, Captured, Refunded, Voided};
        let key = instruction.key;
        let deed = match (key.operation, &instruction.target) {
            (Operation::Authorize, Target::Token(token)) => return self.authorize(instruction, token).await,
            (Operation::Capture, Target::Charge(charge)) => Deed::Change(charge, Authorized, Captured),
            (Operation::Void, Target::Charge(charge)) => Deed::Change(charge, Authorized, Voided),
            (Operation::Refund, Target::Charge(charge)) => Deed::Change(charge, Captured, Refunded),
            (Operation::Authorize, Target::Charge(_)) | (_, Target::Token(_)) => {
                return Err(refused("the instruction makes no sense"));
            }
        };
        self.storage.settle(key, deed).await
    }

    async fn find(&self, key: Key) -> Result<Option<Outcome>, ProviderError> {
        self.storage.answered(key).await
    }

    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError> {
        self.storage.charges(order).await
    }

    async fn charged_twice(&self) -> Result<u64, ProviderError> {
        Ok(u64::try_from(self.storage.charged_twice().await?).unwrap_or_default())
    }
}

/// A stored answer: the reference of a charge, or why there is none.
type Answer = (Option<String>, Option<String>);

fn read_answer((reference, reason): Answer) -> Result<Outcome, ProviderError> {
    match (reference, reason) {
        (Some(reference), _) => Ok(Outcome::Approved(Reference::new(reference))),
        (None, Some(reason)) => Ok(Outcome::Declined(words::reason(&reason)?)),
        (None, None) => Err(words::unreadable("answer").into()),
    }
}

/// The answer to store; a conflict is none, so that the key stays free.
fn answer_of(outcome: &Outcome) -> Option<Answer> {
    match outcome {
        Outcome::Approved(reference) => Some((Some(reference.as_str().to_owned()), None)),
        Outcome::Declined(reason) => Some((None, Some(reason.name().to_owned()))),
        Outcome::Conflict => None,
    }
}

/// A stored charge: reference, amount, currency, state.
type Row = (String, i64, String, String);

fn read_charge((reference, amount, currency, state): Row) -> Result<Charge, ProviderError> {
    let state = [ChargeState::Authorized, ChargeState::Captured, ChargeState::Voided, ChargeState::Refunded]
        .into_iter()
        .find(|known| state_name(*known) == state)
        .ok_or_else(|| words::unreadable("state"))?;
    Ok(Charge { reference: Reference::new(reference), amount: words::money(amount, &currency)?, state })
}

const fn state_name(state: ChargeState) -> &'static str {
    match state {
        ChargeState::Authorized => "authorized",
        ChargeState::Captured => "captured",
        ChargeState::Voided => "voided",
        ChargeState::Refunded => "refunded",
    }
}

/// A name for a new charge.
fn new_reference() -> Reference {
    Reference::new(format!("ch_{}", uuid::Uuid::now_v7().simple()))
}

fn refused(why: &'static str) -> ProviderError {
    ProviderError::Refused(Some(Cause::from(why)))
}

// Whatever fails in the sandbox's database may have been committed: only asking again tells.
impl From<sqlx::Error> for ProviderError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unknown(Some(error.into()))
    }
}

impl From<StoreError> for ProviderError {
    fn from(error: StoreError) -> Self {
        Self::Unknown(Some(error.into()))
    }
}
