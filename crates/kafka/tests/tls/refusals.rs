//! Who is not let in is told why, in time, and without a secret.

use std::time::Duration;

use tokio::time::timeout;

use crate::broker::{Broker, PASSWORD, event, open, put_token};

/// What publishing and consuming say, which both take no longer than the calls of a service may.
async fn refusals(url: &str) -> [String; 3] {
    // A bus for each: of one, those that come meanwhile wait for the first.
    let (publishing, consuming, asked) = (open(url), open(url), open(url));
    let within = Duration::from_secs(8);
    let (event, kinds) = ([event(1)], ["a.b.v1"]);
    let (published, subscribed, pinged) = tokio::join!(
        timeout(within, publishing.publish(&event)),
        timeout(within, consuming.subscribe("group", &kinds)),
        timeout(within, asked.ping()),
    );
    [published.unwrap(), subscribed.unwrap().map(drop), pinged.unwrap()]
        .map(|refused| error::chain(&refused.unwrap_err()))
}

async fn is_refused(url: &str, cause: &str) {
    for said in refusals(url).await {
        assert!(said.contains(cause), "{url}: {said}");
        assert!(!said.contains(PASSWORD) && !said.contains("wrong0password") && !said.contains("eyJ"), "{said}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_named() {
    let Some(broker) = Broker::shared().await else { return };
    for (mechanism, cause) in [
        ("PLAIN", "Authentication failed: Invalid username or password"),
        ("SCRAM-SHA-512", "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    ] {
        let url = broker.url("wrong_password", "trireme:wrong0password@", &format!("&sasl={mechanism}"));
        is_refused(&url, cause).await;
    }
}

#[tokio::test]
async fn a_wrong_authority_is_named() {
    let Some(broker) = Broker::shared().await else { return };
    let other = testkit::temp_dir();
    testkit::certificates(other.path());
    let ca = other.path().join("ca.pem").display().to_string();
    let url = broker.user("wrong_authority").replace(&broker.file("ca.pem"), &ca);
    is_refused(&url, "certificate verify failed").await;
}

#[tokio::test]
async fn a_missing_file_is_named_when_the_bus_is_opened() {
    for (parameters, cause) in [
        ("ca=/nowhere/ca.pem", "cannot read `ca=/nowhere/ca.pem`: No such file"),
        ("cert=/nowhere/own.pem&key=/nowhere/own.key", "cannot read `cert=/nowhere/own.pem`: No such file"),
    ] {
        let url = format!("kafka+ssl://127.0.0.1:9?{parameters}");
        let refused = kafka::Bus::open(&url, false, clock::system()).err().unwrap().to_string();
        assert!(refused.contains(cause), "{refused}");
    }
}

#[tokio::test]
async fn a_token_that_has_expired_is_named() {
    let Some(broker) = Broker::shared().await else { return };
    let folder = testkit::temp_dir();
    let url = broker.holder("expired", &put_token(&folder, -60));
    is_refused(&url, "token` expired at 20").await;
}

#[tokio::test]
async fn a_token_that_the_brokers_refuse_is_named() {
    let Some(broker) = Broker::shared().await else { return };
    let folder = testkit::temp_dir();
    let file = put_token(&folder, 600);
    // Signed by somebody whom this broker does not know.
    let signed = std::fs::read_to_string(&file).unwrap().trim().to_owned() + "c2lnbmVk";
    std::fs::write(&file, signed).unwrap();
    is_refused(&broker.holder("refused", &file), "SASL authentication error: {\"status\":\"invalid_token\"}").await;
}
