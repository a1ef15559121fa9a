//! People whose tokens another issuer made: a small provider on a real port.

use std::sync::Arc;

use auth::{Issuer, JwkSet, Signer};
use axum::{Json, Router, routing::get};
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use order::adapters::jwks::JwksClient;
use serde_json::{Value, json};
use testkit::http::TestRequest;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::app::{RequestExt as _, TestApp};

struct Provider {
    url: String,
    key: EncodingKey,
}

impl Provider {
    async fn start() -> Self {
        let pkcs8 = Signer::generate_pkcs8().unwrap();
        let keys = JwkSet { keys: vec![Signer::from_pkcs8("theirs", &pkcs8).unwrap().jwk().clone()] };
        let router = Router::new().route("/realms/shop/certs", get(|| async move { Json(keys) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/realms/shop", listener.local_addr().unwrap());
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, key: EncodingKey::from_ed_der(&pkcs8) }
    }

    fn token(&self, app: &TestApp, subject: &str, roles: &[&str]) -> String {
        let now = clock::Clock::now(&app.clock).unix_timestamp();
        let claims = json!({
            "iss": self.url, "aud": "shop", "sub": subject, "iat": now, "exp": now + 300,
            "realm_access": {"roles": roles},
        });
        let header = Header { kid: Some("theirs".into()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

#[tokio::test]
async fn people_of_another_issuer_order_and_run_the_shop() {
    let (app, provider) = (TestApp::start().await, Provider::start().await);
    let issuer = Issuer {
        issuer: provider.url.clone(),
        audience: "shop".to_owned(),
        role_claim: "realm_access.roles".to_owned(),
    };
    let keys = JwksClient::new(&format!("{}/certs", provider.url), client::Config::default(), "issuer");
    let router = app.trusting(issuer, Arc::new(keys));
    let request = |method, path: &str| TestRequest::new(router.clone(), method, path);
    let (ada, eve) = (provider.token(&app, "f:1:ada", &[]), provider.token(&app, "f:1:eve", &[]));
    let olga = provider.token(&app, "f:1:olga", &["offline_access", "operator"]);

    let product = json!({
        "sku": "MUG-9", "name": "Mug", "description": "", "stock": 5, "price": {"amount": 100, "currency": "EUR"},
    });
    let add = |token: &str| request(Method::POST, "/v1/products").bearer(token).key("p").json(&product).send();
    add(&ada).await.expect(StatusCode::FORBIDDEN);
    let product = add(&olga).await.expect(StatusCode::CREATED).id();
    let order = json!({"items": [{"product_id": product, "quantity": 1}], "payment_token": "tok_ok"});
    let place = |token: &str| request(Method::POST, "/v1/orders").bearer(token).key("o").json(&order).send();
    let placed = place(&ada).await.expect(StatusCode::CREATED);
    assert_eq!(placed.body["status"], "confirmed");
    let path = format!("/v1/orders/{}", placed.id());
    let read = |token: &str| request(Method::GET, &path).bearer(token).send();
    let again = provider.token(&app, "f:1:ada", &["customer"]);
    assert_eq!(read(&again).await.expect(StatusCode::OK).body["user_id"], placed.body["user_id"]);
    read(&eve).await.expect(StatusCode::NOT_FOUND);
    read(&olga).await.expect(StatusCode::OK);
    let own = app.customer();
    read(&own.token).await.expect(StatusCode::NOT_FOUND);
    let list = request(Method::GET, "/v1/orders").by(&own).send().await.expect(StatusCode::OK);
    assert_eq!(list.body["items"], Value::Array(vec![]), "those of user count as before");
    app.request(Method::GET, &path).bearer(&ada).send().await.expect(StatusCode::UNAUTHORIZED);
}
