//! The load: customers who order once a second, and now and then look around and log in again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::{Account, Api, Cluster};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// As many as orders a second, as long as these are answered in time; two processors do no more in debug builds.
pub(crate) const CUSTOMERS: u32 = if cfg!(debug_assertions) { 4 } else { 24 };
pub(crate) const PACE: Duration = Duration::from_secs(1);

/// Somebody who never tires.
pub(crate) struct Customer {
    api: Api,
    account: Account,
    /// The base URL of a canary that is met, and not the stable process.
    canary: Option<String>,
    order: Value,
}

/// A product of which there is more than anybody orders.
pub(crate) async fn product(api: &Api, cluster: &Cluster) -> Result<Value> {
    let operator = api.operator(cluster).await?;
    let price = json!({"amount": 990, "currency": "EUR"});
    let mug = json!({"sku": "DRILL", "name": "Mug", "description": "", "price": price, "stock": 1_000_000});
    let made =
        api.post("order:/v1/products", &operator, Some("drill"), Some(&mug)).await?.expect(&[201], "a product")?;
    made.body.get("id").cloned().context("no id")
}

impl Customer {
    pub(crate) async fn sign_up(api: &Api, canary: Option<String>, product: &Value) -> Result<Self> {
        let order = json!({"items": [{"product_id": product, "quantity": 1}], "payment_token": "tok_ok"});
        Ok(Self { api: api.clone(), account: api.sign_up().await?, canary, order })
    }

    /// Orders again and again, beginning after a while. What fails is what is measured.
    pub(crate) async fn shop(&mut self, after: Duration) {
        let mut pace = interval_at(Instant::now() + after, PACE);
        // Who waits for an answer orders nothing meanwhile, and does not catch up.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u32.. {
            pace.tick().await;
            self.place(round).await;
            if round % 4 == 1 {
                let _ = self.api.send(Method::GET, "order:/v1/products?limit=5", &[], None).await;
                let _ = self.api.get("user:/v1/users/me", &self.account).await;
            }
            if round % 8 == 3
                && let Ok(again) = self.api.log_in(&self.account.id, &self.account.email).await
            {
                self.account = again;
            }
        }
    }

    async fn place(&self, round: u32) {
        let (bearer, key) = (format!("Bearer {}", self.account.token), format!("drill-{round}"));
        let mut headers = vec![("authorization", &*bearer), ("idempotency-key", &*key)];
        headers.extend(self.canary.as_ref().map(|_| ("x-canary", "true")));
        let target = self.canary.as_ref().map_or("order:/v1/orders".to_owned(), |url| format!("{url}/v1/orders"));
        let _ = self.api.send(Method::POST, &target, &headers, Some(&self.order)).await;
    }
}
