//! Routes of orders.

use axum::{
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chassis::http::{Id, IdempotencyKey, IfNoneMatch, Params, Payload, REPLAYED, resource};
use error::{Error, Kind};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Api, body,
    caller::{Reader, Writer, WritingOperator},
    view::OrderView,
};
use crate::{
    app::{
        orders::Caller,
        place_order::{Ordered, Wish},
        ports::{Behind, Owner},
        sweep,
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
    let wish =
        Wish { user: caller.user, key: key.to_string(), digest: node.digest(), lines, token, origin: sweep::origin() };
    let Ordered { order, replayed } = api.app.place_order(wish).await?;
    let location = format!("/v1/orders/{}", order.id);
    let answer = |status| answer(status, &order);
    Ok(match (replayed, order.status) {
        (true, _) => ([(REPLAYED, "true")], answer(StatusCode::OK)).into_response(),
        (false, Status::Pending | Status::Abandoning) => {
            ([(header::LOCATION, location)], answer(StatusCode::ACCEPTED)).into_response()
        }
        (false, _) => ([(header::LOCATION, location)], answer(StatusCode::CREATED)).into_response(),
    })
}

pub(super) async fn get(
    Reader(caller): Reader,
    State(api): State<Api>,
    id: Id<OrderId>,
    if_none_match: IfNoneMatch,
) -> Result<Response, Error> {
    let order = api.app.order(caller, id.0).await?;
    Ok(if_none_match.answer(order.version, || answer(StatusCode::OK, &order)))
}

pub(super) async fn list(Reader(caller): Reader, State(api): State<Api>, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri);
    let owner = owner(caller, params.text("user_id"))?;
    let page = params.page();
    params.finish()?;
    let behind = page.cursor.as_deref().map(behind).transpose()?;
    let orders = api.app.list_orders(owner, behind, page.limit + 1).await?;
    Ok(chassis::http::list(&page, &orders, OrderView::from, |order| cursor(order)))
}

/// Whose orders are asked for: only an operator may ask for others'.
fn owner(caller: Caller, user_id: Option<String>) -> Result<Owner, Error> {
    let Some(user_id) = user_id else {
        return Ok(Owner::User(caller.user));
    };
    if !caller.operator {
        return Err(Error::new(Kind::Forbidden, "only an operator may list others' orders"));
    }
    match user_id.as_str() {
        "all" => Ok(Owner::All),
        id => Uuid::try_parse(id)
            .map(|id| Owner::User(UserId(id)))
            .map_err(|_| Error::malformed_parameter("user_id", "must be a UUID or `all`")),
    }
}

pub(super) async fn cancel(Writer(caller): Writer, State(api): State<Api>, id: Id<OrderId>) -> Result<Response, Error> {
    let called_off = api.app.cancel_order(caller, id.0).await?;
    let status = if called_off.done { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(answer(status, &called_off.order))
}

pub(super) async fn fulfil(
    WritingOperator(caller): WritingOperator,
    State(api): State<Api>,
    id: Id<OrderId>,
) -> Result<Response, Error> {
    let order = api.app.fulfil_order(caller, id.0).await?;
    Ok(answer(StatusCode::OK, &order))
}

fn answer(status: StatusCode, order: &Order) -> Response {
    resource(status, order.version, &OrderView::from(order))
}

/// The place just behind an order, for a cursor.
fn cursor(order: &Order) -> String {
    format!("{} {}", clock::micros(order.created_at), order.id)
}

fn behind(cursor: &str) -> Result<Behind, Error> {
    let read = |cursor: &str| {
        let (micros, id) = cursor.split_once(' ')?;
        let micros: i64 = micros.parse().ok()?;
        let nanos = i128::from(micros) * 1000;
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        Some(Behind { created_at, id: OrderId(Uuid::try_parse(id).ok()?) })
    };
    read(cursor).ok_or_else(|| Error::malformed_parameter("cursor", "is not one of ours"))
}
