//! The contract of the port `SearchProducts`: words and their beginnings, filters, facets, sorts, pages.

use std::collections::BTreeSet;

use async_trait::async_trait;
use money::{Currency, Money};
use order::{
    app::ports::{
        Products,
        search::{Found, ProductSearch, ProductSort, SearchProducts},
    },
    domain::{
        product::{Change, Product},
        search::Query,
        values::{Description, Name, Price},
    },
};

use crate::fixture::{at, product};

/// Products that can be searched.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Stores a product, or what it has become in the version after the one that was stored.
    async fn put(&self, product: &Product);
    /// Searches what was put.
    async fn search(&self, search: &ProductSearch) -> Found;
}

/// A store that searches itself.
pub struct InStore<S>(pub S);

#[async_trait]
impl<S: Products + SearchProducts> Catalogue for InStore<S> {
    async fn put(&self, product: &Product) {
        if product.version == 1 {
            self.0.create(product, None, vec![]).await.unwrap();
        } else {
            assert!(self.0.update(product, product.version - 1, vec![]).await.unwrap());
        }
    }

    async fn search(&self, search: &ProductSearch) -> Found {
        self.0.search_products(search).await.unwrap()
    }
}

async fn add(catalogue: &dyn Catalogue, sku: &str, name: &str, description: &str) -> Product {
    let mut product = product(sku, 1);
    product.name = Name::parse(name).unwrap();
    product.description = Description::parse(description).unwrap();
    catalogue.put(&product).await;
    product
}

async fn priced(catalogue: &dyn Catalogue, sku: &str, amount: i64, currency: &str) -> Product {
    let mut product = product(sku, 1);
    product.price = Price::parse(Money::new(amount, Currency::parse(currency).unwrap())).unwrap();
    // Another moment for each.
    product.created_at = at(amount.unsigned_abs());
    catalogue.put(&product).await;
    product
}

fn words(query: &str) -> ProductSearch {
    ProductSearch { query: Query::parse(query).unwrap(), limit: 100, ..ProductSearch::default() }
}

/// Of these products, the article numbers of those that are found, in order.
async fn found(catalogue: &dyn Catalogue, products: &[&Product], search: &ProductSearch) -> Vec<String> {
    let found = catalogue.search(search).await;
    let sku = |id| products.iter().find(|product| product.id.0 == id).unwrap().sku.to_string();
    found.ranks.iter().map(|rank| sku(rank.id)).collect()
}

async fn set(catalogue: &dyn Catalogue, products: &[&Product], query: &str) -> BTreeSet<String> {
    found(catalogue, products, &words(query)).await.into_iter().collect()
}

fn skus(skus: &[&str]) -> BTreeSet<String> {
    skus.iter().map(|sku| (*sku).to_owned()).collect()
}

pub async fn words_are_found_by_their_beginnings(catalogue: &dyn Catalogue) {
    let mug = add(catalogue, "MUG-1", "Stoneware mug", "With a speckled glaze").await;
    let pot = add(catalogue, "POT-1", "Teapot", "For Äpfel and tea").await;
    let all = [&mug, &pot];
    for query in ["MUG-1", "mug", "stone", "SPECK", "g", "glaze stoneware"] {
        assert_eq!(set(catalogue, &all, query).await, skus(&["MUG-1"]), "{query}");
    }
    assert_eq!(set(catalogue, &all, "äpf").await, skus(&["POT-1"]));
    assert_eq!(set(catalogue, &all, "1").await, skus(&["MUG-1", "POT-1"]));
    assert_eq!(set(catalogue, &all, "").await, skus(&["MUG-1", "POT-1"]));
    assert_eq!(set(catalogue, &all, "oneware").await, skus(&[]), "not from within a word");
}

pub async fn every_word_must_be_found(catalogue: &dyn Catalogue) {
    let blue = add(catalogue, "a", "Blue mug", "").await;
    let red = add(catalogue, "b", "Red mug", "Not blue at all").await;
    let all = [&blue, &red];
    assert_eq!(set(catalogue, &all, "mug blue").await, skus(&["a", "b"]));
    assert_eq!(set(catalogue, &all, "mug red").await, skus(&["b"]));
    assert_eq!(set(catalogue, &all, "mug yellow").await, skus(&[]));
}

pub async fn what_is_searched_for_is_no_language(catalogue: &dyn Catalogue) {
    let one = add(catalogue, "a", "Say \"cheese\" OR not", "").await;
    for query in ["\"cheese", "cheese\"", "OR", "not", "chee*", "(cheese)", "cheese~9", "say^4"] {
        let wanted = if query.contains(['~', '^']) { skus(&[]) } else { skus(&["a"]) };
        assert_eq!(set(catalogue, &[&one], query).await, wanted, "{query}");
    }
    // The longest there is.
    let long = ["cheese"; 16].join(" ");
    assert_eq!(set(catalogue, &[&one], &long).await, skus(&["a"]));
    let different: Vec<String> = (0..16).map(|n| format!("word{n}")).collect();
    assert_eq!(set(catalogue, &[&one], &different.join(" ")).await, skus(&[]));
}

pub async fn a_change_is_found(catalogue: &dyn Catalogue) {
    let mut mug = add(catalogue, "a", "Blue mug", "").await;
    assert!(mug.change(Change { name: Some(Name::parse("Green cup").unwrap()), ..Change::default() }, at(1)));
    catalogue.put(&mug).await;
    assert_eq!(set(catalogue, &[&mug], "blue").await, skus(&[]));
    assert_eq!(set(catalogue, &[&mug], "green").await, skus(&["a"]));
    assert_eq!(catalogue.search(&words("")).await.total, 1);
}

pub async fn filters_narrow(catalogue: &dyn Catalogue) {
    let (a, b) = (priced(catalogue, "a", 500, "EUR").await, priced(catalogue, "b", 1_500, "EUR").await);
    let c = priced(catalogue, "c", 1_500, "JPY").await;
    let all = [&a, &b, &c];
    let eur = Currency::parse("EUR").ok();
    let euros = ProductSearch { currency: eur, ..words("product") };
    assert_eq!(
        found(catalogue, &all, &ProductSearch { sort: ProductSort::PriceUp, ..euros.clone() }).await,
        ["a", "b"]
    );
    assert_eq!(found(catalogue, &all, &ProductSearch { min_price: Some(501), ..euros.clone() }).await, ["b"]);
    assert_eq!(found(catalogue, &all, &ProductSearch { max_price: Some(1_499), ..words("") }).await, ["a"]);
    let exact = ProductSearch { min_price: Some(1_500), max_price: Some(1_500), ..euros };
    assert_eq!(found(catalogue, &all, &exact).await, ["b"]);
    assert_eq!(catalogue.search(&exact).await.total, 1);
}

pub async fn facets_count_all_that_is_found(catalogue: &dyn Catalogue) {
    for (sku, amount, currency) in
        [("a", 999, "EUR"), ("b", 1_000, "EUR"), ("c", 2_499, "USD"), ("d", 10_000, "EUR"), ("e", 99, "EUR")]
    {
        priced(catalogue, sku, amount, currency).await;
    }
    let found = catalogue.search(&ProductSearch { limit: 1, min_price: Some(100), ..words("product") }).await;
    assert_eq!((found.total, found.ranks.len()), (4, 1));
    let counts = |name: &str| {
        let facet = found.facets.iter().find(|facet| facet.name == name).unwrap();
        facet.counts.iter().map(|(value, n)| format!("{value}: {n}")).collect::<Vec<_>>()
    };
    assert_eq!(counts("currency"), ["EUR: 3", "USD: 1"]);
    assert_eq!(counts("price"), ["0-999: 1", "1000-2499: 2", "10000-: 1"]);
}

pub async fn pages_of_every_sort_have_no_gap_and_no_double(catalogue: &dyn Catalogue) {
    let mut products = Vec::new();
    for (n, amount) in [700, 300, 300, 900, 300, 100].into_iter().enumerate() {
        products.push(priced(catalogue, &format!("p{n}"), amount, "EUR").await);
    }
    let price = |id| products.iter().find(|product| product.id.0 == id).unwrap().price.money().amount;
    for (sort, direction) in [
        (ProductSort::Relevance, 0),
        (ProductSort::PriceUp, 1),
        (ProductSort::PriceDown, -1),
        // The dearer came later.
        (ProductSort::Newest, -1),
    ] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = catalogue.search(&ProductSearch { sort, after, limit: 2, ..words("product") }).await;
            assert_eq!(page.total, 6);
            seen.extend(page.ranks.iter().map(|rank| rank.id));
            after = page.ranks.last().copied();
            if page.ranks.len() < 2 {
                break;
            }
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (6, 6), "{sort:?}");
        let prices: Vec<i64> = seen.iter().map(|id| price(*id) * direction).collect();
        assert!(prices.is_sorted(), "{sort:?}: {prices:?}");
    }
}
