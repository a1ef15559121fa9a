//! Tokens of an issuer outside, as Keycloak makes them.

use std::sync::Arc;

use auth::{Issuer, JwkSet, Role, Verifier};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use error::Kind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Fixture, signer};

const ISSUER: &str = "https://id.example/realms/shop";

/// A provider with a key of each kind, and a verifier that trusts it beside our own issuer.
pub(crate) struct Provider {
    own: Fixture,
    pub(crate) own_token: String,
    keys: Vec<(Algorithm, EncodingKey, Jwk)>,
    pub(crate) verifier: Verifier,
}

/// How many bytes stand before the key itself (RFC 8017) in PKCS#8 of an RSA key of 2048 bits.
const PKCS8_HEAD: usize = 26;

fn generated() -> Vec<(Algorithm, EncodingKey, Jwk)> {
    let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let rsa = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
    let rsa = EncodingKey::from_rsa_der(&rsa.as_ref()[PKCS8_HEAD..]);
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let ec = EncodingKey::from_ec_der(ec.as_ref());
    let ed = auth::Signer::generate_pkcs8().unwrap();
    let published = auth::Signer::from_pkcs8("EdDSA", &ed).unwrap().jwk().clone();
    let mut keys = vec![(Algorithm::EdDSA, EncodingKey::from_ed_der(&ed), published)];
    for (algorithm, key) in [(Algorithm::RS256, rsa), (Algorithm::ES256, ec)] {
        let mut published = Jwk::from_encoding_key(&key, algorithm).unwrap();
        published.common.key_id = Some(format!("{algorithm:?}"));
        keys.push((algorithm, key, published));
    }
    keys
}

impl Provider {
    pub(crate) fn start() -> Self {
        let signer = signer("k1");
        let own = Fixture::new(&[&signer]);
        let own_token = signer.sign(&own.claims()).unwrap();
        let keys = generated();
        let published = JwkSet { keys: keys.iter().map(|(_, _, published)| published.clone()).collect() };
        let issuer = Issuer {
            issuer: ISSUER.to_owned(),
            audience: "shop".to_owned(),
            role_claim: "realm_access.roles".to_owned(),
        };
        let (clock, tracker, stop) = (own.clock.shared(), TaskTracker::new(), CancellationToken::new());
        let outside: Option<(Issuer, Arc<dyn auth::Keys>)> = Some((issuer, Arc::new(published)));
        let verifier = Verifier::trusting(outside, own.issuer.clone(), clock, tracker, stop);
        Self { own, own_token, keys, verifier }
    }

    pub(crate) fn claims(&self) -> Value {
        let now = self.own.claims().iat;
        json!({
            "iss": ISSUER, "aud": ["account", "shop"], "sub": "f:1:ada", "iat": now, "exp": now + 300, "typ": "Bearer",
            "sid": "018f3c1e-0000-7000-8000-000000000000", "realm_access": {"roles": ["offline_access", "operator"]},
        })
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, kid: Algorithm, claims: &Value) -> String {
        let key = self.keys.iter().find(|(known, ..)| *known == algorithm).map(|(_, key, _)| key).unwrap();
        let header = Header { kid: Some(format!("{kid:?}")), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, key).unwrap()
    }

    async fn kind(&self, token: &str) -> Option<Kind> {
        self.verifier.verify(token).await.err().map(|error| error.kind())
    }
}

#[tokio::test]
async fn tokens_of_both_issuers_count() {
    let provider = Provider::start();
    let claims = provider.claims();
    let mut ids = Vec::new();
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let identity = provider.verifier.verify(&provider.sign(algorithm, algorithm, &claims)).await.unwrap();
        assert_eq!(
            (identity.role, identity.expires_at.unix_timestamp()),
            (Role::Operator, claims["exp"].as_i64().unwrap())
        );
        assert_eq!(json!(identity.session), claims["sid"]);
        ids.push(identity.user_id);
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "a subject has one id");
    assert_eq!(provider.kind(&provider.own_token).await, None);
}

#[tokio::test]
async fn only_good_tokens_of_the_provider_count() {
    let provider = Provider::start();
    let now = provider.own.claims().iat;
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!("trireme-user")),
        ("aud", json!("account")),
        ("aud", json!([])),
        ("exp", json!(now)),
        ("exp", json!("9999999999")),
        ("exp", Value::Null),
        ("sub", json!("")),
        ("sub", json!(1)),
        ("sub", Value::Null),
        ("nbf", json!(now + 61)),
        ("nbf", json!("now")),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
    ] {
        let mut claims = provider.claims();
        claims[claim] = value;
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let token = provider.sign(Algorithm::RS256, Algorithm::RS256, &claims);
        assert_eq!(provider.kind(&token).await, Some(Kind::Unauthenticated), "{claims}");
    }
    let stranger = Provider::start().sign(Algorithm::RS256, Algorithm::RS256, &provider.claims());
    assert_eq!(provider.kind(&stranger).await, Some(Kind::Unauthenticated));
    let mixed = provider.sign(Algorithm::ES256, Algorithm::RS256, &provider.claims());
    assert_eq!(provider.kind(&mixed).await, Some(Kind::Unauthenticated), "a key is used with its own algorithm");
}

/// RFC 8725, section 2.1: a public key is no secret, and no signature is none.
#[tokio::test]
async fn the_token_does_not_choose_how_it_is_verified() {
    let provider = Provider::start();
    let claims = provider.claims();
    for (algorithm, _, published) in &provider.keys {
        let kid = Some(format!("{algorithm:?}"));
        let public = serde_json::to_value(published).unwrap();
        let public = ["n", "x"].iter().find_map(|name| public[name].as_str()).unwrap().to_owned();
        for secret in [serde_json::to_vec(published).unwrap(), public.clone().into_bytes()] {
            let header = Header { kid: kid.clone(), ..Header::new(Algorithm::HS256) };
            let key = EncodingKey::from_secret(&secret).unwrap();
            let forged = jsonwebtoken::encode(&header, &claims, &key).unwrap();
            assert_eq!(provider.kind(&forged).await, Some(Kind::Unauthenticated));
        }
        let genuine = provider.sign(*algorithm, *algorithm, &claims);
        let payload = genuine.split('.').nth(1).unwrap();
        for alg in ["none", "None", "HS256", "PS256"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT", "kid": kid}).to_string());
            for signature in ["", genuine.rsplit('.').next().unwrap()] {
                let forged = format!("{header}.{payload}.{signature}");
                assert_eq!(provider.kind(&forged).await, Some(Kind::Unauthenticated), "{alg}");
            }
        }
        assert_eq!(provider.kind(&genuine).await, None);
    }
}

#[tokio::test]
async fn both_ways_of_writing_the_type_of_a_token_count() {
    let provider = Provider::start();
    let (_, key, _) = &provider.keys[0];
    for (typ, verified) in [
        (Some("JWT"), None),
        (Some("at+jwt"), None),
        (Some("application/AT+jwt"), None),
        (Some("logout+jwt"), Some(Kind::Unauthenticated)),
        (None, Some(Kind::Unauthenticated)),
    ] {
        let header = Header { kid: Some("EdDSA".into()), typ: typ.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &provider.claims(), key).unwrap();
        assert_eq!(provider.kind(&token).await, verified, "{typ:?}");
    }
    let mut skewed = provider.claims();
    skewed["nbf"] = json!(provider.own.claims().iat + 60);
    let token = provider.sign(Algorithm::EdDSA, Algorithm::EdDSA, &skewed);
    assert_eq!(provider.kind(&token).await, None, "its clock may be ahead of ours");
}

/// RFC 7517, section 5: one of a kind that nobody has thought of yet does not take the others with it.
#[test]
fn keys_of_unknown_kinds_are_passed_over() {
    let published = &generated()[0].2;
    let unknown = [
        json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "AA"}),
        json!({"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "n": 7}),
        json!({"kty": 1}),
    ];
    let keys = [&unknown[..], &[json!(published)]].concat();
    let read: JwkSet = serde_json::from_value(json!({"keys": keys})).unwrap();
    assert_eq!(read.keys.last(), Some(published));
}

/// Neither can make tokens of the other.
#[tokio::test]
async fn an_issuers_keys_are_good_for_its_own_tokens_only() {
    let provider = Provider::start();
    let mut own = serde_json::to_value(provider.own.claims()).unwrap();
    own["role"] = json!("operator");
    let token = provider.sign(Algorithm::EdDSA, Algorithm::EdDSA, &own);
    assert_eq!(provider.kind(&token).await, Some(Kind::Unauthenticated), "the provider's key, our issuer");
    let verifier = &provider.own.verifier;
    let outside = provider.sign(Algorithm::EdDSA, Algorithm::EdDSA, &provider.claims());
    let refused = verifier.verify(&outside).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unauthenticated, "who trusts nobody outside");
}
