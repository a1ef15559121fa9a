//! Accounts.

use async_trait::async_trait;
use messaging::{Effects, Event, Receipt, Recorded};
use sqlx::Row as _;

use super::{
    SqliteStore,
    audit_trail::insert_entry,
    notifications::owe,
    rows::{account, audited, count, uuid},
    sessions::end_sessions,
    store_error,
};
use crate::{
    adapters::columns::{account_columns, as_i64, decode_error, readable},
    app::ports::{Accounts, AuditEntry, AuditedAccount, Login, PasswordChange, Saved, StoreError, Surviving, Totals},
    domain::{Account, Email, Name, PasswordHash, Role, UserId},
};

#[async_trait]
impl Accounts for SqliteStore {
    async fn add(&self, account: &Account, password: &PasswordHash, effects: &Effects) -> Result<Saved, StoreError> {
        self.insert(account, password, effects).await.map_err(store_error)
    }

    async fn get(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        let sql = concat!("SELECT ", account_columns!(), " FROM users WHERE id = ?1");
        let row = sqlx::query(sql).bind(id.0.as_bytes().as_slice()).fetch_optional(&self.db.read).await;
        row.and_then(|row| row.as_ref().map(account).transpose()).map_err(store_error)
    }

    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
        let sql =
            concat!("SELECT ", account_columns!(), " FROM users WHERE id IN (SELECT unhex(value) FROM json_each(?1))");
        let ids: Vec<String> = ids.iter().map(|id| id.0.simple().to_string()).collect();
        let rows = sqlx::query(sql).bind(serde_json::json!(ids).to_string()).fetch_all(&self.db.read).await;
        rows.map(|rows| readable("account", &rows, account, |row| uuid(row, 0))).map_err(store_error)
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
        let sql = "SELECT count(*), coalesce(sum(orders_placed), 0), (SELECT count(*) FROM closings) FROM users";
        let row = sqlx::query(sql).fetch_one(&self.db.read).await.map_err(store_error)?;
        let totals = || Ok(Totals { users: count(&row, 0)?, orders_placed: count(&row, 1)?, closing: count(&row, 2)? });
        totals().map_err(store_error)
    }

    async fn page(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedAccount>, StoreError> {
        let sql = "SELECT id, status, orders_placed FROM users WHERE id > ?1 ORDER BY id LIMIT ?2";
        let after = after.map_or_else(Vec::new, |after| after.0.as_bytes().to_vec());
        let rows = sqlx::query(sql).bind(after).bind(i64::from(limit)).fetch_all(&self.db.read).await;
        rows.and_then(|rows| rows.iter().map(audited).collect()).map_err(store_error)
    }
}

impl SqliteStore {
    async fn insert(&self, new: &Account, password: &PasswordHash, effects: &Effects) -> Result<Saved, sqlx::Error> {
        let sql = "INSERT INTO users (id, email, email_key, name, password_hash, role, status, \
                   orders_placed, version, revision, created_at, updated_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, 'customer', ?6, ?7, ?8, ?9, ?10, ?11)";
        let mut tx = self.db.begin().await?;
        let inserted = sqlx::query(sql)
            .bind(new.id.0.as_bytes().as_slice())
            .bind(new.email.as_ref().map(Email::as_str))
            .bind(new.email.as_ref().map(Email::normalized))
            .bind(new.name.as_ref().map(Name::as_str))
            .bind(password.expose())
            .bind(new.status.as_str())
            .bind(as_i64(new.orders_placed))
            .bind(as_i64(new.version))
            .bind(as_i64(new.revision))
            .bind(clock::micros(new.created_at))
            .bind(clock::micros(new.updated_at))
            .execute(&mut *tx)
            .await;
        match inserted {
            Err(error) if sqlite::is_unique_violation(&error) => return Ok(Saved::EmailTaken),
            other => other?,
        };
        let _ = sqlite::record(&mut tx, effects).await?;
        tx.commit().await?;
        self.wake.poke();
        Ok(Saved::Stored(new.clone()))
    }

    async fn find_login(&self, email: &Email) -> Result<Option<Login>, sqlx::Error> {
        let sql =
            "SELECT id, status = 'active' AND disabled_at IS NULL, role, password_hash FROM users WHERE email_key = ?1";
        let Some(row) = sqlx::query(sql).bind(email.normalized()).fetch_optional(&self.db.read).await? else {
            return Ok(None);
        };
        Ok(Some(Login {
            user: UserId(uuid(&row, 0)?),
            is_active: row.try_get(1)?,
            role: row.try_get::<String, _>(2)?.parse().map_err(decode_error)?,
            hash: PasswordHash::new(row.try_get(3)?),
        }))
    }

    async fn update(&self, changed: &Account, surviving: Surviving, effects: &Effects) -> Result<Saved, sqlx::Error> {
        let mut tx = self.db.begin().await?;
        let saved = update_if_unchanged(&mut tx, changed).await?;
        if let Saved::Stored(_) = saved {
            end_sessions(&mut tx, changed.id, surviving, changed.updated_at).await?;
            let _ = sqlite::record(&mut tx, effects).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(saved)
    }

    async fn update_role(&self, email: &Email, role: Role, entry: &AuditEntry) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE users SET role = ?2, revision = revision + 1 WHERE email_key = ?1 RETURNING id";
        let mut tx = self.db.begin().await?;
        let row = sqlx::query(sql).bind(email.normalized()).bind(role.as_str()).fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(false) };
        let subject = Some(UserId(uuid(&row, 0)?));
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
        let mut tx = self.db.begin().await?;
        if !is_operator(&mut tx, entry).await? {
            return Ok(None);
        }
        let saved = update_if_unchanged(&mut tx, changed).await?;
        if let Saved::Stored(_) = saved {
            end_sessions(&mut tx, changed.id, Surviving::None, changed.updated_at).await?;
            insert_entry(&mut tx, entry).await?;
            let _ = sqlite::record(&mut tx, effects).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(Some(saved))
    }

    async fn update_password(&self, change: &PasswordChange) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE users SET password_hash = ?3, revision = revision + 1 \
                   WHERE id = ?1 AND password_hash = ?2 AND status = 'active' AND disabled_at IS NULL";
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(sql)
            .bind(change.user.0.as_bytes().as_slice())
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
        let mut tx = self.db.begin().await?;
        let effects = Effects::default().caused_by(receipt);
        if sqlite::record(&mut tx, &effects).await? == Recorded::Duplicate {
            return Ok(true);
        }
        let sql = "UPDATE users SET orders_placed = orders_placed + 1, revision = revision + 1 WHERE id = ?1";
        let done = sqlx::query(sql).bind(id.0.as_bytes().as_slice()).execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(task) = task {
            owe(&mut tx, id, task).await?;
        }
        tx.commit().await?;
        if task.is_some() {
            self.wake.poke();
        }
        Ok(true)
    }
}

/// Whether who acts is an operator whose account is active. The database has one writer at a time: it stays so until the end of
/// the transaction.
async fn is_operator(tx: &mut sqlite::Connection, entry: &AuditEntry) -> Result<bool, sqlx::Error> {
    let sql = "SELECT 1 FROM users WHERE id = ?1 AND role = 'operator' AND status = 'active' AND disabled_at IS NULL";
    let query = sqlx::query(sql).bind(entry.actor.map(|id| id.0.as_bytes().to_vec()));
    Ok(query.fetch_optional(tx).await?.is_some())
}

/// Stores what an owner or a closing changed, if the stored version is the one before.
pub(super) async fn update_if_unchanged(tx: &mut sqlite::Connection, changed: &Account) -> Result<Saved, sqlx::Error> {
    let sql = concat!(
        "UPDATE users SET email = ?2, email_key = ?3, name = ?4, status = ?5, version = ?6, updated_at = ?7, disabled_at = ?8, ",
        "email_verified_at = CASE WHEN email IS ?2 THEN email_verified_at END, ",
        "revision = revision + 1, password_hash = CASE WHEN ?5 = 'closed' THEN NULL ELSE password_hash END ",
        "WHERE id = ?1 AND version = ?6 - 1 RETURNING ",
        account_columns!()
    );
    let row = sqlx::query(sql)
        .bind(changed.id.0.as_bytes().as_slice())
        .bind(changed.email.as_ref().map(Email::as_str))
        .bind(changed.email.as_ref().map(Email::normalized))
        .bind(changed.name.as_ref().map(Name::as_str))
        .bind(changed.status.as_str())
        .bind(as_i64(changed.version))
        .bind(clock::micros(changed.updated_at))
        .bind(changed.disabled_at.map(clock::micros))
        .fetch_optional(tx)
        .await;
    match row {
        Ok(Some(row)) => Ok(Saved::Stored(account(&row)?)),
        Ok(None) => Ok(Saved::Stale),
        Err(error) if sqlite::is_unique_violation(&error) => Ok(Saved::EmailTaken),
        Err(error) => Err(error),
    }
}
