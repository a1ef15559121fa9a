//! The id in a path.

use axum::extract::{FromRequestParts, RawPathParams};
use error::{Error, Problem};
use http::request::Parts;
use uuid::Uuid;

/// The one parameter of a path, a UUID in its hyphenated form. Anything else names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: From<Uuid>> FromRequestParts<S> for Id<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let unknown = || Error::new(Problem::NotFound, "there is nothing at this path");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| unknown())?;
        let (_, text) = params.iter().next().ok_or_else(unknown)?;
        let id = Some(text).filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(text).ok());
        id.map(|id| Self(T::from(id))).ok_or_else(unknown)
    }
}
