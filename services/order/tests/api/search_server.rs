//! The search on a real server: fed by events, built anew while others write.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use messaging::{Event, Handler as _, Outbox as _, Receipt};
use order::{
    api::events::{INDEX_GROUP, INDEX_KINDS, IndexEvents},
    app::{
        orders::Caller,
        ports::search::{Batch, Indexed, OrderSearch, ProductSearch, SearchServer},
        search::Searcher,
    },
    domain::{ids::ProductId, ids::UserId, product::Product},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::json;
use testkit::servers::OpenSearch;
use uuid::Uuid;

use crate::app::{RequestExt as _, TestApp};

impl TestApp {
    /// A service with empty indices of its own on the server of this process.
    async fn indexed() -> Option<Self> {
        let app = Self::searching_on(&OpenSearch::shared().await?.fresh()).await;
        for of in Indexed::ALL {
            app.use_cases.reindex(of, |_| {}).await.unwrap();
        }
        Some(app)
    }

    fn server(&self) -> std::sync::Arc<dyn SearchServer> {
        self.use_cases.search.server().unwrap()
    }

    /// The events in the outbox, which are taken out of it.
    async fn take_events(&self) -> Vec<Event> {
        let rows = self.outbox.claim("test", 10_000).await.unwrap();
        self.outbox.confirm(&rows).await.unwrap();
        rows.into_iter().map(|row| row.event).filter(|event| INDEX_KINDS.contains(&event.kind.as_str())).collect()
    }

    async fn deliver(&self, event: &Event) {
        let receipt = Receipt { consumer: INDEX_GROUP, event_id: event.id };
        IndexEvents::new(self.use_cases.clone()).handle(event, receipt).await.unwrap();
    }

    /// Everything that is indexed so far, by id.
    async fn found(&self) -> BTreeMap<Uuid, Product> {
        let (mut found, mut search) = (BTreeMap::new(), ProductSearch { limit: 100, ..ProductSearch::default() });
        loop {
            let page = self.use_cases.search_products(&search, Some(Searcher::Server)).await.unwrap();
            found.extend(page.items.into_iter().map(|(product, _)| (product.id.0, product)));
            search.after = page.next;
            if search.after.is_none() {
                return found;
            }
        }
    }

    /// Waits until searches see so many products.
    async fn sees(&self, total: u64) {
        let all = ProductSearch { limit: 1, ..ProductSearch::default() };
        testkit::eventually!(self.server().search_products(&all).await.is_ok_and(|found| found.total == total));
    }

    async fn rename(&self, id: &str, name: &str) {
        let request = self.request(Method::PATCH, &format!("/v1/products/{id}")).by(&self.operator());
        let response = request.header("if-match", "*").json(&json!({ "name": name })).send().await;
        assert_eq!(response.status, StatusCode::OK, "{response:?}");
    }

    /// A product as it is stored.
    async fn stored(&self, id: &str) -> Product {
        self.use_cases.products.get(ProductId(id.parse().unwrap())).await.unwrap().unwrap()
    }

    async fn delete(&self, id: &str) {
        let id = Uuid::try_parse(id).unwrap().as_bytes().to_vec();
        sqlx::query("DELETE FROM products WHERE id = ?1").bind(id).execute(&self.database.write).await.unwrap();
    }
}

#[tokio::test]
async fn what_events_tell_of_is_found() {
    let Some(app) = TestApp::indexed().await else { return };
    let (ada, mug) = (app.customer(), app.product("MUG-1", 1450, 5).await);
    let order = app.confirmed(&ada, &mug).await;
    for event in app.take_events().await {
        app.deliver(&event).await;
    }
    app.sees(1).await;
    let found = app.get("/v1/products/search?query=porduct").send().await;
    assert_eq!((&found.body["degraded"], &found.body["total"]), (&json!(false), &json!(1)), "{found:?}");
    assert_eq!(found.body["items"][0]["highlights"]["name"], "<em>Product</em> MUG-1");
    assert_eq!(found.body["items"][0]["product"]["available"], 4);
    let path = format!("/v1/orders/search?query=prod&status=confirmed&user_id={}&product_id={mug}", ada.id);
    let found = testkit::eventually!({
        let found = app.get(&path).by(&app.operator()).send().await;
        Some(found).filter(|found| found.body["total"] == 1)
    });
    assert_eq!(found.body["items"][0]["order"]["id"], order.as_str());
    assert_eq!(found.body["items"][0]["highlights"], json!(["<em>Product</em> MUG-1"]));
    assert_eq!(found.body["facets"]["status"], json!([{ "value": "confirmed", "count": 1 }]));
}

/// Creations, changes and deletions; events that come late, in any order and more than once; writes of somebody who was
/// suspended after reading: in the end the index has what the store has.
#[tokio::test]
async fn whatever_comes_in_whatever_order_the_index_ends_as_the_store() {
    let Some(app) = TestApp::indexed().await else { return };
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let (mut ids, mut stale, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..150 {
        match random.random_range(0..10) {
            0..=3 => ids.push(app.product(&format!("sku-{n}"), random.random_range(1..9_000), 5).await),
            4..=8 if !ids.is_empty() => {
                let id = &ids[random.random_range(0..ids.len())];
                stale.push(app.stored(id).await);
                app.rename(id, &format!("Name {n}")).await;
            }
            9 if ids.len() > 5 => {
                let id = ids.swap_remove(random.random_range(0..ids.len()));
                app.delete(&id).await;
                deleted.push(id);
            }
            _ => {}
        }
        if random.random_bool(0.2) {
            let mut events = app.take_events().await;
            events.extend(events.clone());
            events.shuffle(&mut random);
            for event in &events {
                app.deliver(event).await;
            }
        }
        if let Some(product) = stale.pop_if(|_| random.random_bool(0.5)) {
            app.server().put(Batch::Products(&[product])).await.unwrap();
        }
    }
    for event in app.take_events().await {
        app.deliver(&event).await;
    }
    for product in stale {
        app.server().put(Batch::Products(&[product])).await.unwrap();
    }
    same_as_store(&app, &ids, seed).await;
    // An index that is built anew has not even those that are gone.
    app.use_cases.reindex(Indexed::Products, |_| {}).await.unwrap();
    app.sees(ids.len() as u64).await;
    same_as_store(&app, &ids, seed).await;
}

/// Each product is found, by its name of now, and nothing else is.
async fn same_as_store(app: &TestApp, ids: &[String], seed: u64) {
    let mut expected = BTreeMap::new();
    for id in ids {
        let product = app.stored(id).await;
        expected.insert(product.id.0, product);
    }
    testkit::eventually!(app.found().await.len() == expected.len());
    assert_eq!(app.found().await, expected, "seed {seed}");
    for (id, product) in &expected {
        let query = order::domain::search::Query::parse(product.name.as_str()).unwrap();
        let search = ProductSearch { query, limit: 100, ..ProductSearch::default() };
        let is_found = async || {
            let found = app.server().search_products(&search).await.unwrap();
            found.ranks.iter().any(|rank| rank.id == *id)
        };
        testkit::eventually!(is_found().await);
    }
}

#[tokio::test]
async fn building_anew_under_writes_loses_nothing_however_often_it_is_interrupted() {
    let Some(app) = TestApp::indexed().await else { return };
    let ids = seeded(&app, 0..1_200).await;
    let events = app.take_events().await;
    assert_eq!(events.len(), 1_200);
    let writer = async {
        let mut random = StdRng::seed_from_u64(7);
        for n in 0..30 {
            let id = ids[random.random_range(0..ids.len())].clone();
            app.rename(&id, &format!("Renamed {n}")).await;
            seeded(&app, 2_000 + n..2_001 + n).await;
            for event in app.take_events().await {
                app.deliver(&event).await;
            }
        }
    };
    let builder = async {
        // Given up after its first batches, as by a kill; the last one comes to its end.
        for patience in [1, 2] {
            let (reached, stop) = (std::sync::atomic::AtomicU64::new(0), tokio::sync::Notify::new());
            let build = app.use_cases.reindex(Indexed::Products, |_| {
                if reached.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == patience {
                    stop.notify_one();
                }
            });
            tokio::select! {
                biased;
                () = stop.notified() => {}
                done = build => { done.unwrap(); }
            }
        }
        app.use_cases.reindex(Indexed::Products, |_| {}).await.unwrap();
    };
    tokio::join!(writer, builder);
    app.sees(1_230).await;
    let found = app.found().await;
    assert_eq!(found.len(), 1_230);
    let renamed = found.values().filter(|product| product.version > 1);
    for product in renamed {
        let query = order::domain::search::Query::parse(product.name.as_str()).unwrap();
        let search = ProductSearch { query, limit: 10, ..ProductSearch::default() };
        testkit::eventually!(
            app.server().search_products(&search).await.unwrap().ranks.iter().any(|rank| rank.id == product.id.0)
        );
    }
}

/// Products past the interface, which is quick; gives their ids.
async fn seeded(app: &TestApp, numbers: std::ops::Range<usize>) -> Vec<String> {
    let product = |n: usize| {
        json!({
            "sku": format!("s{n:05}"), "name": format!("Thing {n}"), "description": "",
            "price": { "amount": 100, "currency": "EUR" }, "stock": 1,
        })
    };
    let json = serde_json::Value::from(numbers.clone().map(product).collect::<Vec<_>>());
    app.use_cases.seed(order::app::seed::read(&json.to_string()).unwrap()).await.unwrap();
    let ids: Vec<Vec<u8>> = sqlx::query_scalar("SELECT id FROM products WHERE sku BETWEEN ?1 AND ?2 ORDER BY sku")
        .bind(format!("s{:05}", numbers.start))
        .bind(format!("s{:05}", numbers.end - 1))
        .fetch_all(&app.database.read)
        .await
        .unwrap();
    ids.iter().map(|id| Uuid::from_slice(id).unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_server_that_lost_its_indices_is_filled_again_and_is_degraded_until_then() {
    let Some(server) = OpenSearch::shared().await else { return };
    let app = TestApp::searching_on(&server.fresh()).await;
    let mug = app.product("MUG-1", 1450, 5).await;
    app.confirmed(&app.customer(), &mug).await;
    let degraded = async || app.get("/v1/products/search?query=mug").send().await.body["degraded"] == true;
    assert!(degraded().await, "there is no index yet");
    let stop = tokio_util::sync::CancellationToken::new();
    let tracker = tokio_util::task::TaskTracker::new();
    let locks = lock::Locks::new(
        std::sync::Arc::new(lock::Memory::new(clock::system())),
        tracker.clone(),
        lock::Policy::default(),
    );
    tracker.spawn(order::app::reindex::run(app.use_cases.clone(), app.server(), locks, stop.clone()));
    testkit::eventually!(within std::time::Duration::from_secs(30), !degraded().await);
    let operator = Caller { user: UserId(Uuid::nil()), operator: true };
    let all = OrderSearch { limit: 1, ..OrderSearch::default() };
    testkit::eventually!(app.use_cases.search_orders(operator, &all).await.is_ok_and(|found| found.total == 1));
    stop.cancel();
}
