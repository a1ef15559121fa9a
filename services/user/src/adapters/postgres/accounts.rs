//! Accounts.

use std::sync::LazyLock;

use async_trait::async_trait;
use messaging::{Effects, Event, Receipt};
use sqlx::{AssertSqlSafe, Row as _};

use super::{
    PostgresStore,
    audit_trail::insert_entry,
    rows::{account, audited, count},
    sessions::end_sessions,
    store_error,
};
use crate::{
    adapters::columns::{account_columns, as_i64, decode_error, readable},
    app::ports::{Accounts, AuditEntry, AuditedAccount, Login, PasswordChange, Saved, StoreError, Surviving, Totals},
    domain::{Account, Email, Name, PasswordHash, Role, UserId},
};

#[async_trait]
impl Accounts for PostgresStore {
    async fn add(&self, account: &Account, password: &PasswordHash, effects: &Effects) -> Result<Saved, StoreError> {
        self.insert(account, password, effects).await.map_err(store_error)
    }

    async fn get(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        let sql = concat!("SELECT ", account_columns!(), " FROM users WHERE id = $1");
        let row = sqlx::query(sql).bind(id.0).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(account).transpose()).map_err(store_error)
    }

    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
        let sql = concat!("SELECT ", account_columns!(), " FROM users WHERE id = ANY($1)");
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query(sql).bind(ids).fetch_all(&self.pool).await;
        rows.map(|rows| readable("account", &rows, account, |row| row.try_get(0))).map_err(store_error)
    }

    async fn login(&self, email: &Email) -> Result<Option<Login>, StoreError> {
        self.find_login(email).await.map_err(store_error)
    }

    async fn save(&self, account: &Account, surviving: Surviving, effects: &Effects) -> Result<Saved, StoreError> {
        self.update(account, surviving, effects).await.map_err(store_error)
    }

    async fn set_password(&self, change: &PasswordChange) -> Result<bool, StoreError> {
        self.update_password(change).await.map_err(store_error)
    }

    async fn set_role(&self, email: &Email, role: Role, entry: &AuditEntry) -> Result<bool, StoreError> {
        self.update_role(email, role, entry).await.map_err(store_error)
    }

    async fn set_disabled(
        &self,
        account: &Account,
        entry: &AuditEntry,
        effects: &Effects,
    ) -> Result<Option<Saved>, StoreError> {
        self.update_disabled(account, entry, effects).await.map_err(store_error)
    }

    async fn count_order(&self, id: UserId, task: Option<&Event>, receipt: Receipt) -> Result<bool, StoreError> {
        self.increment_orders_placed(id, task, receipt).await.map_err(store_error)
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        let sql =
            "SELECT count(*), coalesce(sum(orders_placed), 0)::bigint, (SELECT count(*) FROM closings) FROM users";
        let row = sqlx::query(sql).fetch_one(&self.pool).await.map_err(store_error)?;
        let totals = || Ok(Totals { users: count(&row, 0)?, orders_placed: count(&row, 1)?, closing: count(&row, 2)? });
        totals().map_err(store_error)
    }

    async fn page(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedAccount>, StoreError> {
        let sql = "SELECT id, status, orders_placed FROM users WHERE id > $1 ORDER BY id LIMIT $2";
        let after = after.map_or(uuid::Uuid::nil(), |after| after.0);
        let rows = sqlx::query(sql).bind(after).bind(i64::from(limit)).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(audited).collect()).map_err(store_error)
    }
}

impl PostgresStore {
    async fn insert(&self, new: &Account, password: &PasswordHash, effects: &Effects) -> Result<Saved, sqlx::Error> {
        let sql = "INSERT INTO users (id, email, email_key, name, password_hash, role, status, \
                   orders_placed, version, revision, created_at, updated_at) \
                   VALUES ($1, $2, $3, $4, $5, 'customer', $6, $7, $8, $9, $10, $11)";
        let mut tx = self.pool.begin().await?;
        let inserted = sqlx::query(sql)
            .bind(new.id.0)
            .bind(new.email.as_ref().map(Email::as_str))
            .bind(new.email.as_ref().map(Email::normalized))
            .bind(new.name.as_ref().map(Name::as_str))
            .bind(password.expose())
            .bind(new.status.as_str())
            .bind(as_i64(new.orders_placed))
            .bind(as_i64(new.version))
            .bind(as_i64(new.revision))
            .bind(new.created_at)
            .bind(new.updated_at)
            .execute(&mut *tx)
            .await;
        match inserted {
            Err(error) if postgres::is_unique_violation(&error) => return Ok(Saved::EmailTaken),
            other => other?,
        };
        let _ = postgres::record(&mut tx, effects).await?;
        tx.commit().await?;
        self.wake.poke();
        Ok(Saved::Stored(new.clone()))
    }

    async fn find_login(&self, email: &Email) -> Result<Option<Login>, sqlx::Error> {
        let sql =
            "SELECT id, status = 'active' AND disabled_at IS NULL, role, password_hash FROM users WHERE email_key = $1";
        let Some(row) = sqlx::query(sql).bind(email.normalized()).fetch_optional(&self.pool).await? else {
            return Ok(None);
        };
        Ok(Some(Login {
            user: UserId(row.try_get(0)?),
            is_active: row.try_get(1)?,
            role: row.try_get::<&str, _>(2)?.parse().map_err(decode_error)?,
            hash: PasswordHash::new(row.try_get(3)?),
        }))
    }

    async fn update(&self, changed: &Account, surviving: Surviving, effects: &Effects) -> Result<Saved, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let saved = update_if_unchanged(&mut tx, changed).await?;
        if let Saved::Stored(_) = saved {
            end_sessions(&mut tx, changed.id, surviving, changed.updated_at).await?;
            let _ = postgres::record(&mut tx, effects).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(saved)
    }

    async fn update_role(&self, email: &Email, role: Role, entry: &AuditEntry) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE users SET role = $2, revision = revision + 1 WHERE email_key = $1 RETURNING id";
        let mut tx = self.pool.begin().await?;
        let row = sqlx::query(sql).bind(email.normalized()).bind(role.as_str()).fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(false) };
        let subject = Some(UserId(row.try_get(0)?));
        insert_entry(&mut tx, &AuditEntry { subject, ..entry.clone() }).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn update_disabled(
        &self,
        changed: &Account,
        entry: &AuditEntry,
        effects: &Effects,
    ) -> Result<Option<Saved>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        if !is_operator(&mut tx, entry).await? {
            return Ok(None);
        }
        let saved = update_if_unchanged(&mut tx, changed).await?;
        if let Saved::Stored(_) = saved {
            end_sessions(&mut tx, changed.id, Surviving::None, changed.updated_at).await?;
            insert_entry(&mut tx, entry).await?;
            let _ = postgres::record(&mut tx, effects).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(Some(saved))
    }

    async fn update_password(&self, change: &PasswordChange) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE users SET password_hash = $3, revision = revision + 1 \
                   WHERE id = $1 AND password_hash = $2 AND status = 'active' AND disabled_at IS NULL";
        let mut tx = self.pool.begin().await?;
        let done = sqlx::query(sql)
            .bind(change.user.0)
            .bind(change.old.expose())
            .bind(change.new.expose())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        end_sessions(&mut tx, change.user, change.surviving, change.now).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn increment_orders_placed(
        &self,
        id: UserId,
        task: Option<&Event>,
        receipt: Receipt,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(COUNT.as_str())).bind(id.0);
        let query = query.bind(task.map(|task| task.id)).bind(task.map(|task| task.time));
        let query = postgres::bind_receipt(query, Some(&receipt));
        // To the end, not to the first row: what the server checks when it commits comes last.
        let counted =
            match postgres::bind_events(query, task.map_or(&[], std::slice::from_ref)).fetch_all(&self.pool).await {
                Err(error) if postgres::is_duplicate(&error) => return Ok(true),
                counted => counted?,
            };
        if task.is_some() && !counted.is_empty() {
            self.wake.poke();
        }
        Ok(!counted.is_empty())
    }
}

/// Counts an order, owes its owner a mail where there is a task for it (see [`owe`]), and stores the receipt: one round trip.
static COUNT: LazyLock<String> = LazyLock::new(|| {
    let (received, published) = (postgres::received("counted", 4), postgres::published("owed", 6));
    format!(
        "WITH counted AS (UPDATE users SET orders_placed = orders_placed + 1, revision = revision + 1 WHERE id = $1 \
             RETURNING id, email), \
         owed AS (INSERT INTO notifications (id, user_id, email, created_at) \
             SELECT $2, id, email, $3 FROM counted WHERE email IS NOT NULL AND $2::uuid IS NOT NULL \
             ON CONFLICT DO NOTHING RETURNING id), \
         {received}, {published} SELECT id FROM counted"
    )
});

/// Whether who acts is an operator whose account is active, and stays one until the end of the transaction.
async fn is_operator(tx: &mut postgres::Connection, entry: &AuditEntry) -> Result<bool, sqlx::Error> {
    // Both rows, and always in the same order: two who disable each other wait, and do not lock each other out.
    let sql = "SELECT (id = $1 AND role = 'operator' AND status = 'active' AND disabled_at IS NULL) IS TRUE FROM users \
               WHERE id IN ($1, $2) ORDER BY id FOR UPDATE";
    let query = sqlx::query_scalar(sql).bind(entry.actor.map(|id| id.0)).bind(entry.subject.map(|id| id.0));
    let rows: Vec<bool> = query.fetch_all(tx).await?;
    Ok(rows.contains(&true))
}

/// Stores what an owner or a closing changed, if the stored version is the one before.
pub(super) async fn update_if_unchanged(
    tx: &mut postgres::Connection,
    changed: &Account,
) -> Result<Saved, sqlx::Error> {
    let sql = concat!(
        "UPDATE users SET email = $2, email_key = $3, name = $4, status = $5, version = $6, updated_at = $7, disabled_at = $8, ",
        "email_verified_at = CASE WHEN email IS NOT DISTINCT FROM $2 THEN email_verified_at END, ",
        "revision = revision + 1, password_hash = CASE WHEN $5 = 'closed' THEN NULL ELSE password_hash END ",
        "WHERE id = $1 AND version = $6 - 1 RETURNING ",
        account_columns!()
    );
    let row = sqlx::query(sql)
        .bind(changed.id.0)
        .bind(changed.email.as_ref().map(Email::as_str))
        .bind(changed.email.as_ref().map(Email::normalized))
        .bind(changed.name.as_ref().map(Name::as_str))
        .bind(changed.status.as_str())
        .bind(as_i64(changed.version))
        .bind(changed.updated_at)
        .bind(changed.disabled_at)
        .fetch_optional(tx)
        .await;
    match row {
        Ok(Some(row)) => Ok(Saved::Stored(account(&row)?)),
        Ok(None) => Ok(Saved::Stale),
        Err(error) if postgres::is_unique_violation(&error) => Ok(Saved::EmailTaken),
        Err(error) => Err(error),
    }
}
