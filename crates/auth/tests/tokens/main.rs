//! Access tokens from the outside: which are taken, how often the issuer is asked, what a handler sees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod fuzz;
mod handlers;
mod keys;
mod outside;
mod shapes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use auth::{AUDIENCE, Claims, ISSUER, JwkSet, Keys, Role, Signer, Verifier};
use clock::Clock;
use error::{Error, Kind};
use std::sync::Mutex;
use testkit::ManualClock;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// An issuer whose keys the test changes, and which counts how often they are fetched.
struct Issuer {
    keys: Mutex<Option<JwkSet>>,
    fetches: AtomicUsize,
    /// How many fetches are answered.
    answers: Semaphore,
}

#[async_trait]
impl Keys for Issuer {
    async fn jwks(&self) -> Result<JwkSet, Error> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        // Others get the chance to ask at the same time, or to go away.
        tokio::task::yield_now().await;
        if telemetry::remaining(Duration::from_secs(1)).is_zero() {
            return Err(Error::unavailable("user")); // as a client does that has no time left
        }
        self.keys.lock().unwrap().clone().ok_or_else(|| Error::unavailable("user"))
    }
}

struct Fixture {
    issuer: Arc<Issuer>,
    clock: ManualClock,
    verifier: Verifier,
}

impl Fixture {
    fn new(signers: &[&Signer]) -> Self {
        let clock = ManualClock::at_now();
        let (keys, answers) = (Mutex::new(Some(publish(signers))), Semaphore::new(1_000));
        let issuer = Arc::new(Issuer { keys, fetches: AtomicUsize::new(0), answers });
        let verifier = Verifier::new(issuer.clone(), clock.shared(), TaskTracker::new(), CancellationToken::new());
        Self { issuer, clock, verifier }
    }

    fn fetches(&self) -> usize {
        self.issuer.fetches.load(Ordering::SeqCst)
    }

    fn set_keys(&self, keys: Option<JwkSet>) {
        *self.issuer.keys.lock().unwrap() = keys;
    }

    fn claims(&self) -> Claims {
        let now = self.clock.now().unix_timestamp();
        Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: Uuid::now_v7(),
            sid: Uuid::now_v7(),
            iat: now,
            exp: now + 600,
            jti: Uuid::now_v7(),
            role: Role::Customer,
        }
    }

    async fn kind(&self, token: &str) -> Option<Kind> {
        self.verifier.verify(token).await.err().map(|error| error.kind())
    }
}

fn publish(signers: &[&Signer]) -> JwkSet {
    JwkSet { keys: signers.iter().map(|signer| signer.jwk().clone()).collect() }
}

fn signer(kid: &str) -> Signer {
    Signer::from_pkcs8(kid, &Signer::generate_pkcs8().unwrap()).unwrap()
}

#[tokio::test]
async fn a_good_token_says_who_it_is() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let claims = Claims { role: Role::Operator, ..fixture.claims() };
    let identity = fixture.verifier.verify(&signer.sign(&claims).unwrap()).await.unwrap();
    assert_eq!((identity.user_id, identity.session, identity.role), (claims.sub, claims.sid, Role::Operator));
    assert_eq!(identity.expires_at.unix_timestamp(), claims.exp);
}

#[tokio::test]
async fn a_token_counts_until_it_expires_also_when_it_is_remembered() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let token = signer.sign(&fixture.claims()).unwrap();
    assert_eq!(fixture.kind(&token).await, None);
    fixture.clock.advance(Duration::from_secs(598));
    assert_eq!(fixture.kind(&token).await, None);
    fixture.clock.advance(Duration::from_secs(2));
    assert_eq!(fixture.kind(&token).await, Some(Kind::Unauthenticated));
}

#[tokio::test]
async fn tokens_for_others_or_by_others_are_refused() {
    let (signer, stranger) = (signer("k1"), signer("k1"));
    let fixture = Fixture::new(&[&signer]);
    let good = fixture.claims();
    let issuer = Claims { iss: "somebody".into(), ..good.clone() };
    let audience = Claims { aud: "somebody".into(), ..good.clone() };
    let expired = Claims { exp: good.iat, ..good.clone() };
    for (claims, why) in [(&issuer, "issuer"), (&audience, "audience"), (&expired, "expired")] {
        let token = signer.sign(claims).unwrap();
        assert_eq!(fixture.kind(&token).await, Some(Kind::Unauthenticated), "{why}");
    }
    let token = stranger.sign(&good).unwrap();
    assert_eq!(fixture.kind(&token).await, Some(Kind::Unauthenticated), "another key under the same id");
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let token = signer.sign(&fixture.claims()).unwrap();
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = head.split_once('.').unwrap();
    // {"alg":"none","kid":"k1"} and {"alg":"HS256","kid":"k1"}
    let none = format!("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{payload}.");
    let symmetric = format!("eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.{payload}.{signature}");
    let cut = format!("{header}.{payload}.{}", &signature[..signature.len() - 4]);
    let long = "a".repeat(9_000);
    for forged in ["", "a", "a.b.c", "..", none.as_str(), &symmetric, &cut, head, &long] {
        assert_eq!(fixture.kind(forged).await, Some(Kind::Unauthenticated), "{forged}");
    }
}

#[tokio::test]
async fn a_changed_claim_breaks_the_signature() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let claims = fixture.claims();
    let own = signer.sign(&claims).unwrap();
    let other = signer.sign(&Claims { role: Role::Operator, ..claims }).unwrap();
    let (own_head, _) = own.rsplit_once('.').unwrap();
    let (_, other_signature) = other.rsplit_once('.').unwrap();
    let mixed = format!("{own_head}.{other_signature}");
    assert_eq!(fixture.kind(&mixed).await, Some(Kind::Unauthenticated));
}
