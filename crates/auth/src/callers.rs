//! Checking the credentials of services.

use std::sync::Arc;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use axum::Router;
use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use error::{Error, Problem};
use http::HeaderMap;
use http::request::Parts;
use tonic::Status;
use tonic::service::Interceptor;

use crate::CREDENTIAL_HEADER;

/// The services that may call, and the secret by which they are known. Cheap to clone.
#[derive(Clone)]
pub struct Callers(Arc<Inner>);

struct Inner {
    key: hmac::Key,
    allowed: Vec<Arc<str>>,
}

/// The service that calls.
///
/// As an argument of a handler it refuses everybody else; the router's state has to hold [`Callers`].
/// Behind [`Callers::interceptor`] it is in the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(Arc<str>);

impl Caller {
    /// Returns the service's name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Callers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callers").field("allowed", &self.0.allowed).finish_non_exhaustive()
    }
}

impl Callers {
    /// Makes the check: `secret` is shared with the services named in `allowed`.
    pub fn new(secret: &str, allowed: &[&str]) -> Self {
        Self(Arc::new(Inner {
            key: hmac::Key::new(HMAC_SHA256, secret.as_bytes()),
            allowed: allowed.iter().map(|name| Arc::from(*name)).collect(),
        }))
    }

    /// Returns the service whose credential is among the headers; for gRPC pass `request.metadata().as_ref()`.
    ///
    /// The proof is compared in constant time.
    ///
    /// # Errors
    ///
    /// [`Problem::CredentialInvalid`] without a good credential, [`Problem::CallerNotAllowed`] for a service that may not call here.
    pub fn check(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        let mut values = headers.get_all(CREDENTIAL_HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refused());
        };
        let (name, proof) = value.to_str().ok().and_then(|value| value.rsplit_once('.')).ok_or_else(refused)?;
        let proof = hex::decode(proof).map_err(|_| refused())?;
        hmac::verify(&self.0.key, name.as_bytes(), &proof).map_err(|_| refused())?;
        let known = self.0.allowed.iter().find(|allowed| &***allowed == name);
        known
            .map(|name| Caller(Arc::clone(name)))
            .ok_or_else(|| Error::new(Problem::CallerNotAllowed, "this service may not call here"))
    }

    /// Returns the same check for the front of a gRPC server.
    pub fn interceptor(&self) -> CallerInterceptor {
        CallerInterceptor(self.clone())
    }
}

fn refused() -> Error {
    Error::new(Problem::CredentialInvalid, "a service credential is needed")
}

/// Lets only known services through to a gRPC server and puts the [`Caller`] into the request's extensions.
#[derive(Debug, Clone)]
pub struct CallerInterceptor(Callers);

impl Interceptor for CallerInterceptor {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let caller = self.0.check(request.metadata().as_ref())?;
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}

impl<S> FromRequestParts<S> for Caller
where
    Callers: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Callers::from_ref(state).check(&parts.headers)
    }
}

/// Lets only known services through to the routes it is put in front of.
///
/// ```
/// use axum::{Router, middleware, routing::get};
///
/// let callers = auth::Callers::new("a shared secret", &["user"]);
/// let internal: Router = Router::new()
///     .route("/internal/v1/audit", get(|| async { "{}" }))
///     .layer(middleware::from_fn_with_state(callers, auth::require_caller));
/// ```
pub async fn require_caller(
    State(callers): State<Callers>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let caller = callers.check(request.headers())?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Lets only the operators' tool, `trireme`, through to these routes.
pub fn for_operators(routes: Router, secret: &str) -> Router {
    routes.layer(from_fn_with_state(Callers::new(secret, &["trireme"]), require_caller))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Credential;
    use http::HeaderValue;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CREDENTIAL_HEADER, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn credential(secret: &str, caller: &str) -> HeaderMap {
        with(Credential::new(secret, caller).header_value().to_str().unwrap())
    }

    fn problem(headers: &HeaderMap) -> Problem {
        let callers = Callers::new("secret", &["order"]);
        callers.check(headers).unwrap_err().problem()
    }

    #[test]
    fn the_right_service_is_let_in() {
        let callers = Callers::new("secret", &["order", "trireme"]);
        let caller = callers.check(&credential("secret", "trireme")).unwrap();
        assert_eq!(caller.name(), "trireme");
    }

    #[test]
    fn others_are_kept_out() {
        assert_eq!(problem(&HeaderMap::new()), Problem::CredentialInvalid);
        assert_eq!(problem(&credential("guess", "order")), Problem::CredentialInvalid);
        assert_eq!(problem(&credential("secret", "user")), Problem::CallerNotAllowed);
        for forged in ["order", "order.", "order.zz", ".", "order.00"] {
            assert_eq!(problem(&with(forged)), Problem::CredentialInvalid, "{forged}");
        }
        let proof = Credential::new("secret", "user");
        let proof = proof.header_value().to_str().unwrap().replace("user", "order");
        assert_eq!(problem(&with(&proof)), Problem::CredentialInvalid, "another's proof");
    }

    #[test]
    fn two_credentials_are_none() {
        let mut headers = credential("secret", "order");
        headers.append(CREDENTIAL_HEADER, HeaderValue::from_static("order.00"));
        assert_eq!(problem(&headers), Problem::CredentialInvalid);
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let credential = Credential::new("secret", "order");
        assert_eq!(format!("{credential:?}"), "Credential(***)");
        assert_eq!(format!("{:?}", credential.header_value()), "Sensitive");
    }

    #[test]
    fn the_interceptor_names_the_caller() {
        let mut interceptor = Callers::new("secret", &["order"]).interceptor();
        let refused = interceptor.call(tonic::Request::new(())).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);

        let mut request = tonic::Request::new(());
        let value = Credential::new("secret", "order").header_value();
        let value = value.to_str().unwrap().parse().unwrap();
        request.metadata_mut().insert(CREDENTIAL_HEADER, value);
        let request = interceptor.call(request).unwrap();
        let caller = request.extensions().get::<Caller>();
        assert_eq!(caller.map(Caller::name), Some("order"));
    }
}
