//! The person behind a request, as an argument of a handler.

use axum::extract::{FromRef, FromRequestParts};
use error::{Error, Problem};
use http::request::Parts;

use crate::{Identity, Operator, Verifier, bearer};

impl<S> FromRequestParts<S> for Identity
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let token =
            bearer(&parts.headers).ok_or_else(|| Error::new(Problem::TokenMissing, "a bearer token is needed"))?;
        Verifier::from_ref(state).verify(token).await
    }
}

impl<S> FromRequestParts<S> for Operator
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let identity = Identity::from_request_parts(parts, state).await?;
        if identity.is_operator() {
            Ok(Self(identity))
        } else {
            Err(Error::new(Problem::OperatorRequired, "only an operator may do this"))
        }
    }
}
