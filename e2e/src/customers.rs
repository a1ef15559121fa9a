//! A load: customers who order once a second, and now and then look around and log in again.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{Account, Answer, Api, Cluster};

/// The pause between two orders of a customer.
pub const PACE: Duration = Duration::from_secs(1);

/// What a customer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// That an order is placed.
    Order,
    /// What there is, or who they are.
    Look,
    /// A new session.
    LogIn,
}

/// Is told how each request ended; `Err` where nothing came back.
pub type Told = Arc<dyn Fn(Asked, &Result<Answer>) + Send + Sync>;

/// Somebody who never tires.
pub struct Customer {
    api: Api,
    account: Account,
    /// The base URL of a canary that is met, and not the stable process.
    canary: Option<String>,
    order: Value,
    /// Of the order that is placed now; the next one has another.
    round: u32,
    accepted: Vec<String>,
    told: Told,
}

/// So many products of which there is more than anybody orders: their ids.
pub async fn products(api: &Api, cluster: &Cluster, count: u32) -> Result<Vec<Value>> {
    let operator = api.operator(cluster).await?;
    let price = json!({"amount": 990, "currency": "EUR"});
    let mut products = Vec::new();
    for n in 0..count {
        let (sku, key) = (format!("DRILL-{n}"), format!("product-{n}"));
        let mug = json!({"sku": sku, "name": "Mug", "description": "", "price": price, "stock": 1_000_000});
        let made = api.post("order:/v1/products", &operator, Some(&key), Some(&mug)).await?;
        products.push(made.expect(&[201], "a product")?.body.get("id").cloned().context("no id")?);
    }
    Ok(products)
}

impl Customer {
    /// Signs up somebody who orders one piece of each of these products, again and again.
    pub async fn sign_up(api: &Api, canary: Option<String>, products: &[Value], told: Told) -> Result<Self> {
        let items: Vec<Value> = products.iter().map(|id| json!({"product_id": id, "quantity": 1})).collect();
        let order = json!({"items": items, "payment_token": "tok_ok"});
        let (api, account, accepted) = (api.clone(), api.sign_up().await?, Vec::new());
        Ok(Self { api, account, canary, order, round: 0, accepted, told })
    }

    /// Orders again and again, beginning after a while. What fails is what is measured.
    pub async fn shop(&mut self, after: Duration) {
        let mut pace = interval_at(Instant::now() + after, PACE);
        // Who waits for an answer orders nothing meanwhile, and does not catch up.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for turn in 0_u32.. {
            pace.tick().await;
            self.place().await;
            if turn % 4 == 1 {
                self.look().await;
            }
            if turn % 8 == 3 {
                self.log_in().await;
            }
        }
    }

    /// Places an order, the same one until it is accepted; says whether it is confirmed.
    pub async fn place(&mut self) -> bool {
        let (bearer, key) = (format!("Bearer {}", self.account.token), format!("order-{}", self.round));
        let mut headers = vec![("authorization", &*bearer), ("idempotency-key", &*key)];
        headers.extend(self.canary.as_ref().map(|_| ("x-canary", "true")));
        let target = self.canary.as_ref().map_or("order:/v1/orders".to_owned(), |url| format!("{url}/v1/orders"));
        let answer = self.api.send(Method::POST, &target, &headers, Some(&self.order)).await;
        (self.told)(Asked::Order, &answer);
        let Ok(answer) = answer else { return false };
        if answer.status.is_success() {
            self.accepted.push(answer.text("id").to_owned());
            self.round += 1;
        } else if answer.status == StatusCode::UNAUTHORIZED {
            self.log_in().await;
        }
        answer.status.is_success() && answer.text("status") == "confirmed"
    }

    /// Logs in again; says whether that worked.
    pub async fn log_in(&mut self) -> bool {
        let answer = self.api.session(&self.account.email).await;
        (self.told)(Asked::LogIn, &answer);
        let session = answer.ok().filter(|answer| answer.status == StatusCode::OK);
        if let Some(session) = &session {
            session.text("access_token").clone_into(&mut self.account.token);
        }
        session.is_some()
    }

    async fn look(&self) {
        let list = self.api.send(Method::GET, "order:/v1/products?limit=5", &[], None).await;
        (self.told)(Asked::Look, &list);
        (self.told)(Asked::Look, &self.api.get("user:/v1/users/me", &self.account).await);
    }

    /// Who they are.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The ids of the orders that were accepted.
    pub fn accepted(&self) -> &[String] {
        &self.accepted
    }
}
