//! Signing keys: published, rotated, checked by what others check with.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use auth::{JwkSet, Keys, Verifier};
use axum::http::{Method, StatusCode};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use messaging::Wake;
use serde_json::{Value, json};
use testkit::{ManualClock, http::TestRequest};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use user::{
    adapters::sqlite::{MIGRATIONS, SqliteStore},
    app::{
        KeyRing,
        ports::{Session, SigningKeys as _, StoredKey},
        tokens::claims,
    },
    domain::{
        Role, Rotation, SessionId, UserId,
        key_rotation::{CACHED_FOR, ON_DEMAND_AHEAD, READ_EVERY},
    },
};
use uuid::Uuid;

use crate::app::TestApp;

const DAY: Duration = Duration::from_hours(24);

/// Keys as somebody else fetched them.
struct Fetched(JwkSet);

#[async_trait]
impl Keys for Fetched {
    async fn jwks(&self) -> Result<JwkSet, error::Error> {
        Ok(self.0.clone())
    }
}

fn segment(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_is_checked_with_the_published_keys_and_says_nothing_personal() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let jwks = app.get("/.well-known/jwks.json").send().await.expect(StatusCode::OK);
    assert_eq!(jwks.header("cache-control"), "public, max-age=300");
    let jwks = jwks.body;
    let key = &jwks["keys"][0];
    for (name, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA"), ("use", "sig")] {
        assert_eq!(key[name], value);
    }
    assert_eq!(key.get("d"), None, "the private part stays here");
    assert_eq!(segment(&ada.access, 0)["kid"], key["kid"]);
    let claims = segment(&ada.access, 1);
    let mut names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "role", "sid", "sub"]);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("trireme-user"), &json!("trireme")));
    assert_eq!((&claims["sub"], &claims["role"]), (&json!(ada.id), &json!("customer")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);

    let fetched = Fetched(serde_json::from_value(jwks).unwrap());
    let verifier = Verifier::new(Arc::new(fetched), clock::system(), TaskTracker::new(), CancellationToken::new());
    assert_eq!(verifier.verify(&ada.access).await.unwrap().user_id.to_string(), ada.id);
}

#[tokio::test]
async fn keys_that_somebody_has_already_are_not_sent_again() {
    let app = TestApp::start().await;
    let get = || app.get("/.well-known/jwks.json");
    let first = get().send().await.expect(StatusCode::OK);
    let again = get().header("if-none-match", first.etag()).send().await;
    assert_eq!((again.status, again.bytes.len(), again.etag()), (StatusCode::NOT_MODIFIED, 0, first.etag()));
    assert_eq!(again.header("cache-control"), "public, max-age=300");
    user::wiring::rotate_keys(&app.config, clock::system()).await.unwrap();
    let replica = user::wiring::app(&app.config, clock::system()).await.unwrap();
    let router = chassis::layers(replica.http, &app.config.limits, &app.config.cors);
    let request = TestRequest::new(router, Method::GET, "/.well-known/jwks.json");
    let changed = request.header("if-none-match", first.etag()).send().await.expect(StatusCode::OK);
    assert_ne!(changed.etag(), first.etag());
    let malformed = get().header("if-none-match", "1").send().await;
    malformed.problem(400);
    assert!(!malformed.headers.contains_key("cache-control"));
}

#[tokio::test]
async fn a_refresh_goes_on_with_the_same_session() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let next = app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    let (old, new) = (segment(&ada.access, 1), segment(next.body["access_token"].as_str().unwrap(), 1));
    assert_eq!(old["sid"], new["sid"]);
    assert_ne!(old["jti"], new["jti"]);
}

struct Fixture {
    store: Arc<SqliteStore>,
    clock: ManualClock,
}

impl Fixture {
    async fn new() -> Self {
        let db = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
        Self { store: Arc::new(SqliteStore::new(db, Wake::default())), clock: ManualClock::at_now() }
    }

    /// The key ring of one process.
    async fn ring(&self) -> KeyRing {
        let rotation = Rotation {
            every: time::Duration::days(30),
            publish_ahead: time::Duration::DAY,
            publish_after: time::Duration::HOUR,
        };
        KeyRing::open(self.store.clone(), self.clock.shared(), rotation).await.unwrap()
    }

    /// A token that lives ten minutes.
    fn token(&self, ring: &KeyRing) -> String {
        let id = Uuid::now_v7();
        let session = Session { id: SessionId(id), user: UserId(id), role: Role::Customer };
        let now = clock::Clock::now(&self.clock);
        ring.sign(&claims(&session, now, Duration::from_mins(10))).unwrap()
    }
}

fn kids(ring: &KeyRing) -> Vec<String> {
    ring.published().keys.into_iter().map(|key| key.common.key_id.unwrap()).collect()
}

fn signing_kid(fixture: &Fixture, ring: &KeyRing) -> String {
    segment(&fixture.token(ring), 0)["kid"].as_str().unwrap().to_owned()
}

/// A newer version has written it, or it has been damaged.
#[tokio::test]
async fn a_key_that_cannot_be_read_keeps_nobody_out() {
    let fixture = Fixture::new().await;
    let ring = fixture.ring().await;
    let first = signing_kid(&fixture, &ring);
    let used_from = clock::Clock::now(&fixture.clock) + Duration::from_mins(1);
    let bad = StoredKey { kid: "bad".to_owned(), predecessor: first.clone(), pkcs8: vec![1, 2, 3], used_from };
    fixture.store.add(&bad, None).await.unwrap();
    ring.rotate().await.unwrap();
    // Also when its turn has come, and for who starts then.
    fixture.clock.advance(DAY);
    ring.rotate().await.unwrap();
    assert_eq!(signing_kid(&fixture, &fixture.ring().await), first);
    // The one that is next follows all the same.
    fixture.clock.advance(DAY * 28);
    ring.rotate().await.unwrap();
    fixture.clock.advance(DAY + Duration::from_hours(2));
    ring.rotate().await.unwrap();
    assert_eq!(kids(&ring).len(), 1);
    assert!(![first, "bad".to_owned()].contains(&signing_kid(&fixture, &ring)));
}

#[tokio::test]
async fn keys_rotate_without_refusing_anybody() {
    let fixture = Fixture::new().await;
    let ring = fixture.ring().await;
    let first = signing_kid(&fixture, &ring);
    assert_eq!(kids(&ring), [first.as_str()]);
    // Somebody who fetched the keys when the next one had just been published, and not since.
    fixture.clock.advance(DAY * 29);
    ring.rotate().await.unwrap();
    let published = Arc::new(Fetched(ring.published()));
    let others = Verifier::new(published, fixture.clock.shared(), TaskTracker::new(), CancellationToken::new());
    assert_eq!((kids(&ring).len(), signing_kid(&fixture, &ring)), (2, first.clone()));
    fixture.clock.advance(DAY);
    let last = fixture.token(&ring);
    let second = signing_kid(&fixture, &ring);
    assert_ne!(second, first);
    assert!(others.verify(&last).await.is_ok());
    fixture.clock.advance(Duration::from_mins(59));
    ring.rotate().await.unwrap();
    assert_eq!(kids(&ring), [first, second.clone()]);
    fixture.clock.advance(Duration::from_mins(1));
    ring.rotate().await.unwrap();
    assert_eq!(kids(&ring), [second]);
    assert_eq!(fixture.store.all().await.unwrap().len(), 1, "the private key is deleted");
}

#[tokio::test]
async fn a_key_on_demand_takes_over_when_everybody_can_know_it() {
    let fixture = Fixture::new().await;
    let (serving, asked) = (fixture.ring().await, fixture.ring().await);
    let first = signing_kid(&fixture, &serving);
    let takeover = asked.rotate_on_demand().await.unwrap();
    assert_eq!(takeover, clock::Clock::now(&fixture.clock) + ON_DEMAND_AHEAD);
    fixture.clock.advance(READ_EVERY);
    serving.rotate().await.unwrap();
    assert_eq!((kids(&serving).len(), signing_kid(&fixture, &serving)), (2, first.clone()));
    assert_eq!(asked.rotate_on_demand().await.unwrap(), takeover, "asked again, it stays as it is");
    // Somebody whose copy of the keys had just been made when the process read the new one.
    fixture.clock.advance(CACHED_FOR);
    let published = Arc::new(Fetched(serving.published()));
    let others = Verifier::new(published, fixture.clock.shared(), TaskTracker::new(), CancellationToken::new());
    assert!(others.verify(&fixture.token(&serving)).await.is_ok());
    fixture.clock.set(takeover);
    let second = signing_kid(&fixture, &serving);
    assert_ne!(second, first);
    assert!(others.verify(&fixture.token(&serving)).await.is_ok());
    serving.rotate().await.unwrap();
    assert_eq!(kids(&serving), [first, second.clone()], "tokens of the old one live on");
    fixture.clock.advance(Duration::from_hours(1));
    serving.rotate().await.unwrap();
    assert_eq!(kids(&serving), [second]);
    assert_eq!(serving.published().keys.len(), 1, "and the next one is due in 29 days");
}

#[tokio::test]
async fn a_key_that_waits_for_its_turn_is_the_one_on_demand() {
    let fixture = Fixture::new().await;
    let ring = fixture.ring().await;
    fixture.clock.advance(DAY * 29);
    ring.rotate().await.unwrap();
    let waiting = kids(&ring).pop().unwrap();
    let takeover = ring.rotate_on_demand().await.unwrap();
    assert_eq!((kids(&ring).len(), takeover), (2, clock::Clock::now(&fixture.clock) + ON_DEMAND_AHEAD));
    fixture.clock.set(takeover);
    assert_eq!(signing_kid(&fixture, &ring), waiting);
}

#[tokio::test]
async fn processes_that_share_a_store_share_its_keys() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.ring().await, fixture.ring().await);
    assert_eq!(kids(&one), kids(&two));
    fixture.clock.advance(DAY * 29);
    let (a, b) = tokio::join!(one.rotate(), two.rotate());
    a.and(b).unwrap();
    assert_eq!(kids(&one).len(), 2);
    assert_eq!(kids(&one), kids(&two));
    assert_eq!(signing_kid(&fixture, &one), signing_kid(&fixture, &two));
}

#[tokio::test]
async fn a_key_stays_published_as_long_as_its_tokens_live() {
    let app = TestApp::with(&[("TOKENS__PUBLISH_AFTER", "1s"), ("TOKENS__ACCESS", "10m")]).await;
    assert_eq!(app.config.tokens.rotation().publish_after, time::Duration::minutes(10));
}

/// Keys that were made under a clock that was ahead sign all the same, and are known to others.
#[tokio::test]
async fn a_clock_that_was_ahead_keeps_nobody_out() {
    let fixture = Fixture::new().await;
    let now = clock::Clock::now(&fixture.clock);
    fixture.clock.advance(Duration::from_hours(1));
    let first = kids(&fixture.ring().await);
    fixture.clock.set(now);
    let ring = fixture.ring().await;
    let published = Arc::new(Fetched(ring.published()));
    let others = Verifier::new(published, fixture.clock.shared(), TaskTracker::new(), CancellationToken::new());
    assert!(others.verify(&fixture.token(&ring)).await.is_ok());
    assert_eq!(kids(&ring), first);
}
