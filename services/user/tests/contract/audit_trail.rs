//! What a store of operators' actions promises.

use time::Duration;
use user::{
    app::ports::{AuditEntry, Saved},
    domain::{DomainEvent, OperatorAction, Role},
};
use uuid::Uuid;

use crate::fixture::{NOW, Stores, effects, email, hash, new_session, stored};

fn entry(action: OperatorAction) -> AuditEntry {
    AuditEntry::new(action, NOW)
}

pub(crate) async fn entries_come_youngest_first(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let first = entry(OperatorAction::RotateKeys);
    let second = AuditEntry {
        actor: Some(ada.id),
        subject: Some(ada.id),
        detail: Some("why".to_owned()),
        ..AuditEntry::new(OperatorAction::Disable, NOW + Duration::MICROSECOND)
    };
    let third = entry(OperatorAction::Enable);
    for entry in [&first, &second, &third] {
        stores.audit_trail.append(entry).await.unwrap();
    }
    let list = async |after, limit| stores.audit_trail.list(after, limit).await.unwrap();
    assert_eq!(list(None, 9).await, [third.clone(), second.clone(), first.clone()]);
    assert_eq!(list(None, 1).await, [third]);
    assert_eq!(list(Some(second.id), 9).await, [first]);
}

pub(crate) async fn an_entry_is_stored_with_what_it_tells_of(stores: Stores) {
    let mut ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let grant = entry(OperatorAction::Grant);
    assert!(stores.accounts.set_role(&email("ada@example.com"), Role::Operator, &grant).await.unwrap());
    assert!(!stores.accounts.set_role(&email("eve@example.com"), Role::Operator, &grant).await.unwrap());
    assert!(ada.set_disabled(true, NOW).unwrap());
    let disable = AuditEntry { subject: Some(ada.id), ..entry(OperatorAction::Disable) };
    let set = async || {
        let updated = effects(DomainEvent::Updated, ada.id);
        stores.accounts.set_disabled(&ada, &disable, &updated).await.unwrap()
    };
    let disabled = stored(set().await);
    assert_eq!((disabled.version, disabled.disabled_at), (ada.version, Some(NOW)));
    assert_eq!(set().await, Saved::Stale);
    let told = stores.audit_trail.list(None, 9).await.unwrap();
    assert_eq!(told, [disable.clone(), AuditEntry { subject: Some(ada.id), ..grant }]);
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1", "user.updated.v1"]);
    assert_eq!(stores.accounts.get(ada.id).await.unwrap(), Some(disabled));
}

pub(crate) async fn a_disabled_account_lets_nobody_in(stores: Stores) {
    let mut ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    assert!(ada.set_disabled(true, NOW).unwrap());
    let updated = effects(DomainEvent::Updated, ada.id);
    let disable = entry(OperatorAction::Disable);
    let mut ada = stored(stores.accounts.set_disabled(&ada, &disable, &updated).await.unwrap());
    assert_eq!(stores.renew([1; 32], [2; 32]).await, None, "its sessions have ended");
    assert!(!stores.sessions.open(&new_session(ada.id, [3; 32], hash())).await.unwrap());
    let is_active = async || stores.accounts.login(&email("ada@example.com")).await.unwrap().unwrap().is_active;
    assert!(!is_active().await);
    assert!(ada.set_disabled(false, NOW).unwrap());
    let updated = effects(DomainEvent::Updated, ada.id);
    stored(stores.accounts.set_disabled(&ada, &entry(OperatorAction::Enable), &updated).await.unwrap());
    assert!(is_active().await);
    stores.open(ada.id, [4; 32]).await;
}

/// Neither we nor whoever has the service's own rights on the database.
pub(crate) async fn no_entry_is_changed_or_deleted(stores: Stores) {
    stores.audit_trail.append(&entry(OperatorAction::RotateKeys)).await.unwrap();
    for sql in ["UPDATE audit_log SET detail = 'x'", "DELETE FROM audit_log"] {
        let error = stores.execute(sql).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    assert_eq!(stores.audit_trail.list(Some(Uuid::max()), 9).await.unwrap().len(), 1);
}
