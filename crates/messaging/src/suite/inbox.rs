//! Receipts: an event is applied once per consumer.

use std::time::Duration;

use uuid::Uuid;

use super::{LONG, Stores, event};
use crate::{Effects, Receipt, Recorded};

fn receipt(id: Uuid) -> Receipt {
    Receipt { consumer: "suite", event_id: id }
}

/// A receipt is the first once per consumer.
pub async fn a_receipt_counts_once(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let id = Uuid::now_v7();
    for (receipt, expected) in [
        (receipt(id), Recorded::First),
        (receipt(id), Recorded::Duplicate),
        (Receipt { consumer: "another", event_id: id }, Recorded::First),
        (receipt(Uuid::now_v7()), Recorded::First),
    ] {
        let (recorded, open) = store.begin(&Effects::default().caused_by(receipt)).await;
        assert_eq!(recorded, expected);
        open.commit().await;
    }
}

/// Of two that apply one event at once, in two processes, the second waits for the first and learns the truth.
pub async fn duplicates_at_once_count_once(stores: &dyn Stores) {
    let (store, other) = (stores.open(LONG).await, stores.open(LONG).await);
    let effects = Effects::of(vec![event("key", 1)]).caused_by(receipt(Uuid::now_v7()));
    let (first, open) = store.begin(&effects).await;
    let (second, ()) = tokio::join!(other.begin(&effects), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        open.commit().await;
    });
    second.1.roll_back().await;
    assert_eq!((first, second.0), (Recorded::First, Recorded::Duplicate));
    assert_eq!(store.outbox().depth().await.unwrap().count, 1);
}

/// The same, but the first fails: then the second is the first.
pub async fn a_rolled_back_receipt_did_not_count(stores: &dyn Stores) {
    let (store, other) = (stores.open(LONG).await, stores.open(LONG).await);
    let effects = Effects::of(vec![event("key", 1)]).caused_by(receipt(Uuid::now_v7()));
    let (first, open) = store.begin(&effects).await;
    let (second, ()) = tokio::join!(other.begin(&effects), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        open.roll_back().await;
    });
    second.1.commit().await;
    assert_eq!((first, second.0), (Recorded::First, Recorded::First));
    assert_eq!(store.outbox().depth().await.unwrap().count, 1);
}

/// Even a caller that commits a duplicate adds no event.
pub async fn a_duplicate_stores_nothing(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let receipt = receipt(Uuid::now_v7());
    for _ in 0..2 {
        let (_, open) = store.begin(&Effects::of(vec![event("key", 1)]).caused_by(receipt.clone())).await;
        open.commit().await;
    }
    assert_eq!(store.outbox().depth().await.unwrap().count, 1);
}
