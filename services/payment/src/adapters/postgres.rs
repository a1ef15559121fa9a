//! Payments, ledger, webhooks, outbox and inbox in one `PostgreSQL` database.

mod audit;
mod rows;
mod save;

use async_trait::async_trait;
use messaging::{Effects, Recorded, Wake};
use money::Money;
use sqlx::{Row as _, migrate::Migrator};
use telemetry::Carrier;
use time::OffsetDateTime;

use crate::{
    app::ports::{
        Booked, DuePayment, Pauses, Payments, ProcessedMessages, Record, Saved, StoreError, Totals, WebhookId, Write,
    },
    domain::{OrderId, Payment, PaymentId, ledger::Transaction},
};

/// The schema of payment's own tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// The payments in a database.
#[derive(Clone)]
pub struct PostgresPayments {
    pool: postgres::Pool,
    wake: Wake,
}

impl PostgresPayments {
    /// Uses a database that `postgres::open` has opened with [`MIGRATIONS`].
    ///
    /// `wake` wakes the relay whenever an event was stored.
    pub fn new(pool: postgres::Pool, wake: Wake) -> Self {
        Self { pool, wake }
    }
}

#[async_trait]
impl Payments for PostgresPayments {
    async fn by_order(&self, order: OrderId) -> Result<Option<Record>, StoreError> {
        Ok(self.find(order).await?.map(|(record, _)| record))
    }

    async fn by_order_locked(&self, order: OrderId, lock: i64) -> Result<(Option<Record>, i64), StoreError> {
        // Nearly always the lock's token is higher, and there is nothing to write.
        match self.find(order).await? {
            Some((_, written)) if written >= lock => {}
            found => return Ok((found.map(|(record, _)| record), lock)),
        }
        // Raised before it is read: whoever held the lock before can no longer write on what is read here.
        let raised = sqlx::query_scalar(
            "UPDATE payments SET fence = fence + 1 WHERE order_id = $1 AND fence >= $2 RETURNING fence",
        );
        let raised = raised.bind(order.uuid()).bind(lock).fetch_all(&self.pool).await?;
        Ok((self.by_order(order).await?, raised.into_iter().next().unwrap_or(lock)))
    }

    async fn by_id(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        let row = sqlx::query(
            "SELECT id, order_id, user_id, amount, currency, status, decline_reason, intent, token, reference, \
             version, created_at, updated_at FROM payments WHERE id = $1",
        )
        .bind(id.uuid())
        .fetch_optional(&self.pool)
        .await?;
        match row.as_ref().map(rows::record).transpose()? {
            Some(Record::Payment(payment)) => Ok(Some(payment)),
            Some(Record::Closed) | None => Ok(None),
        }
    }

    async fn save(&self, write: Write<'_>) -> Result<Saved, StoreError> {
        // To the end, not to the first row: what the server checks when it commits comes last.
        let saved = match save::statement(&write)?.fetch_all(&self.pool).await {
            Ok(rows) if rows.is_empty() => return Ok(Saved::Stale),
            Ok(_) => Saved::Stored,
            Err(error) if save::is_processed(&error) => return Ok(Saved::Duplicate),
            Err(error) => return Err(error.into()),
        };
        if !write.effects.events.is_empty() {
            self.wake.poke();
        }
        Ok(saved)
    }

    async fn close(
        &self,
        order: OrderId,
        fence: i64,
        now: OffsetDateTime,
        processed: &ProcessedMessages,
    ) -> Result<Saved, StoreError> {
        let mut tx = self.pool.begin().await?;
        // The primary key decides between this and a payment that is opened at the same time, whoever holds which lock.
        let inserted = sqlx::query(
            "INSERT INTO payments (order_id, status, version, fence, created_at, updated_at) \
             VALUES ($1, 'closed', 1, $2, $3, $3) ON CONFLICT DO NOTHING",
        )
        .bind(order.uuid())
        .bind(fence)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(Saved::Stale);
        }
        self.commit_with(tx, processed).await
    }

    async fn record_receipt(&self, processed: &ProcessedMessages) -> Result<Saved, StoreError> {
        let tx = self.pool.begin().await?;
        self.commit_with(tx, processed).await
    }

    async fn is_processed(&self, webhook: &WebhookId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM webhooks WHERE id = $1")
            .bind(webhook.0.clone())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    async fn delete_webhooks(&self, before: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        // What another process is just deleting is left to it.
        let deleted = sqlx::query(
            "DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks WHERE received_at < $1 \
             ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        )
        .bind(before)
        .bind(i64::from(limit))
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected())
    }

    async fn claim_due(&self, now: OffsetDateTime, pauses: Pauses, limit: u32) -> Result<Vec<DuePayment>, StoreError> {
        // A row that another sweeper is just claiming is skipped and not waited for: it is not due any more.
        let due = sqlx::query(
            "UPDATE payments SET attempts = attempts + 1, \
             look_again = $1 + make_interval(secs => least($2 * power(2, least(attempts, 20)), $3)) \
             WHERE order_id IN (SELECT order_id FROM payments \
             WHERE look_again <= $1 OR look_again > $5 ORDER BY look_again LIMIT $4 FOR UPDATE SKIP LOCKED) \
             RETURNING order_id, attempts, traceparent, tracestate, canary",
        )
        .bind(now)
        .bind(pauses.first.as_secs_f64())
        .bind(pauses.longest.as_secs_f64())
        .bind(i64::from(limit))
        .bind(now + clock::HORIZON)
        .fetch_all(&self.pool)
        .await?;
        due.iter()
            .map(|row| {
                Ok(DuePayment {
                    order_id: row.try_get::<uuid::Uuid, _>("order_id")?.into(),
                    attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).unwrap_or_default(),
                    carrier: Carrier {
                        traceparent: row.try_get("traceparent")?,
                        tracestate: row.try_get("tracestate")?,
                        canary: row.try_get("canary")?,
                    },
                })
            })
            .collect()
    }

    async fn clear_due(&self, order: OrderId, fence: i64) -> Result<(), StoreError> {
        // An intent that was stored meanwhile keeps its due time. The fence goes up although nothing else changes, so
        // that whoever held the lock before can no longer write on what it has read.
        sqlx::query(
            "UPDATE payments SET look_again = NULL, fence = $2 \
             WHERE order_id = $1 AND fence <= $2 AND intent IS NULL",
        )
        .bind(order.uuid())
        .bind(fence)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn imbalances(&self, limit: u32) -> Result<Vec<Money>, StoreError> {
        audit::imbalances(&self.pool, limit).await
    }

    async fn page(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<Booked>, StoreError> {
        audit::page(&self.pool, after, limit).await
    }

    async fn booked(&self, orders: &[OrderId]) -> Result<Vec<Booked>, StoreError> {
        audit::booked(&self.pool, orders).await
    }

    async fn ledger(&self, order: OrderId) -> Result<Vec<Transaction>, StoreError> {
        audit::ledger(&self.pool, order).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        audit::totals(&self.pool).await
    }
}

impl PostgresPayments {
    /// What is stored for an order, and the fencing token that wrote it.
    async fn find(&self, order: OrderId) -> Result<Option<(Record, i64)>, StoreError> {
        let row = sqlx::query(
            "SELECT id, order_id, user_id, amount, currency, status, decline_reason, intent, token, reference, \
             version, created_at, updated_at, fence FROM payments WHERE order_id = $1",
        )
        .bind(order.uuid())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((rows::record(&row)?, row.try_get("fence")?))).transpose()
    }

    async fn commit_with(
        &self,
        mut tx: postgres::Transaction,
        processed: &ProcessedMessages,
    ) -> Result<Saved, StoreError> {
        let effects = Effects { events: Vec::new(), receipt: processed.receipt.clone() };
        if !record_messages(&mut tx, &effects, processed.webhook.as_ref()).await? {
            return Ok(Saved::Duplicate);
        }
        tx.commit().await?;
        Ok(Saved::Stored)
    }
}

/// Inserts outbox, inbox and webhook rows; `false` when the message was processed before.
async fn record_messages(
    tx: &mut postgres::Connection,
    effects: &Effects,
    webhook: Option<&(WebhookId, OffsetDateTime)>,
) -> Result<bool, StoreError> {
    let recorded = postgres::record(tx, effects).await?;
    if recorded == Recorded::Duplicate {
        return Ok(false);
    }
    let Some((WebhookId(id), received)) = webhook else { return Ok(true) };
    let inserted = sqlx::query("INSERT INTO webhooks (id, received_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(id.clone())
        .bind(*received)
        .execute(tx)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What an error of either database means to the store: both have the same type.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let retryable = ::postgres::is_unavailable(&error) || super::sqlite::is_unavailable(&error);
        if retryable { Self::Unavailable(error.into()) } else { Self::Failed(error.into()) }
    }
}
