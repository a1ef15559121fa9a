//! Routes of the search.

use auth::Operator;
use axum::{
    Json,
    extract::State,
    http::Uri,
    response::{IntoResponse as _, Response},
};
use chassis::{
    http::{Page, Params},
    openapi::Paged,
};
use error::Error;
use uuid::Uuid;

use super::{
    Api,
    view::{self, FoundOrders, FoundProducts},
};
use crate::{
    api::search,
    app::{
        orders::Caller,
        ports::search::{OrderSearch, ProductSearch},
    },
    domain::ids::{ProductId, UserId},
};

/// Searches products
///
/// All words have to be in sku, name or description, or begin a word there; on a search server they may be misspelt.
/// While the search server does not answer, the store's own search does, and `degraded` is true.
#[utoipa::path(
    get, path = "/v1/products/search", operation_id = "searchProducts", tag = "products",
    params(
        ("query" = Option<String>, Query, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$", example = "enamel mug",
            description = "Words, 16 at most, or their beginnings; letter case does not matter. Without it all products."),
        ("currency" = Option<String>, Query, pattern = "^[A-Z]{3}$", example = "EUR", description = "Only prices in this currency."),
        ("min_price" = Option<i64>, Query, minimum = 1, maximum = 100_000_000, description = "The lowest price, in minor units."),
        ("max_price" = Option<i64>, Query, minimum = 1, maximum = 100_000_000, description = "The highest price, in minor units."),
        ("sort" = Option<String>, Query, pattern = "^(relevance|price|-price|newest)$", example = "relevance",
            description = "What they come by; `relevance` where nothing is said."),
        Paged,
    ),
    responses((status = 200, description = "A page.", body = FoundProducts)),
)]
pub(super) async fn products(State(api): State<Api>, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri);
    let query = params.text("query").unwrap_or_default();
    let (currency, sort) = (params.text("currency"), params.text("sort"));
    let (min, max) = (params.text("min_price"), params.text("max_price"));
    let page = params.page();
    params.finish()?;
    let mut wanted = ProductSearch {
        query: search::query(&query)?,
        currency: search::currency(currency.as_deref())?,
        min_price: search::price("min_price", number("min_price", min.as_deref())?)?,
        max_price: search::price("max_price", number("max_price", max.as_deref())?)?,
        sort: search::sort(sort.as_deref(), &search::PRODUCT_SORTS)?,
        ..ProductSearch::default()
    };
    let began = search::products_after(&mut wanted, &page, "cursor")?;
    let found = api.app.search_products(&wanted, began).await?;
    let sort = search::sort_name(&wanted.sort, &search::PRODUCT_SORTS);
    let next = found.next.map(|rank| Page::seal(&search::position(found.by, sort, rank)));
    let degraded = api.app.is_degraded(found.by);
    Ok(Json(view::found_products(found, &wanted.query, degraded, next)).into_response())
}

/// Searches everybody's orders
///
/// For operators, on a search server. An order is found about a second after it has changed; its status is that of now.
#[utoipa::path(
    get, path = "/v1/orders/search", operation_id = "searchOrders", tag = "orders", security(("bearer" = [])),
    params(
        ("query" = Option<String>, Query, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$", example = "enamel mug",
            description = "Words, 16 at most, of the names of what was ordered, or their beginnings, misspelt perhaps."),
        ("status" = Option<String>, Query, pattern = "^[a-z]+(,[a-z]+)*$", example = "confirmed,fulfilled",
            description = "Only orders with one of these statuses."),
        ("user_id" = Option<String>, Query, format = "uuid", description = "Only this person's."),
        ("product_id" = Option<String>, Query, format = "uuid", description = "Only those with this product."),
        ("sort" = Option<String>, Query, pattern = "^(newest|oldest|total|-total)$", example = "newest",
            description = "What they come by; `newest` where nothing is said."),
        Paged,
    ),
    responses((status = 200, description = "A page.", body = FoundOrders)),
    extensions(("x-problems" = json!(["operator-required"]))),
)]
pub(super) async fn orders(Operator(identity): Operator, State(api): State<Api>, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri);
    let query = params.text("query").unwrap_or_default();
    let (status, sort) = (params.text("status"), params.text("sort"));
    let (user, product) = (params.text("user_id"), params.text("product_id"));
    let page = params.page();
    params.finish()?;
    let mut wanted = OrderSearch {
        query: search::query(&query)?,
        statuses: status.as_deref().map(search::statuses).transpose()?.unwrap_or_default(),
        user: id("user_id", user.as_deref())?.map(UserId),
        product: id("product_id", product.as_deref())?.map(ProductId),
        sort: search::sort(sort.as_deref(), &search::ORDER_SORTS)?,
        ..OrderSearch::default()
    };
    search::orders_after(&mut wanted, &page, "cursor")?;
    let found = api.app.search_orders(Caller::of(&identity), &wanted).await?;
    let sort = search::sort_name(&wanted.sort, &search::ORDER_SORTS);
    let next = found.next.map(|rank| Page::seal(&search::position(found.by, sort, rank)));
    Ok(Json(view::found_orders(found, &wanted.query, next)).into_response())
}

fn number(name: &str, text: Option<&str>) -> Result<Option<i64>, Error> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parse = |text: &str| text.parse().ok().filter(|_| digits(text));
    text.map(|text| parse(text).ok_or_else(|| Error::malformed_parameter(name, "must be a number"))).transpose()
}

fn id(name: &str, text: Option<&str>) -> Result<Option<Uuid>, Error> {
    let parse = |text: &str| Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    text.map(|text| parse(text).ok_or_else(|| Error::malformed_parameter(name, "must be a UUID"))).transpose()
}
