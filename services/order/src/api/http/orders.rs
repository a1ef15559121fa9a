//! Routes of orders.

use axum::{
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chassis::{
    http::{Id, IdempotencyKey, IfNoneMatch, Params, Payload, REPLAYED, resource},
    openapi::Paged,
};
use error::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Api, body,
    caller::{Reader, Writer, WritingOperator},
    schema::NewOrder,
    view::{OrderPage, OrderView},
};
use crate::{
    app::{
        place_order::{PlaceOrder, PlacedOrder},
        ports::{After, Owner},
    },
    domain::{
        ids::{OrderId, UserId},
        order::Order,
        status::Status,
    },
};

/// Places an order
///
/// Stock is reserved at once, then the payment is authorized, for which the request waits up to 3 s.
#[utoipa::path(
    post, path = "/v1/orders", operation_id = "placeOrder", tag = "orders", security(("bearer" = [])),
    params(IdempotencyKey), request_body = NewOrder,
    responses(
        (status = 201, description = "Payment has answered: `confirmed`, or `rejected` with a `reason`.", body = OrderView,
            headers(("Location" = String, description = "Where it is."))),
        (status = 202, description = "Placed; payment has not answered yet.", body = OrderView,
            headers(("Location" = String, description = "Where it is."))),
        (status = 200, description = "Placed before, under this key; the order as it is now.", body = OrderView,
            headers(("Idempotent-Replayed" = String, description = "`true`."))),
    ),
    extensions(("x-problems" = json!([
        "account-closing", "account-disabled", "insufficient-stock", "unknown-product", "duplicate-product", "mixed-currencies",
        "total-too-large", "unknown-payment-token"
    ]))),
)]
pub(super) async fn place(
    Writer(caller): Writer,
    State(api): State<Api>,
    key: IdempotencyKey,
    payload: Payload,
) -> Result<Response, Error> {
    let node = payload.json().await?;
    let (lines, token) = body::order(&node)?;
    let command = PlaceOrder { user: caller.user, key: key.to_string(), digest: node.digest(), lines, token };
    let PlacedOrder { order, replayed } = api.app.place_order(command).await?;
    let location = format!("/v1/orders/{}", order.id);
    let response = |status| response(status, &order);
    Ok(match (replayed, order.status) {
        (true, _) => ([(REPLAYED, "true")], response(StatusCode::OK)).into_response(),
        (false, Status::Pending | Status::Abandoning) => {
            ([(header::LOCATION, location)], response(StatusCode::ACCEPTED)).into_response()
        }
        (false, _) => ([(header::LOCATION, location)], response(StatusCode::CREATED)).into_response(),
    })
}

/// Reads an order
///
/// One's own; an operator any.
#[utoipa::path(
    get, path = "/v1/orders/{id}", operation_id = "getOrder", tag = "orders", security(("bearer" = [])),
    params(Id::<OrderId>, IfNoneMatch),
    responses(
        (status = 200, description = "The order.", body = OrderView),
        (status = 304, description = "It is still what the client has.",
            headers(("ETag" = String, description = "The version, in quotes."))),
    ),
)]
pub(super) async fn get(
    Reader(caller): Reader,
    State(api): State<Api>,
    id: Id<OrderId>,
    if_none_match: IfNoneMatch,
) -> Result<Response, Error> {
    let order = api.app.order(caller, id.0).await?;
    Ok(if_none_match.answer(order.version, || response(StatusCode::OK, &order)))
}

/// Lists orders, newest first
///
/// One's own; an operator's may be all or another person's.
#[utoipa::path(
    get, path = "/v1/orders", operation_id = "listOrders", tag = "orders", security(("bearer" = [])),
    params(
        ("user_id" = Option<String>, Query, pattern = "^(all|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$", example = "all",
            description = "For operators: whose orders; `all` for everybody's. Without it the caller's own."),
        Paged,
    ),
    responses((status = 200, description = "A page.", body = OrderPage)),
    extensions(("x-problems" = json!(["operator-required"]))),
)]
pub(super) async fn list(Reader(caller): Reader, State(api): State<Api>, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri);
    let asked = asked(caller.operator, params.text("user_id").as_deref())?;
    let page = params.page();
    params.finish()?;
    let after = page.cursor.as_deref().map(parse_cursor).transpose()?;
    // One more than the page holds says whether there is a next one.
    let orders = api.app.list_orders(caller, asked, after, page.limit + 1).await?;
    Ok(chassis::http::list(&page, &orders, OrderView::from, |order| cursor(order)))
}

/// Whose orders are asked for. Whoever may not ask is told so before what was asked is read.
pub(in crate::api) fn asked(operator: bool, user_id: Option<&str>) -> Result<Option<Owner>, Error> {
    match user_id {
        None => Ok(None),
        Some(_) if !operator => Err(crate::app::Error::OperatorsOnly.into()),
        Some("all") => Ok(Some(Owner::All)),
        Some(text) => match Uuid::try_parse(text) {
            // The one form of an id, as in paths and bodies.
            Ok(id) if text.len() == 36 => Ok(Some(Owner::User(UserId(id)))),
            _ => Err(Error::malformed_parameter("user_id", "must be a UUID or `all`")),
        },
    }
}

/// Cancels an order
///
/// By its owner or an operator. Before the goods have left the payment is voided, afterwards it is refunded.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", operation_id = "cancelOrder", tag = "orders", security(("bearer" = [])),
    params(Id::<OrderId>),
    responses(
        (status = 202, description = "`cancelling` or `refunding`: the money follows.", body = OrderView),
        (status = 200, description = "It is cancelled or refunded already.", body = OrderView),
    ),
    extensions(("x-problems" = json!(["account-closing", "account-disabled", "status-conflict"]))),
)]
pub(super) async fn cancel(Writer(caller): Writer, State(api): State<Api>, id: Id<OrderId>) -> Result<Response, Error> {
    let cancellation = api.app.cancel_order(caller, id.0).await?;
    let status = if cancellation.done { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(response(status, &cancellation.order))
}

/// Sends the goods and takes the money
///
/// For operators.
#[utoipa::path(
    post, path = "/v1/orders/{id}/fulfil", operation_id = "fulfilOrder", tag = "orders", security(("bearer" = [])),
    params(Id::<OrderId>),
    responses((status = 200, description = "`fulfilled`, now or before.", body = OrderView)),
    extensions(("x-problems" = json!(["operator-required", "account-closing", "account-disabled", "status-conflict"]))),
)]
pub(super) async fn fulfil(
    WritingOperator(caller): WritingOperator,
    State(api): State<Api>,
    id: Id<OrderId>,
) -> Result<Response, Error> {
    let order = api.app.fulfil_order(caller, id.0).await?;
    Ok(response(StatusCode::OK, &order))
}

fn response(status: StatusCode, order: &Order) -> Response {
    resource(status, order.version, &OrderView::from(order))
}

/// The cursor of the page after an order.
pub(in crate::api) fn cursor(order: &Order) -> String {
    format!("{} {}", clock::micros(order.created_at), order.id)
}

pub(in crate::api) fn parse_cursor(cursor: &str) -> Result<After, Error> {
    let parse = |cursor: &str| {
        let (micros, id) = cursor.split_once(' ')?;
        let micros: i64 = micros.parse().ok()?;
        let nanos = i128::from(micros) * 1000;
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        Some(After { created_at, id: OrderId(Uuid::try_parse(id).ok()?) })
    };
    parse(cursor).ok_or_else(|| Error::malformed_parameter("cursor", "is not one of ours"))
}
