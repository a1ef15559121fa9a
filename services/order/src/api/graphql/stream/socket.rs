//! Over a WebSocket: `graphql-transport-ws`.

use std::{convert::Infallible, time::Duration};

use async_graphql::{Request, Response, Value};
use auth::{Identity, bearer};
use axum::{
    extract::{Request as HttpRequest, State},
    http::{HeaderMap, HeaderValue, header::AUTHORIZATION},
    response::Response as HttpResponse,
};
use chassis::push::{Close, Ended, Heard, Socket};
use error::{Error, Problem};
use futures::stream::pending;

use super::{
    Watcher, answers,
    operations::Operations,
    protocol::{self, Said, Told},
};
use crate::api::graphql::{Api, answer, request::MAX_BODY};

/// How long a client may take to say who it is.
const INIT: Duration = Duration::from_secs(5);

/// Opens a WebSocket. A browser sends no `Authorization` with it: who it is, is said in `connection_init`.
pub(in crate::api::graphql) async fn open(
    State(api): State<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpResponse> {
    let (mut parts, _) = request.into_parts();
    let upgrade = api.push.socket(&mut parts, protocol::NAME).await?;
    Ok(upgrade.serve(MAX_BODY, async move |mut socket| {
        let Err(ended) = talk(&api, &mut socket, &parts.headers).await;
        socket.end(ended).await;
    }))
}

async fn talk(api: &Api, socket: &mut Socket, headers: &HeaderMap) -> Result<Infallible, Ended> {
    socket.lasts(INIT, protocol::SILENT);
    let watcher = init(api, socket, headers).await?;
    socket.admitted();
    socket.lasts(api.app.time_left(&watcher.identity), protocol::EXPIRED);
    socket.send(Told::ConnectionAck.text()).await?;
    let mut operations = Operations::none();
    loop {
        match socket.listen(&mut operations.answers).await? {
            Heard::Said(text) => match Said::read(text.as_deref())? {
                Said::ConnectionInit { .. } => return Err(protocol::INITIALISED.into()),
                Said::Subscribe { id, .. } if operations.is_open(&id) => return Err(protocol::DUPLICATE.into()),
                Said::Subscribe { id, payload } => {
                    begin(api, socket, &watcher, &mut operations, (id, *payload)).await?;
                }
                Said::Complete { id } => operations.end(&id),
                Said::Ping {} => socket.send(Told::Pong.text()).await?,
                Said::Pong {} => {}
            },
            Heard::Event((id, Some(answer))) => tell(socket, &mut operations, &id, &answer).await?,
            Heard::Event((id, None)) => {
                operations.end(&id);
                socket.send(Told::Complete { id: &id }.text()).await?;
            }
        }
    }
}

/// Waits until the client says who it is.
async fn init(api: &Api, socket: &mut Socket, headers: &HeaderMap) -> Result<Watcher, Ended> {
    loop {
        let Heard::Said(text) = socket.listen(&mut pending::<Infallible>()).await?;
        match Said::read(text.as_deref())? {
            Said::ConnectionInit { payload } => {
                let identity = identity(api, headers, payload.as_ref()).await?;
                let permit = api.app.open_stream(&identity).map_err(|error| refusal(&error.into()))?;
                return Ok(Watcher { identity, permit });
            }
            Said::Subscribe { .. } => return Err(protocol::NOT_ACKNOWLEDGED.into()),
            Said::Ping {} => socket.send(Told::Pong.text()).await?,
            Said::Complete { .. } | Said::Pong {} => {}
        }
    }
}

/// Whoever the payload's `Authorization` proves to be, in whatever case it is written, or else the request's.
async fn identity(api: &Api, headers: &HeaderMap, payload: Option<&serde_json::Value>) -> Result<Identity, Close> {
    let mut members = payload.and_then(serde_json::Value::as_object).into_iter().flatten();
    let said = members.find(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, value)| value);
    let said =
        said.map(|value| HeaderValue::from_str(value.as_str().unwrap_or_default()).map_err(|_| protocol::FORBIDDEN));
    let said = said.transpose()?.map(|value| HeaderMap::from_iter([(AUTHORIZATION, value)]));
    let token = bearer(said.as_ref().unwrap_or(headers)).ok_or(protocol::FORBIDDEN)?;
    api.verifier.verify(token).await.map_err(|error| refusal(&error))
}

fn refusal(error: &Error) -> Close {
    match error.problem() {
        Problem::TooManyStreams => protocol::TOO_MANY,
        problem if problem.kind().is_client_fault() => protocol::FORBIDDEN,
        _ => protocol::UNAVAILABLE,
    }
}

async fn begin(
    api: &Api,
    socket: &mut Socket,
    watcher: &Watcher,
    operations: &mut Operations,
    (id, request): (String, Request),
) -> Result<(), Ended> {
    let answers = if operations.are_too_many() {
        Err(Error::of(Problem::TooManyStreams))
    } else {
        answers(api, watcher.clone(), request)
    };
    match answers {
        Ok(answers) => operations.begin(&id, answers),
        Err(error) => fail(socket, &id, &answer::refused(&error)).await?,
    }
    Ok(())
}

/// Tells an answer; one without data is the last.
async fn tell(socket: &mut Socket, operations: &mut Operations, id: &str, answer: &Response) -> Result<(), Ended> {
    if answer.is_err() && answer.data == Value::Null {
        operations.end(id);
        return fail(socket, id, answer).await;
    }
    socket.send(Told::Next { id, payload: answer }.text()).await
}

async fn fail(socket: &mut Socket, id: &str, answer: &Response) -> Result<(), Ended> {
    socket.send(Told::Error { id, payload: &answer.errors }.text()).await
}
