//! What every field is resolved with: the use cases, and who asks.

use std::sync::Arc;

use async_graphql::{Context, ID};
use error::{Error, Problem};
use uuid::Uuid;

use crate::app::{App, orders::Caller};

/// The use cases.
pub(super) fn app<'a>(ctx: &Context<'a>) -> &'a Arc<App> {
    ctx.data_unchecked()
}

/// Who asks.
///
/// # Errors
/// The request has no access token.
pub(super) fn caller(ctx: &Context<'_>) -> Result<Caller, Error> {
    ctx.data_opt().copied().ok_or_else(|| Error::new(Problem::TokenMissing, "a bearer token is needed"))
}

/// An id, as REST has it in a path: what is none names nothing.
pub(super) fn id<T: From<Uuid>>(id: &ID, what: &str) -> Result<T, Error> {
    let uuid = Some(id.as_str()).filter(|id| id.len() == 36).and_then(|id| Uuid::try_parse(id).ok());
    uuid.map(T::from).ok_or_else(|| Error::not_found(what))
}
