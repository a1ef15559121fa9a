//! When the issuer is asked for its keys.

use std::time::Duration;

use error::Kind;
use telemetry::Carrier;
use tracing::Span;

use crate::{Fixture, publish, signer};

#[tokio::test]
async fn the_issuer_is_asked_once_for_many_at_the_same_time() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let tokens: Vec<String> = (0..20).map(|_| signer.sign(&fixture.claims()).unwrap()).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for token in tokens {
        let verifier = fixture.verifier.clone();
        tasks.spawn(async move { verifier.verify(&token).await.is_ok() });
    }
    assert!(tasks.join_all().await.into_iter().all(|good| good));
    assert_eq!(fixture.fetches(), 1);
}

#[tokio::test]
async fn a_strangers_deadline_bounds_nobody_elses_fetch() {
    let (known, forged) = (signer("k1"), signer("forged"));
    let fixture = Fixture::new(&[&known]);
    let (token, forgery) = (known.sign(&fixture.claims()).unwrap(), forged.sign(&fixture.claims()).unwrap());
    let over = Some(tokio::time::Instant::now());
    let verified = telemetry::scope(&Carrier::default(), over, Span::none(), fixture.kind(&forgery)).await;
    assert_eq!(verified, Some(Kind::Unauthenticated), "its own fetch has the time that a fetch has");
    assert_eq!(fixture.kind(&token).await, None);
    assert_eq!(fixture.fetches(), 1);
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_one_who_began_it_has_gone_away() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let token = signer.sign(&fixture.claims()).unwrap();
    tokio::select! {
        biased;
        verified = fixture.kind(&token) => panic!("{verified:?}: it did not have to wait"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(fixture.kind(&token).await, None);
    assert_eq!(fixture.fetches(), 1);
}

#[tokio::test]
async fn unknown_keys_do_not_flood_the_issuer() {
    let (known, unknown) = (signer("k1"), signer("k2"));
    let fixture = Fixture::new(&[&known]);
    for _ in 0..5 {
        let token = unknown.sign(&fixture.claims()).unwrap();
        assert_eq!(fixture.kind(&token).await, Some(Kind::Unauthenticated));
    }
    assert_eq!(fixture.fetches(), 1);
}

/// A thousand forged tokens, each with a key of its own, while the issuer does not answer.
#[tokio::test]
async fn strangers_do_not_storm_an_issuer_nor_fill_us_while_it_is_slow() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let honest = signer.sign(&fixture.claims()).unwrap();
    assert_eq!(fixture.kind(&honest).await, None);
    fixture.clock.advance(Duration::from_secs(10));
    fixture.issuer.answers.forget_permits(1_000);

    let mut strangers = tokio::task::JoinSet::new();
    for n in 0..1_000 {
        let token = crate::signer(&format!("forged {n}")).sign(&fixture.claims()).unwrap();
        let verifier = fixture.verifier.clone();
        strangers.spawn(async move { verifier.verify(&token).await.unwrap_err().kind() });
    }
    for _ in 0..1_000 - 32 {
        assert_eq!(strangers.join_next().await.unwrap().unwrap(), Kind::Unavailable);
    }
    let other = signer.sign(&fixture.claims()).unwrap();
    assert_eq!(fixture.kind(&other).await, None, "who shows a known key does not wait");
    fixture.issuer.answers.add_permits(1_000);
    assert_eq!(strangers.join_all().await, [Kind::Unauthenticated; 32]);
    assert_eq!(fixture.fetches(), 2);
}

#[tokio::test]
async fn a_clock_that_was_ahead_keeps_no_new_key_out() {
    let (old, new) = (signer("k1"), signer("k2"));
    let fixture = Fixture::new(&[&old]);
    let now = clock::Clock::now(&fixture.clock);
    fixture.clock.advance(Duration::from_hours(1));
    assert_eq!(fixture.kind(&old.sign(&fixture.claims()).unwrap()).await, None);
    fixture.clock.set(now);
    fixture.set_keys(Some(publish(&[&old, &new])));
    assert_eq!(fixture.kind(&new.sign(&fixture.claims()).unwrap()).await, None);
}

#[tokio::test]
async fn a_new_key_is_found_once_it_may_be_asked_for() {
    let (old, new) = (signer("k1"), signer("k2"));
    let fixture = Fixture::new(&[&old]);
    assert_eq!(fixture.kind(&old.sign(&fixture.claims()).unwrap()).await, None);
    fixture.set_keys(Some(publish(&[&old, &new])));
    fixture.clock.advance(Duration::from_secs(10));
    assert_eq!(fixture.kind(&new.sign(&fixture.claims()).unwrap()).await, None);
    assert_eq!(fixture.fetches(), 2);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_unavailable_and_left_alone_for_a_moment() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    let keys = publish(&[&signer]);
    fixture.set_keys(None);
    for _ in 0..5 {
        let token = signer.sign(&fixture.claims()).unwrap();
        assert_eq!(fixture.kind(&token).await, Some(Kind::Unavailable));
    }
    assert_eq!(fixture.fetches(), 1);
    fixture.set_keys(Some(keys));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.kind(&signer.sign(&fixture.claims()).unwrap()).await, None);
}

#[tokio::test]
async fn known_keys_serve_while_the_issuer_is_down() {
    let signer = signer("k1");
    let fixture = Fixture::new(&[&signer]);
    assert_eq!(fixture.kind(&signer.sign(&fixture.claims()).unwrap()).await, None);
    fixture.set_keys(None);
    fixture.clock.advance(Duration::from_hours(1));
    assert_eq!(fixture.kind(&signer.sign(&fixture.claims()).unwrap()).await, None);
    assert_eq!(fixture.fetches(), 2, "it was asked again");
}

#[tokio::test]
async fn a_withdrawn_key_stops_counting() {
    let (old, new) = (signer("k1"), signer("k2"));
    let fixture = Fixture::new(&[&old]);
    assert_eq!(fixture.kind(&old.sign(&fixture.claims()).unwrap()).await, None);
    fixture.set_keys(Some(publish(&[&new])));
    fixture.clock.advance(Duration::from_mins(10));
    assert_eq!(fixture.kind(&old.sign(&fixture.claims()).unwrap()).await, Some(Kind::Unauthenticated));
}
