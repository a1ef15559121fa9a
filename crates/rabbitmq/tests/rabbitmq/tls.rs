//! A broker that is reached over TLS.

use std::{path::Path, time::Duration};

use testkit::servers::RabbitMq;
use tokio::time::timeout;

use super::support::{event, open};

/// Has the broker listen on another port as well, with the certificate of a folder; returns an address there.
fn encrypted(server: &RabbitMq, certificates: &Path) -> String {
    let file = |name: &str| certificates.join(name).display().to_string();
    let (ca, cert, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
    let port = testkit::free_port();
    let options = format!(r#"[{{cacertfile, "{ca}"}}, {{certfile, "{cert}"}}, {{keyfile, "{key}"}}]"#);
    let listen = format!(r#"rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, {options}, 2)."#);
    server.control(&["eval", &format!("application:ensure_all_started(ssl), {listen}")]);
    let url = server.fresh();
    let (_, query) = url.split_once('?').unwrap();
    format!("amqps://127.0.0.1:{port}?{query}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_over_tls_from_a_broker_whose_authority_is_known() {
    let Some(server) = RabbitMq::alone().await else { return };
    let (own, other) = (testkit::temp_dir(), testkit::temp_dir());
    testkit::certificates(own.path());
    testkit::certificates(other.path());
    let url = encrypted(&server, own.path());
    let with = |ca: &Path| format!("{url}&ca={}", ca.join("ca.pem").display());

    let bus = open(&with(own.path()));
    bus.publish(&[event(1, 7)]).await.unwrap();
    let subscription = bus.subscribe("group", &["thing.happened.v1"]).await.unwrap();
    let deliveries = timeout(Duration::from_secs(30), subscription.fetch(1)).await.unwrap().unwrap();
    assert_eq!(deliveries.len(), 1);
    subscription.ack(&deliveries[0]).await.unwrap();

    let refused = format!("{:?}", open(&with(other.path())).ping().await.unwrap_err());
    assert!(refused.contains("InvalidCertificate"), "{refused}");
}
