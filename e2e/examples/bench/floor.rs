//! The least that an answer costs: a bare server in a process of its own, which does nothing but what a request cannot do
//! without, on the same servers and with the same libraries. What a service costs more is what it is asked how much of it
//! is worth it: identity, limits, guarantees, telemetry.
//!
//! | request | does |
//! |---|---|
//! | `GET /bytes/N` | answers N bytes: what is read from memory |
//! | `GET /row` | reads one row by its key: what is read from the store |
//! | `POST /order` | one insert for the order, one for the payment, one event that the bus confirms |

use std::{
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use e2e::{Cluster, Process};
use mongodb::bson::{Document, RawDocumentBuf, doc};
use servers::Server;
use sqlx::{PgPool, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use tokio::net::TcpListener;
use uuid::Uuid;

/// The argument with which this program is the floor.
pub(crate) const ARGUMENT: &str = "floor";
/// Where it is told the addresses of the servers.
const SERVERS: [(&str, Server); 3] =
    [("FLOOR_POSTGRES", Server::Postgres), ("FLOOR_MONGODB", Server::MongoDb), ("FLOOR_NATS", Server::Nats)];
/// Bytes of what is stored and read: an order of one piece.
const BODY: usize = 600;
const CONNECTIONS: u32 = 8;
const CREATE: &str = "create table if not exists floor (id text primary key, body text not null)";
const INSERT: &str = "insert into floor (id, body) values ($1, $2)";

/// The bare server, ended on drop.
pub(crate) struct Floor {
    child: Child,
    url: String,
}

impl Floor {
    /// Starts it beside a system, on the same servers, or on files of the same kind.
    pub(crate) fn start(cluster: &Cluster) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(ARGUMENT).arg(cluster.data());
        for (name, server) in SERVERS {
            // In the environment, for there are passwords in them.
            command.envs(cluster.server_url(server)?.map(|url| (name, url)));
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut floor = Self { child, url: String::new() };
        BufReader::new(floor.child.stdout.take().context("no output")?).read_line(&mut floor.url)?;
        floor.url.truncate(floor.url.trim_end().len());
        ensure!(floor.url.starts_with("http://"), "the floor does not start");
        Ok(floor)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// As what is measured.
    pub(crate) fn process(&self) -> Result<Process> {
        let (url, pid) = (self.url.clone(), i32::try_from(self.child.id())?);
        Ok(Process { name: ARGUMENT.to_owned(), pid: Some(pid), http: url.clone(), grpc: url.clone(), admin: url })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

enum Stores {
    Files { orders: SqlitePool, payments: SqlitePool, events: SqlitePool },
    Servers { orders: mongodb::Collection<Document>, payments: PgPool, events: Box<jetstream::Context> },
}

/// Runs the bare server until it is killed.
pub(crate) async fn serve(folder: &str) -> Result<()> {
    let stores = match SERVERS.map(|(name, _)| env::var(name)) {
        [Ok(postgres), Ok(mongo), Ok(nats)] => Stores::on_servers(&postgres, &mongo, &nats).await?,
        _ => Stores::on_files(folder).await?,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "http://{}", listener.local_addr()?)?;
    let router = Router::new()
        .route("/bytes/{n}", get(async |Path(n): Path<usize>| vec![b'x'; n]))
        .route("/row", get(row))
        .route("/order", post(order))
        .with_state(Arc::new(stores));
    Ok(axum::serve(listener, router).await?)
}

async fn row(State(stores): State<Arc<Stores>>) -> Result<Bytes, StatusCode> {
    stores.read().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn order(State(stores): State<Arc<Stores>>) -> StatusCode {
    match stores.write(&Uuid::new_v4().to_string()).await {
        Ok(()) => StatusCode::CREATED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Stores {
    async fn on_servers(postgres: &str, mongo: &str, nats: &str) -> Result<Self> {
        let payments = PgPoolOptions::new().max_connections(CONNECTIONS).connect(postgres).await?;
        sqlx::query(CREATE).execute(&payments).await?;
        let orders = mongodb::connect(&format!("{mongo}/floor"), "floor").await?.collection("orders");
        let (login, address) = nats.trim_start_matches("nats://").split_once('@').context("no password of NATS")?;
        let (user, password) = login.split_once(':').context("no password of NATS")?;
        let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
        let events = Box::new(jetstream::new(options.connect(address).await?));
        let stream = jetstream::stream::Config {
            name: "floor".to_owned(),
            subjects: vec!["floor".to_owned()],
            ..jetstream::stream::Config::default()
        };
        events.create_stream(stream).await?;
        let stores = Self::Servers { orders, payments, events };
        stores.write("row").await?;
        Ok(stores)
    }

    async fn on_files(folder: &str) -> Result<Self> {
        let mut files = Vec::new();
        for name in ["orders", "payments", "events"] {
            // As the services have their files: a log that is written ahead, which a commit does not wait for.
            let url = format!("sqlite://{folder}/floor-{name}.db?mode=rwc");
            let file = SqlitePoolOptions::new().max_connections(1).connect(&url).await?;
            sqlx::query("pragma journal_mode = wal").execute(&file).await?;
            sqlx::query("pragma synchronous = normal").execute(&file).await?;
            sqlx::query(CREATE).execute(&file).await?;
            files.push(file);
        }
        let [orders, payments, events] = files.try_into().map_err(|_| anyhow::anyhow!("three files"))?;
        let stores = Self::Files { orders, payments, events };
        stores.write("row").await?;
        Ok(stores)
    }

    async fn read(&self) -> Result<Bytes> {
        match self {
            Self::Files { orders, .. } => {
                let body: String =
                    sqlx::query_scalar("select body from floor where id = $1").bind("row").fetch_one(orders).await?;
                Ok(body.into())
            }
            Self::Servers { orders, .. } => {
                let orders = orders.clone_with_type::<RawDocumentBuf>();
                let found = orders.find_one(doc! { "_id": "row" }).await?.context("no row")?;
                Ok(found.into_bytes().into())
            }
        }
    }

    async fn write(&self, id: &str) -> Result<()> {
        let body = "x".repeat(BODY);
        match self {
            Self::Files { orders, payments, events } => {
                for file in [orders, payments, events] {
                    sqlx::query(INSERT).bind(id).bind(&body).execute(file).await?;
                }
            }
            Self::Servers { orders, payments, events } => {
                orders.insert_one(doc! { "_id": id, "body": &body }).await?;
                sqlx::query(INSERT).bind(id).bind(&body).execute(payments).await?;
                events.publish("floor", body.into()).await?.await?;
            }
        }
        Ok(())
    }
}
