//! What a store of accounts promises.

use futures::future::join_all;
use user::{
    app::ports::{AuditEntry, PasswordChange, Saved, Surviving},
    domain::{Account, Change, DomainEvent, OperatorAction, PasswordHash, Role, UserId},
};
use uuid::Uuid;

use crate::fixture::{NOW, Stores, effects, email, hash, name, receipt, stored};

fn changed(account: &Account, change: Change) -> Account {
    let mut account = account.clone();
    assert!(account.change(change, NOW + time::Duration::SECOND).unwrap());
    account
}

fn called(text: &str) -> Change {
    Change { name: Some(name(text)), email: None }
}

pub(crate) async fn an_account_is_found_as_it_was_stored(stores: Stores) {
    let ada = stores.add("Ada@Example.com").await;
    assert_eq!(stores.accounts.get(ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!((ada.version, ada.revision, ada.created_at), (1, 1, NOW));
    assert_eq!(stores.accounts.get(UserId(Uuid::now_v7())).await.unwrap(), None);
    let claimed = stores.outbox.claim("test", 10).await.unwrap();
    let event = &claimed[0].event;
    assert_eq!((event.kind.as_str(), event.key.clone()), ("user.registered.v1", ada.id.to_string()));
}

pub(crate) async fn an_address_is_taken_whatever_its_letter_case(stores: Stores) {
    stores.add("Ada@Example.com").await;
    assert_eq!(stores.try_add("aDA@eXAMPLE.COM").await, Saved::EmailTaken);
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1"]);
    assert_eq!(stores.accounts.totals().await.unwrap().users, 1);
}

pub(crate) async fn an_account_of_another_version_is_not_overwritten(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let updated = effects(DomainEvent::Updated, ada.id);
    let renamed = changed(&ada, called("Ada L."));
    let saved = stored(stores.accounts.save(&renamed, Surviving::All, &updated).await.unwrap());
    assert_eq!(saved, renamed);
    let late = changed(&ada, called("Eve"));
    let updated = effects(DomainEvent::Updated, ada.id);
    assert_eq!(stores.accounts.save(&late, Surviving::All, &updated).await.unwrap(), Saved::Stale);
    assert_eq!(stores.accounts.get(ada.id).await.unwrap(), Some(renamed));
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1", "user.updated.v1"]);
}

pub(crate) async fn of_several_changes_of_one_version_one_wins(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let all = (0..8).map(|i| {
        let (stores, changed) = (&stores, changed(&ada, called(&format!("Ada {i}"))));
        async move {
            stores.accounts.save(&changed, Surviving::All, &effects(DomainEvent::Updated, changed.id)).await.unwrap()
        }
    });
    let won = join_all(all).await.into_iter().filter(|saved| matches!(saved, Saved::Stored(_))).count();
    assert_eq!(won, 1);
    assert_eq!(stores.outbox_kinds().await.len(), 2);
}

pub(crate) async fn a_change_to_a_taken_address_stores_nothing(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.add("eve@example.com").await;
    let change = |to| changed(&ada, Change { name: None, email: Some(email(to)) });
    let updated = effects(DomainEvent::Updated, ada.id);
    assert_eq!(
        stores.accounts.save(&change("EVE@example.com"), Surviving::All, &updated).await.unwrap(),
        Saved::EmailTaken
    );
    assert_eq!(stores.accounts.get(ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(stores.outbox_kinds().await.len(), 2);
    let own = change("ADA@example.com");
    assert_eq!(stored(stores.accounts.save(&own, Surviving::All, &updated).await.unwrap()).email, own.email);
}

pub(crate) async fn an_order_is_counted_once_and_changes_no_version(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let first = receipt();
    let twice = (0..8).map(|_| stores.accounts.count_order(ada.id, None, first.clone()));
    for counted in join_all(twice).await {
        assert!(counted.unwrap());
    }
    stores.accounts.count_order(ada.id, None, receipt()).await.unwrap();
    let now = stores.accounts.get(ada.id).await.unwrap().unwrap();
    assert_eq!(now, Account { orders_placed: 2, revision: 3, ..ada });
}

pub(crate) async fn an_order_of_nobody_is_not_counted(stores: Stores) {
    assert!(!stores.accounts.count_order(UserId(Uuid::now_v7()), None, receipt()).await.unwrap());
}

pub(crate) async fn an_order_counted_in_between_survives_a_change(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.accounts.count_order(ada.id, None, receipt()).await.unwrap();
    let renamed = changed(&ada, called("Ada L."));
    let saved =
        stored(stores.accounts.save(&renamed, Surviving::All, &effects(DomainEvent::Updated, ada.id)).await.unwrap());
    assert_eq!((saved.orders_placed, saved.version, saved.revision), (1, 2, 3));
    assert_eq!(stores.accounts.get(ada.id).await.unwrap(), Some(saved));
}

pub(crate) async fn a_login_finds_what_it_needs(stores: Stores) {
    let ada = stores.add("Ada@Example.com").await;
    let login = stores.accounts.login(&email("aDA@eXAMPLE.COM")).await.unwrap().unwrap();
    assert_eq!((login.user, login.is_active, login.role, login.hash), (ada.id, true, Role::Customer, hash()));
    assert_eq!(stores.accounts.login(&email("eve@example.com")).await.unwrap(), None);
}

pub(crate) async fn a_role_is_given(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let grant = AuditEntry::new(OperatorAction::Grant, NOW);
    assert!(stores.accounts.set_role(&email("ADA@example.com"), Role::Operator, &grant).await.unwrap());
    assert!(!stores.accounts.set_role(&email("eve@example.com"), Role::Operator, &grant).await.unwrap());
    let login = stores.accounts.login(&email("ada@example.com")).await.unwrap().unwrap();
    assert_eq!(login.role, Role::Operator);
    let now = stores.accounts.get(ada.id).await.unwrap().unwrap();
    assert_eq!(now, Account { revision: 2, ..ada });
}

pub(crate) async fn several_accounts_are_found_at_once(stores: Stores) {
    let (ada, eve) = (stores.add("ada@example.com").await, stores.add("eve@example.com").await);
    let ids = [eve.id, UserId(Uuid::now_v7()), ada.id, ada.id];
    let mut found = stores.accounts.get_many(&ids).await.unwrap();
    found.sort_by_key(|account| account.id);
    assert_eq!(found, [ada, eve]);
    assert_eq!(stores.accounts.get_many(&[]).await.unwrap(), []);
}

/// A newer version has written it.
pub(crate) async fn an_account_that_is_not_known_holds_up_no_other(stores: Stores) {
    let (ada, eve) = (stores.add("ada@example.com").await, stores.add("eve@example.com").await);
    let newer =
        stores.only_on("ALTER TABLE users DROP CONSTRAINT users_status_check", "PRAGMA ignore_check_constraints = ON");
    stores.execute(newer).await.unwrap();
    stores.execute("UPDATE users SET status = 'frozen' WHERE email = 'eve@example.com'").await.unwrap();
    assert_eq!(stores.accounts.get_many(&[eve.id, ada.id]).await.unwrap(), [ada]);
    stores.accounts.get(eve.id).await.unwrap_err();
}

/// `infinity` is a time to PostgreSQL, and none to us.
pub(crate) async fn a_time_that_is_none_holds_up_no_other(stores: Stores) {
    let (ada, eve) = (stores.add("ada@example.com").await, stores.add("eve@example.com").await);
    let never = stores.only_on(
        "UPDATE users SET disabled_at = 'infinity', email_verified_at = 'infinity' WHERE email = 'eve@example.com'",
        "UPDATE users SET disabled_at = 9223372036854775807 WHERE email = 'eve@example.com'",
    );
    stores.execute(never).await.unwrap();
    assert!(stores.accounts.get_many(&[eve.id, ada.id]).await.unwrap().contains(&ada));
    drop(stores.accounts.get(eve.id).await);
    drop(stores.mail_tokens.verified_at(eve.id).await);
}

pub(crate) async fn everything_is_summed_up(stores: Stores) {
    assert_eq!(stores.accounts.totals().await.unwrap(), user::app::ports::Totals::default());
    let (ada, eve) = (stores.add("ada@example.com").await, stores.add("eve@example.com").await);
    stores.accounts.count_order(ada.id, None, receipt()).await.unwrap();
    stores.accounts.count_order(eve.id, None, receipt()).await.unwrap();
    stores.begin_closing(&ada, NOW).await;
    let totals = stores.accounts.totals().await.unwrap();
    assert_eq!((totals.users, totals.closing, totals.orders_placed), (2, 1, 2));
    let mut expected = [(ada.id, "closing"), (eve.id, "active")].map(|(id, status)| (id, status.to_owned(), 1));
    expected.sort_unstable_by_key(|(id, ..)| id.0);
    let (mut listed, mut after) = (Vec::new(), None);
    while let Some(account) = stores.accounts.page(after, 1).await.unwrap().pop() {
        after = Some(account.id);
        listed.push((account.id, account.status, account.orders_placed));
    }
    assert_eq!(listed, expected);
}

pub(crate) async fn a_new_password_replaces_the_one_that_it_was_made_for(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.add("eve@example.com").await;
    let [second, third] = ["second", "third"].map(|hash| PasswordHash::new(hash.to_owned()));
    let change = |old: PasswordHash, new: &PasswordHash| PasswordChange {
        user: ada.id,
        old,
        new: new.clone(),
        surviving: Surviving::All,
        now: NOW,
    };
    assert!(stores.accounts.set_password(&change(hash(), &second)).await.unwrap());
    assert!(!stores.accounts.set_password(&change(hash(), &third)).await.unwrap());
    let hash_of = async |address: &str| stores.accounts.login(&email(address)).await.unwrap().unwrap().hash;
    assert_eq!((hash_of("ada@example.com").await, hash_of("eve@example.com").await), (second.clone(), hash()));
    assert_eq!(stores.accounts.get(ada.id).await.unwrap().unwrap().version, 1);
    stores.begin_closing(&ada, NOW).await;
    assert!(!stores.accounts.set_password(&change(second, &third)).await.unwrap(), "it takes no changes any more");
}

pub(crate) async fn a_change_ends_the_sessions_that_do_not_survive_it(stores: Stores) {
    let mut ada = stores.add("ada@example.com").await;
    let eve = stores.add("eve@example.com").await;
    stores.open(eve.id, [1; 32]).await;
    for (round, (kept, others)) in (1..).zip([(true, true), (true, false), (false, false)]) {
        for (kind, token) in [("account", round * 10), ("password", round * 10 + 5)] {
            let session = stores.open(ada.id, [token; 32]).await;
            stores.open(ada.id, [token + 1; 32]).await;
            let surviving = match (kept, others) {
                (true, true) => Surviving::All,
                (true, false) => Surviving::Only(session),
                _ => Surviving::None,
            };
            if kind == "account" {
                let (renamed, updated) =
                    (changed(&ada, called(&format!("Ada {token}"))), effects(DomainEvent::Updated, ada.id));
                ada = stored(stores.accounts.save(&renamed, surviving, &updated).await.unwrap());
            } else {
                let change = PasswordChange { user: ada.id, old: hash(), new: hash(), surviving, now: NOW };
                assert!(stores.accounts.set_password(&change).await.unwrap());
            }
            let goes_on = async |token: u8| stores.renew([token; 32], [token + 100; 32]).await.is_some();
            assert_eq!((goes_on(token).await, goes_on(token + 1).await), (kept, others), "{kind} {surviving:?}");
        }
    }
    assert!(stores.renew([1; 32], [2; 32]).await.is_some(), "others' sessions go on");
}
