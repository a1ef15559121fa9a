//! The order service, over its internal HTTP interface.

use async_trait::async_trait;
use client::Http;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use crate::{
    app::ports::{OrderError, Orders},
    domain::UserId,
};

/// Calls order.
#[derive(Clone)]
pub struct OrderClient {
    http: Http,
}

/// An answer of order that is not in the contract.
#[derive(Debug, thiserror::Error)]
enum Unexpected {
    #[error("order answered {0}")]
    Status(StatusCode),
    #[error("order's answer cannot be read")]
    Body(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Closing {
    open_orders: u64,
}

impl OrderClient {
    /// Calls order through `http`, which shows this service's credential.
    pub fn new(http: Http) -> Self {
        Self { http }
    }
}

#[async_trait]
impl Orders for OrderClient {
    async fn close_account(&self, id: UserId) -> Result<u64, OrderError> {
        let path = format!("/internal/v1/accounts/{id}/closing");
        let answer = self.http.send(Method::PUT, &path, HeaderMap::new(), None, true).await;
        let answer = answer.map_err(|error| OrderError::Unavailable(error.into()))?;
        if answer.status != StatusCode::OK {
            return Err(OrderError::Failed(Unexpected::Status(answer.status).into()));
        }
        let closing: Closing =
            serde_json::from_slice(&answer.body).map_err(|error| OrderError::Failed(Unexpected::Body(error).into()))?;
        Ok(closing.open_orders)
    }
}
