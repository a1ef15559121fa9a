//! `/graphql/stream`: subscriptions, over a WebSocket or as Server-Sent Events.
//!
//! Queries and commands are not executed here: what sheds load and sets deadlines works on requests, and these have none.

mod events;
mod operations;
mod protocol;
mod socket;

use async_graphql::{Request, Response, parser::types::OperationType};
use error::{Error, Problem};
use futures::{Stream, StreamExt as _, stream};

pub(super) use self::{events::subscribe, socket::open};
use super::{Api, answer, request, subscription::Watcher};
use crate::app::orders::Caller;

/// What is answered to a subscription, until it ends.
///
/// # Errors
/// The document is none that may be executed, or has no subscription.
fn answers(
    api: &Api,
    watcher: Watcher,
    request: Request,
) -> Result<impl Stream<Item = Response> + Send + use<>, Error> {
    let (mut request, operation) = request::prepare(api, Some(Caller::of(&watcher.identity)), request)?;
    if operation.of != OperationType::Subscription {
        return Err(Error::new(Problem::InvalidDocument, "queries and mutations are sent to /graphql"));
    }
    request.data.insert(watcher);
    let mut answers = api.schema.execute_stream(request);
    let mut span = None;
    Ok(stream::poll_fn(move |context| {
        // Made here, where it holds open no span of the request that has been answered.
        let _entered = span.get_or_insert_with(|| operation.span()).enter();
        answers.poll_next_unpin(context).map(|answer| answer.map(answer::finish))
    }))
}
