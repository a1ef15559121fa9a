//! Routes of products.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chassis::http::{Id, IdempotencyKey, IfMatch, Params, Payload, REPLAYED, resource};
use clock::SharedClock;
use error::Error;

use super::{Api, body, caller::WritingOperator, view::ProductView};
use crate::{
    app::{orders::Caller, ports::Key},
    domain::{ids::ProductId, product::Product, values::Sku},
};

/// Longest query in characters.
const QUERY: usize = 200;
/// What a cursor of this list begins with, so that another list's does not fit.
const CURSOR: &str = "sku:";

pub(super) async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri);
    let query = params.text("query").unwrap_or_default();
    let page = params.page();
    params.finish()?;
    if query.chars().count() > QUERY {
        return Err(Error::malformed_parameter("query", format!("must be at most {QUERY} characters")));
    }
    let behind = page.cursor.as_deref().map(behind).transpose()?;
    let products = api.app.list_products(&query, behind.as_ref(), page.limit + 1).await?;
    Ok(chassis::http::list(&page, products, ProductView::from, cursor))
}

pub(super) async fn get(State(api): State<Api>, id: Id<ProductId>) -> Result<Response, Error> {
    let product = api.app.product(id.0).await?;
    Ok(answer(StatusCode::OK, product))
}

pub(super) async fn create(
    WritingOperator(caller): WritingOperator,
    State(api): State<Api>,
    key: IdempotencyKey,
    payload: Payload,
) -> Result<Response, Error> {
    let node = payload.json().await?;
    let new = body::product(&node)?;
    let key = command(caller, "POST /v1/products", key.as_str(), node.digest(), &api.app.clock);
    let (product, replayed) = api.app.create_product(new, &key).await?;
    let location = [(header::LOCATION, format!("/v1/products/{}", product.id))];
    Ok(if replayed { replay(product) } else { (location, answer(StatusCode::CREATED, product)).into_response() })
}

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
    Ok(answer(StatusCode::OK, product))
}

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
    let delivery = body::delivery(&node)?;
    let path = format!("POST /v1/products/{}/restock", id.0);
    let key = command(caller, &path, key.as_str(), node.digest(), &api.app.clock);
    let (product, replayed) = api.app.restock_product(id.0, delivery, &key).await?;
    Ok(if replayed { replay(product) } else { answer(StatusCode::OK, product) })
}

/// The place just behind a product, for a cursor.
fn cursor(product: &Product) -> String {
    format!("{CURSOR}{}", product.sku)
}

fn behind(cursor: &str) -> Result<Sku, Error> {
    let sku = cursor.strip_prefix(CURSOR).and_then(|sku| Sku::parse(sku).ok());
    sku.ok_or_else(|| Error::malformed_parameter("cursor", "is not one of ours"))
}

fn command(caller: Caller, command: &str, key: &str, digest: [u8; 32], clock: &SharedClock) -> Key {
    Key { user: caller.user, command: command.to_owned(), key: key.to_owned(), digest, at: clock.now() }
}

fn answer(status: StatusCode, product: Product) -> Response {
    resource(status, product.version, &ProductView::from(product))
}

fn replay(product: Product) -> Response {
    ([(REPLAYED, "true")], answer(StatusCode::OK, product)).into_response()
}
