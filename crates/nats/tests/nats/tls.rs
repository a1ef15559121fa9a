//! A server that insists on TLS and on a certificate of its clients.

use std::path::Path;
use std::time::Duration;

use messaging::Bus as _;
use serde_json::json;
use servers::{Installed, Server};
use tokio::process::{Child, Command};
use tokio::time::timeout;

fn start(installed: &Installed, folder: &Path, port: u16) -> Child {
    installed.prepare(folder, None).unwrap();
    let mut command = Command::from(installed.command(folder, port));
    for (option, file) in [("--tlscert", "server.pem"), ("--tlskey", "server.key"), ("--tlscacert", "ca.pem")] {
        command.arg(option).arg(folder.join(file));
    }
    command.args(["--tls", "--tlsverify", "--log"]).arg(folder.join("log")).kill_on_drop(true).spawn().unwrap()
}

#[tokio::test]
async fn events_go_over_tls_with_a_certificate_and_not_without() {
    if testkit::servers::Nats::shared().await.is_none() {
        return;
    }
    let Some(installed) = Installed::find(Server::Nats) else { return };
    let (folder, port) = (testkit::temp_dir(), testkit::free_port());
    testkit::certificates(folder.path());
    let _server = start(&installed, folder.path(), port);
    let event = || messaging::Event::new("a.b.v1", "test", 1, clock::system().now(), json!({})).unwrap();
    let publish = async |query: &str| {
        let file = |name: &str| format!("{}/{name}", folder.path().display());
        let url = format!("tls://127.0.0.1:{port}?{query}")
            .replace("CA", &file("ca.pem"))
            .replace("CERT", &file("client.pem"))
            .replace("KEY", &file("client.key"));
        let bus = nats::Bus::open(&url, false, clock::system()).await.map_err(|error| error.to_string())?;
        let published = timeout(Duration::from_secs(4), bus.publish(&[event()])).await;
        published.map_err(|_| "no connection".to_owned())?.map_err(|error| error.to_string())
    };
    publish("ca=CA&cert=CERT&key=KEY").await.unwrap();
    for refused in ["ca=CA", "cert=CERT&key=KEY"] {
        publish(refused).await.unwrap_err();
    }
}
