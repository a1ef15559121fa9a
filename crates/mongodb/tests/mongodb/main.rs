//! The outbox inside MongoDB's documents under the contract suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::suite::{Open, Store, Stores};
use messaging::{Effects, Event, Outbox, Recorded};
use mongodb::{
    bson::{self, Bson, Document, doc},
    connect, prepare, recording,
};

/// The collections with events. A document is in the one that the last byte of its key says.
const COLLECTIONS: [&str; 2] = ["things", "others"];

/// A database; each opening has connections of its own, as another process has.
struct Databases(String);

#[async_trait]
impl Stores for Databases {
    async fn open(&self, lease: Duration) -> Arc<dyn Store> {
        let database = connect(&self.0, "suite").await.unwrap();
        for collection in COLLECTIONS {
            prepare(&database, collection).await.unwrap();
        }
        let id_of = |key: &str| Bson::from(key);
        let outbox = mongodb::Outbox::new(&database, COLLECTIONS, id_of, clock::system()).with_lease(lease);
        Arc::new(Service { database, outbox })
    }
}

struct Service {
    database: mongodb::Database,
    outbox: mongodb::Outbox,
}

/// What will be written: events go into the document of their key, each update by itself.
struct Updating {
    database: mongodb::Database,
    effects: Effects,
}

#[async_trait]
impl Store for Service {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.clone())
    }

    async fn begin(&self, effects: &Effects) -> (Recorded, Box<dyn Open>) {
        (Recorded::First, Box::new(Updating { database: self.database.clone(), effects: effects.clone() }))
    }

    async fn receive_long_ago(&self, count: u32) {
        let receipts = (0..i64::from(count)).map(|n| doc! { "_id": { "consumer": "suite", "event": n }, "at": 1_i64 });
        self.database.collection::<Document>("inbox").insert_many(receipts).await.unwrap();
    }

    async fn receipts(&self) -> u64 {
        self.database.collection::<Document>("inbox").count_documents(doc! {}).await.unwrap()
    }

    async fn spoil(&self, event: &Event) {
        let documents = self.database.collection::<Document>(collection_of(&event.key));
        let first = doc! { "outbox.0.id": bson::Uuid::from_bytes(event.id.into_bytes()) };
        let spoilt = documents.update_one(first, doc! { "$unset": { "outbox.0.kind": "" } }).await.unwrap();
        assert_eq!(spoilt.modified_count, 1);
    }
}

#[async_trait]
impl Open for Updating {
    async fn commit(self: Box<Self>) {
        let mut keys: Vec<String> = self.effects.events.iter().map(|event| event.key.clone()).collect();
        keys.dedup();
        for key in keys {
            let mut of_key = self.effects.clone();
            of_key.events.retain(|event| event.key == key);
            let recording = recording(&of_key).unwrap();
            let documents = self.database.collection::<Document>(collection_of(&key));
            documents.update_one(doc! { "_id": key }, recording.update).upsert(true).await.unwrap();
        }
    }

    async fn roll_back(self: Box<Self>) {}
}

fn collection_of(key: &str) -> &'static str {
    COLLECTIONS[usize::from(key.bytes().last().unwrap_or_default() % 2)]
}

mod outbox {
    testkit::suite! { messaging::outbox_suite, &match testkit::servers::MongoDb::shared().await {
        Some(server) => super::Databases(server.database()),
        None => return,
    } }
}

/// What was stored under a clock that was an hour ahead is over once it is right.
#[tokio::test]
async fn what_lies_too_far_ahead_is_over() {
    let Some(server) = testkit::servers::MongoDb::shared().await else { return };
    let databases = Databases(server.database());
    let (store, database) =
        (databases.open(Duration::from_secs(2)).await, connect(&databases.0, "test").await.unwrap());
    let event = Event::new("thing.happened.v1", "test", "key", clock::system().now(), 1).unwrap();
    store.begin(&Effects::of(vec![event])).await.1.commit().await;
    assert_eq!(store.outbox().claim("killed", 9).await.unwrap().len(), 1);
    let ahead = clock::micros(clock::system().now() + Duration::from_hours(1));
    for (collection, field) in [("relay", "until"), (collection_of("key"), "retry_at")] {
        let set = doc! { "$set": { field: ahead } };
        database.collection::<Document>(collection).update_many(doc! {}, set).await.unwrap();
    }
    assert_eq!(store.outbox().claim("next", 9).await.unwrap().len(), 1);
}

/// As on a full disk, without a majority or without a role: it answers, says that it is the primary, and stores nothing. Here
/// its answer to the write is lost.
#[tokio::test]
async fn who_can_store_nothing_is_not_ready() {
    let Some(server) = testkit::servers::MongoDb::shared().await else { return };
    let url = server.database();
    let (_, rest) = url.split_once("://").unwrap();
    let (address, name) = rest.split_once('/').unwrap();
    let proxy = testkit::Proxy::to(address).await;
    let database = connect(&format!("mongodb://{}/{name}", proxy.address()), "test").await.unwrap();
    mongodb::ping(&database).await.unwrap();
    for _ in 0..2 {
        let refused = mongodb::within("nothing", database.run_command(doc! { "nothing": 1 })).await;
        assert!(refused.is_err(), "{refused:?}");
        proxy.lose_answer_to(b"readiness", 1);
        let asked = mongodb::ping(&database).await;
        assert!(asked.is_err_and(|error| error.is_unavailable()));
        mongodb::ping(&database).await.unwrap();
    }
    assert_eq!(proxy.lost(), 2);
}
