//! A stand-in for the order service, on a real port.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::put,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

#[derive(Clone, Default)]
pub(crate) struct OrderStandIn {
    open: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<StatusCode>>>,
    calls: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl OrderStandIn {
    /// Listens on a port, reports so many open orders, and gives its URL too.
    pub(crate) async fn start(port: u16, open: u64) -> (Self, String) {
        let order = Self::default();
        order.set_open(open);
        let router = Router::new().route("/internal/v1/accounts/{id}/closing", put(closing)).with_state(order.clone());
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
        (order, url)
    }

    pub(crate) fn set_open(&self, open: u64) {
        self.open.store(open, Ordering::SeqCst);
    }

    /// Has the next calls answered with these statuses, the last one first.
    pub(crate) fn set_failures(&self, statuses: &[StatusCode]) {
        *self.failures.lock().unwrap() = statuses.to_vec();
    }

    /// The account that each call was about, and the call's headers.
    pub(crate) fn calls(&self) -> Vec<(String, HeaderMap)> {
        self.calls.lock().unwrap().clone()
    }
}

async fn closing(
    State(order): State<OrderStandIn>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    order.calls.lock().unwrap().push((id, headers));
    let status = order.failures.lock().unwrap().pop().unwrap_or(StatusCode::OK);
    (status, Json(json!({ "open_orders": order.open.load(Ordering::SeqCst) })))
}
