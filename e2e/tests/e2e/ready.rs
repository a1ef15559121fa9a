//! What readiness says, over HTTP and over gRPC, is what requests get, while one of the servers cannot be used.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::{Account, Api, Cluster};
use http::Method;
use nix::sys::signal::Signal;
use proto::payment::v1::VoidRequest;
use serde_json::{Value, json};
use servers::Server;
use sqlx::AssertSqlSafe;
use testkit::eventually;
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use uuid::Uuid;

use crate::{kill::MACHINE, signals::payment};

/// How long a fault may go unnoticed, and how long it may be felt when it is over.
const NOTICED: Duration = Duration::from_secs(15);

/// The services, and what is written to them.
struct Shop {
    cluster: Cluster,
    api: Api,
    customer: Account,
    product: String,
}

/// What one service says, and what a write to it gets.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    http: bool,
    grpc: bool,
    /// Whether it was answered, and be it with a refusal.
    write: bool,
}

const SERVES: Seen = Seen { http: true, grpc: true, write: true };
const SERVES_NOT: Seen = Seen { http: false, grpc: false, write: false };

impl Shop {
    async fn open() -> Result<Self> {
        let cluster = Cluster::start_on_servers(Server::Nats)?;
        let api = Api::new(&cluster)?;
        let customer = api.sign_up().await?;
        let list = api.send(Method::GET, "order:/v1/products?limit=1", &[], None).await?;
        let product = list.body["items"][0]["id"].as_str().context("a product")?.to_owned();
        Ok(Self { cluster, api, customer, product })
    }

    async fn see(&self, service: &str) -> Result<Seen> {
        let write = match service {
            "user" => self.sign_up().await?,
            "order" => self.order().await?,
            _ => self.void().await?,
        };
        Ok(Seen { http: self.report(service).await?.0, grpc: self.grpc(service).await?, write })
    }

    /// Whether readiness says so, and the checks.
    async fn report(&self, service: &str) -> Result<(bool, Value)> {
        let url = format!("{}/healthz/ready", self.cluster.process(service)?.admin);
        let answer = self.api.send(Method::GET, &url, &[], None).await?;
        Ok((answer.status.is_success(), answer.body["checks"].clone()))
    }

    async fn grpc(&self, service: &str) -> Result<bool> {
        let channel = Endpoint::from_shared(self.cluster.process(service)?.grpc)?.connect().await?;
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
        Ok(answer.into_inner().status == 1)
    }

    async fn sign_up(&self) -> Result<bool> {
        let email = format!("{}@example.org", Uuid::new_v4().simple());
        let person = json!({"email": email, "name": "Ada", "password": "correct horse battery"});
        let answer = self.api.send(Method::POST, "user:/v1/users", &[], Some(&person)).await?;
        Ok(!answer.status.is_server_error())
    }

    async fn order(&self) -> Result<bool> {
        let body = json!({"items": [{"product_id": self.product, "quantity": 1}], "payment_token": "tok_ok"});
        let key = Uuid::new_v4().to_string();
        let answer = self.api.post("order:/v1/orders", &self.customer, Some(&key), Some(&body)).await?;
        Ok(!answer.status.is_server_error())
    }

    async fn void(&self) -> Result<bool> {
        let request = VoidRequest { order_id: Uuid::new_v4().to_string() };
        Ok(payment::client(&self.cluster).await?.void(request).await.is_ok())
    }

    /// Brings a fault about, has everybody found as they should be, and puts it right.
    async fn during(&self, fault: Fault, not_ready: &[&str], degraded: &[(&str, &str)]) -> Result<()> {
        fault.begin(&self.cluster).await?;
        for service in ["user", "order", "payment"] {
            let expected = if not_ready.contains(&service) { &SERVES_NOT } else { &SERVES };
            eventually!(within NOTICED, is(self.see(service).await, expected, &fault));
        }
        for (service, check) in degraded {
            let (_, checks) = self.report(service).await?;
            assert_eq!(checks[*check]["status"], "degraded", "{fault:?}, {service}: {checks}");
        }
        if fault == Fault::Stopped(Server::Redis) {
            let (_, checks) = self.report("payment").await?;
            assert_eq!(checks["lock"]["status"], "not_ready", "{checks}");
        }
        fault.end(&self.cluster).await?;
        for service in ["user", "order", "payment"] {
            eventually!(within NOTICED, is(self.see(service).await, &SERVES, &fault));
        }
        Ok(())
    }
}

fn is(seen: Result<Seen>, expected: &Seen, fault: &Fault) -> Result<(), String> {
    match seen {
        Ok(seen) if seen == *expected => Ok(()),
        seen => Err(format!("{fault:?}: {seen:?} instead of {expected:?}")),
    }
}

/// What is done to a server.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// The sessions of this database on PostgreSQL may only read.
    ReadOnly(&'static str),
    /// It does not answer.
    Stopped(Server),
}

impl Fault {
    async fn begin(&self, cluster: &Cluster) -> Result<()> {
        match self {
            Self::ReadOnly(database) => read_only(cluster, database, "on").await,
            Self::Stopped(server) => cluster.signal(server.slug(), Signal::SIGSTOP).map(drop),
        }
    }

    async fn end(&self, cluster: &Cluster) -> Result<()> {
        match self {
            Self::ReadOnly(database) => read_only(cluster, database, "off").await,
            Self::Stopped(server) => cluster.signal(server.slug(), Signal::SIGCONT).map(drop),
        }
    }
}

async fn read_only(cluster: &Cluster, database: &str, only: &str) -> Result<()> {
    let url = cluster.server_url(Server::Postgres)?.context("no PostgreSQL")?;
    let admin = postgres::connect(&format!("{url}/postgres"), "e2e").await?;
    let alter = format!("ALTER DATABASE \"{database}\" SET default_transaction_read_only = {only}");
    sqlx::query(AssertSqlSafe(alter)).execute(&admin).await?;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(end).bind(database).execute(&admin).await?;
    admin.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_readiness_says_is_what_requests_get() -> Result<()> {
    if !testkit::servers::stack_is_installed(Server::Nats) {
        return Ok(());
    }
    let _alone = MACHINE.lock().await;
    let shop = Shop::open().await?;
    shop.during(Fault::ReadOnly("user"), &["user"], &[]).await?;
    shop.during(Fault::ReadOnly("payment"), &["payment"], &[]).await?;
    let cache = [("user", "cache"), ("order", "cache"), ("order", "lock")];
    shop.during(Fault::Stopped(Server::Redis), &["payment"], &cache).await?;
    shop.during(Fault::Stopped(Server::MongoDb), &["order"], &[]).await?;
    let bus = ["user", "order", "payment"].map(|service| (service, "bus"));
    shop.during(Fault::Stopped(Server::Nats), &[], &bus).await
}
