//! Calls of the public HTTP interface, as a customer's or an operator's client would make them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::{
    http::{Answer, Http},
    live::{self, Live, Told},
    service::Service,
    state::State,
};

const PASSWORD: &str = "correct horse battery staple";
/// How long a state that follows from events may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Where the services are.
#[derive(Debug)]
pub(crate) struct Shop {
    http: Http,
    user: String,
    order: String,
    /// Headers of every request.
    headers: Vec<(&'static str, String)>,
    /// The pause between two requests while a state is waited for.
    poll_interval: Duration,
}

/// Somebody who has logged in.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) token: String,
}

/// A product, as it is listed.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) available: i64,
    pub(crate) currency: String,
}

impl Shop {
    /// By the base URLs of the two services.
    pub(crate) fn new(user: &str, order: &str) -> Self {
        let poll_interval = Duration::from_millis(20);
        Self { http: Http::new(), user: user.to_owned(), order: order.to_owned(), headers: Vec::new(), poll_interval }
    }

    /// The services that a supervisor runs.
    pub(crate) fn of(state: &State) -> Self {
        let http = |name| state.service(name).map(|service| service.addresses.http.as_str()).unwrap_or_default();
        Self::new(http(Service::User), http(Service::Order))
    }

    /// By the one URL of a gateway, which limits the rate of requests; each has these headers.
    pub(crate) fn at_gateway(gateway: &str, headers: Vec<(&'static str, String)>) -> Self {
        Self { headers, poll_interval: Duration::from_millis(250), ..Self::new(gateway, gateway) }
    }

    /// Which version answers, where the entry point says so.
    pub(crate) async fn upstream(&self) -> Result<Option<String>> {
        let url = format!("{}/v1/products?limit=1", self.order);
        let answer = self.send(Method::GET, &url, &[], None).await?.expect(&[200], "listing products")?;
        Ok(answer.headers.get("x-upstream").and_then(|name| name.to_str().ok()).map(str::to_owned))
    }

    /// Closes the account; its open orders are cancelled.
    pub(crate) async fn close(&self, person: &Person) -> Result<()> {
        let url = format!("{}/v1/users/me", self.user);
        let body = json!({"current_password": PASSWORD});
        let answer = self.authorized(Method::DELETE, &url, person, &[], Some(&body)).await?;
        answer.expect(&[202], "closing the account").map(drop)
    }

    pub(crate) async fn sign_up(&self, name: &str) -> Result<Person> {
        let email = format!("{}.{}@example.org", name.to_lowercase(), Uuid::new_v4().simple());
        self.register(&email, name).await?.expect(&[201], "signing up")?;
        self.log_in(email).await
    }

    /// Logs in, and signs up first where nobody has the address.
    pub(crate) async fn enter(&self, email: &str) -> Result<Person> {
        let name = email.split('@').next().unwrap_or_default();
        self.register(email, name).await?.expect(&[201, 409], "signing up")?;
        self.log_in(email.to_owned()).await
    }

    async fn register(&self, email: &str, name: &str) -> Result<Answer> {
        let body = json!({"email": email, "name": name, "password": PASSWORD});
        self.send(Method::POST, &format!("{}/v1/users", self.user), &[], Some(&body)).await
    }

    pub(crate) async fn log_in(&self, email: String) -> Result<Person> {
        let body = json!({"email": email, "password": PASSWORD});
        let url = format!("{}/v1/sessions", self.user);
        let session = self.send(Method::POST, &url, &[], Some(&body)).await?.expect(&[200], "logging in")?;
        Ok(Person { email, token: session.text("access_token").to_owned() })
    }

    /// The account, as its owner sees it.
    pub(crate) async fn account(&self, person: &Person) -> Result<Value> {
        let url = format!("{}/v1/users/me", self.user);
        Ok(self.authorized(Method::GET, &url, person, &[], None).await?.expect(&[200], "reading the account")?.body)
    }

    pub(crate) async fn products(&self, query: &str) -> Result<Vec<Product>> {
        let query = if query.is_empty() { String::new() } else { format!("&query={query}") };
        let url = format!("{}/v1/products?limit=100{query}", self.order);
        let list = self.send(Method::GET, &url, &[], None).await?.expect(&[200], "listing products")?.body;
        list["items"].as_array().context("no list of products")?.iter().map(Product::read).collect()
    }

    pub(crate) async fn product(&self, id: &str) -> Result<Product> {
        let url = format!("{}/v1/products/{id}", self.order);
        Product::read(&self.send(Method::GET, &url, &[], None).await?.expect(&[200], "reading a product")?.body)
    }

    /// Places an order; the same `key` again is the same order.
    pub(crate) async fn place(
        &self,
        person: &Person,
        lines: &[(&Product, u32)],
        payment_token: &str,
        key: &str,
    ) -> Result<Answer> {
        let items = lines.iter().map(|(product, quantity)| json!({"product_id": product.id, "quantity": quantity}));
        let body = json!({"items": items.collect::<Vec<_>>(), "payment_token": payment_token});
        let url = format!("{}/v1/orders", self.order);
        let key = [("idempotency-key", key)];
        self.authorized(Method::POST, &url, person, &key, Some(&body)).await?.expect(&[200, 201, 202], "ordering")
    }

    pub(crate) async fn order(&self, person: &Person, id: &str) -> Result<Value> {
        let url = format!("{}/v1/orders/{id}", self.order);
        Ok(self.authorized(Method::GET, &url, person, &[], None).await?.expect(&[200], "reading an order")?.body)
    }

    /// `cancel` or `fulfil`.
    pub(crate) async fn command(&self, person: &Person, id: &str, verb: &str) -> Result<Answer> {
        let url = format!("{}/v1/orders/{id}/{verb}", self.order);
        self.authorized(Method::POST, &url, person, &[], None).await?.expect(&[200, 202], verb)
    }

    /// Looks at an order until it has a status; returns it with every status that it was seen to have.
    pub(crate) async fn until(&self, person: &Person, id: &str, expected: &str) -> Result<(Value, Vec<String>)> {
        let (start, mut seen) = (Instant::now(), Vec::<String>::new());
        loop {
            let order = self.order(person, id).await?;
            let status = order["status"].as_str().unwrap_or_default();
            if seen.last().is_none_or(|last| last != status) {
                seen.push(status.to_owned());
            }
            if status == expected {
                return Ok((order, seen));
            }
            if start.elapsed() > SETTLE_TIMEOUT {
                bail!("order {id} should be {expected} by now, and is {status}: {order}");
            }
            sleep(self.poll_interval).await;
        }
    }

    /// Looks at the account until it counts so many orders, which it learns from events.
    pub(crate) async fn until_counted(&self, person: &Person, orders: u64) -> Result<()> {
        let start = Instant::now();
        loop {
            let placed = self.account(person).await?["orders_placed"].clone();
            if placed == orders {
                return Ok(());
            }
            if start.elapsed() > SETTLE_TIMEOUT {
                bail!("the account counts {placed} orders, not {orders}");
            }
            sleep(self.poll_interval).await;
        }
    }

    /// Watches the account's orders from now on.
    pub(crate) async fn watch(&self, person: &Person) -> Result<Live> {
        let own = [("authorization", format!("Bearer {}", person.token))];
        let headers = own.iter().chain(&self.headers).map(|(name, value)| ((*name).to_owned(), value.clone()));
        Live::open(self.http.clone(), format!("{}/v1/orders/stream", self.order), headers.collect()).await
    }

    /// Waits until an order is told to have become what is expected; returns it with all that was told of it.
    pub(crate) async fn until_told(
        &self,
        person: &Person,
        live: &mut Live,
        id: &str,
        expected: &str,
    ) -> Result<(Value, Vec<String>)> {
        let telling = async {
            let mut told = Vec::new();
            while told.last().is_none_or(|last| last != expected) {
                match live.next().await? {
                    Told::Event(event) if event["subject"] == id => told.push(live::what(&event).to_owned()),
                    Told::Event(_) => {}
                    other => bail!("order {id} should be {expected}, and the stream says {other:?}"),
                }
            }
            Ok(told)
        };
        let told = timeout(SETTLE_TIMEOUT, telling).await;
        let told =
            told.unwrap_or_else(|_| bail!("nobody was told within {SETTLE_TIMEOUT:?} that {id} is {expected}"))?;
        Ok((self.order(person, id).await?, told))
    }

    async fn authorized(
        &self,
        method: Method,
        url: &str,
        person: &Person,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let bearer = format!("Bearer {}", person.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        self.send(method, url, &all, body).await
    }

    async fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Result<Answer> {
        let of_all = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = headers.iter().copied().chain(of_all).collect();
        self.http.send(method, url, &headers, body).await
    }
}

impl Product {
    fn read(value: &Value) -> Result<Self> {
        let text =
            |name: &str| value[name].as_str().map(str::to_owned).with_context(|| format!("a product has no {name}"));
        let available = value["available"].as_i64().context("a product has no stock")?;
        let currency = value["price"]["currency"].as_str().context("a product has no price")?.to_owned();
        Ok(Self { id: text("id")?, name: text("name")?, available, currency })
    }
}
