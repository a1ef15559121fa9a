//! What a store of operators' actions promises.

use time::Duration;
use user::{
    app::{
        ports::{AuditEntry, Saved, StoreError},
        published,
    },
    domain::{
        Account,
        OperatorAction::{self, Disable, Enable, Grant, RotateKeys},
        Role,
    },
};
use uuid::Uuid;

use crate::{
    fixture::{NOW, Stores, email, hash, new_session, stored},
    signing_keys::key,
};

fn entry(action: OperatorAction) -> AuditEntry {
    AuditEntry::new(action, NOW)
}

fn grant() -> AuditEntry {
    entry(Grant)
}

/// Ada, who has a session, and the operators Olga and Otto.
async fn people(stores: &Stores) -> [Account; 3] {
    let people = [
        stores.add("ada@example.com").await,
        stores.add("olga@example.com").await,
        stores.add("otto@example.com").await,
    ];
    stores.open(people[0].id, [1; 32]).await;
    for address in ["olga@example.com", "otto@example.com"] {
        assert!(stores.accounts.set_role(&email(address), Role::Operator, &grant()).await.unwrap());
    }
    people
}

/// What comes of it when `actor` disables `subject`, or enables it.
async fn set(stores: &Stores, actor: &Account, subject: &Account, disabled: bool) -> Result<Option<Saved>, StoreError> {
    let mut changed = subject.clone();
    assert!(changed.set_disabled(disabled, NOW).unwrap());
    let action = if disabled { Disable } else { Enable };
    let entry = AuditEntry { actor: Some(actor.id), subject: Some(subject.id), ..entry(action) };
    stores.accounts.set_disabled(&changed, &entry, &published::standing(&changed, NOW).unwrap()).await
}

async fn told(stores: &Stores) -> Vec<OperatorAction> {
    stores.audit_trail.list(None, 99).await.unwrap().into_iter().map(|entry| entry.unwrap().action).collect()
}

pub(crate) async fn entries_come_youngest_first(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let first = grant();
    let second = AuditEntry {
        actor: Some(ada.id),
        detail: Some("why".to_owned()),
        ..AuditEntry::new(Grant, NOW + Duration::MICROSECOND)
    };
    let third = grant();
    for entry in [&first, &second, &third] {
        assert!(stores.accounts.set_role(&email("ada@example.com"), Role::Operator, entry).await.unwrap());
    }
    let [first, second, third] = [first, second, third].map(|entry| AuditEntry { subject: Some(ada.id), ..entry });
    let list = async |after, limit| {
        let entries = stores.audit_trail.list(after, limit).await.unwrap();
        entries.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 9).await, [third.clone(), second.clone(), first.clone()]);
    assert_eq!(list(None, 1).await, [third]);
    assert_eq!(list(Some(second.id), 9).await, [first]);
}

/// A newer version has written it.
pub(crate) async fn an_entry_that_is_not_known_holds_up_no_other(stores: Stores) {
    people(&stores).await;
    let newer = stores.only_on(
        "ALTER TABLE audit_log DROP CONSTRAINT audit_log_action_check",
        "PRAGMA ignore_check_constraints = ON",
    );
    stores.execute(newer).await.unwrap();
    let unknown = stores.only_on(
        "INSERT INTO audit_log (id, at, action) VALUES ('ffffffff-ffff-7fff-8fff-ffffffffffff', now(), 'freeze')",
        "INSERT INTO audit_log (id, at, action) VALUES (x'ffffffffffff7fff8fffffffffffffff', 0, 'freeze')",
    );
    stores.execute(unknown).await.unwrap();
    let listed = stores.audit_trail.list(None, 9).await.unwrap();
    assert_eq!(listed.len(), 3);
    let id = *listed[0].as_ref().unwrap_err();
    assert_eq!(id.to_string(), "ffffffff-ffff-7fff-8fff-ffffffffffff");
    assert_eq!(stores.audit_trail.list(Some(id), 9).await.unwrap(), listed[1..]);
}

pub(crate) async fn an_entry_is_stored_with_what_it_tells_of(stores: Stores) {
    let [ada, olga, _] = people(&stores).await;
    assert!(!stores.accounts.set_role(&email("eve@example.com"), Role::Operator, &grant()).await.unwrap());
    let disabled = stored(set(&stores, &olga, &ada, true).await.unwrap().unwrap());
    assert_eq!((disabled.version, disabled.disabled_at), (2, Some(NOW)));
    assert_eq!(set(&stores, &olga, &ada, true).await.unwrap(), Some(Saved::Stale));
    let rotation = entry(RotateKeys);
    for (kid, entry) in [("a", None), ("b", Some(&rotation)), ("c", Some(&rotation))] {
        stores.keys.add(&key(kid, "", 30), entry).await.unwrap();
    }
    for days in [31, 2, 2] {
        stores.keys.expedite("a", NOW + Duration::days(days), &entry(RotateKeys)).await.unwrap();
    }
    assert_eq!(told(&stores).await, [RotateKeys, Disable, Grant, Grant], "what changed nothing is not among it");
    assert_eq!(stores.outbox_kinds().await, [&["user.registered.v1"; 3][..], &["user.disabled.v1"]].concat());
    assert_eq!(stores.accounts.get(ada.id).await.unwrap(), Some(disabled));
    stores.keys.add(&key("d", "a", 30), Some(&rotation)).await.unwrap();
    assert_eq!(told(&stores).await[..2], [RotateKeys, RotateKeys]);
}

pub(crate) async fn a_disabled_account_lets_nobody_in(stores: Stores) {
    let [ada, olga, _] = people(&stores).await;
    let ada = stored(set(&stores, &olga, &ada, true).await.unwrap().unwrap());
    assert_eq!(stores.renew([1; 32], [2; 32]).await, None, "its sessions have ended");
    assert!(!stores.sessions.open(&new_session(ada.id, [3; 32], hash())).await.unwrap());
    let is_active = async || stores.accounts.login(&email("ada@example.com")).await.unwrap().unwrap().is_active;
    assert!(!is_active().await);
    stored(set(&stores, &olga, &ada, false).await.unwrap().unwrap());
    assert!(is_active().await);
    stores.open(ada.id, [4; 32]).await;
}

/// Whatever the token says that was made before.
pub(crate) async fn only_an_active_operator_disables(stores: Stores) {
    let [ada, olga, otto] = people(&stores).await;
    assert_eq!(set(&stores, &ada, &otto, true).await.unwrap(), None);
    stored(set(&stores, &olga, &otto, true).await.unwrap().unwrap());
    assert_eq!(set(&stores, &otto, &ada, true).await.unwrap(), None);
    assert!(stores.accounts.set_role(&email("olga@example.com"), Role::Customer, &grant()).await.unwrap());
    assert_eq!(set(&stores, &olga, &ada, true).await.unwrap(), None);
    assert_eq!(stores.accounts.get(ada.id).await.unwrap(), Some(ada));
    assert!(told(&stores).await.len() == 4);
}

pub(crate) async fn of_two_who_disable_each_other_one_is_left(stores: Stores) {
    let [_, olga, otto] = people(&stores).await;
    let (one, other) = futures::join!(set(&stores, &olga, &otto, true), set(&stores, &otto, &olga, true));
    let outcomes = [one.unwrap(), other.unwrap()];
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Some(Saved::Stored(_)))).count(), 1, "{outcomes:?}");
    assert!(outcomes.contains(&None), "{outcomes:?}");
}

/// Neither we nor whoever has the service's own rights on the database.
pub(crate) async fn no_entry_is_changed_or_deleted(stores: Stores) {
    people(&stores).await;
    let before = stores.audit_trail.list(None, 9).await.unwrap();
    for sql in [
        "UPDATE audit_log SET detail = 'x'",
        "DELETE FROM audit_log",
        stores.only_on(
            "TRUNCATE audit_log",
            "INSERT OR REPLACE INTO audit_log SELECT id, 0, NULL, action, NULL, 'x' FROM audit_log",
        ),
    ] {
        let error = stores.execute(sql).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    assert_eq!(stores.audit_trail.list(Some(Uuid::max()), 9).await.unwrap(), before);
}
