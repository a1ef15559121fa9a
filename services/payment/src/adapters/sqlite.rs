//! Payments, ledger, webhooks, outbox and inbox in one `SQLite` database.

mod audit;
pub(super) mod rows;

use ::sqlite::Database;
use async_trait::async_trait;
use clock::micros;
use messaging::{Effects, Recorded, Wake};
use money::Money;
use sqlx::{Row as _, migrate::Migrator};
use telemetry::Carrier;
use time::OffsetDateTime;

use crate::{
    adapters::columns,
    app::ports::{
        Booked, DuePayment, Pauses, Payments, ProcessedMessages, Record, Saved, StoreError, Totals, WebhookId, Write,
    },
    domain::{Operation, OrderId, Payment, PaymentId, ledger::Transaction},
};

/// The schema of payment's own tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");

/// The payments in a database.
#[derive(Clone)]
pub struct SqlitePayments {
    database: Database,
    wake: Wake,
}

impl SqlitePayments {
    /// Uses a database that [`MIGRATIONS`] and messaging's tables were applied to.
    ///
    /// `wake` wakes the relay whenever an event was stored.
    pub fn new(database: Database, wake: Wake) -> Self {
        Self { database, wake }
    }
}

#[async_trait]
impl Payments for SqlitePayments {
    async fn by_order(&self, order: OrderId) -> Result<Option<Record>, StoreError> {
        Ok(self.find(order).await?.map(|(record, _)| record))
    }

    async fn by_order_locked(&self, order: OrderId, lock: i64) -> Result<(Option<Record>, i64), StoreError> {
        // Read without the write lock first: nearly always the lock's token is higher.
        match self.find(order).await? {
            Some((_, written)) if written >= lock => {}
            found => return Ok((found.map(|(record, _)| record), lock)),
        }
        // Raised before it is read: whoever held the lock before can no longer write on what is read here.
        let raised = sqlx::query_scalar(
            "UPDATE payments SET fence = fence + 1 WHERE order_id = ?1 AND fence >= ?2 RETURNING fence",
        );
        let raised = raised.bind(blob(order.uuid())).bind(lock).fetch_all(&self.database.write).await?;
        Ok((self.by_order(order).await?, raised.into_iter().next().unwrap_or(lock)))
    }

    async fn by_id(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        let row = sqlx::query(
            "SELECT id, order_id, user_id, amount, currency, status, decline_reason, intent, token, reference, \
             version, created_at, updated_at FROM payments WHERE id = ?1",
        )
        .bind(blob(id.uuid()))
        .fetch_optional(&self.database.read)
        .await?;
        match row.as_ref().map(rows::record).transpose()? {
            Some(Record::Payment(payment)) => Ok(Some(payment)),
            Some(Record::Closed) | None => Ok(None),
        }
    }

    async fn save(&self, write: Write<'_>) -> Result<Saved, StoreError> {
        let mut tx = self.database.begin().await?;
        let rows = match write.expected {
            None => insert(&mut tx, &write).await?,
            Some(version) => update(&mut tx, &write, version).await?,
        };
        // Each early return drops the transaction, which rolls back whatever is in it.
        if rows == 0 {
            return Ok(Saved::Stale);
        }
        for transaction in &write.transactions {
            book(&mut tx, write.payment, transaction).await?;
        }
        if !record_messages(&mut tx, &write.effects, write.webhook.as_ref()).await? {
            return Ok(Saved::Duplicate);
        }
        tx.commit().await?;
        if !write.effects.events.is_empty() {
            self.wake.poke();
        }
        Ok(Saved::Stored)
    }

    async fn close(
        &self,
        order: OrderId,
        fence: i64,
        now: OffsetDateTime,
        processed: &ProcessedMessages,
    ) -> Result<Saved, StoreError> {
        let mut tx = self.database.begin().await?;
        // The primary key decides between this and a payment that is opened at the same time, whoever holds which lock.
        let inserted = sqlx::query(
            "INSERT INTO payments (order_id, status, version, fence, created_at, updated_at) \
             VALUES (?1, 'closed', 1, ?2, ?3, ?3) ON CONFLICT DO NOTHING",
        )
        .bind(blob(order.uuid()))
        .bind(fence)
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(Saved::Stale);
        }
        self.commit_with(tx, processed).await
    }

    async fn record_receipt(&self, processed: &ProcessedMessages) -> Result<Saved, StoreError> {
        let tx = self.database.begin().await?;
        self.commit_with(tx, processed).await
    }

    async fn is_processed(&self, webhook: &WebhookId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM webhooks WHERE id = ?1")
            .bind(webhook.0.clone())
            .fetch_optional(&self.database.read)
            .await?;
        Ok(row.is_some())
    }

    async fn delete_webhooks(&self, before: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "DELETE FROM webhooks WHERE id IN \
             (SELECT id FROM webhooks WHERE received_at < ?1 ORDER BY received_at LIMIT ?2)",
        )
        .bind(micros(before))
        .bind(limit)
        .execute(&self.database.write)
        .await?;
        Ok(deleted.rows_affected())
    }

    async fn claim_due(&self, now: OffsetDateTime, pauses: Pauses, limit: u32) -> Result<Vec<DuePayment>, StoreError> {
        // A sweep that finds nothing does not take the only writer's turn.
        let horizon = micros(now + clock::HORIZON);
        let any = sqlx::query("SELECT 1 FROM payments WHERE look_again <= ?1 OR look_again > ?2 LIMIT 1")
            .bind(micros(now))
            .bind(horizon)
            .fetch_optional(&self.database.read)
            .await?;
        if any.is_none() {
            return Ok(Vec::new());
        }
        let due = sqlx::query(
            "UPDATE payments SET look_again = ?1 + min(?2 * (1 << min(attempts, 20)), ?3), attempts = attempts + 1 \
             WHERE order_id IN \
             (SELECT order_id FROM payments WHERE look_again <= ?1 OR look_again > ?5 ORDER BY look_again LIMIT ?4) \
             RETURNING order_id, attempts, traceparent, tracestate, canary",
        )
        .bind(micros(now))
        .bind(i64::try_from(pauses.first.as_micros()).unwrap_or(i64::MAX))
        .bind(i64::try_from(pauses.longest.as_micros()).unwrap_or(i64::MAX))
        .bind(limit)
        .bind(horizon)
        .fetch_all(&self.database.write)
        .await?;
        due.iter()
            .map(|row| {
                Ok(DuePayment {
                    order_id: rows::uuid(row, "order_id")?.into(),
                    attempts: row.try_get("attempts")?,
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
            "UPDATE payments SET look_again = NULL, fence = ?2 \
             WHERE order_id = ?1 AND fence <= ?2 AND intent IS NULL",
        )
        .bind(blob(order.uuid()))
        .bind(fence)
        .execute(&self.database.write)
        .await?;
        Ok(())
    }

    async fn imbalances(&self, limit: u32) -> Result<Vec<Money>, StoreError> {
        audit::imbalances(&self.database.read, limit).await
    }

    async fn page(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<Booked>, StoreError> {
        audit::page(&self.database.read, after, limit).await
    }

    async fn booked(&self, orders: &[OrderId]) -> Result<Vec<Booked>, StoreError> {
        audit::booked(&self.database.read, orders).await
    }

    async fn ledger(&self, order: OrderId) -> Result<Vec<Transaction>, StoreError> {
        audit::ledger(&self.database.read, order).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        audit::totals(&self.database.read).await
    }
}

impl SqlitePayments {
    /// What is stored for an order, and the fencing token that wrote it.
    async fn find(&self, order: OrderId) -> Result<Option<(Record, i64)>, StoreError> {
        let row = sqlx::query(
            "SELECT id, order_id, user_id, amount, currency, status, decline_reason, intent, token, reference, \
             version, created_at, updated_at, fence FROM payments WHERE order_id = ?1",
        )
        .bind(blob(order.uuid()))
        .fetch_optional(&self.database.read)
        .await?;
        row.map(|row| Ok((rows::record(&row)?, row.try_get("fence")?))).transpose()
    }

    async fn commit_with(
        &self,
        mut tx: sqlite::Transaction,
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
    tx: &mut sqlite::Connection,
    effects: &Effects,
    webhook: Option<&(WebhookId, OffsetDateTime)>,
) -> Result<bool, StoreError> {
    let recorded = sqlite::record(tx, effects).await?;
    if recorded == Recorded::Duplicate {
        return Ok(false);
    }
    let Some((WebhookId(id), received)) = webhook else { return Ok(true) };
    let inserted = sqlx::query("INSERT INTO webhooks (id, received_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
        .bind(id.clone())
        .bind(micros(*received))
        .execute(tx)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Inserts a payment; no row where the order has one already, or is closed.
async fn insert(tx: &mut sqlite::Connection, write: &Write<'_>) -> Result<u64, sqlx::Error> {
    let payment = write.payment;
    let inserted = sqlx::query(
        "INSERT INTO payments (order_id, id, user_id, amount, currency, status, decline_reason, intent, token, \
         reference, version, fence, look_again, traceparent, tracestate, canary, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) \
         ON CONFLICT DO NOTHING",
    )
    .bind(blob(payment.order_id.uuid()))
    .bind(blob(payment.id.uuid()))
    .bind(blob(payment.user_id.uuid()))
    .bind(payment.amount.amount)
    .bind(payment.amount.currency.code())
    .bind(payment.status.name())
    .bind(columns::decline_reason(payment))
    .bind(payment.intent.map(Operation::name))
    .bind(payment.token.as_ref().map(|token| token.expose().to_owned()))
    .bind(payment.reference.as_ref().map(|reference| reference.as_str().to_owned()))
    .bind(columns::version(payment.version)?)
    .bind(write.fence)
    .bind(write.due_at.map(micros))
    .bind(write.carrier.traceparent.clone())
    .bind(write.carrier.tracestate.clone())
    .bind(write.carrier.canary)
    .bind(micros(payment.created_at))
    .bind(micros(payment.updated_at))
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected())
}

/// Updates a payment; no row where another version is stored, or a higher fencing token has written.
///
/// Both are compared in the statement itself, because a lock can be lost between any check before it and the write.
/// The version refuses whoever has not seen the latest change, also where two processes share no locks.
/// The fence refuses whoever has lost the lock, also where its successor has left the version as it was (`clear_due`);
/// an equal one is the same holder, which writes several times. A closed order stays closed, whatever is expected.
async fn update(tx: &mut sqlite::Connection, write: &Write<'_>, expected: u64) -> Result<u64, sqlx::Error> {
    let payment = write.payment;
    let updated = sqlx::query(
        "UPDATE payments SET status = ?4, decline_reason = ?5, intent = ?6, token = ?7, reference = ?8, version = ?9, \
         fence = ?3, look_again = ?10, attempts = 0, traceparent = ?11, tracestate = ?12, canary = ?13, updated_at = ?14 \
         WHERE order_id = ?1 AND version = ?2 AND fence <= ?3 AND status <> 'closed'",
    )
    .bind(blob(payment.order_id.uuid()))
    .bind(columns::version(expected)?)
    .bind(write.fence)
    .bind(payment.status.name())
    .bind(columns::decline_reason(payment))
    .bind(payment.intent.map(Operation::name))
    .bind(payment.token.as_ref().map(|token| token.expose().to_owned()))
    .bind(payment.reference.as_ref().map(|reference| reference.as_str().to_owned()))
    .bind(columns::version(payment.version)?)
    .bind(write.due_at.map(micros))
    .bind(write.carrier.traceparent.clone())
    .bind(write.carrier.tracestate.clone())
    .bind(write.carrier.canary)
    .bind(micros(payment.updated_at))
    .execute(tx)
    .await?;
    Ok(updated.rows_affected())
}

/// Inserts a ledger transaction after its entries: its row seals them, and a trigger checks their sums.
///
/// The same operation twice is an error of the primary key and never a second booking.
async fn book(tx: &mut sqlite::Connection, payment: &Payment, transaction: &Transaction) -> Result<(), sqlx::Error> {
    for entry in &transaction.entries {
        sqlx::query(
            "INSERT INTO ledger_entries (order_id, operation, account, currency, amount) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(blob(payment.order_id.uuid()))
        .bind(transaction.operation.name())
        .bind(entry.account.name())
        .bind(entry.currency.code())
        .bind(entry.amount)
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query("INSERT INTO ledger_transactions (order_id, operation, booked_at) VALUES (?1, ?2, ?3)")
        .bind(blob(payment.order_id.uuid()))
        .bind(transaction.operation.name())
        .bind(micros(payment.updated_at))
        .execute(tx)
        .await?;
    Ok(())
}

fn blob(id: uuid::Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// Whether a later try may succeed, as `SQLite` says it.
pub(super) fn is_unavailable(error: &sqlx::Error) -> bool {
    ::sqlite::is_unavailable(error)
}
