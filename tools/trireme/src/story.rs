//! The story that the demo tells: a customer, an operator, and four orders that end differently.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    folder::Folder,
    grant,
    http::{Answer, Client},
    state::State,
    terminal::{BOLD, DIM, GREEN, YELLOW},
};

/// Longer than anything in the story takes.
const PATIENCE: Duration = Duration::from_secs(15);

struct Teller {
    client: Client,
    user: String,
    order: String,
}

/// Somebody who is logged in.
struct Person {
    name: &'static str,
    id: String,
    email: String,
    password: String,
    token: String,
}

/// Tells the story and checks each of its sentences.
pub(crate) async fn tell(folder: &Folder) -> Result<()> {
    let state = State::running(folder)?;
    let teller = Teller {
        client: Client::default(),
        user: state.service("user")?.http.clone(),
        order: state.service("order")?.http.clone(),
    };
    chapter("Ada signs up and logs in");
    let ada = teller.sign_up("Ada").await?;
    chapter("Grace is the operator");
    let mut grace = teller.sign_up("Grace").await?;
    grant::grant(folder, &grace.email, "operator").await?;
    teller.log_in(&mut grace).await?;

    let products = teller.browse().await?;
    let [first, second] = [&products[0], &products[1]];
    let before = teller.available(first).await?;

    chapter("Ada orders, and pays");
    let bought = teller.place(&ada, &[(first, 2), (second, 1)], "tok_ok", "confirmed").await?;
    chapter("Grace fulfils it: now the money is taken");
    teller.command(&grace, &bought, "fulfil").await?;
    teller.watch(&ada, &bought, "fulfilled", "captured").await?;

    chapter("Ada orders again and changes her mind: nothing is taken");
    let regretted = teller.place(&ada, &[(first, 3)], "tok_ok", "confirmed").await?;
    teller.command(&ada, &regretted, "cancel").await?;
    teller.watch(&ada, &regretted, "cancelled", "voided").await?;
    ensure!(teller.available(first).await? == before - 2, "the cancelled pieces are back in stock");
    say("the pieces are back in stock");

    chapter("A card is declined");
    teller.place(&ada, &[(second, 1)], "tok_declined", "rejected").await?;

    chapter("The first order comes back: the money is refunded");
    teller.command(&ada, &bought, "cancel").await?;
    teller.watch(&ada, &bought, "refunded", "refunded").await?;

    chapter("Meanwhile, by events alone");
    teller.counted(&ada, 2).await
}

fn chapter(title: &str) {
    anstream::println!("\n{BOLD}{title}{BOLD:#}");
}

fn say(words: &str) {
    anstream::println!("  {words}");
}

fn money(money: &Value) -> String {
    let amount = money["amount"].as_i64().unwrap_or_default();
    format!("{}.{:02} {}", amount / 100, amount % 100, money["currency"].as_str().unwrap_or_default())
}

impl Teller {
    async fn send(&self, method: Method, url: &str, by: Option<&Person>, key: Option<&str>, body: Option<&Value>) -> Result<Answer> {
        let bearer = by.map(|person| format!("Bearer {}", person.token));
        let bearer = bearer.as_deref().map(|value| ("authorization", value));
        let headers: Vec<_> = bearer.into_iter().chain(key.map(|key| ("idempotency-key", key))).collect();
        self.client.send(method, url, &headers, body).await
    }

    async fn sign_up(&self, name: &'static str) -> Result<Person> {
        let id = Uuid::new_v4().simple().to_string();
        let email = format!("{}-{}@example.org", name.to_lowercase(), &id[..8]);
        let mut person = Person { name, id: String::new(), email, password: id, token: String::new() };
        let body = json!({"email": person.email, "name": name, "password": person.password});
        let answer = self.send(Method::POST, &format!("{}/v1/users", self.user), None, None, Some(&body)).await?;
        ensure!(answer.status == StatusCode::CREATED, "sign-up was refused: {}", answer.body);
        person.id = answer.text("id").to_owned();
        say(&format!("{} is {DIM}{}{DIM:#}", person.email, person.id));
        self.log_in(&mut person).await?;
        Ok(person)
    }

    async fn log_in(&self, person: &mut Person) -> Result<()> {
        let body = json!({"email": person.email, "password": person.password});
        let answer = self.send(Method::POST, &format!("{}/v1/sessions", self.user), None, None, Some(&body)).await?;
        ensure!(answer.status == StatusCode::OK, "log-in was refused: {}", answer.body);
        answer.text("access_token").clone_into(&mut person.token);
        say(&format!("{} has an access token for {} s", person.name, answer.body["expires_in"]));
        Ok(())
    }

    /// The two products with the largest stock, so that the story can be told many times.
    async fn browse(&self) -> Result<Vec<Value>> {
        let answer = self.send(Method::GET, &format!("{}/v1/products?limit=100", self.order), None, None, None).await?;
        let mut products = answer.body["items"].as_array().cloned().context("the catalogue is empty")?;
        products.sort_by_key(|product| std::cmp::Reverse(product["available"].as_i64()));
        ensure!(products.len() >= 2, "the catalogue has {} products; `order seed` loads them", products.len());
        Ok(products)
    }

    async fn available(&self, product: &Value) -> Result<i64> {
        let id = product["id"].as_str().context("id")?;
        let answer = self.send(Method::GET, &format!("{}/v1/products/{id}", self.order), None, None, None).await?;
        answer.body["available"].as_i64().context("available")
    }

    /// Places an order twice under one key and expects the second answer to be the first's.
    async fn place(&self, by: &Person, lines: &[(&Value, u32)], token: &str, ends: &str) -> Result<String> {
        let items: Vec<Value> = lines.iter().map(|(p, n)| json!({"product_id": p["id"], "quantity": n})).collect();
        for (product, quantity) in lines {
            say(&format!("{quantity} × {} at {}", product["name"].as_str().unwrap_or_default(), money(&product["price"])));
        }
        let (body, key) = (json!({"items": items, "payment_token": token}), Uuid::new_v4().to_string());
        let url = format!("{}/v1/orders", self.order);
        let place = || self.send(Method::POST, &url, Some(by), Some(&key), Some(&body));
        let start = Instant::now();
        let answer = place().await?;
        let took = start.elapsed().as_millis();
        ensure!(answer.text("status") == ends, "the order should be {ends}: {}", answer.body);
        let id = answer.text("id").to_owned();
        let reason = answer.body["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let style = if ends == "rejected" { YELLOW } else { GREEN };
        say(&format!("order {DIM}{id}{DIM:#} over {} is {style}{ends}{style:#}{reason} after {took} ms", money(&answer.body["total"])));
        let again = place().await?;
        ensure!(again.status == StatusCode::OK && again.text("id") == id, "a repeat made something new: {}", again.body);
        say("the same request again meets the same order");
        Ok(id)
    }

    async fn command(&self, by: &Person, order: &str, verb: &str) -> Result<()> {
        let url = format!("{}/v1/orders/{order}/{verb}", self.order);
        let answer = self.send(Method::POST, &url, Some(by), None, None).await?;
        ensure!(answer.status.is_success(), "{verb} was refused: {}", answer.body);
        Ok(())
    }

    /// Follows an order until it is where the story wants it, telling each change.
    async fn watch(&self, by: &Person, order: &str, status: &str, payment: &str) -> Result<()> {
        let (url, give_up) = (format!("{}/v1/orders/{order}", self.order), Instant::now() + PATIENCE);
        let mut seen = String::new();
        loop {
            let answer = self.send(Method::GET, &url, Some(by), None, None).await?;
            let paid = answer.body["payment"]["status"].as_str().unwrap_or("not made");
            let now = format!("the order is {GREEN}{}{GREEN:#}, its payment {paid}", answer.text("status"));
            if now != seen {
                say(&now);
            }
            if answer.text("status") == status && paid == payment {
                return Ok(());
            }
            ensure!(Instant::now() < give_up, "the order should be {status} and its payment {payment}: {}", answer.body);
            seen = now;
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the user service has counted the confirmed orders.
    async fn counted(&self, person: &Person, orders: u64) -> Result<()> {
        let (url, give_up) = (format!("{}/v1/users/me", self.user), Instant::now() + PATIENCE);
        loop {
            let answer = self.send(Method::GET, &url, Some(person), None, None).await?;
            if answer.body["orders_placed"] == orders {
                say(&format!("the user service has counted {orders} confirmed orders of {}", person.name));
                return Ok(());
            }
            ensure!(Instant::now() < give_up, "orders_placed should be {orders}: {}", answer.body);
            sleep(Duration::from_millis(20)).await;
        }
    }
}
