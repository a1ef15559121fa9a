//! Routes of orders.

use axum::{
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chassis::http::{Id, IdempotencyKey, IfNoneMatch, Params, Payload, REPLAYED, resource};
use error::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Api, body,
    caller::{Reader, Writer, WritingOperator},
    view::OrderView,
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

pub(super) async fn get(
    Reader(caller): Reader,
    State(api): State<Api>,
    id: Id<OrderId>,
    if_none_match: IfNoneMatch,
) -> Result<Response, Error> {
    let order = api.app.order(caller, id.0).await?;
    Ok(if_none_match.answer(order.version, || response(StatusCode::OK, &order)))
}

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
pub(super) fn asked(operator: bool, user_id: Option<&str>) -> Result<Option<Owner>, Error> {
    match user_id {
        None => Ok(None),
        Some(_) if !operator => Err(crate::app::Error::OperatorsOnly.into()),
        Some("all") => Ok(Some(Owner::All)),
        Some(id) => Uuid::try_parse(id)
            .map(|id| Some(Owner::User(UserId(id))))
            .map_err(|_| Error::malformed_parameter("user_id", "must be a UUID or `all`")),
    }
}

pub(super) async fn cancel(Writer(caller): Writer, State(api): State<Api>, id: Id<OrderId>) -> Result<Response, Error> {
    let cancellation = api.app.cancel_order(caller, id.0).await?;
    let status = if cancellation.done { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(response(status, &cancellation.order))
}

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
fn cursor(order: &Order) -> String {
    format!("{} {}", clock::micros(order.created_at), order.id)
}

fn parse_cursor(cursor: &str) -> Result<After, Error> {
    let parse = |cursor: &str| {
        let (micros, id) = cursor.split_once(' ')?;
        let micros: i64 = micros.parse().ok()?;
        let nanos = i128::from(micros) * 1000;
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        Some(After { created_at, id: OrderId(Uuid::try_parse(id).ok()?) })
    };
    parse(cursor).ok_or_else(|| Error::malformed_parameter("cursor", "is not one of ours"))
}
