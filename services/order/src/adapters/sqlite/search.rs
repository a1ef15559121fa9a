//! Searching products on `SQLite`, by its text index (FTS5).
//!
//! Words are found by their beginnings, none that is misspelt. The relevance is FTS5's `bm25`, in which a word counts
//! four times in sku and three times in name.

use async_trait::async_trait;

use super::{
    SqliteStore,
    products::match_expression,
    rows::{count, uuid},
};
use crate::app::ports::{
    StoreError,
    search::{Found, PRICE_STEPS, ProductSearch, ProductSort, Rank, SearchError, SearchProducts},
};

/// The products that fit, each with the number that it is sorted by; the lowest comes first.
macro_rules! found {
    ($relevance:literal, $from:literal, $then:literal) => {
        concat!(
            "WITH found AS MATERIALIZED (
                SELECT products.id AS id, products.currency AS currency, products.price AS price, CASE ?1
                    WHEN 'price' THEN products.price
                    WHEN '-price' THEN -products.price
                    WHEN 'newest' THEN -products.created_at
                    ELSE ",
            $relevance,
            " END AS key FROM ",
            $from,
            " AND (?3 IS NULL OR products.currency = ?3) AND products.price BETWEEN ?4 AND ?5) ",
            $then
        )
    };
}

macro_rules! with_words {
    ($then:literal) => {
        found!(
            "bm25(products_text, 4.0, 3.0, 1.0)",
            "products_text JOIN products ON products.rowid = products_text.rowid WHERE products_text MATCH ?2",
            $then
        )
    };
}

macro_rules! without {
    ($then:literal) => {
        found!("0.0", "products WHERE ?2 IS NULL", $then)
    };
}

/// A page of them.
macro_rules! page {
    ($found:ident) => {
        $found!(
            "SELECT id, CAST(key AS REAL) FROM found WHERE ?6 IS NULL OR (key, id) > (?6, ?7) ORDER BY key, id LIMIT ?8"
        )
    };
}

/// How many there are, by currency and by the number of steps that the price is not below.
macro_rules! groups {
    ($found:ident) => {
        $found!(
            "SELECT currency, (price >= ?6) + (price >= ?7) + (price >= ?8) + (price >= ?9) AS step, count(*)
             FROM found GROUP BY currency, step"
        )
    };
}

#[async_trait]
impl SearchProducts for SqliteStore {
    async fn search_products(&self, search: &ProductSearch) -> Result<Found, SearchError> {
        let words = search.query.words();
        let words = (!words.is_empty()).then(|| match_expression(words));
        let (page, groups) = match &words {
            Some(_) => (page!(with_words), groups!(with_words)),
            None => (page!(without), groups!(without)),
        };
        let after = search.after;
        let rows: Vec<(Vec<u8>, f64)> = sqlx::query_as(page)
            .bind(sort(search.sort))
            .bind(&words)
            .bind(search.currency.map(money::Currency::code))
            .bind(search.min_price.unwrap_or_default())
            .bind(search.max_price.unwrap_or(i64::MAX))
            .bind(after.map(|after| after.key))
            .bind(after.map(|after| after.id.as_bytes().to_vec()))
            .bind(search.limit)
            .fetch_all(&self.database.read)
            .await?;
        let groups: Vec<(String, i64, i64)> = sqlx::query_as(groups)
            .bind(sort(search.sort))
            .bind(&words)
            .bind(search.currency.map(money::Currency::code))
            .bind(search.min_price.unwrap_or_default())
            .bind(search.max_price.unwrap_or(i64::MAX))
            .bind(PRICE_STEPS[0])
            .bind(PRICE_STEPS[1])
            .bind(PRICE_STEPS[2])
            .bind(PRICE_STEPS[3])
            .fetch_all(&self.database.read)
            .await?;
        let rank = |(id, key): (Vec<u8>, f64)| Ok(Rank { key, id: uuid(&id, "product id")? });
        let ranks = rows.into_iter().map(rank).collect::<Result<_, StoreError>>()?;
        let group = |(currency, step, n)| (currency, usize::try_from(step).unwrap_or_default(), count(n));
        Ok(Found::of_products(ranks, &groups.into_iter().map(group).collect::<Vec<_>>()))
    }
}

fn sort(sort: ProductSort) -> &'static str {
    match sort {
        ProductSort::Relevance => "relevance",
        ProductSort::PriceUp => "price",
        ProductSort::PriceDown => "-price",
        ProductSort::Newest => "newest",
    }
}

impl From<sqlx::Error> for SearchError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}
