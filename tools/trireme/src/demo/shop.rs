//! Calls of the public HTTP interface, as a customer's or an operator's client would make them.

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    http::{Answer, Http},
    service::Service,
    state::State,
};

const PASSWORD: &str = "correct horse battery staple";

/// Where the services are.
#[derive(Debug)]
pub(super) struct Shop {
    http: Http,
    user: String,
    order: String,
}

/// Somebody who has logged in.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) email: String,
    token: String,
}

/// A product, as it is listed.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) available: i64,
    pub(super) currency: String,
}

impl Shop {
    pub(super) fn new(state: &State) -> Self {
        let http = |name| state.service(name).map(|service| service.addresses.http.clone()).unwrap_or_default();
        Self { http: Http::new(), user: http(Service::User), order: http(Service::Order) }
    }

    pub(super) async fn sign_up(&self, name: &str) -> Result<Person> {
        let email = format!("{}.{}@example.org", name.to_lowercase(), Uuid::new_v4().simple());
        let body = json!({"email": email, "name": name, "password": PASSWORD});
        let url = format!("{}/v1/users", self.user);
        self.http.send(Method::POST, &url, &[], Some(&body)).await?.expect(&[201], "signing up")?;
        self.log_in(email).await
    }

    pub(super) async fn log_in(&self, email: String) -> Result<Person> {
        let body = json!({"email": email, "password": PASSWORD});
        let url = format!("{}/v1/sessions", self.user);
        let session = self.http.send(Method::POST, &url, &[], Some(&body)).await?.expect(&[200], "logging in")?;
        Ok(Person { email, token: session.text("access_token").to_owned() })
    }

    /// The account, as its owner sees it.
    pub(super) async fn account(&self, person: &Person) -> Result<Value> {
        let url = format!("{}/v1/users/me", self.user);
        Ok(self.authorized(Method::GET, &url, person, &[], None).await?.expect(&[200], "reading the account")?.body)
    }

    pub(super) async fn products(&self, query: &str) -> Result<Vec<Product>> {
        let query = if query.is_empty() { String::new() } else { format!("&query={query}") };
        let url = format!("{}/v1/products?limit=100{query}", self.order);
        let list = self.http.get(&url).await?.expect(&[200], "listing products")?.body;
        list["items"].as_array().context("no list of products")?.iter().map(Product::read).collect()
    }

    pub(super) async fn product(&self, id: &str) -> Result<Product> {
        let url = format!("{}/v1/products/{id}", self.order);
        Product::read(&self.http.get(&url).await?.expect(&[200], "reading a product")?.body)
    }

    /// Places an order; the same `key` again is the same order.
    pub(super) async fn place(
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

    pub(super) async fn order(&self, person: &Person, id: &str) -> Result<Value> {
        let url = format!("{}/v1/orders/{id}", self.order);
        Ok(self.authorized(Method::GET, &url, person, &[], None).await?.expect(&[200], "reading an order")?.body)
    }

    /// `cancel` or `fulfil`.
    pub(super) async fn command(&self, person: &Person, id: &str, verb: &str) -> Result<Answer> {
        let url = format!("{}/v1/orders/{id}/{verb}", self.order);
        self.authorized(Method::POST, &url, person, &[], None).await?.expect(&[200, 202], verb)
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
        self.http.send(method, url, &all, body).await
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
