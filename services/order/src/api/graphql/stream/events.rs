//! As Server-Sent Events: the protocol of graphql-sse in its mode of distinct connections
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>).

use async_graphql::Response;
use auth::Identity;
use axum::{extract::State, response::Response as HttpResponse};
use chassis::{
    http::Payload,
    push::{Message, Pushed, Turn, events},
};
use error::{Error, Problem};
use futures::{StreamExt as _, future::ready, stream};

use super::{Watcher, answers};
use crate::api::graphql::{
    Api, answer,
    request::{self, Body},
};

/// The last that is sent of an operation.
const COMPLETE: &str = "event: complete\ndata:\n\n";

/// Subscribes: the answer is what happens. What is wrong with the document is told there.
pub(in crate::api::graphql) async fn subscribe(
    identity: Identity,
    State(api): State<Api>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let Body::One(request) = request::read(payload).await? else {
        return Err(Error::new(Problem::InvalidFields, "a stream has one operation"));
    };
    let time = api.app.time_left(&identity);
    let permit = api.app.open_stream(&identity)?;
    Ok(match answers(&api, Watcher { identity, permit }, *request) {
        Ok(answers) => events(api.push.turns(time, answers).map(pushed)),
        Err(error) => events(stream::once(ready(last(&answer::refused(&error))))),
    })
}

fn pushed(turn: Turn<Response>) -> Pushed {
    match turn {
        Turn::Event(answer) => message(next(&answer)),
        Turn::Heartbeat => Pushed::Heartbeat(None),
        Turn::Over => message(COMPLETE.to_owned()),
        Turn::Expired => last(&answer::refused(&Error::of(Problem::TokenExpired))),
    }
}

fn last(answer: &Response) -> Pushed {
    message(next(answer) + COMPLETE)
}

fn next(answer: &Response) -> String {
    format!("event: next\ndata: {}\n\n", serde_json::to_string(answer).unwrap_or_default())
}

fn message(event: String) -> Pushed {
    Pushed::Message(Message::from_event(event.into()))
}
