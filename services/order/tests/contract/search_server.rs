//! What a search server promises beyond the contract of `SearchProducts`: versions, builds, misspelt words, orders.

use async_trait::async_trait;
use elasticsearch::Client;
use http::{HeaderMap, Method};
use order::{
    adapters::elasticsearch::Indices,
    app::ports::search::{
        Batch, Found, Indexed, OrderSearch, OrderSort, ProductSearch, ProductSort, Rank, SearchError,
        SearchProducts as _, SearchServer,
    },
    domain::{
        ids::{OrderId, ProductId},
        order::Order,
        product::Product,
        search::Query,
        status::Status,
        values::{Description, Name},
    },
};
use testkit::servers::OpenSearch;
use uuid::Uuid;

use crate::{
    fixture::{OrderSpec, at, order, product, user},
    search::Catalogue,
};

/// New indices on the server of this process.
pub async fn indices() -> Option<Indices> {
    Some(on(&OpenSearch::shared().await?.fresh()).await)
}

async fn on(url: &str) -> Indices {
    let indices = Indices::new(&Client::open(url, client::Config::default()).unwrap()).unwrap();
    for of in Indexed::ALL {
        let build = indices.build(of).await.unwrap();
        indices.finish(build).await.unwrap();
    }
    indices
}

#[async_trait]
impl Catalogue for Indices {
    async fn put(&self, product: &Product) {
        SearchServer::put(self, Batch::Products(std::slice::from_ref(product))).await.unwrap();
        self.refresh(Indexed::Products).await.unwrap();
    }

    async fn search(&self, search: &ProductSearch) -> Found {
        self.search_products(search).await.unwrap()
    }
}

fn named(sku: &str, name: &str, version: u64) -> Product {
    Product { name: Name::parse(name).unwrap(), version, ..product(sku, 1) }
}

fn words(query: &str) -> ProductSearch {
    ProductSearch { query: Query::parse(query).unwrap(), limit: 10, ..ProductSearch::default() }
}

async fn finds(indices: &Indices, query: &str) -> Vec<Uuid> {
    indices.search_products(&words(query)).await.unwrap().ranks.iter().map(|rank| rank.id).collect()
}

#[tokio::test]
async fn the_highest_version_stays_whatever_comes_last() {
    let Some(indices) = indices().await else { return };
    let one = named("a", "Blue mug", 1);
    let three = Product { name: Name::parse("Green mug").unwrap(), version: 3, ..one.clone() };
    let two = Product { name: Name::parse("Red mug").unwrap(), version: 2, ..one.clone() };
    for version in [&three, &one, &two, &three, &one] {
        SearchServer::put(&indices, Batch::Products(std::slice::from_ref(version))).await.unwrap();
    }
    indices.refresh(Indexed::Products).await.unwrap();
    assert_eq!(finds(&indices, "mug").await, [one.id.0]);
    assert_eq!(finds(&indices, "green").await, [one.id.0]);
    assert!(finds(&indices, "blue").await.is_empty() && finds(&indices, "red").await.is_empty());
}

#[tokio::test]
async fn misspelt_words_are_found_and_come_later() {
    let Some(indices) = indices().await else { return };
    let (mug, cup) = (named("a", "Stoneware mug", 1), named("b", "Stonewere mug", 1));
    let text = Product { description: Description::parse("Not stoneware").unwrap(), ..named("c", "Cup", 1) };
    for product in [&cup, &text, &mug] {
        Catalogue::put(&indices, product).await;
    }
    assert_eq!(finds(&indices, "stonewrae").await.len(), 3, "two letters have changed places");
    assert_eq!(finds(&indices, "stoneware").await[0], mug.id.0, "the word itself, in the name");
    assert!(finds(&indices, "xtoneware").await.is_empty(), "the first letter has to be right");
    assert!(finds(&indices, "mg").await.is_empty(), "two letters are too few to be wrong");
}

#[tokio::test]
async fn without_an_index_nothing_is_written_and_nothing_is_found() {
    let Some(server) = OpenSearch::shared().await else { return };
    let indices = Indices::new(&Client::open(&server.fresh(), client::Config::default()).unwrap()).unwrap();
    let one = named("a", "Blue mug", 1);
    SearchServer::put(&indices, Batch::Products(std::slice::from_ref(&one))).await.unwrap();
    assert!(!indices.exists(Indexed::Products).await.unwrap());
    let refused = indices.search_products(&words("mug")).await;
    assert!(matches!(refused, Err(SearchError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_build_takes_writes_and_the_place_of_the_index_in_one_step() {
    let Some(indices) = indices().await else { return };
    let (old, kept) = (named("a", "Ghost mug", 1), named("b", "Blue mug", 1));
    Catalogue::put(&indices, &old).await;
    Catalogue::put(&indices, &kept).await;
    let build = indices.build(Indexed::Products).await.unwrap();
    // Written while it is built: a later version of what the build reads, and something new.
    let changed = Product { name: Name::parse("Green mug").unwrap(), version: 2, ..kept.clone() };
    let new = named("c", "White mug", 1);
    SearchServer::put(&indices, Batch::Products(&[changed, new.clone()])).await.unwrap();
    indices.fill(&build, Batch::Products(std::slice::from_ref(&kept)), "b").await.unwrap();
    indices.refresh(Indexed::Products).await.unwrap();
    assert_eq!(finds(&indices, "mug").await.len(), 3, "the old one, until the end");
    // Interrupted, and carried on by somebody else.
    let carried_on = indices.build(Indexed::Products).await.unwrap();
    assert_eq!((&carried_on.index, carried_on.after.as_deref()), (&build.index, Some("b")));
    indices.finish(carried_on).await.unwrap();
    let mut found = finds(&indices, "mug").await;
    found.sort_unstable();
    let mut expected = [kept.id.0, new.id.0];
    expected.sort_unstable();
    assert_eq!(found, expected, "what the store has not is gone");
    assert_eq!(finds(&indices, "green").await, [kept.id.0]);
    // Whoever was late has nothing to end.
    assert!(indices.fill(&build, Batch::Products(&[kept]), "z").await.is_err());
    let next = indices.build(Indexed::Products).await.unwrap();
    assert_ne!(next.index, build.index);
    assert_eq!(next.after, None);
}

fn placed(n: u8, product: ProductId, pieces: i64) -> Order {
    let key = format!("k{n}");
    order(&OrderSpec { user: user(u128::from(n % 2)), key: &key, lines: &[(product, pieces)], at: at(u64::from(n)) })
}

#[tokio::test]
async fn orders_are_found_by_what_is_known_of_them() {
    let Some(indices) = indices().await else { return };
    let (mug, cup) = (ProductId(Uuid::new_v4()), ProductId(Uuid::new_v4()));
    let orders = [placed(1, mug, 3), placed(2, cup, 2), placed(3, mug, 1)];
    SearchServer::put(&indices, Batch::Orders(&orders)).await.unwrap();
    indices.refresh(Indexed::Orders).await.unwrap();
    let search = async |search: OrderSearch| {
        let found = indices.search_orders(&OrderSearch { limit: 10, ..search }).await.unwrap();
        let order = |id| orders.iter().position(|order| order.id == OrderId(id)).unwrap() + 1;
        found.ranks.iter().map(|rank| order(rank.id)).collect::<Vec<_>>()
    };
    let all = OrderSearch::default();
    assert_eq!(search(all.clone()).await, [3, 2, 1]);
    assert_eq!(search(OrderSearch { sort: OrderSort::TotalDown, ..all.clone() }).await, [1, 2, 3]);
    assert_eq!(search(OrderSearch { user: Some(user(1)), sort: OrderSort::Oldest, ..all.clone() }).await, [1, 3]);
    assert_eq!(search(OrderSearch { product: Some(cup), ..all.clone() }).await, [2]);
    assert_eq!(search(OrderSearch { query: Query::parse("THI").unwrap(), ..all.clone() }).await.len(), 3);
    assert!(search(OrderSearch { query: Query::parse("nothing").unwrap(), ..all.clone() }).await.is_empty());
    assert_eq!(
        search(OrderSearch { statuses: vec![Status::Pending, Status::Fulfilled], ..all.clone() }).await.len(),
        3
    );
    assert!(search(OrderSearch { statuses: vec![Status::Cancelled], ..all.clone() }).await.is_empty());
    let found = indices.search_orders(&OrderSearch { limit: 1, ..all }).await.unwrap();
    assert_eq!(found.facets[0].counts, [("pending".to_owned(), 3)]);
}

#[tokio::test]
async fn a_server_that_was_killed_is_used_again() {
    let Some(server) = OpenSearch::alone().await else { return };
    let indices = on(&server.fresh()).await;
    let one = named("a", "Blue mug", 1);
    Catalogue::put(&indices, &one).await;
    server.kill();
    let refused = indices.search_products(&words("mug")).await;
    assert!(matches!(refused, Err(SearchError::Unavailable(_))), "{refused:?}");
    server.restart().await;
    let found = testkit::eventually!(within std::time::Duration::from_secs(30), {
        indices.search_products(&words("mug")).await.ok().filter(|found| found.total == 1)
    });
    assert_eq!(found.ranks[0].id, one.id.0, "what was acknowledged is there");
}

/// A password that was changed, a permission that is missing, an index that was closed for writes: what is denied is put
/// right at the server, and nothing that waits for it is given up.
#[tokio::test]
async fn while_it_denies_writes_it_counts_as_away() {
    let Some(server) = OpenSearch::shared().await else { return };
    let url = server.fresh();
    let client = Client::open(&url, client::Config::default()).unwrap();
    let indices = Indices::new(&client).unwrap();
    let build = indices.build(Indexed::Products).await.unwrap();
    let index = build.index.clone();
    indices.finish(build).await.unwrap();
    let one = named("a", "Blue mug", 1);
    let put = async || SearchServer::put(&indices, Batch::Products(std::slice::from_ref(&one))).await;
    let admin = client::Http::new(url.split('?').next().unwrap(), client::Config::default(), None, "admin");
    let block = async |blocked: bool| {
        let (path, setting) = (format!("/{index}/_settings"), serde_json::json!({ "index.blocks.write": blocked }));
        let answer = admin.send(Method::PUT, &path, HeaderMap::new(), Some(&setting), true).await.unwrap();
        assert!(answer.status.is_success(), "{:?}", answer.status);
    };
    put().await.unwrap();
    client.check().unwrap();
    block(true).await;
    let denied = put().await;
    assert!(matches!(denied, Err(SearchError::Unavailable(_))), "{denied:?}");
    // What else is asked of the server meanwhile says nothing of that.
    assert!(indices.exists(Indexed::Products).await.unwrap());
    let degraded = client.check().unwrap_err().to_string();
    assert!(degraded.contains("403") && degraded.contains("cluster_block_exception"), "{degraded}");
    block(false).await;
    put().await.unwrap();
    client.check().unwrap();
}

/// What a cursor may say that somebody has made up.
#[tokio::test]
async fn it_answers_whatever_place_a_page_begins_at() {
    let Some(indices) = indices().await else { return };
    Catalogue::put(&indices, &named("a", "Blue mug", 1)).await;
    let (whole, score) = (2_f64.powi(53) - 1.0, f64::from(f32::MAX));
    for (sort, most) in [
        (ProductSort::Relevance, score),
        (ProductSort::PriceUp, whole),
        (ProductSort::PriceDown, whole),
        (ProductSort::Newest, whole),
    ] {
        for key in [most, -most, 0.0] {
            let after = Some(Rank { key, id: Uuid::max() });
            let found = indices.search_products(&ProductSearch { sort, after, ..words("mug") }).await;
            assert!(found.is_ok(), "{sort:?} {key}: {found:?}");
        }
    }
}
