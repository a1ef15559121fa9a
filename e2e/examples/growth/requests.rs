//! What is asked for while little or much is stored, one request after the other.

use std::time::Instant;

use anyhow::Result;
use e2e::{Account, Api, Cluster};
use serde_json::{Value, json};

use crate::report::{Report, Timing};

/// Orders of a page.
const PAGE: usize = 20;
/// Of each, in a round.
const TIMES: usize = 150;
/// The best of so many rounds counts: whatever else the machine does makes it slower, never faster.
const ROUNDS: usize = 3;

/// Somebody with an order, and an operator.
#[derive(Clone)]
pub(crate) struct Shop {
    api: Api,
    account: Account,
    operator: Account,
    product: Value,
    order: String,
}

impl Shop {
    pub(crate) async fn open(cluster: &Cluster) -> Result<Self> {
        let api = Api::new(cluster)?;
        let (operator, account) = (api.operator(cluster).await?, api.sign_up().await?);
        let price = json!({"amount": 500, "currency": "EUR"});
        let tea = json!({"sku": "TEA", "name": "Tea", "description": "", "price": price, "stock": 1_000_000});
        let product = api.post("order:/v1/products", &operator, Some("tea"), Some(&tea)).await?;
        let product = product.expect(&[201], "a product")?.body["id"].clone();
        let mut shop = Self { api, account, operator, product, order: String::new() };
        // As many as a page has: it is as long before as it is after.
        for n in 0..PAGE {
            shop.order = shop.place(&format!("first-{n}")).await?;
        }
        Ok(shop)
    }

    /// Places an order of one piece.
    pub(crate) async fn place(&self, key: &str) -> Result<String> {
        let order = json!({"items": [{"product_id": self.product, "quantity": 1}], "payment_token": "tok_ok"});
        let answer = self.api.post("order:/v1/orders", &self.account, Some(key), Some(&order)).await?;
        Ok(answer.expect(&[201], "an order")?.text("id").to_owned())
    }

    /// With new tokens: what is waited for takes longer than one lives.
    pub(crate) async fn logged_in_again(&self) -> Result<Self> {
        let account = self.api.log_in(&self.account.id, &self.account.email).await?;
        let operator = self.api.log_in(&self.operator.id, &self.operator.email).await?;
        Ok(Self { account, operator, ..self.clone() })
    }

    /// Measures each request, and notes the median in milliseconds.
    pub(crate) async fn measure(&self, when: &str, setting: &str, report: &mut Report) -> Result<()> {
        let shop = self.logged_in_again().await?;
        let order = format!("order:/v1/orders/{}", shop.order);
        let reads = [
            ("an order", order.as_str(), &shop.account),
            ("a page of one's orders", "order:/v1/orders?limit=20", &shop.account),
            ("an order, by an operator", order.as_str(), &shop.operator),
            ("one's account", "user:/v1/users/me", &shop.account),
            ("one's sessions", "user:/v1/users/me/sessions", &shop.account),
            ("a page of products", "order:/v1/products?limit=20", &shop.account),
        ];
        let mut note = |what: &str, median| {
            let (setting, when, what) = (setting.to_owned(), when.to_owned(), what.to_owned());
            report.timings.push(Timing { setting, when, what, median });
        };
        for (what, target, who) in reads {
            let ask = async |_: String| shop.api.get(target, who).await?.expect(&[200], what).map(drop);
            note(what, median(when, ask).await?);
        }
        let place = async |key: String| shop.place(&key).await.map(drop);
        note("an order that is placed", median(when, place).await?);
        Ok(())
    }
}

/// The median of the best round.
async fn median(when: &str, ask: impl AsyncFn(String) -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for round in 0..ROUNDS {
        let mut took = Vec::with_capacity(TIMES);
        for n in 0..TIMES {
            let began = Instant::now();
            ask(format!("{when}-{round}-{n}")).await?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        took.sort_by(f64::total_cmp);
        best = best.min(took[TIMES / 2]);
    }
    Ok(best)
}
