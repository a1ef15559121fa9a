//! What is asked for, in the server's query language.

use serde_json::{Value, json};

use crate::app::ports::search::{
    MAX_COUNTED, OrderSearch, OrderSort, ProductSearch, ProductSort, Rank, price_step, price_steps,
};

/// A field with words, how much a word in it counts, and how much the beginning of one.
type Field = (&'static str, f64, f64);

const PRODUCT_FIELDS: [Field; 3] = [("sku", 4.0, 3.0), ("name", 3.0, 2.0), ("description", 1.0, 0.5)];
const ORDER_FIELDS: [Field; 1] = [("names", 1.0, 0.5)];
/// Words of the index that a misspelt one is tried as.
const EXPANSIONS: u32 = 10;
/// More than there are currencies in ISO 4217, or statuses.
const MAX_VALUES: u32 = 300;
/// How long a shard may search before it is given up.
const TIMEOUT: &str = "2s";

pub(super) fn products(search: &ProductSearch) -> Value {
    let mut filters = Vec::new();
    if let Some(currency) = search.currency {
        filters.push(json!({ "term": { "currency": currency.code() } }));
    }
    if search.min_price.is_some() || search.max_price.is_some() {
        filters.push(json!({ "range": { "price": { "gte": search.min_price, "lte": search.max_price } } }));
    }
    let (key, direction) = match search.sort {
        ProductSort::Relevance => ("_score", "desc"),
        ProductSort::PriceUp => ("price", "asc"),
        ProductSort::PriceDown => ("price", "desc"),
        ProductSort::Newest => ("created_at", "desc"),
    };
    let steps = price_steps().map(|(from, to)| {
        let mut step = json!({ "key": price_step(from, to) });
        let bounds = [("from", from), ("to", to)].into_iter().filter_map(|(name, bound)| Some((name, bound?)));
        bounds.for_each(|(name, bound)| step[name] = bound.into());
        step
    });
    let facets = json!({
        "currency": terms("currency"),
        "price": { "range": { "field": "price", "ranges": steps.collect::<Vec<_>>() } },
    });
    let page = Page { key, direction, after: search.after, limit: search.limit };
    page.of(&words(search.query.words(), &PRODUCT_FIELDS), &filters, &facets)
}

pub(super) fn orders(search: &OrderSearch) -> Value {
    let mut filters = Vec::new();
    if !search.statuses.is_empty() {
        let names: Vec<_> = search.statuses.iter().map(|status| status.public_name()).collect();
        filters.push(json!({ "terms": { "status": names } }));
    }
    if let Some(user) = search.user {
        filters.push(json!({ "term": { "user_id": user.to_string() } }));
    }
    if let Some(product) = search.product {
        filters.push(json!({ "term": { "product_ids": product.to_string() } }));
    }
    let (key, direction) = match search.sort {
        OrderSort::Newest => ("created_at", "desc"),
        OrderSort::Oldest => ("created_at", "asc"),
        OrderSort::TotalUp => ("total", "asc"),
        OrderSort::TotalDown => ("total", "desc"),
    };
    let facets = json!({ "status": terms("status"), "currency": terms("currency") });
    let page = Page { key, direction, after: search.after, limit: search.limit };
    page.of(&words(search.query.words(), &ORDER_FIELDS), &filters, &facets)
}

/// Which page, and what it is sorted by.
struct Page {
    key: &'static str,
    direction: &'static str,
    after: Option<Rank>,
    limit: u32,
}

impl Page {
    /// The whole request. The documents themselves are not asked for: the store has them as they are now.
    fn of(&self, words: &[Value], filters: &[Value], facets: &Value) -> Value {
        let mut request = json!({
            "query": { "bool": { "must": words, "filter": filters } },
            "sort": [{ self.key: self.direction }, { "id": "asc" }],
            "size": self.limit,
            "aggs": facets,
            "track_total_hits": MAX_COUNTED,
            "_source": false,
            "timeout": TIMEOUT,
        });
        if let Some(Rank { key, id }) = self.after {
            // Whole numbers are written as such: a field of whole numbers refuses others.
            let key = if self.key == "_score" { json!(key) } else { json!(format!("{key:.0}")) };
            request["search_after"] = json!([key, id.to_string()]);
        }
        request
    }
}

/// For each word: some field has it, misspelt perhaps, or a word that begins so.
fn words(words: &[String], fields: &[Field]) -> Vec<Value> {
    let weighted: Vec<String> = fields.iter().map(|(field, word, _)| format!("{field}^{word}")).collect();
    let one = |word: &String| {
        let whole = json!({ "multi_match": {
            "query": word, "fields": weighted, "fuzziness": "AUTO", "prefix_length": 1, "max_expansions": EXPANSIONS,
        } });
        let begins =
            fields.iter().map(|(field, _, boost)| json!({ "prefix": { *field: { "value": word, "boost": boost } } }));
        let any: Vec<Value> = std::iter::once(whole).chain(begins).collect();
        json!({ "bool": { "should": any, "minimum_should_match": 1 } })
    };
    words.iter().map(one).collect()
}

fn terms(field: &str) -> Value {
    json!({ "terms": { "field": field, "size": MAX_VALUES, "order": { "_key": "asc" } } })
}
