//! A broker that takes every login that the bus knows, and one that takes certificates alone.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kafka::Bus;
use messaging::{Delivery, Event, Subscription};
use serde_json::json;
use testkit::{TempDir, servers::Kafka};
use tokio::{sync::OnceCell, time::timeout};

pub(crate) const PASSWORD: &str = "0correct1horse2battery3";
const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";
const TOKEN: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";

pub(crate) struct Broker {
    server: Kafka,
    folder: TempDir,
}

impl Broker {
    /// The one that takes every login, for all tests of the process; `None` where Kafka is not installed.
    pub(crate) async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Option<Broker>> = OnceCell::const_new();
        let logins = || {
            let jaas = |name: &str, login: String| format!("listener.name.broker.{name}.sasl.jaas.config={login}");
            let user = format!("username=\"trireme\" password=\"{PASSWORD}\" user_trireme=\"{PASSWORD}\"");
            vec![
                "listener.security.protocol.map=BROKER:SASL_SSL,CONTROLLER:SASL_PLAINTEXT".to_owned(),
                "listener.name.broker.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".to_owned(),
                jaas("plain", format!("{PLAIN} required {user};")),
                jaas("scram-sha-256", format!("{SCRAM} required;")),
                jaas("scram-sha-512", format!("{SCRAM} required;")),
                jaas("oauthbearer", format!("{TOKEN} required unsecuredLoginStringClaim_sub=\"trireme\";")),
                // Who has not logged in again when a token expires is cut off.
                "connections.max.reauth.ms=3600000".to_owned(),
            ]
        };
        SHARED.get_or_init(|| Self::start(logins())).await.as_ref()
    }

    /// One that asks for a certificate and nothing else.
    pub(crate) async fn mutual() -> Option<Self> {
        let protocols = "listener.security.protocol.map=BROKER:SSL,CONTROLLER:SASL_PLAINTEXT";
        Self::start(vec![protocols.to_owned(), "ssl.client.auth=required".to_owned()]).await
    }

    async fn start(mut settings: Vec<String>) -> Option<Self> {
        let folder = testkit::temp_dir();
        testkit::certificates(folder.path());
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        fs::write(folder.path().join("store.pem"), read("server.key") + &read("server.pem")).unwrap();
        for (kind, file) in [("keystore", "store.pem"), ("truststore", "ca.pem")] {
            settings.push(format!("ssl.{kind}.type=PEM"));
            settings.push(format!("ssl.{kind}.location={}", folder.path().join(file).display()));
        }
        Some(Self { server: Kafka::with_settings(PASSWORD, &settings).await?, folder })
    }

    /// A file that was made for the broker and its clients.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A URL with a login, if there is one, and parameters; under each prefix the names of topics are new.
    pub(crate) fn url(&self, prefix: &str, login: &str, parameters: &str) -> String {
        let host = self.server.url().rsplit(['/', '@']).next().unwrap();
        let ca = self.file("ca.pem");
        format!("kafka+ssl://{login}{host}?prefix={prefix}&partitions=2&ca={ca}{parameters}")
    }

    /// A URL of somebody with the right password.
    pub(crate) fn user(&self, prefix: &str) -> String {
        self.url(prefix, &format!("trireme:{PASSWORD}@"), "")
    }

    /// A URL of somebody whose token is in a file.
    pub(crate) fn holder(&self, prefix: &str, file: &Path) -> String {
        self.url(prefix, "", &format!("&sasl=OAUTHBEARER&token_file={}", file.display()))
    }
}

pub(crate) fn open(url: &str) -> Arc<dyn messaging::Bus> {
    Arc::new(Bus::open(url, false, clock::system()).unwrap().with_lease(Duration::from_secs(2)))
}

pub(crate) fn event(n: i32) -> Event {
    Event::new("a.b.v1", "test", n, clock::system().now(), json!({ "n": n })).unwrap()
}

/// What a member is given next, in 15 s.
pub(crate) async fn next(member: &dyn Subscription) -> Delivery {
    timeout(Duration::from_secs(15), member.fetch(1)).await.unwrap().unwrap().remove(0)
}

/// Puts a token into a file in one step, as whoever mounts it does: unsigned, and good for so long.
pub(crate) fn put_token(folder: &TempDir, life: i64) -> PathBuf {
    let expires = clock::system().now().unix_timestamp() + life;
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "sub": "trireme", "exp": expires, "iat": expires - life.abs() - 60 });
    let (new, file) = (folder.path().join("new"), folder.path().join("token"));
    fs::write(&new, format!("{}.{}.\n", part(json!({ "alg": "none" })), part(claims))).unwrap();
    fs::rename(&new, &file).unwrap();
    file
}
