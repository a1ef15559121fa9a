//! Whatever is shown as a token or published as keys: nothing panics, takes long, or counts that was not signed.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use auth::{Identity, JwkSet};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::json;

use crate::outside::Provider;

/// What one token may take, on a machine that has a lot to do. Most take microseconds.
const TIME: Duration = Duration::from_secs(1);

/// RSA keys take long to make.
static PROVIDER: LazyLock<Provider> = LazyLock::new(Provider::start);

/// Verifies tokens of our own and of an issuer outside, each within its time.
fn verify(tokens: &[String]) -> Vec<Option<Identity>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let verify = async |token: &String| {
        let begun = Instant::now();
        let verified = PROVIDER.verifier.verify(token).await.ok();
        assert!(begun.elapsed() < TIME, "{:?} for {token}", begun.elapsed());
        verified
    };
    runtime.block_on(async {
        let mut verified = Vec::new();
        for token in tokens {
            verified.push(verify(token).await);
        }
        verified
    })
}

fn genuine() -> Vec<String> {
    let claims = PROVIDER.claims();
    let outside = [Algorithm::RS256, Algorithm::ES256].map(|algorithm| PROVIDER.sign(algorithm, algorithm, &claims));
    [&[PROVIDER.own_token.clone()][..], &outside].concat()
}

/// Something that JSON can be: also what no token has, in its place.
fn document() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        "\\PC{0,20}".prop_map(|text| json!(text).to_string()),
        (1..4_000_usize).prop_map(|depth| "[".repeat(depth)),
        (1..400_usize).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
    ];
    let name = prop_oneof![
        Just("iss".to_owned()),
        Just("aud".to_owned()),
        Just("sub".to_owned()),
        Just("exp".to_owned()),
        Just("alg".to_owned()),
        Just("kid".to_owned()),
        Just("typ".to_owned()),
        Just("nbf".to_owned()),
        "\\PC{0,5}",
    ];
    let known = prop_oneof![
        Just(json!("https://id.example/realms/shop")),
        Just(json!("trireme-user")),
        Just(json!("EdDSA")),
        Just(json!("RS256")),
        Just(json!("HS256")),
        Just(json!("none")),
        Just(json!("k1")),
        Just(json!("JWT")),
    ];
    let value = prop_oneof![value, known.prop_map(|known| known.to_string())];
    let members = vec((name, value).prop_map(|(name, value)| format!("{}:{value}", json!(name))), 0..8);
    members.prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_nobody_signed_does_not_count(
        texts in vec("\\PC{0,200}", 4),
        dotted in vec("[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}", 4),
        parts in vec((document(), document(), vec(any::<u8>(), 0..300)), 8),
    ) {
        let encoded = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let made = parts.iter().map(|(header, claims, signature)| {
            format!("{}.{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()), encoded(signature))
        });
        let tokens: Vec<_> = texts.into_iter().chain(dotted).chain(made).collect();
        prop_assert!(verify(&tokens).iter().all(Option::is_none), "{tokens:?}");
    }

    /// A token with a change counts for nobody, or is another way of writing the same.
    #[test]
    fn a_changed_token_is_nobody_elses(
        changes in vec((any::<Index>(), any::<Index>(), "[A-Za-z0-9_.=-]{0,3}", 0..3_usize), 16),
    ) {
        let genuine = genuine();
        let identities = verify(&genuine);
        prop_assert!(identities.iter().all(Option::is_some));
        for (which, at, inserted, removed) in changes {
            let which = which.index(genuine.len());
            let token = &genuine[which];
            let at = at.index(token.len());
            let rest = &token[(at + removed).min(token.len())..];
            let changed = format!("{}{inserted}{rest}", &token[..at]);
            let verified = verify(std::slice::from_ref(&changed)).remove(0);
            prop_assert!(verified.is_none() || verified == identities[which], "{changed}");
        }
    }

    #[test]
    fn published_keys_may_be_anything(bytes in vec(any::<u8>(), 0..300), document in document()) {
        let set = format!(r#"{{"keys":[{document},{document}]}}"#);
        for published in [&bytes[..], document.as_bytes(), set.as_bytes()] {
            let _ = serde_json::from_slice::<JwkSet>(published);
        }
    }
}

#[test]
fn a_token_of_any_length_is_refused_at_once() {
    let token = |length: usize| format!("{}.{}", PROVIDER.own_token, "A".repeat(length));
    let tokens: Vec<_> = [100, 8_000, 1_000_000].into_iter().map(token).chain(["A".repeat(10_000_000)]).collect();
    assert!(verify(&tokens).iter().all(Option::is_none));
    assert!(verify(&genuine()).iter().all(Option::is_some));
}
