//! What a handler sees of a request's identity and caller.

use auth::{CREDENTIAL_HEADER, Caller, Callers, Claims, Credential, Identity, Operator, Role, Verifier};
use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use tower::ServiceExt;

use crate::{Fixture, signer};

#[derive(Clone)]
struct State {
    verifier: Verifier,
    callers: Callers,
}

impl FromRef<State> for Verifier {
    fn from_ref(state: &State) -> Self {
        state.verifier.clone()
    }
}

impl FromRef<State> for Callers {
    fn from_ref(state: &State) -> Self {
        state.callers.clone()
    }
}

fn router(verifier: Verifier) -> Router {
    let callers = Callers::new("secret", &["order"]);
    Router::new()
        .route("/me", get(|identity: Identity| async move { identity.user_id.to_string() }))
        .route("/shop", get(|Operator(identity): Operator| async move { identity.role.as_str() }))
        .route("/audit", get(|caller: Caller| async move { caller.name().to_owned() }))
        .route("/internal", get(|| async {}).layer(from_fn_with_state(callers.clone(), auth::require_caller)))
        .with_state(State { verifier, callers })
}

async fn get_with(fixture: &Fixture, path: &str, header: Option<(&str, &str)>) -> Response<Body> {
    let mut request = Request::get(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    router(fixture.verifier.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_handler_gets_the_person_or_is_not_called() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let claims = fixture.claims();
    let bearer = format!("Bearer {}", signer.sign(&claims).unwrap());
    let response = get_with(&fixture, "/me", Some((AUTHORIZATION.as_str(), &bearer))).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
    assert_eq!(body, claims.sub.to_string());

    for header in [None, Some((AUTHORIZATION.as_str(), "Bearer nonsense"))] {
        let response = get_with(&fixture, "/me", header).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    }
}

#[tokio::test]
async fn only_an_operator_runs_the_shop() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    for (role, status) in [(Role::Customer, StatusCode::FORBIDDEN), (Role::Operator, StatusCode::OK)] {
        let token = signer.sign(&Claims { role, ..fixture.claims() }).unwrap();
        let response = get_with(&fixture, "/shop", Some((AUTHORIZATION.as_str(), &format!("Bearer {token}")))).await;
        assert_eq!(response.status(), status);
    }
    assert_eq!(get_with(&fixture, "/shop", None).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn only_known_services_come_to_the_internal_routes() {
    let fixture = Fixture::new(&[]);
    for (secret, caller, status) in [
        ("secret", "order", StatusCode::OK),
        ("secret", "payment", StatusCode::FORBIDDEN),
        ("guess", "order", StatusCode::UNAUTHORIZED),
    ] {
        let value = Credential::new(secret, caller).header_value();
        let header = Some((CREDENTIAL_HEADER, value.to_str().unwrap()));
        for path in ["/audit", "/internal"] {
            assert_eq!(get_with(&fixture, path, header).await.status(), status, "{path} {caller}");
        }
    }
    assert_eq!(get_with(&fixture, "/internal", None).await.status(), StatusCode::UNAUTHORIZED);
}
