//! Tokens that the right key signed, and whose header or claims are not of the kind that ours have.

use std::time::Duration;

use auth::Signer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use error::Kind;
use jsonwebtoken::jwk::AlgorithmParameters;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::Fixture;

/// An issuer with one key, which signs whatever it is given.
struct Anything {
    fixture: Fixture,
    key: EncodingKey,
    public: Vec<u8>,
}

impl Anything {
    fn new() -> Self {
        let pkcs8 = Signer::generate_pkcs8().unwrap();
        let signer = Signer::from_pkcs8("k1", &pkcs8).unwrap();
        let AlgorithmParameters::OctetKeyPair(parameters) = &signer.jwk().algorithm else { panic!("no Ed25519 key") };
        let public = URL_SAFE_NO_PAD.decode(&parameters.x).unwrap();
        Self { fixture: Fixture::new(&[&signer]), key: EncodingKey::from_ed_der(&pkcs8), public }
    }

    /// Whether a token is taken whose claims are good ones but for these; `null` takes one out.
    async fn takes(&self, header: impl FnOnce(&mut Header), changed: &Value) -> bool {
        let mut whole = Header { kid: Some("k1".into()), ..Header::new(Algorithm::EdDSA) };
        header(&mut whole);
        let mut claims = serde_json::to_value(self.fixture.claims()).unwrap();
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let token = jsonwebtoken::encode(&whole, &claims, &self.key).unwrap();
        match self.fixture.kind(&token).await {
            None => true,
            Some(kind) => {
                assert_eq!(kind, Kind::Unauthenticated);
                false
            }
        }
    }
}

#[tokio::test]
async fn a_claim_of_another_type_is_refused() {
    let issuer = Anything::new();
    let now = issuer.fixture.claims().iat;
    for good in [json!({}), json!({"nbf": now}), json!({"jti_of_tomorrow": [1]})] {
        assert!(issuer.takes(|_| (), &good).await, "{good}");
    }
    let id = issuer.fixture.claims().sub;
    let mut taken = Vec::new();
    for (claim, values) in [
        ("exp", vec![json!((now + 600).to_string()), json!([now + 600]), json!(true), json!({}), json!(null)]),
        ("nbf", vec![json!(now.to_string()), json!("later"), json!([now]), json!(true), json!({})]),
        ("iat", vec![json!(now.to_string()), json!([now]), json!(null)]),
        ("iss", vec![json!(1), json!(["trireme-user"]), json!({"trireme-user": 1}), json!(null)]),
        ("aud", vec![json!(1), json!(["trireme", "somebody"]), json!({"trireme": 1}), json!(null)]),
        ("sub", vec![json!(1), json!([id]), json!("somebody"), json!(null)]),
        ("sid", vec![json!(1), json!([id]), json!(null)]),
        ("role", vec![json!(1), json!(["operator"]), json!({"operator": true}), json!("admin"), json!(null)]),
    ] {
        for value in values {
            let claims = json!({claim: value});
            if issuer.takes(|_| (), &claims).await {
                taken.push(claims.to_string());
            }
        }
    }
    assert!(taken.is_empty(), "taken: {taken:#?}");
}

#[tokio::test]
async fn a_token_counts_from_its_nbf_on() {
    let issuer = Anything::new();
    let later = json!({"nbf": issuer.fixture.claims().iat + 60});
    assert!(!issuer.takes(|_| (), &later).await);
    issuer.fixture.clock.advance(Duration::from_mins(1));
    assert!(issuer.takes(|_| (), &later).await);
}

#[tokio::test]
async fn a_token_of_another_type_is_refused() {
    let issuer = Anything::new();
    let mut taken = Vec::new();
    for typ in [None, Some(""), Some("at+jwt"), Some("dpop+jwt"), Some("JWS")] {
        if issuer.takes(|header| header.typ = typ.map(str::to_owned), &json!({})).await {
            taken.push(format!("typ {typ:?}"));
        }
    }
    // Who does not know what is critical must not go on.
    for critical in ["b64", "exp", "urn:example:who-may"] {
        if issuer.takes(|header| header.crit = Some(vec![critical.to_owned()]), &json!({})).await {
            taken.push(format!("crit {critical}"));
        }
    }
    assert!(taken.is_empty(), "taken: {taken:#?}");
}

/// The public key of the issuer is no secret: it must not count as one.
#[tokio::test]
async fn another_algorithm_is_refused_whatever_it_is_signed_with() {
    let issuer = Anything::new();
    let claims = issuer.fixture.claims();
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = Header { kid: Some("k1".into()), ..Header::new(algorithm) };
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&issuer.public).unwrap()).unwrap();
        assert_eq!(issuer.fixture.kind(&token).await, Some(Kind::Unauthenticated), "{algorithm:?}");
    }
}
