//! The sandbox provider: test tokens, and a database of its own that stands for the provider's side of the world.
//!
//! It forgets nothing when payment is killed, answers a repeated key as it did the first time,
//! and counts what it did, so that an audit can see whether anybody was charged twice.

use std::time::Duration;

use ::sqlite::Database;
use async_trait::async_trait;
use money::Money;
use sqlx::{Row as _, SqliteConnection, migrate::Migrator, sqlite::SqliteRow};
use uuid::Uuid;

use super::{sqlite::rows, words};
use crate::{
    app::ports::{Cause, Charge, Instruction, Key, Provider, ProviderError, StoreError, Target},
    domain::{ChargeState, DeclineReason, Operation, OrderId, Outcome, PaymentToken, Reference},
};

/// The schema of the sandbox's own database.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sandbox");

/// How long `tok_slow` takes to answer.
const SLOW: Duration = Duration::from_secs(2);

/// How often `tok_unavailable` is refused for an order.
const REFUSALS: i64 = 2;

/// The sandbox provider.
#[derive(Debug, Clone)]
pub struct Sandbox {
    database: Database,
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
    /// Opens the provider's database: a `sqlite:` URL.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub async fn open(url: &str) -> Result<Self, ::sqlite::Error> {
        Ok(Self { database: ::sqlite::open(url, &MIGRATIONS).await? })
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.database.close().await;
    }

    async fn authorize(&self, instruction: &Instruction, token: &PaymentToken) -> Result<Outcome, ProviderError> {
        let behaviour = Behaviour::of(token).ok_or_else(|| refused("unknown payment token"))?;
        let Instruction { key, amount, .. } = instruction;
        let mut tx = self.database.begin().await?;
        if let Some(outcome) = answered(&mut tx, *key).await? {
            return Ok(outcome);
        }
        if behaviour == Behaviour::RefuseTwice && refuses(&mut tx, key.order_id).await? {
            tx.commit().await?;
            return Err(refused("the sandbox refuses the first calls for this token"));
        }
        let outcome = match behaviour {
            Behaviour::Decline(reason) => Outcome::Declined(reason),
            _ => Outcome::Approved(charge(&mut tx, key.order_id, *amount).await?),
        };
        answer(&mut tx, *key, &outcome).await?;
        tx.commit().await?;
        match behaviour {
            Behaviour::LoseAnswer => Err(ProviderError::Unknown(None)),
            Behaviour::Slow => {
                tokio::time::sleep(SLOW).await;
                Ok(outcome)
            }
            _ => Ok(outcome),
        }
    }

    async fn change(
        &self,
        key: Key,
        reference: &Reference,
        (from, to): (ChargeState, ChargeState),
    ) -> Result<Outcome, ProviderError> {
        let mut tx = self.database.begin().await?;
        if let Some(outcome) = answered(&mut tx, key).await? {
            return Ok(outcome);
        }
        let changed =
            sqlx::query("UPDATE charges SET state = ?4 WHERE reference = ?1 AND order_id = ?2 AND state = ?3")
                .bind(reference.as_str().to_owned())
                .bind(blob(key.order_id))
                .bind(state_name(from))
                .bind(state_name(to))
                .execute(&mut *tx)
                .await?;
        if changed.rows_affected() == 0 {
            return Ok(Outcome::Conflict);
        }
        let outcome = Outcome::Approved(reference.clone());
        answer(&mut tx, key, &outcome).await?;
        tx.commit().await?;
        Ok(outcome)
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
        match (key.operation, &instruction.target) {
            (Operation::Authorize, Target::Token(token)) => self.authorize(instruction, token).await,
            (Operation::Capture, Target::Charge(charge)) => self.change(key, charge, (Authorized, Captured)).await,
            (Operation::Void, Target::Charge(charge)) => self.change(key, charge, (Authorized, Voided)).await,
            (Operation::Refund, Target::Charge(charge)) => self.change(key, charge, (Captured, Refunded)).await,
            (Operation::Authorize, Target::Charge(_)) | (_, Target::Token(_)) => {
                Err(refused("the instruction makes no sense"))
            }
        }
    }

    async fn find(&self, key: Key) -> Result<Option<Outcome>, ProviderError> {
        let mut connection = self.database.read.acquire().await?;
        answered(&mut connection, key).await
    }

    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError> {
        let rows = sqlx::query(
            "SELECT reference, amount, currency, state FROM charges WHERE order_id = ?1 ORDER BY reference",
        )
        .bind(blob(order))
        .fetch_all(&self.database.read)
        .await?;
        rows.iter().map(read_charge).collect()
    }

    async fn charged_twice(&self) -> Result<u64, ProviderError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(DISTINCT order_id) FROM (SELECT order_id FROM answers \
             WHERE reference IS NOT NULL AND operation <> 'void' \
             GROUP BY order_id, operation HAVING count(*) > 1)",
        )
        .fetch_one(&self.database.read)
        .await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// The answer that was given under a key.
async fn answered(tx: &mut SqliteConnection, key: Key) -> Result<Option<Outcome>, ProviderError> {
    let row = sqlx::query("SELECT reference, decline_reason FROM answers WHERE key = ?1")
        .bind(key.to_string())
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    if let Some(reference) = row.try_get::<Option<String>, _>("reference")? {
        return Ok(Some(Outcome::Approved(Reference::new(reference))));
    }
    Ok(Some(Outcome::Declined(words::reason(row.try_get("decline_reason")?)?)))
}

async fn answer(tx: &mut SqliteConnection, key: Key, outcome: &Outcome) -> Result<(), ProviderError> {
    let (reference, reason) = match outcome {
        Outcome::Approved(reference) => (Some(reference.as_str().to_owned()), None),
        Outcome::Declined(reason) => (None, Some(reason.name())),
        Outcome::Conflict => return Ok(()),
    };
    sqlx::query(
        "INSERT INTO answers (key, order_id, operation, reference, decline_reason) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .bind(key.to_string())
    .bind(blob(key.order_id))
    .bind(key.operation.name())
    .bind(reference)
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(())
}

async fn charge(tx: &mut SqliteConnection, order: OrderId, amount: Money) -> Result<Reference, ProviderError> {
    let reference = format!("ch_{}", Uuid::now_v7().simple());
    sqlx::query(
        "INSERT INTO charges (reference, order_id, amount, currency, state) VALUES (?1, ?2, ?3, ?4, 'authorized')",
    )
    .bind(reference.clone())
    .bind(blob(order))
    .bind(amount.amount)
    .bind(amount.currency.code())
    .execute(tx)
    .await?;
    Ok(Reference::new(reference))
}

/// Counts a call; whether it is one of those that are refused.
async fn refuses(tx: &mut SqliteConnection, order: OrderId) -> Result<bool, ProviderError> {
    let calls: i64 = sqlx::query_scalar(
        "INSERT INTO refusals (order_id, calls) VALUES (?1, 1) \
         ON CONFLICT (order_id) DO UPDATE SET calls = calls + 1 RETURNING calls",
    )
    .bind(blob(order))
    .fetch_one(tx)
    .await?;
    Ok(calls <= REFUSALS)
}

fn read_charge(row: &SqliteRow) -> Result<Charge, ProviderError> {
    let name: &str = row.try_get("state")?;
    let state = [ChargeState::Authorized, ChargeState::Captured, ChargeState::Voided, ChargeState::Refunded]
        .into_iter()
        .find(|state| state_name(*state) == name)
        .ok_or_else(|| words::unreadable("state"))?;
    Ok(Charge {
        reference: Reference::new(row.try_get::<String, _>("reference")?),
        amount: rows::money(row, "amount")?,
        state,
    })
}

const fn state_name(state: ChargeState) -> &'static str {
    match state {
        ChargeState::Authorized => "authorized",
        ChargeState::Captured => "captured",
        ChargeState::Voided => "voided",
        ChargeState::Refunded => "refunded",
    }
}

fn blob(order: OrderId) -> Vec<u8> {
    order.uuid().as_bytes().to_vec()
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
