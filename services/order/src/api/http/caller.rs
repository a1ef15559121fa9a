//! Who calls, and what they may do. Extracted before anything else of the
//! request, so that 401 and 403 come first.

use auth::{Identity, Operator};
use axum::{extract::FromRequestParts, http::request::Parts};
use error::Error;

use super::Api;
use crate::app::orders::Caller;

/// Somebody who reads.
pub(super) struct Reader(pub Caller);

/// Somebody who changes something: not from an account that is closing.
pub(super) struct Writer(pub Caller);

/// An operator who changes something.
pub(super) struct WritingOperator(pub Caller);

async fn may_write(api: &Api, identity: &Identity) -> Result<Caller, Error> {
    let caller = Caller::of(identity);
    api.app.may_write(caller.user).await?;
    Ok(caller)
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let identity = Identity::from_request_parts(parts, api).await?;
        Ok(Self(Caller::of(&identity)))
    }
}

impl FromRequestParts<Api> for Writer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let identity = Identity::from_request_parts(parts, api).await?;
        may_write(api, &identity).await.map(Self)
    }
}

impl FromRequestParts<Api> for WritingOperator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let Operator(identity) = Operator::from_request_parts(parts, api).await?;
        may_write(api, &identity).await.map(Self)
    }
}
