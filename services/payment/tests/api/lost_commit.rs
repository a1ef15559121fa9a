//! The answer to a write is lost: nobody knows whether it was committed, so the command is repeated, and has one effect.

use std::sync::Arc;

use lock::{Locks, Memory, Policy};
use messaging::{Outbox as _, Wake};
use payment::{
    adapters::{
        postgres::{MIGRATIONS, PostgresPayments},
        sandbox::Sandbox,
    },
    app::{
        App, Error,
        metrics::Metrics,
        ports::{Payments as _, Provider as _},
    },
    domain::{ChargeState, OrderId, Payment, Status},
};
use testkit::{Proxy, servers::Postgres};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::app::authorize_payment;

/// Attempts of one operation: the first, and one after the loss.
const ATTEMPTS: usize = 2;
/// What is in each write: the end of the provider's transactions, and the status that payment's statements store, as a parameter
/// after its length. They are transactions by themselves.
const MARKERS: [&[u8]; 4] = [b"COMMIT", b"\0\0\0\x07pending", b"\0\0\0\x0aauthorized", b"\0\0\0\x08captured"];

async fn retry(operation: impl AsyncFn() -> Result<Payment, Error>) -> Payment {
    for _ in 1..ATTEMPTS {
        if let Ok(payment) = operation().await {
            return payment;
        }
    }
    operation().await.unwrap()
}

/// Authorizes and captures an order while the answer to the `nth` write with that marker, payment's or the provider's, is
/// lost; `false` when there were fewer.
async fn one_effect(database: &str, marker: &'static [u8], nth: usize) -> bool {
    let (server, name) = database.rsplit_once('/').unwrap();
    let proxy = Proxy::to(server.rsplit(['@', '/']).next().unwrap()).await;
    let url = format!("postgres://postgres@{}/{name}", proxy.address());
    let pool = postgres::open(&url, "payment", &MIGRATIONS, true).await.unwrap();
    let outbox = postgres::Outbox::new(pool.clone());
    let payments = Arc::new(PostgresPayments::new(pool, Wake::default()));
    let provider = Arc::new(Sandbox::on_postgres(&url, true).await.unwrap());
    let locks = Locks::new(Arc::new(Memory::new(clock::system())), TaskTracker::new(), Policy::default());
    let app = App {
        payments,
        provider: provider.clone(),
        outbox: Arc::new(outbox),
        locks,
        metrics: Metrics::default(),
        clock: clock::system(),
    };

    proxy.lose_answer_to(marker, nth);
    let order = OrderId::from(Uuid::now_v7());
    retry(async || app.authorize(authorize_payment(order, "tok_ok")).await).await;
    let captured = retry(async || app.capture(order).await).await;
    let lost = proxy.lost();

    assert_eq!(captured.status, Status::Captured, "{} {nth}", marker.escape_ascii());
    let charges: Vec<ChargeState> = provider.charges(order).await.unwrap().iter().map(|charge| charge.state).collect();
    assert_eq!(charges, [ChargeState::Captured], "{} {nth}", marker.escape_ascii());
    // Past the proxy: the checks lose nothing.
    let direct = postgres::open(database, "test", &MIGRATIONS, false).await.unwrap();
    let outbox = postgres::Outbox::new(direct.clone());
    let kinds: Vec<String> = outbox.claim("test", 100).await.unwrap().into_iter().map(|row| row.event.kind).collect();
    assert_eq!(kinds, ["payment.authorized.v1", "payment.captured.v1"], "{} {nth}", marker.escape_ascii());
    let totals = PostgresPayments::new(direct, Wake::default()).totals().await.unwrap();
    assert_eq!(
        (totals.unbalanced, totals.unresolved, totals.captured[0].amount),
        (0, 0, 1_299),
        "{} {nth}",
        marker.escape_ascii()
    );
    lost == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_commit_has_one_effect() {
    let Some(server) = Postgres::shared().await else { return };
    let mut lost = 0;
    for marker in MARKERS {
        let mut nth = 1;
        while one_effect(&server.database().await, marker, nth).await {
            nth += 1;
        }
        assert!(nth > 1, "nothing was lost: {}", marker.escape_ascii());
        lost += nth - 1;
    }
    eprintln!("{lost} commits were lost, one after the other");
    assert!(lost > 5);
}
