//! The steps of a closing, one after the other: when order is asked, and how often.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use user::{
    app::{Expected, Requester},
    domain::{Account, Status},
};

use crate::use_cases::{BACKOFF, UseCases};

async fn closing(use_cases: &UseCases, address: &str) -> Account {
    let account = use_cases.register(address).await;
    use_cases.app.close_account(account.id, Expected::any(), Requester::Service).await.unwrap()
}

/// Has an event of order make the closing due while order is asked.
fn wake_meanwhile(use_cases: &UseCases, account: &Account) {
    let (app, id) = (Arc::clone(&use_cases.app), account.id);
    use_cases.orders.meanwhile.set(move || {
        let app = Arc::clone(&app);
        Box::pin(async move { app.wake_closing(id).await.unwrap() })
    });
}

#[tokio::test]
async fn the_sweeper_leaves_a_closing_alone_while_its_owner_waits() {
    let use_cases = UseCases::new().await;
    use_cases.orders.open.store(1, Ordering::SeqCst);
    let (app, due) = (Arc::clone(&use_cases.app), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&due);
    use_cases.orders.meanwhile.set(move || {
        let (app, counted) = (Arc::clone(&app), Arc::clone(&counted));
        Box::pin(async move {
            let now = app.clock.now();
            let due = app.closings.claim_due(now, now, 9).await.unwrap();
            counted.fetch_add(due.len() as u64, Ordering::SeqCst);
        })
    });
    closing(&use_cases, "ada@example.com").await;
    assert_eq!((use_cases.orders.calls(), due.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn order_is_asked_again_after_pauses_that_double() {
    let use_cases = UseCases::new().await;
    use_cases.orders.open.store(1, Ordering::SeqCst);
    closing(&use_cases, "ada@example.com").await;
    for (calls, pause) in [(1, BACKOFF), (2, BACKOFF * 2), (3, BACKOFF * 4), (4, BACKOFF * 8)] {
        assert_eq!(use_cases.orders.calls(), calls);
        assert_eq!(use_cases.app.sweep().await.unwrap(), 0);
        use_cases.clock.advance(pause.saturating_sub(std::time::Duration::from_millis(1)));
        assert_eq!(use_cases.app.sweep().await.unwrap(), 0, "after {calls} calls");
        use_cases.clock.advance(std::time::Duration::from_millis(1));
        assert_eq!(use_cases.app.sweep().await.unwrap(), 1, "after {calls} calls");
    }
}

#[tokio::test]
async fn an_event_that_comes_while_order_is_asked_has_it_asked_again_at_once() {
    let use_cases = UseCases::new().await;
    use_cases.orders.open.store(1, Ordering::SeqCst);
    let account = use_cases.register("ada@example.com").await;
    wake_meanwhile(&use_cases, &account);
    use_cases.app.close_account(account.id, Expected::any(), Requester::Service).await.unwrap();
    assert!(use_cases.is_closing_due().await, "woken during the first attempt");
    assert_eq!(use_cases.app.sweep().await.unwrap(), 1);
    assert!(use_cases.is_closing_due().await, "woken during the sweep");
}

#[tokio::test]
async fn a_closed_account_is_read_as_such_at_once() {
    let use_cases = UseCases::new().await;
    let account = closing(&use_cases, "ada@example.com").await;
    assert_eq!(use_cases.app.get_user(account.id).await.unwrap().status, Status::Closing);
    assert_eq!(use_cases.app.sweep().await.unwrap(), 1);
    assert_eq!(use_cases.app.get_user(account.id).await.unwrap().status, Status::Closed);
    assert_eq!(use_cases.app.sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn an_account_that_cannot_be_finished_holds_up_no_other() {
    let use_cases = UseCases::new().await;
    let broken = closing(&use_cases, "eve@example.com").await;
    let account = closing(&use_cases, "ada@example.com").await;
    let write = &use_cases.database.write;
    sqlx::query("PRAGMA foreign_keys = OFF").execute(write).await.unwrap();
    let delete = sqlx::query("DELETE FROM users WHERE id = ?1").bind(broken.id.0.as_bytes().to_vec());
    assert_eq!(delete.execute(write).await.unwrap().rows_affected(), 1);
    assert_eq!(use_cases.app.sweep().await.unwrap(), 2);
    assert_eq!(use_cases.app.get_user(account.id).await.unwrap().status, Status::Closed);
    assert_eq!(use_cases.app.sweep().await.unwrap(), 0);
    use_cases.clock.advance(std::time::Duration::from_secs(30));
    assert_eq!(use_cases.app.sweep().await.unwrap(), 1, "it is tried again");
}
