//! The sandbox's charges and answers in a schema of its own on `PostgreSQL`: any number of processes share it.
//!
//! Tables are named with their schema, so that nothing depends on a session's `search_path`.

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

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sandbox-postgres");
const HISTORY: &str = "sandbox._sqlx_migrations";

#[derive(Debug)]
pub(super) struct Postgres {
    pool: postgres::Pool,
}

impl Postgres {
    pub(super) async fn open(url: &str, migrate: bool) -> Result<Self, ::postgres::Error> {
        let pool = ::postgres::connect(url, "sandbox").await?;
        if migrate {
            ::postgres::migrate(&pool, &MIGRATIONS, HISTORY).await?;
        } else {
            ::postgres::check(&pool, &MIGRATIONS, HISTORY).await?;
        }
        Ok(Self { pool })
    }
}

#[async_trait]
impl Storage for Postgres {
    async fn find_answer(&self, key: IdempotencyKey) -> Result<Option<Outcome>, ProviderError> {
        let answer: Option<Answer> =
            sqlx::query_as("SELECT reference, decline_reason FROM sandbox.answers WHERE key = $1")
                .bind(key.to_string())
                .fetch_optional(&self.pool)
                .await?;
        answer.map(read_answer).transpose()
    }

    async fn apply_once(&self, key: IdempotencyKey, effect: ProviderEffect<'_>) -> Result<Outcome, ProviderError> {
        let mut tx = self.pool.begin().await?;
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
            "INSERT INTO sandbox.refusals AS kept (order_id, calls) VALUES ($1, 1) \
             ON CONFLICT (order_id) DO UPDATE SET calls = kept.calls + 1 RETURNING calls",
        )
        .bind(order.uuid())
        .fetch_one(&self.pool)
        .await?;
        Ok(calls)
    }

    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError> {
        let rows: Vec<ChargeRow> = sqlx::query_as(
            "SELECT reference, order_id, amount, currency, state FROM sandbox.charges WHERE order_id = $1 ORDER BY reference",
        )
        .bind(order.uuid())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(read_charge).collect())
    }

    async fn list(&self, after: Option<&ChargeReference>, limit: u32) -> Result<Vec<Charge>, ProviderError> {
        let rows: Vec<ChargeRow> = sqlx::query_as(
            "SELECT reference, order_id, amount, currency, state FROM sandbox.charges WHERE reference > $1 \
             ORDER BY reference LIMIT $2",
        )
        .bind(after.map_or_else(String::new, |after| after.as_str().to_owned()))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(read_charge).collect())
    }

    async fn release(&self, order: OrderId, charge: &ChargeReference) -> Result<Outcome, ProviderError> {
        let mut tx = self.pool.begin().await?;
        let outcome = change(&mut tx, order, charge, ChargeState::Authorized, ChargeState::Voided).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn charged_twice(&self) -> Result<i64, ProviderError> {
        let count = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT 1 FROM sandbox.charges WHERE state <> 'voided' \
             GROUP BY order_id HAVING count(*) > 1) AS twice",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count)
    }

    async fn prune(&self, limit: u32) -> Result<u64, ProviderError> {
        let mut deleted = 0;
        // What another process is just deleting is left to it.
        for delete in [
            "DELETE FROM sandbox.answers WHERE key IN (SELECT key FROM sandbox.answers \
             WHERE at < now() - make_interval(secs => $1) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            "DELETE FROM sandbox.refusals WHERE order_id IN (SELECT order_id FROM sandbox.refusals \
             WHERE at < now() - make_interval(secs => $1) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        ] {
            let query = sqlx::query(delete).bind(RETENTION.as_secs_f64()).bind(i64::from(limit));
            deleted += query.execute(&self.pool).await?.rows_affected();
        }
        Ok(deleted)
    }

    async fn ping(&self) -> Result<(), Cause> {
        Ok(::postgres::ping(&self.pool).await?)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

async fn charge(tx: &mut postgres::Connection, order: OrderId, amount: Money) -> Result<Outcome, sqlx::Error> {
    let reference = new_reference();
    sqlx::query(
        "INSERT INTO sandbox.charges (reference, order_id, amount, currency, state) VALUES ($1, $2, $3, $4, 'authorized')",
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
    tx: &mut postgres::Connection,
    order: OrderId,
    charge: &ChargeReference,
    from: ChargeState,
    to: ChargeState,
) -> Result<Outcome, sqlx::Error> {
    let changed =
        sqlx::query("UPDATE sandbox.charges SET state = $4 WHERE reference = $1 AND order_id = $2 AND state = $3")
            .bind(charge.as_str())
            .bind(order.uuid())
            .bind(from.name())
            .bind(to.name())
            .execute(tx)
            .await?;
    Ok(if changed.rows_affected() == 1 { Outcome::Approved(charge.clone()) } else { Outcome::Conflict })
}

/// Stores an answer; `false` when there is none to store, or the key has one.
///
/// Waits for another transaction that is about to answer the same key.
async fn insert_answer(
    tx: &mut postgres::Connection,
    key: IdempotencyKey,
    outcome: &Outcome,
) -> Result<bool, sqlx::Error> {
    let Some((reference, reason)) = answer_columns(outcome) else { return Ok(false) };
    let inserted = sqlx::query(
        "INSERT INTO sandbox.answers (key, order_id, operation, reference, decline_reason) VALUES ($1, $2, $3, $4, $5) \
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
