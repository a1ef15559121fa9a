//! How long a search takes among 100,000 products: in SQLite, and on OpenSearch where that is installed.
//!
//! `make bench-search`; a number after it is that of the products.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    env,
    time::{Duration, Instant},
};

use elasticsearch::Client;
use futures::{StreamExt as _, stream};
use messaging::Wake;
use money::{Currency, Money};
use order::{
    adapters::{
        elasticsearch::Indices,
        sqlite::{SqliteStore, open},
    },
    app::ports::{
        Products as _,
        search::{Batch, Indexed, ProductSearch, ProductSort, SearchProducts, SearchServer as _},
    },
    domain::{
        ids::ProductId,
        product::Product,
        search::Query,
        values::{Description, Name, Price, Sku},
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

const PRODUCTS: usize = 100_000;
const SEARCHES: usize = 2_000;
/// Searches under way at once.
const CLIENTS: usize = 4;
const COLOURS: [&str; 8] = ["blue", "red", "green", "white", "black", "yellow", "grey", "brown"];
const MATERIALS: [&str; 8] = ["enamel", "stoneware", "oak", "linen", "steel", "glass", "cotton", "leather"];
const THINGS: [&str; 12] =
    ["mug", "teapot", "bowl", "lamp", "chair", "towel", "blanket", "kettle", "basket", "vase", "tray", "candle"];

fn product(n: usize, random: &mut StdRng) -> Product {
    let pick = |words: &[&'static str], random: &mut StdRng| words[random.random_range(0..words.len())];
    let name = format!("{} {} {}", pick(&COLOURS, random), pick(&MATERIALS, random), pick(&THINGS, random));
    let words: Vec<String> = (0..30).map(|_| format!("word{}", random.random_range(0..20_000))).collect();
    let at = time::OffsetDateTime::UNIX_EPOCH + Duration::from_secs(n as u64);
    Product {
        id: ProductId(Uuid::from_u128(random.random())),
        sku: Sku::parse(&format!("SKU-{n}")).unwrap(),
        name: Name::parse(&name).unwrap(),
        description: Description::parse(&words.join(" ")).unwrap(),
        price: Price::parse(Money::new(random.random_range(100..20_000), Currency::parse("EUR").unwrap())).unwrap(),
        available: 5,
        version: 1,
        created_at: at,
        updated_at: at,
    }
}

/// What people type: whole words, beginnings, misspelt ones, a rare one.
fn search(random: &mut StdRng) -> ProductSearch {
    let thing = THINGS[random.random_range(0..THINGS.len())];
    let colour = COLOURS[random.random_range(0..COLOURS.len())];
    let query = match random.random_range(0..4) {
        0 => format!("{colour} {thing}"),
        1 => format!("{colour} {}", &thing[..2]),
        2 => format!("{}x{}", &thing[..2], &thing[3.min(thing.len())..]),
        _ => format!("word{}", random.random_range(0..20_000)),
    };
    let sort = if random.random_bool(0.3) { ProductSort::PriceUp } else { ProductSort::Relevance };
    ProductSearch { query: Query::parse(&query).unwrap(), sort, limit: 21, ..ProductSearch::default() }
}

async fn measure(name: &str, searching: &dyn SearchProducts, searches: &[ProductSearch]) {
    let one = async |search: &ProductSearch| {
        let begin = Instant::now();
        searching.search_products(search).await.unwrap();
        begin.elapsed()
    };
    for search in &searches[..searches.len() / 10] {
        one(search).await;
    }
    let begin = Instant::now();
    let mut took: Vec<Duration> = stream::iter(searches).map(one).buffer_unordered(CLIENTS).collect().await;
    let rate = f64::from(u32::try_from(searches.len()).unwrap()) / begin.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: usize| took[took.len() * part / 1_000].as_secs_f64() * 1_000.0;
    println!(
        "{name:<12} {rate:>7.0} a second   p50 {:>6.1} ms   p99 {:>6.1} ms   p99.9 {:>6.1} ms",
        at(500),
        at(990),
        at(999)
    );
}

#[tokio::main]
async fn main() {
    let asked = env::args().skip(1).find_map(|argument| argument.parse().ok());
    let n: usize = asked.unwrap_or(PRODUCTS);
    let mut random = StdRng::seed_from_u64(1);
    let products: Vec<Product> = (0..n).map(|n| product(n, &mut random)).collect();
    let searches: Vec<ProductSearch> = (0..SEARCHES).map(|_| search(&mut random)).collect();
    println!("{n} products, {SEARCHES} searches, {CLIENTS} at once");

    let folder = testkit::temp_dir();
    let store = SqliteStore::new(open(&testkit::sqlite_url(&folder, "order.db")).await.unwrap(), Wake::default());
    for product in &products {
        store.create(product, None, Vec::new()).await.unwrap();
    }
    // Much slower than a server: fewer will do.
    measure("SQLite", &store, &searches[..SEARCHES / 10]).await;

    let Some(server) = testkit::servers::OpenSearch::shared().await else { return };
    let config = client::Config { timeout: Duration::from_secs(10), ..client::Config::default() };
    let indices = Indices::new(&Client::open(&server.fresh(), config).unwrap()).unwrap();
    let begin = Instant::now();
    let build = indices.build(Indexed::Products).await.unwrap();
    for batch in products.chunks(500) {
        indices.fill(&build, Batch::Products(batch), batch.last().unwrap().sku.as_str()).await.unwrap();
    }
    indices.finish(build).await.unwrap();
    println!("indexed in {:.1} s", begin.elapsed().as_secs_f64());
    measure("OpenSearch", &indices, &searches).await;
}
