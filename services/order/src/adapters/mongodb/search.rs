//! Searching products on MongoDB, by the tokens that are stored with each and an index on them.
//!
//! Words are found by their beginnings, none that is misspelt. There is no relevance: where it is asked for, products come
//! in the order of their ids, which is that in which they came into the catalogue.

use async_trait::async_trait;
use futures::TryStreamExt as _;
use mongodb::bson::{self, Bson, Document, doc};
use serde::Deserialize;

use super::{MongoStore, aggregate, corrupt, documents::count, id, uuid};
use crate::{
    app::ports::{
        StoreError,
        search::{Found, PRICE_STEPS, ProductSearch, ProductSort, Rank, SearchError, SearchProducts},
    },
    domain::{product::Product, search::words},
};

/// The tokens of a product, each once.
pub(super) fn tokens(product: &Product) -> Vec<String> {
    let texts = [product.sku.as_str(), product.name.as_str(), product.description.as_str()];
    let mut tokens: Vec<String> = texts.into_iter().flat_map(words).collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// The conditions that each of these begins a word: anchored expressions, which an index can serve.
pub(super) fn prefix_conditions(wanted: &[String]) -> Vec<Document> {
    let condition = |token: String| doc! { "words": { "$regex": format!("^{token}") } };
    // A token is letters and digits alone, so it holds nothing that means something in an expression.
    wanted.iter().flat_map(|text| words(text)).map(condition).collect()
}

/// How many products there are in a currency and a step of the price.
#[derive(Deserialize)]
struct Group {
    _id: GroupKey,
    n: i64,
}

#[derive(Deserialize)]
struct GroupKey {
    currency: String,
    step: Bson,
}

#[async_trait]
impl SearchProducts for MongoStore {
    async fn search_products(&self, search: &ProductSearch) -> Result<Found, SearchError> {
        let filter = filter(search);
        let (key, direction) = sort(search.sort);
        let mut page = filter.clone();
        if let Some(after) = search.after {
            page.insert("$or", beyond(key, direction, after));
        }
        let products = self.products.clone_with_type::<Document>();
        let mut sort = doc! { key: direction };
        sort.insert("_id", 1);
        let found = products.find(page).sort(sort).limit(i64::from(search.limit)).projection(doc! { key: 1 });
        let found: Vec<Document> = mongodb::within("find products", async { found.await?.try_collect().await })
            .await
            .map_err(StoreError::from)?;
        let ranks = found.iter().map(|found| rank(found, key)).collect::<Result<_, _>>()?;
        let steps: Vec<Bson> = PRICE_STEPS.iter().map(|step| not_below(*step)).collect();
        let of = doc! { "currency": "$currency", "step": { "$add": steps } };
        let groups = vec![doc! { "$match": filter }, doc! { "$group": { "_id": of, "n": { "$sum": 1_i64 } } }];
        let groups: Vec<Group> = aggregate(&products, groups).await?;
        let group = |Group { _id, n }: Group| (_id.currency, step(&_id.step), count(n));
        Ok(Found::of_products(ranks, &groups.into_iter().map(group).collect::<Vec<_>>()))
    }
}

fn filter(search: &ProductSearch) -> Document {
    let mut filter = Document::new();
    let conditions = prefix_conditions(search.query.words());
    if !conditions.is_empty() {
        filter.insert("$and", conditions);
    }
    if let Some(currency) = search.currency {
        filter.insert("currency", currency.code());
    }
    filter
        .insert("price", doc! { "$gte": search.min_price.unwrap_or(0), "$lte": search.max_price.unwrap_or(i64::MAX) });
    filter
}

/// The field that is sorted by, and in which direction.
fn sort(sort: ProductSort) -> (&'static str, i32) {
    match sort {
        ProductSort::Relevance => ("_id", 1),
        ProductSort::PriceUp => ("price", 1),
        ProductSort::PriceDown => ("price", -1),
        ProductSort::Newest => ("created_at", -1),
    }
}

/// What comes after a rank.
fn beyond(key: &str, direction: i32, after: Rank) -> Vec<Document> {
    let later = doc! { "_id": { "$gt": id(after.id) } };
    if key == "_id" {
        return vec![later];
    }
    let beyond = if direction > 0 { "$gt" } else { "$lt" };
    // A whole number below 2^53.
    let at: i64 = format!("{:.0}", after.key).parse().unwrap_or_default();
    let mut same = later;
    same.insert(key, at);
    vec![doc! { key: { beyond: at } }, same]
}

fn rank(found: &Document, key: &str) -> Result<Rank, StoreError> {
    let id = found.get("_id").and_then(|id| bson::deserialize_from_bson(id.clone()).ok());
    // Prices and microseconds are below 2^53.
    let key = found.get_i64(key).ok().and_then(|key| key.to_string().parse().ok());
    Ok(Rank { key: key.unwrap_or_default(), id: id.map(uuid).ok_or(corrupt("product id"))? })
}

/// 1 where the price is not below the step, else 0.
fn not_below(step: i64) -> Bson {
    doc! { "$cond": [{ "$gte": ["$price", step] }, 1, 0] }.into()
}

fn step(sum: &Bson) -> usize {
    let step = sum.as_i64().or(sum.as_i32().map(i64::from)).unwrap_or_default();
    usize::try_from(step).unwrap_or_default()
}
