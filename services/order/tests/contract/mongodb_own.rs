//! What only MongoDB's store has to show: a product that everybody wants, clocks that differ, and documents that grow.

use std::time::Duration;

use clock::SharedClock;
use futures::future::join_all;
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};
use order::{
    app::ports::{Idempotent, Placed, StoreError},
    domain::{order::Order, values::RestockQuantity},
};
use testkit::ManualClock;

use crate::{
    fixture::{OrderSpec, START, Stores, emits, key, order, user},
    mongodb_interrupted::{interrupt, settle},
};

/// A database of a shared server, and its URL.
async fn database() -> Option<(String, mongodb::Database)> {
    let url = testkit::servers::MongoDb::shared().await?.database();
    let database = mongodb::connect(&url, "contract").await.unwrap();
    Some((url, database))
}

fn of(n: usize, lines: &[(order::domain::ids::ProductId, i64)]) -> Order {
    order(&OrderSpec { user: user(n as u128), key: "k", lines, at: START })
}

async fn one(collection: &Collection<Document>) -> Document {
    collection.find_one(doc! {}).await.unwrap().unwrap()
}

fn items(document: &Document, field: &str) -> usize {
    document.get_array(field).map_or(0, Vec::len)
}

/// Each time that the list is pruned, all who have read the product try again: so it is done once for many orders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_one_product_prune_its_list_once_for_many() {
    let Some((url, database)) = database().await else { return };
    let stores = crate::on_mongodb(&url, Duration::from_mins(1)).await;
    let hot = stores.stocked("hot", 10_000).await;
    for round in 0..4 {
        let orders: Vec<Order> = (0..100).map(|n| of(round * 100 + n, &[(hot, 1)])).collect();
        join_all(orders.iter().map(|order| stores.placed(order))).await;
    }
    let product = one(&database.collection("products")).await;
    let (epoch, listed) = (product.get_i64("epoch").unwrap(), items(&product, "ops"));
    assert!(epoch <= 3, "pruned {epoch} times");
    assert!(listed < 400, "{listed} listed");
    assert_eq!(stores.available(hot).await, 9_600);
    assert_eq!(stores.audit.totals().await.unwrap().violations, []);
}

/// They are refused before anything of them is stored, and nobody else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_orders_of_one_product_than_can_wait_are_refused_at_once() {
    let Some((url, database)) = database().await else { return };
    let stores = crate::on_mongodb(&url, Duration::from_mins(1)).await;
    let (hot, other) = (stores.stocked("hot", 10_000).await, stores.stocked("other", 10_000).await);
    let orders: Vec<Order> = (0..300).map(|n| of(n, &[(hot, 1)])).collect();
    let place = async |order: &Order| stores.orders.place(order, emits(order, "order.placed.v1")).await;
    let beside = of(300, &[(other, 1)]);
    let all = join_all(orders.iter().map(async |order| place(order).await));
    let (placed, beside) = futures::join!(all, place(&beside));
    assert!(matches!(beside, Ok(Placed::Stored)), "{beside:?}");
    let accepted = placed.iter().filter(|placed| matches!(placed, Ok(Placed::Stored))).count();
    let refused = placed.iter().filter(|placed| matches!(placed, Err(StoreError::Unavailable(_)))).count();
    assert_eq!(accepted + refused, 300, "{placed:?}");
    assert!(accepted >= 100 && refused >= 100, "{accepted} stored, {refused} refused");
    let documents = database.collection::<Document>("orders").count_documents(doc! {}).await.unwrap();
    assert_eq!(documents, accepted as u64 + 1);
    assert_eq!(stores.available(hot).await, 10_000 - i64::try_from(accepted).unwrap());
    // They are let in when the others are through.
    stores.placed(orders.iter().zip(&placed).find(|(_, placed)| placed.is_err()).unwrap().0).await;
}

/// An order that another process is placing is left to it, whatever the two clocks say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_whose_clocks_differ_leave_each_others_orders_alone() {
    let Some((url, database)) = database().await else { return };
    let orders = database.collection::<Document>("orders");
    let being_placed = || orders.count_documents(doc! { "stage.name": "reserving" });
    let ahead = ManualClock::at_now();
    ahead.advance(Duration::from_mins(2));
    let (right, ahead): (SharedClock, SharedClock) = (clock::system(), ahead.shared());
    for (round, placing, sweeping) in [(0, right.clone(), ahead.clone()), (1, ahead, right)] {
        let placing = crate::on_mongodb_at(&url, Duration::from_secs(15), placing).await;
        let (now, sweeping) = (sweeping.now(), crate::on_mongodb_at(&url, Duration::from_secs(15), sweeping).await);
        let product = placing.stocked(&round.to_string(), 10_000).await;
        let mut polls = 0;
        let order = loop {
            let order = of(round * 1_000 + polls, &[(product, 1)]);
            assert!(interrupt(placing.place(&order), polls).await.is_none(), "no interruption left it half-way");
            settle().await;
            if being_placed().await.unwrap() == 1 {
                break order;
            }
            polls += 1;
        };
        sweeping.orders.due(now, 9).await.unwrap();
        assert_eq!(being_placed().await.unwrap(), 1);
        assert!(matches!(placing.place(&order).await, Placed::Stored | Placed::Existing(_)));
        assert_eq!(being_placed().await.unwrap(), 0);
    }
}

/// A product's document has a bound, however often it is restocked.
#[tokio::test]
async fn the_oldest_keys_of_restocks_go_first() {
    let Some((url, database)) = database().await else { return };
    let stores: Stores = crate::on_mongodb(&url, Duration::from_mins(1)).await;
    let (product, products) = (stores.stocked("a", 0).await, database.collection::<Document>("products"));
    let restock = async |text: &str| {
        let restocked = stores.products.restock(product, RestockQuantity::parse(1).unwrap(), &key(text, 1)).await;
        assert!(matches!(restocked, Ok(Idempotent::Done(_))), "{restocked:?}");
    };
    restock("first").await;
    let used = one(&products).await.get_array("keys").unwrap()[0].clone();
    let many: Vec<Bson> = std::iter::repeat_n(used, 5_000).collect();
    products.update_one(doc! {}, doc! { "$set": { "keys": many } }).await.unwrap();
    restock("last").await;
    let after = one(&products).await;
    assert_eq!(items(&after, "keys"), 2_000);
    let again = stores.products.restock(product, RestockQuantity::parse(1).unwrap(), &key("last", 1)).await.unwrap();
    assert!(matches!(again, Idempotent::Replayed(_)), "{again:?}");
}

/// What a user's closing reads does not grow with the orders that have ended.
#[tokio::test]
async fn orders_that_have_ended_are_not_looked_through() {
    let Some((_, database)) = database().await else { return };
    order::adapters::mongodb::prepare(&database).await.unwrap();
    let indexes = database.collection::<Document>("orders").list_index_names().await.unwrap();
    assert!(indexes.contains(&"user_1_status_1".to_owned()), "{indexes:?}");
    let user = mongodb::bson::Uuid::new();
    let ended = (0..2_000_i64).map(|n| doc! { "_id": n, "user": user, "status": "fulfilled", "created_at": n });
    let open = doc! { "_id": -1, "user": user, "status": "pending", "created_at": 0_i64 };
    database.collection::<Document>("orders").insert_many(ended.chain([open])).await.unwrap();
    let filter =
        doc! { "user": user, "status": { "$in": ["pending", "confirmed"] }, "stage.name": { "$nin": ["aborting"] } };
    let explain = doc! { "explain": { "find": "orders", "filter": filter }, "verbosity": "executionStats" };
    match database.run_command(explain).await {
        Ok(explained) => {
            let examined = explained.get_document("executionStats").unwrap().get("totalDocsExamined").cloned();
            assert!(matches!(examined, Some(Bson::Int32(1) | Bson::Int64(1))), "{examined:?}");
        }
        // The stand-in does not explain.
        Err(error) => assert!(error.to_string().contains("no such command"), "{error}"),
    }
}

/// Fields of another type than ever is stored: the order or product is named, and nothing else is kept from being seen.
#[tokio::test]
async fn a_field_of_another_type_blinds_nobody() {
    let Some((url, database)) = database().await else { return };
    let stores = crate::on_mongodb(&url, Duration::from_mins(1)).await;
    let (good, bad) = (stores.stocked("good", 10).await, stores.stocked("bad", 10).await);
    let orders: Vec<Order> = (1..=9).map(|n| of(n, &[(good, 1)])).collect();
    join_all(orders.iter().map(|order| stores.placed(order))).await;
    let (in_orders, in_products) = (database.collection::<Document>("orders"), database.collection("products"));
    let spoil = async |collection: &Collection<Document>, id: uuid::Uuid, fields: Document| {
        let id = mongodb::bson::Uuid::from_bytes(id.into_bytes());
        collection.update_one(doc! { "_id": id }, doc! { "$set": fields }).await.unwrap();
    };
    for (order, fields) in orders.iter().zip([
        doc! { "status": 7 },
        doc! { "total": "much", "currency": 978 },
        doc! { "total": 500.0, "items.0.quantity": 1.0 },
        doc! { "items": "a mug" },
        doc! { "payment": "paid", "was_confirmed": "perhaps" },
        doc! { "updated_at": "today" },
        doc! { "outbox": "none" },
        doc! { "stage": { "name": "returning", "op": "none" } },
    ]) {
        spoil(&in_orders, order.id.0, fields).await;
    }
    spoil(&in_products, bad.0, doc! { "available": "some", "ops": 5 }).await;
    let totals = stores.audit.totals().await.unwrap();
    assert_eq!((totals.products, totals.orders.iter().map(|(_, n)| n).sum::<u64>()), (2, 9));
    let named: Vec<_> = totals.violations.iter().map(|violation| violation.product).collect();
    assert!(named.len() == 2 && named.contains(&bad) && named.contains(&good), "{named:?}");
    assert_eq!(stores.audit.orders(None, 99).await.unwrap().len(), 9);
    assert_eq!(stores.audit.customers(None, 99).await.unwrap().len(), 9);
    let sagas = stores.orders.sagas(99).await.unwrap();
    assert_eq!(sagas.by_status, [(order::domain::status::Status::Pending, 8)]);
    assert_eq!(sagas.oldest, Some(START));
    assert_eq!(stores.outbox.depth().await.unwrap().count, 8, "one order's events cannot be read");
}
