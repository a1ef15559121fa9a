//! Routes of products.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chassis::{
    http::{Id, IdempotencyKey, IfMatch, Listed, Page, Params, Payload, REPLAYED, resource},
    openapi::Paged,
};
use clock::SharedClock;
use error::Error;
use serde_json::value::to_raw_value;

use super::{
    Api, body,
    caller::WritingOperator,
    schema::{NewProduct, ProductChange, Restock},
    view::{ProductPage, ProductView},
};
use crate::{
    app::{orders::Caller, ports::CommandKey},
    domain::{ids::ProductId, product::Product, values::Sku},
};

/// The most characters in a query.
const MAX_QUERY: usize = 200;
/// What a cursor of this list begins with, so that another list's is refused.
const CURSOR_PREFIX: &str = "sku:";

/// Lists products by sku
#[utoipa::path(
    get, path = "/v1/products", operation_id = "listProducts", tag = "products",
    params(
        ("query" = Option<String>, Query, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$", example = "enamel mug",
            description = "Words, or their beginnings, all of which are in sku, name or description; letter case does not matter."),
        Paged,
    ),
    responses((status = 200, description = "A page.", body = ProductPage)),
)]
pub(super) async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri);
    let query = params.text("query").unwrap_or_default();
    let page = params.page();
    params.finish()?;
    check_query(&query)?;
    let after = page.cursor.as_deref().map(parse_cursor).transpose()?;
    if query.trim().is_empty() && after.is_none() && page.limit == Page::DEFAULT_LIMIT {
        let render = |products| to_raw_value(&Listed::new(&page, products, ProductView::from, cursor));
        return Ok(Json(api.app.first_products(page.limit, render).await?).into_response());
    }
    // One more than the page holds says whether there is a next one.
    let products = api.app.list_products(&query, after, page.limit + 1).await?;
    Ok(chassis::http::list(&page, products, ProductView::from, cursor))
}

/// Reads a product
#[utoipa::path(
    get, path = "/v1/products/{id}", operation_id = "getProduct", tag = "products", params(Id::<ProductId>),
    responses((status = 200, description = "The product.", body = ProductView)),
)]
pub(super) async fn get(State(api): State<Api>, id: Id<ProductId>) -> Result<Response, Error> {
    let product = api.app.product(id.0).await?;
    Ok(response(StatusCode::OK, product))
}

/// Adds a product
///
/// For operators.
#[utoipa::path(
    post, path = "/v1/products", operation_id = "createProduct", tag = "products", security(("bearer" = [])),
    params(IdempotencyKey), request_body = NewProduct,
    responses(
        (status = 201, description = "Added.", body = ProductView,
            headers(("Location" = String, description = "Where it is."))),
        (status = 200, description = "Added before, under this key; the product as it is now.", body = ProductView,
            headers(("Idempotent-Replayed" = String, description = "`true`."))),
    ),
    extensions(("x-problems" = json!(["operator-required", "account-closing", "account-disabled", "sku-taken"]))),
)]
pub(super) async fn create(
    WritingOperator(caller): WritingOperator,
    State(api): State<Api>,
    key: IdempotencyKey,
    payload: Payload,
) -> Result<Response, Error> {
    let node = payload.json().await?;
    let new = body::product(&node)?;
    let key = command_key(caller, "POST /v1/products", key.as_str(), node.digest(), &api.app.clock);
    let (product, replayed) = api.app.create_product(new, &key).await?;
    let location = [(header::LOCATION, format!("/v1/products/{}", product.id))];
    Ok(if replayed { replay(product) } else { (location, response(StatusCode::CREATED, product)).into_response() })
}

/// Changes what is said about a product
///
/// For operators. What is left out stays. Orders that were placed keep name and price.
#[utoipa::path(
    patch, path = "/v1/products/{id}", operation_id = "changeProduct", tag = "products", security(("bearer" = [])),
    params(Id::<ProductId>, IfMatch), request_body = ProductChange,
    responses((status = 200, description = "The product as it is now.", body = ProductView)),
    extensions(("x-problems" = json!(["operator-required", "account-closing", "account-disabled"]))),
)]
pub(super) async fn change(
    WritingOperator(_): WritingOperator,
    State(api): State<Api>,
    id: Id<ProductId>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, Error> {
    api.app.product(id.0).await?;
    let if_match = if_match.required()?;
    let change = body::change(&payload.json().await?)?;
    let product = api.app.change_product(id.0, change, |version| if_match.matches(version)).await?;
    Ok(response(StatusCode::OK, product))
}

/// Adds to the stock of a product
///
/// For operators.
#[utoipa::path(
    post, path = "/v1/products/{id}/restock", operation_id = "restockProduct", tag = "products",
    security(("bearer" = [])), params(Id::<ProductId>, IdempotencyKey), request_body = Restock,
    responses((status = 200, description = "The product as it is now.", body = ProductView,
        headers(("Idempotent-Replayed" = Option<String>, description = "`true` where it was done before, under this key.")))),
    extensions(("x-problems" = json!(["operator-required", "account-closing", "account-disabled", "stock-limit-exceeded"]))),
)]
pub(super) async fn restock(
    WritingOperator(caller): WritingOperator,
    State(api): State<Api>,
    id: Id<ProductId>,
    headers: HeaderMap,
    payload: Payload,
) -> Result<Response, Error> {
    api.app.product(id.0).await?;
    let key = IdempotencyKey::of(&headers)?;
    let node = payload.json().await?;
    let quantity = body::restock(&node)?;
    let path = format!("POST /v1/products/{}/restock", id.0);
    let key = command_key(caller, &path, key.as_str(), node.digest(), &api.app.clock);
    let (product, replayed) = api.app.restock_product(id.0, quantity, &key).await?;
    Ok(if replayed { replay(product) } else { response(StatusCode::OK, product) })
}

/// Refuses what is no words to search for.
pub(in crate::api) fn check_query(query: &str) -> Result<(), Error> {
    let refused = |why| Err(Error::malformed_parameter("query", why));
    if query.contains(char::is_control) {
        return refused("must not contain control characters".to_owned());
    }
    if query.chars().count() > MAX_QUERY {
        return refused(format!("must be at most {MAX_QUERY} characters"));
    }
    Ok(())
}

/// The cursor of the page after a product.
pub(in crate::api) fn cursor(product: &Product) -> String {
    format!("{CURSOR_PREFIX}{}", product.sku)
}

pub(in crate::api) fn parse_cursor(cursor: &str) -> Result<Sku, Error> {
    let sku = cursor.strip_prefix(CURSOR_PREFIX).and_then(|sku| Sku::parse(sku).ok());
    sku.ok_or_else(|| Error::malformed_parameter("cursor", "is not one of ours"))
}

fn command_key(caller: Caller, command: &str, key: &str, digest: [u8; 32], clock: &SharedClock) -> CommandKey {
    CommandKey { user: caller.user, command: command.to_owned(), key: key.to_owned(), digest, at: clock.now() }
}

fn response(status: StatusCode, product: Product) -> Response {
    resource(status, product.version, &ProductView::from(product))
}

fn replay(product: Product) -> Response {
    ([(REPLAYED, "true")], response(StatusCode::OK, product)).into_response()
}
