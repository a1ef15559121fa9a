//! As Server-Sent Events.

use std::convert::Infallible;

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, future::ready, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::Pushed;

/// A client that lost its connection tries again after so many milliseconds.
const RETRY: &str = "retry: 2000\n\n";
/// A comment, which clients do not show.
const HEARTBEAT: &str = ":\n\n";

/// An endless answer of Server-Sent Events, part of the request's trace. A client that does not take it is cut off as with
/// any other (30 s).
pub fn response(messages: impl Stream<Item = Pushed> + Send + 'static) -> Response {
    let begin = stream::once(ready(Bytes::from_static(RETRY.as_bytes())));
    let events = begin.chain(telemetry::carried(messages).map(|pushed| event(&pushed))).map(Ok::<_, Infallible>);
    // nginx and what is made of it would wait until a buffer is full.
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(events)).into_response()
}

fn event(pushed: &Pushed) -> Bytes {
    match pushed {
        Pushed::Message(message) | Pushed::Heartbeat(Some(message)) => message.event(),
        Pushed::Heartbeat(None) => Bytes::from_static(HEARTBEAT.as_bytes()),
        Pushed::Close(close) => close.event(),
    }
}
