//! Live events of orders: Server-Sent Events, or a WebSocket where one is asked for.

use auth::{Identity, bearer};
use axum::{
    Json,
    extract::{FromRequestParts as _, Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use chassis::{
    http::Params,
    push::{Close, Message, Pushed},
};
use error::Error;
use futures::{Stream, stream};
use messaging::Cursor;
use serde_json::json;

use super::{
    Api, orders,
    schema::{StreamEvent, StreamTicket},
};
use crate::app::{
    live::{End, Watch, Watched},
    tickets,
};

/// By which browsers say what they have seen last.
const LAST_EVENT_ID: &str = "last-event-id";

/// The same codes as HTTP's, in the range of an application's own.
const EXPIRED: Close = Close { code: 4401, reason: "the access token has run out: resume with another" };
const TOO_SLOW: Close = Close { code: 4429, reason: "more has happened than was read: resume" };

/// Issues a ticket that opens one stream
///
/// For browsers, which send no `Authorization` with an `EventSource` or a `WebSocket`.
#[utoipa::path(
    post, path = "/v1/orders/stream/tickets", operation_id = "issueStreamTicket", tag = "orders",
    security(("bearer" = [])),
    responses((status = 201, description = "A ticket, good once.", body = StreamTicket)),
)]
pub(super) async fn ticket(identity: Identity, State(api): State<Api>) -> Result<Response, Error> {
    let ticket = api.app.tickets.issue(&identity).await?;
    let ticket = json!({ "ticket": ticket, "expires_in": tickets::TTL.as_secs() });
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(ticket)).into_response())
}

/// Tells what happens to orders, live
///
/// Server-Sent Events; with `Upgrade: websocket` the same documents over a WebSocket. Each is a CloudEvents 1.0 document,
/// whose `cursor` is the event's id and what a client resumes after. Instead of an access token, a `ticket` of
/// `issueStreamTicket` opens one stream. docs/live.md has the messages and the close codes.
#[utoipa::path(
    get, path = "/v1/orders/stream", operation_id = "watchOrders", tag = "orders", security(("bearer" = [])),
    params(
        ("user_id" = Option<String>, Query, pattern = "^(all|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$", example = "all",
            description = "For operators: whose orders; `all` for everybody's. Without it the caller's own."),
        ("ticket" = Option<String>, Query, description = "Of `issueStreamTicket`; good once, for 30 s."),
        ("last_event_id" = Option<String>, Query, description = "What was seen last, where no header can be sent."),
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "What was seen last."),
    ),
    responses(
        (status = 101, description = "A WebSocket."),
        (status = 200, description = "An endless stream of events.", body = StreamEvent, content_type = "text/event-stream"),
    ),
    extensions(("x-problems" = json!([
        "ticket-invalid", "operator-required", "origin-not-allowed", "too-many-streams"
    ]))),
)]
pub(super) async fn open(State(api): State<Api>, request: Request) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    let watch = watch(&api, &mut parts).await.map_err(Error::into_response)?;
    let channel = api.push.channel(&mut parts).await?;
    Ok(channel.send(messages(watch)))
}

async fn watch(api: &Api, parts: &mut Parts) -> Result<Watch, Error> {
    let mut params = Params::of(&parts.uri);
    let identity = identity(api, parts, params.text("ticket")).await?;
    let asked = orders::asked(identity.is_operator(), params.text("user_id").as_deref())?;
    let seen = seen(parts, params.text("last_event_id"))?;
    params.finish()?;
    let permit = api.app.open_stream(&identity)?;
    Ok(api.app.watch_orders(permit, &identity, asked, seen).await?)
}

/// Who asks, by access token, or else by ticket.
async fn identity(api: &Api, parts: &mut Parts, ticket: Option<String>) -> Result<Identity, Error> {
    match ticket {
        Some(ticket) if bearer(&parts.headers).is_none() => Ok(api.app.tickets.redeem(&ticket).await?),
        _ => Identity::from_request_parts(parts, api).await,
    }
}

/// What the client has seen last. A browser that connects again sends the header, and the address that it began with.
fn seen(parts: &Parts, parameter: Option<String>) -> Result<Option<Cursor>, Error> {
    let header = parts.headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty());
    if let Some(id) = header {
        let cursor = id.to_str().ok().and_then(|id| id.parse().ok());
        return cursor.map(Some).ok_or_else(|| Error::malformed_header("Last-Event-ID", "is not one of ours"));
    }
    let parse = |id: String| id.parse().map_err(|_| Error::malformed_parameter("last_event_id", "is not one of ours"));
    parameter.map(parse).transpose()
}

fn messages(watch: Watch) -> impl Stream<Item = Pushed> + Send + 'static {
    stream::unfold(Some(watch), async |watch| {
        let mut watch = watch?;
        Some(match watch.next().await {
            Watched::Event(event) => (Pushed::Message(Message::from_event(event)), Some(watch)),
            Watched::Ready(cursor) => (Pushed::Message(control("stream.ready", &cursor)), Some(watch)),
            Watched::Reset(cursor) => (Pushed::Message(control("stream.reset", &cursor)), Some(watch)),
            Watched::Heartbeat(cursor) => {
                (Pushed::Heartbeat(cursor.map(|cursor| control("stream.heartbeat", &cursor))), Some(watch))
            }
            Watched::End(end) => (Pushed::Close(close(end)), None),
        })
    })
}

/// What is told of the stream itself; its id is what the client resumes after.
fn control(kind: &str, cursor: &Cursor) -> Message {
    let cursor = cursor.to_string();
    Message::new(&cursor, kind, &json!({ "type": kind, "cursor": cursor }))
}

fn close(end: End) -> Close {
    match end {
        End::TooSlow => TOO_SLOW,
        End::Expired => EXPIRED,
        End::Stopping => Close::GOING_AWAY,
    }
}
