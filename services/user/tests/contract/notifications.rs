//! What a store of mails that are owed promises.

use futures::future::join_all;
use messaging::Event;
use time::Duration;
use user::{
    app::{News, notify},
    domain::{Notification, UserId},
};
use uuid::Uuid;

use crate::fixture::{NOW, Stores, email, receipt, stored};

fn task(user: UserId) -> Event {
    News { user, what: Notification::AccountClosed, event: Uuid::now_v7(), at: NOW }.task(NOW).unwrap()
}

pub(crate) async fn a_mail_is_owed_until_it_is_sent(stores: Stores) {
    let ada = stores.add("Ada@example.com").await;
    let task = task(ada.id);
    stores.notifications.record(ada.id, &task, receipt()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(stores.notifications.begin(task.id).await.unwrap(), Some(email("Ada@example.com")));
    }
    for _ in 0..2 {
        stores.notifications.finish(task.id).await.unwrap();
        assert_eq!(stores.notifications.begin(task.id).await.unwrap(), None);
    }
}

pub(crate) async fn a_mail_is_owed_once_for_an_event_and_has_one_task(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let (task, receipt) = (task(ada.id), receipt());
    let records = (0..8).map(|_| stores.notifications.record(ada.id, &task, receipt.clone()));
    join_all(records).await.into_iter().for_each(|recorded| recorded.unwrap());
    // As where the receipt is forgotten.
    stores.notifications.record(ada.id, &task, crate::fixture::receipt()).await.unwrap();
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1", notify::TASK]);
    stores.notifications.finish(task.id).await.unwrap();
    stores.notifications.record(ada.id, &task, receipt).await.unwrap();
    assert_eq!(stores.notifications.begin(task.id).await.unwrap(), None);
}

pub(crate) async fn a_mail_is_stored_with_the_order_that_it_tells_of(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let (first, again, receipt) = (task(ada.id), task(ada.id), receipt());
    assert!(stores.accounts.count_order(ada.id, Some(&first), receipt.clone()).await.unwrap());
    assert!(stores.accounts.count_order(ada.id, Some(&again), receipt).await.unwrap());
    assert_eq!(stores.notifications.begin(first.id).await.unwrap(), ada.email);
    assert_eq!(stores.notifications.begin(again.id).await.unwrap(), None);
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1", notify::TASK]);
}

pub(crate) async fn a_mail_keeps_its_address_when_the_account_loses_it(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let closing = stored(stores.begin_closing(&ada, NOW).await);
    let (farewell, stale) = (task(ada.id), task(ada.id));
    stored(stores.finish_closing_with(&closing, Some(&farewell)).await);
    stores.finish_closing_with(&closing, Some(&stale)).await;
    assert_eq!(stores.notifications.begin(farewell.id).await.unwrap(), ada.email);
    assert_eq!(stores.notifications.begin(stale.id).await.unwrap(), None, "the account is closed once");
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1", notify::TASK, "user.closed.v1"]);
}

pub(crate) async fn nobody_without_an_address_is_owed_a_mail(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let closing = stored(stores.begin_closing(&ada, NOW).await);
    stored(stores.finish_closing(&closing).await);
    for user in [ada.id, UserId(Uuid::now_v7())] {
        let task = task(user);
        stores.notifications.record(user, &task, receipt()).await.unwrap();
        assert_eq!(stores.notifications.begin(task.id).await.unwrap(), None);
    }
    assert_eq!(stores.outbox_kinds().await, ["user.registered.v1", "user.closed.v1"]);
}

pub(crate) async fn a_mail_that_cannot_be_sent_is_given_up(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let task = task(ada.id);
    stores.notifications.record(ada.id, &task, receipt()).await.unwrap();
    assert_eq!(stores.notifications.prune(NOW - Duration::MICROSECOND, 9).await.unwrap(), 0);
    assert_eq!(stores.notifications.prune(NOW, 9).await.unwrap(), 1);
    assert_eq!(stores.notifications.begin(task.id).await.unwrap(), None);
}
