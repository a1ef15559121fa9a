//! People whose tokens another issuer made: a small provider on a real port.

use std::sync::{Arc, Mutex};

use auth::{Issuer, JwkSet};
use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{Json, Router, routing::get};
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use order::adapters::jwks::JwksClient;
use serde_json::{Value, json};
use testkit::http::{TestRequest, TestResponse};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::app::{RequestExt as _, TestApp};

/// How many bytes stand before the key itself (RFC 8017) in PKCS#8 of an RSA key of 2048 bits.
const PKCS8_HEAD: usize = 26;

/// A key of the provider's; its algorithm is its id.
#[derive(Clone)]
struct Key(Algorithm, EncodingKey);

impl Key {
    fn rsa() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        Self(Algorithm::RS256, EncodingKey::from_rsa_der(&der.as_ref()[PKCS8_HEAD..]))
    }

    fn ec() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self(Algorithm::ES256, EncodingKey::from_ec_der(pkcs8.as_ref()))
    }

    fn published(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.1, self.0).unwrap();
        jwk.common.key_id = Some(format!("{:?}", self.0));
        jwk
    }
}

struct Provider {
    url: String,
    /// What it publishes; without, its keys cannot be read.
    keys: Arc<Mutex<Option<JwkSet>>>,
}

impl Provider {
    async fn start() -> Self {
        let keys = Arc::<Mutex<Option<JwkSet>>>::default();
        let published = keys.clone();
        let certs = get(|| async move { published.lock().unwrap().clone().map(Json).ok_or(StatusCode::BAD_GATEWAY) });
        let router = Router::new().route("/realms/shop/certs", certs);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/realms/shop", listener.local_addr().unwrap());
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, keys }
    }

    fn publish(&self, keys: &[&Key]) {
        *self.keys.lock().unwrap() = Some(JwkSet { keys: keys.iter().map(|key| key.published()).collect() });
    }

    /// The service, for which the provider's tokens count too.
    fn trusted_by(&self, app: &TestApp) -> Router {
        let issuer = Issuer {
            issuer: self.url.clone(),
            audience: "shop".to_owned(),
            role_claim: "realm_access.roles".to_owned(),
        };
        let config = client::Config { retries: 0, ..client::Config::default() };
        app.trusting(issuer, Arc::new(JwksClient::new(&format!("{}/certs", self.url), config, "issuer")))
    }

    fn token(&self, app: &TestApp, key: &Key, subject: &str, roles: &[&str]) -> String {
        let now = clock::Clock::now(&app.clock).unix_timestamp();
        let claims = json!({
            "iss": self.url, "aud": "shop", "sub": subject, "iat": now, "exp": now + 300,
            "realm_access": {"roles": roles},
        });
        let header = Header { kid: Some(format!("{:?}", key.0)), ..Header::new(key.0) };
        jsonwebtoken::encode(&header, &claims, &key.1).unwrap()
    }
}

#[tokio::test]
async fn people_of_another_issuer_order_and_run_the_shop() {
    let (app, provider, key) = (TestApp::start().await, Provider::start().await, Key::rsa());
    provider.publish(&[&key]);
    let router = provider.trusted_by(&app);
    let request = |method, path: &str| TestRequest::new(router.clone(), method, path);
    let token = |subject, roles: &[&str]| provider.token(&app, &key, subject, roles);
    let (ada, eve) = (token("f:1:ada", &[]), token("f:1:eve", &[]));
    let olga = token("f:1:olga", &["offline_access", "operator"]);

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
    let again = token("f:1:ada", &["customer"]);
    assert_eq!(read(&again).await.expect(StatusCode::OK).body["user_id"], placed.body["user_id"]);
    read(&eve).await.expect(StatusCode::NOT_FOUND);
    read(&olga).await.expect(StatusCode::OK);
    let own = app.customer();
    read(&own.token).await.expect(StatusCode::NOT_FOUND);
    let list = request(Method::GET, "/v1/orders").by(&own).send().await.expect(StatusCode::OK);
    assert_eq!(list.body["items"], Value::Array(vec![]), "those of user count as before");
    // Whose subject reads like an id of ours is not that person.
    let namesake = token(&own.id.to_string(), &[]);
    let theirs = request(Method::POST, "/v1/orders").bearer(&namesake).key("o").json(&order).send().await;
    assert_ne!(theirs.expect(StatusCode::CREATED).text("user_id"), own.id.to_string());
    app.request(Method::GET, &path).bearer(&ada).send().await.expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn keys_of_another_issuer_may_be_away_and_roll_over() {
    let (app, provider) = (TestApp::start().await, Provider::start().await);
    let router = provider.trusted_by(&app);
    let (old, new, own) = (Key::ec(), Key::rsa(), app.customer());
    let list = async |token: &str| -> TestResponse {
        TestRequest::new(router.clone(), Method::GET, "/v1/orders").bearer(token).send().await
    };
    let by = |key: &Key| provider.token(&app, key, "f:1:ada", &[]);
    let away = list(&by(&old)).await;
    assert!(away.headers.contains_key("retry-after"));
    away.problem(503);
    list(&own.token).await.expect(StatusCode::OK);

    provider.publish(&[&old]);
    app.clock.advance(std::time::Duration::from_secs(2));
    list(&by(&old)).await.expect(StatusCode::OK);
    list(&by(&new)).await.problem(401);
    provider.publish(&[&new]);
    app.clock.advance(std::time::Duration::from_secs(11));
    list(&by(&new)).await.expect(StatusCode::OK);
    list(&by(&old)).await.problem(401);
    list(&own.token).await.expect(StatusCode::OK);
}
