//! What a store of closings promises.

use telemetry::Carrier;
use time::Duration;
use user::{
    app::ports::{Saved, Surviving},
    domain::{Change, DomainEvent, Status},
};

use crate::fixture::{NOW, Stores, effects, email, name, receipt, stored};

const SOON: Duration = Duration::seconds(1);
const LATER: Duration = Duration::seconds(30);

pub(crate) async fn closing_revokes_the_sessions_and_is_due_later(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let closing = stored(stores.begin_closing(&ada, NOW + SOON).await);
    assert_eq!((closing.status, closing.version), (Status::Closing, 2));
    assert_eq!(stores.renew([1; 32], [2; 32]).await, None);
    assert!(stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap().is_empty());
    let due = stores.closings.claim_due(NOW + SOON, NOW + LATER, 9).await.unwrap();
    assert_eq!((due.len(), due[0].user, due[0].attempts), (1, ada.id, 1));
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1"]);
}

pub(crate) async fn a_claimed_closing_is_hidden_for_a_while(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.begin_closing(&ada, NOW).await;
    assert_eq!(stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap().len(), 1);
    assert!(stores.closings.claim_due(NOW + SOON, NOW + LATER, 9).await.unwrap().is_empty());
    let again = stores.closings.claim_due(NOW + LATER, NOW + LATER * 2, 9).await.unwrap();
    assert_eq!(again[0].attempts, 2);
}

pub(crate) async fn a_closing_of_a_clock_that_was_ahead_is_due(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.begin_closing(&ada, NOW + Duration::HOUR).await;
    assert_eq!(stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap().len(), 1);
    assert!(stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap().is_empty());
}

pub(crate) async fn closings_are_claimed_longest_due_first_and_no_more_than_asked_for(stores: Stores) {
    let mut due_at = Vec::new();
    for (address, after) in [("ada@example.com", 2), ("eve@example.com", 1), ("olga@example.com", 3)] {
        let account = stores.add(address).await;
        stores.begin_closing(&account, NOW + SOON * after).await;
        due_at.push((after, account.id));
    }
    due_at.sort_unstable();
    for (_, user) in due_at {
        let due = stores.closings.claim_due(NOW + LATER, NOW + LATER * 2, 1).await.unwrap();
        assert_eq!(due.iter().map(|due| due.user).collect::<Vec<_>>(), [user]);
    }
}

/// A newer version has written it, or it has been damaged.
pub(crate) async fn a_closing_that_cannot_be_read_holds_up_no_other(stores: Stores) {
    let (ada, eve) = (stores.add("ada@example.com").await, stores.add("eve@example.com").await);
    for account in [&ada, &eve] {
        stores.begin_closing(account, NOW).await;
    }
    let newer = stores
        .only_on("ALTER TABLE closings DROP CONSTRAINT closings_wakes_check", "PRAGMA ignore_check_constraints = ON");
    stores.execute(newer).await.unwrap();
    let damage =
        "UPDATE closings SET wakes = -1 WHERE user_id = (SELECT id FROM users WHERE email = 'eve@example.com')";
    stores.execute(damage).await.unwrap();
    let due = stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap();
    assert_eq!(due.iter().map(|due| due.user).collect::<Vec<_>>(), [ada.id]);
}

pub(crate) async fn a_wake_up_is_not_lost_to_a_postponement(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.begin_closing(&ada, NOW).await;
    let due = stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap();
    stores.closings.postpone(ada.id, due[0].wakes, NOW, NOW + SOON).await.unwrap();
    assert!(stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap().is_empty());
    assert!(stores.closings.wake(ada.id, NOW).await.unwrap());
    let woken = stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap();
    assert_eq!(woken.len(), 1);
    // An event comes while order is being asked: what it answers may be older.
    assert!(stores.closings.wake(ada.id, NOW).await.unwrap());
    stores.closings.postpone(ada.id, woken[0].wakes, NOW, NOW + SOON).await.unwrap();
    assert_eq!(stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap().len(), 1);
}

pub(crate) async fn only_an_account_that_closes_is_woken(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    assert!(!stores.closings.wake(ada.id, NOW).await.unwrap());
}

pub(crate) async fn a_closing_keeps_its_trace(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let carrier = Carrier {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: Some("vendor=value".to_owned()),
        canary: true,
    };
    telemetry::scope(&carrier, None, tracing::Span::none(), stores.begin_closing(&ada, NOW)).await;
    let due = stores.closings.claim_due(NOW, NOW + LATER, 9).await.unwrap();
    assert_eq!((due.len(), &due[0].carrier), (1, &carrier));
}

pub(crate) async fn a_closed_account_is_forgotten_and_its_address_free(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    stores.accounts.count_order(ada.id, None, receipt()).await.unwrap();
    let closing = stored(stores.begin_closing(&ada, NOW).await);
    assert_eq!(stores.try_add("ada@example.com").await, Saved::EmailTaken);
    let closed = stored(stores.finish_closing(&closing).await);
    assert_eq!((closed.email.clone(), closed.name.clone(), closed.status), (None, None, Status::Closed));
    assert_eq!((closed.orders_placed, closed.version), (1, 3));
    assert_eq!(stores.accounts.get(ada.id).await.unwrap(), Some(closed));
    assert_eq!(stores.accounts.login(&email("ada@example.com")).await.unwrap(), None);
    assert_eq!(stores.accounts.totals().await.unwrap().closing, 0);
    assert_eq!(stores.sessions.prune(NOW + Duration::HOUR, 100).await.unwrap(), 0, "its sessions are deleted");
    assert!(!stores.closings.wake(ada.id, NOW).await.unwrap());
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1", "user.closed.v1"]);
    stores.add("ada@example.com").await;
}

pub(crate) async fn an_account_closes_once(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let closing = stored(stores.begin_closing(&ada, NOW).await);
    assert_eq!(stores.begin_closing(&ada, NOW).await, Saved::Stale);
    stored(stores.finish_closing(&closing).await);
    assert_eq!(stores.finish_closing(&closing).await, Saved::Stale);
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1", "user.closed.v1"]);
    // A closed account goes on counting: an order's event may come late.
    assert!(stores.accounts.count_order(ada.id, None, receipt()).await.unwrap());
}

pub(crate) async fn a_change_and_a_closing_of_one_version_exclude_each_other(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let mut renamed = ada.clone();
    renamed.change(Change { name: Some(name("Eve")), email: None }, NOW).unwrap();
    stored(stores.begin_closing(&ada, NOW).await);
    assert_eq!(
        stores.accounts.save(&renamed, Surviving::All, &effects(DomainEvent::Updated, ada.id)).await.unwrap(),
        Saved::Stale
    );
}
