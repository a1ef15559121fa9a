//! The provider's suite over the sandbox, and what only the sandbox promises.

use std::sync::Arc;

use payment::{
    adapters::sandbox::Sandbox,
    app::ports::{Key, Provider},
    domain::{ChargeState, Operation},
};

use crate::{
    new_id,
    provider::{authorization, charge},
};

crate::provider::suite!(async { Arc::new(Sandbox::open("sqlite::memory:").await.unwrap()) as Arc<dyn Provider> });

#[tokio::test]
async fn it_forgets_nothing_when_the_process_ends() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "provider");
    let order = new_id();
    let sandbox = Sandbox::open(&url).await.unwrap();
    let reference = charge(&sandbox, order).await;
    drop(sandbox);
    let sandbox = Sandbox::open(&url).await.unwrap();
    let found = sandbox.find(Key { order_id: order, operation: Operation::Authorize }).await.unwrap();
    assert!(found.is_some());
    let charges = sandbox.charges(order).await.unwrap();
    assert_eq!(charges[0].reference, reference);
    assert_eq!(charges[0].state, ChargeState::Authorized);
}

#[tokio::test]
async fn it_sees_who_was_charged_twice() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "provider");
    let sandbox = Sandbox::open(&url).await.unwrap();
    for _ in 0..3 {
        sandbox.execute(&authorization(new_id(), "tok_ok")).await.unwrap();
        sandbox.execute(&authorization(new_id(), "tok_declined")).await.unwrap();
    }
    assert_eq!(sandbox.charged_twice().await.unwrap(), 0);
    let path = url.strip_prefix("sqlite://").unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let twice = "INSERT INTO answers SELECT key || ':again', order_id, operation, reference, decline_reason FROM answers \
         WHERE reference IS NOT NULL LIMIT 1";
    sqlx::query(twice).execute(&pool).await.unwrap();
    assert_eq!(sandbox.charged_twice().await.unwrap(), 1);
}
