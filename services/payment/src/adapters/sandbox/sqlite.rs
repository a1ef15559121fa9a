//! The sandbox's charges and answers in an `SQLite` database: a file that one machine has, or memory.

use ::sqlite::Database;
use async_trait::async_trait;
use money::Money;
use sqlx::migrate::Migrator;

use super::{
    Answer, ChargeRow, ProviderEffect, RETENTION, Storage, answer_columns, new_reference, read_answer, read_charge,
};
use crate::{
    app::ports::{Cause, IdempotencyKey, ProviderError},
    domain::{Charge, ChargeReference, ChargeState, OrderId, Outcome},
};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sandbox-sqlite");

#[derive(Debug)]
pub(super) struct Sqlite {
    database: Database,
    repeats: bool,
}

impl Sqlite {
    /// Where it `repeats`, a call under a key that was used finds no earlier answer.
    pub(super) async fn open(url: &str, repeats: bool) -> Result<Self, ::sqlite::Error> {
        Ok(Self { database: sqlite::open(url, &MIGRATIONS).await?, repeats })
    }
}

#[async_trait]
impl Storage for Sqlite {
    async fn find_answer(&self, key: IdempotencyKey) -> Result<Option<Outcome>, ProviderError> {
        let answer: Option<Answer> = sqlx::query_as("SELECT reference, decline_reason FROM answers WHERE key = ?1")
            .bind(key.to_string())
            .fetch_optional(&self.database.read)
            .await?;
        answer.map(read_answer).transpose()
    }

    async fn apply_once(&self, key: IdempotencyKey, effect: ProviderEffect<'_>) -> Result<Outcome, ProviderError> {
        let mut tx = self.database.begin().await?;
        if self.repeats && !matches!(effect, ProviderEffect::Revoke) {
            forget_answer(&mut tx, key).await?;
        }
        let outcome = match effect {
            ProviderEffect::Charge(amount) => charge(&mut tx, key.order_id, amount).await?,
            ProviderEffect::Decline(reason) => Outcome::Declined(reason),
            ProviderEffect::Revoke => Outcome::Revoked,
            ProviderEffect::Change(charge, from, to) => change(&mut tx, key.order_id, charge, from, to).await?,
        };
        if insert_answer(&mut tx, key, &outcome).await? {
            tx.commit().await?;
            return Ok(outcome);
        }
        // A conflict, or another call under this key was first: then its answer counts, and the charge that was made
        // here must not stay beside the other one.
        tx.rollback().await?;
        Ok(self.find_answer(key).await?.unwrap_or(Outcome::Conflict))
    }

    async fn count_call(&self, order: OrderId) -> Result<i64, ProviderError> {
        let calls = sqlx::query_scalar(
            "INSERT INTO refusals (order_id, calls) VALUES (?1, 1) \
             ON CONFLICT (order_id) DO UPDATE SET calls = calls + 1 RETURNING calls",
        )
        .bind(order.uuid())
        .fetch_one(&self.database.write)
        .await?;
        Ok(calls)
    }

    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError> {
        let rows: Vec<ChargeRow> = sqlx::query_as(
            "SELECT reference, order_id, amount, currency, state FROM charges WHERE order_id = ?1 ORDER BY reference",
        )
        .bind(order.uuid())
        .fetch_all(&self.database.read)
        .await?;
        Ok(rows.into_iter().map(read_charge).collect())
    }

    async fn list(&self, after: Option<&ChargeReference>, limit: u32) -> Result<Vec<Charge>, ProviderError> {
        let rows: Vec<ChargeRow> = sqlx::query_as(
            "SELECT reference, order_id, amount, currency, state FROM charges WHERE reference > ?1 \
             ORDER BY reference LIMIT ?2",
        )
        .bind(after.map_or_else(String::new, |after| after.as_str().to_owned()))
        .bind(i64::from(limit))
        .fetch_all(&self.database.read)
        .await?;
        Ok(rows.into_iter().map(read_charge).collect())
    }

    async fn release(&self, order: OrderId, charge: &ChargeReference) -> Result<Outcome, ProviderError> {
        let mut tx = self.database.begin().await?;
        let outcome = change(&mut tx, order, charge, ChargeState::Authorized, ChargeState::Voided).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn charged_twice(&self) -> Result<i64, ProviderError> {
        let count = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT 1 FROM charges WHERE state <> 'voided' \
             GROUP BY order_id HAVING count(*) > 1)",
        )
        .fetch_one(&self.database.read)
        .await?;
        Ok(count)
    }

    async fn prune(&self, limit: u32) -> Result<u64, ProviderError> {
        let mut deleted = 0;
        for delete in [
            "DELETE FROM answers WHERE key IN \
             (SELECT key FROM answers WHERE at < unixepoch() - ?1 ORDER BY at LIMIT ?2)",
            "DELETE FROM refusals WHERE order_id IN \
             (SELECT order_id FROM refusals WHERE at < unixepoch() - ?1 ORDER BY at LIMIT ?2)",
        ] {
            let age = i64::try_from(RETENTION.as_secs()).unwrap_or(i64::MAX);
            let done = sqlx::query(delete).bind(age).bind(limit).execute(&self.database.write).await?;
            deleted += done.rows_affected();
        }
        Ok(deleted)
    }

    async fn ping(&self) -> Result<(), Cause> {
        Ok(self.database.ping().await?)
    }

    async fn close(&self) {
        self.database.close().await;
    }
}

async fn charge(tx: &mut sqlite::Connection, order: OrderId, amount: Money) -> Result<Outcome, sqlx::Error> {
    let reference = new_reference();
    sqlx::query(
        "INSERT INTO charges (reference, order_id, amount, currency, state) VALUES (?1, ?2, ?3, ?4, 'authorized')",
    )
    .bind(reference.as_str())
    .bind(order.uuid())
    .bind(amount.amount)
    .bind(amount.currency.code())
    .execute(tx)
    .await?;
    Ok(Outcome::Approved(reference))
}

/// A conflict where the order has no such charge in the state `from`.
async fn change(
    tx: &mut sqlite::Connection,
    order: OrderId,
    charge: &ChargeReference,
    from: ChargeState,
    to: ChargeState,
) -> Result<Outcome, sqlx::Error> {
    let changed = sqlx::query("UPDATE charges SET state = ?4 WHERE reference = ?1 AND order_id = ?2 AND state = ?3")
        .bind(charge.as_str())
        .bind(order.uuid())
        .bind(from.name())
        .bind(to.name())
        .execute(tx)
        .await?;
    Ok(if changed.rows_affected() == 1 { Outcome::Approved(charge.clone()) } else { Outcome::Conflict })
}

/// Forgets what was done under a key; not that it was revoked.
async fn forget_answer(tx: &mut sqlite::Connection, key: IdempotencyKey) -> Result<(), sqlx::Error> {
    let forget = "DELETE FROM answers WHERE key = ?1 AND decline_reason IS NOT 'revoked'";
    sqlx::query(forget).bind(key.to_string()).execute(tx).await?;
    Ok(())
}

/// Stores an answer; `false` when there is none to store, or the key has one.
async fn insert_answer(
    tx: &mut sqlite::Connection,
    key: IdempotencyKey,
    outcome: &Outcome,
) -> Result<bool, sqlx::Error> {
    let Some((reference, reason)) = answer_columns(outcome) else { return Ok(false) };
    let inserted = sqlx::query(
        "INSERT INTO answers (key, order_id, operation, reference, decline_reason) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(key.to_string())
    .bind(key.order_id.uuid())
    .bind(key.operation.name())
    .bind(reference)
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}
