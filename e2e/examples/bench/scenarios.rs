//! What is asked for, and of whom.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use e2e::{Account, Answer, Api, Cluster};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Sign-ups at a time: each of them hashes a password.
const AT_ONCE: usize = 2;
/// Orders at a time while there is no load yet.
const ORDERING: usize = 16;
/// A page of the catalogue.
const PAGE: &str = "order:/v1/products?limit=20";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// Who one is.
    ReadUser,
    /// An order of one's own.
    ReadOrder,
    /// The first page of the catalogue.
    ListProducts,
    /// Of ten requests three pages, three products, two users, one order that is read and one that is placed.
    Mix,
    /// An order of one piece, which is paid.
    Place,
}

impl Scenario {
    pub(crate) const ALL: [Self; 5] = [Self::ReadUser, Self::ReadOrder, Self::ListProducts, Self::Mix, Self::Place];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadUser => "read_user",
            Self::ReadOrder => "read_order",
            Self::ListProducts => "list_products",
            Self::Mix => "mix",
            Self::Place => "place",
        }
    }
}

/// How much is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) users: usize,
    pub(crate) products: usize,
    pub(crate) orders: u64,
}

/// The services with people, products and orders.
pub(crate) struct Shop {
    api: Api,
    /// Who has signed up, and an order of theirs.
    buyers: Vec<(Account, String)>,
    products: Vec<Value>,
    operator: Account,
    /// Orders that were placed.
    orders: AtomicU64,
}

impl Shop {
    /// Stores so much, through the public interface. Each buyer has an order at least.
    pub(crate) async fn open(cluster: &Cluster, stored: Stored) -> Result<Self> {
        let api = Api::new(cluster)?;
        let operator = api.operator(cluster).await?;
        let mut shop = Self { api, buyers: Vec::new(), products: Vec::new(), operator, orders: AtomicU64::new(0) };
        shop.grow(stored).await?;
        Ok(shop)
    }

    /// Stores more, until there is so much.
    pub(crate) async fn grow(&mut self, stored: Stored) -> Result<()> {
        for n in self.products.len()..stored.products {
            self.products.push(self.product(n).await?);
        }
        let new = stored.users.saturating_sub(self.buyers.len());
        let signed_up = stream::iter(0..new).map(|_| self.buyer()).buffer_unordered(AT_ONCE);
        let buyers: Vec<_> = signed_up.try_collect().await?;
        self.buyers.extend(buyers);
        let more = stored.orders.saturating_sub(self.orders.load(Ordering::Relaxed));
        let placing = stream::iter(0..more).map(|n| self.place(n)).buffer_unordered(ORDERING);
        placing.try_for_each(async |()| Ok(())).await
    }

    /// Has everybody's token be a new one: what is measured takes longer than one lives.
    pub(crate) async fn log_in_again(&mut self) -> Result<()> {
        for (account, _) in &mut self.buyers {
            *account = self.api.log_in(&account.id, &account.email).await?;
        }
        Ok(())
    }

    async fn product(&self, n: usize) -> Result<Value> {
        let price = json!({"amount": 500, "currency": "EUR"});
        let sku = format!("BENCH-{n}");
        let tea =
            json!({"sku": sku, "name": format!("Tea {n}"), "description": "", "price": price, "stock": 1_000_000});
        let answer = self.api.post("order:/v1/products", &self.operator, Some(&sku), Some(&tea)).await?;
        Ok(answer.expect(&[201], "a product")?.body["id"].clone())
    }

    async fn buyer(&self) -> Result<(Account, String)> {
        let account = self.api.sign_up().await?;
        let order = self.order_of(&account, 0).await?;
        Ok((account, order.text("id").to_owned()))
    }

    /// Somebody comes back, and their password is asked for.
    pub(crate) async fn log_in(&self, n: usize) -> Result<()> {
        let (account, _) = &self.buyers[n % self.buyers.len()];
        self.api.session(&account.email).await?.expect(&[200], "a log-in").map(drop)
    }

    /// One request of a scenario, the n-th.
    pub(crate) async fn ask(&self, scenario: Scenario, n: u64) -> Result<()> {
        let (account, order) = &self.buyers[n as usize % self.buyers.len()];
        let answer = match scenario {
            Scenario::ReadUser => self.api.get("user:/v1/users/me", account).await?,
            Scenario::ReadOrder => self.api.get(&format!("order:/v1/orders/{order}"), account).await?,
            Scenario::ListProducts => self.api.send(Method::GET, PAGE, &[], None).await?,
            Scenario::Place => return self.place(n).await,
            Scenario::Mix => {
                // One of each ten, in an order in which no two of a kind come together; the next ten are others'.
                let (turn, n) = (n % 10, n / 10);
                let ask = match turn {
                    0 | 3 | 7 => Scenario::ListProducts,
                    1 | 4 | 8 => return self.read_product(n).await,
                    2 | 6 => Scenario::ReadUser,
                    5 => Scenario::ReadOrder,
                    _ => Scenario::Place,
                };
                return Box::pin(self.ask(ask, n)).await;
            }
        };
        answer.expect(&[200], scenario.name()).map(drop)
    }

    async fn read_product(&self, n: u64) -> Result<()> {
        let id = self.products[n as usize % self.products.len()].as_str().unwrap_or_default();
        let answer = self.api.send(Method::GET, &format!("order:/v1/products/{id}"), &[], None).await?;
        answer.expect(&[200], "a product").map(drop)
    }

    async fn place(&self, n: u64) -> Result<()> {
        let (account, _) = &self.buyers[n as usize % self.buyers.len()];
        let answer = self.order_of(account, n).await?;
        ensure!(answer.text("status") == "confirmed", "an order is {}", answer.body);
        Ok(())
    }

    async fn order_of(&self, account: &Account, n: u64) -> Result<Answer> {
        let product = &self.products[n as usize % self.products.len()];
        let order = json!({"items": [{"product_id": product, "quantity": 1}], "payment_token": "tok_ok"});
        let key = Uuid::new_v4().to_string();
        let answer = self.api.post("order:/v1/orders", account, Some(&key), Some(&order)).await?;
        self.orders.fetch_add(1, Ordering::Relaxed);
        answer.expect(&[201], "an order")
    }

    /// Bytes of the answer to a read, for what is to answer as many.
    pub(crate) async fn bytes(&self, scenario: Scenario) -> Result<usize> {
        let (account, _) = &self.buyers[0];
        let answer = match scenario {
            Scenario::ListProducts => self.api.send(Method::GET, PAGE, &[], None).await?,
            _ => self.api.get("user:/v1/users/me", account).await?,
        };
        Ok(answer.body.to_string().len())
    }
}
