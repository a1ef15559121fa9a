//! `trireme verify` names whatever is wrong in the books: each corruption is planted in the files of a run.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use e2e::{Account, Api, Cluster, binary};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use crate::dead_letters;

/// What is planted: in which file, by which statement, and what has to be said of which id.
struct Corruption {
    file: &'static str,
    sql: String,
    named: Vec<(String, &'static str)>,
}

fn corrupt(file: &'static str, sql: String, named: &[(&str, &'static str)]) -> Corruption {
    Corruption { file, sql, named: named.iter().map(|(id, words)| ((*id).to_owned(), *words)).collect() }
}

/// An id as the files have it.
fn blob(id: &str) -> String {
    format!("x'{}'", id.replace('-', ""))
}

struct Shop {
    api: Api,
    operator: Account,
    product: String,
}

impl Shop {
    async fn open(cluster: &Cluster) -> Result<Self> {
        let api = Api::new(cluster)?;
        let operator = api.operator(cluster).await?;
        let product = product(&api, &operator, "T-1").await?;
        Ok(Self { api, operator, product })
    }

    /// Places an order that is confirmed, and where there is a command gives that; waits for the status that it leads to.
    async fn order(&self, account: &Account, then: Option<(&str, &str)>) -> Result<String> {
        let order = json!({"items": [{"product_id": self.product, "quantity": 1}], "payment_token": "tok_ok"});
        let key = Uuid::new_v4().to_string();
        let placed = self.api.post("order:/v1/orders", account, Some(&key), Some(&order)).await?;
        let id = placed.expect(&[201, 202], "order")?.text("id").to_owned();
        self.until(account, &id, "confirmed").await?;
        if let Some((command, status)) = then {
            let target = format!("order:/v1/orders/{id}/{command}");
            self.api.post(&target, &self.operator, Some(&key), None).await?.expect(&[200, 202], command)?;
            self.until(account, &id, status).await?;
        }
        Ok(id)
    }

    async fn until(&self, account: &Account, id: &str, status: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let now = self.api.get(&format!("order:/v1/orders/{id}"), account).await?;
            if now.text("status") == status {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{id} does not come to be {status}: {now:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn product(api: &Api, operator: &Account, sku: &str) -> Result<String> {
    let tea: Value =
        json!({"sku": sku, "name": "Tea", "description": "", "price": {"amount": 500, "currency": "EUR"}, "stock": 50});
    let made = api.post("order:/v1/products", operator, Some(sku), Some(&tea)).await?;
    Ok(made.expect(&[201], "product")?.text("id").to_owned())
}

/// What is planted, each in records of its own.
async fn corruptions(shop: &Shop) -> Result<Vec<Corruption>> {
    let ada = shop.api.sign_up().await?;
    let confirmed = async || shop.order(&ada, None).await;
    let fulfilled = async || shop.order(&ada, Some(("fulfil", "fulfilled"))).await;
    let mut all = swapped(&confirmed().await?, &fulfilled().await?);
    all.extend(moved(&confirmed().await?, &confirmed().await?));
    all.extend(in_payment(&fulfilled().await?, &fulfilled().await?));
    let voided = shop.order(&ada, Some(("cancel", "cancelled"))).await?;
    all.extend(at_the_provider(&voided, &fulfilled().await?, &fulfilled().await?));
    let (unknown, lost) = (confirmed().await?, fulfilled().await?);
    all.push(corrupt(
        "order",
        format!("UPDATE orders SET status = 'teleported' WHERE id = {}", blob(&unknown)),
        &[(&*unknown, "is teleported, and not settled")],
    ));
    all.push(corrupt(
        "order",
        format!("DELETE FROM orders WHERE id = {}", blob(&lost)),
        &[(&*lost, "captured, and order does not have it")],
    ));
    all.extend(of_accounts_and_stock(shop).await?);
    Ok(all)
}

/// A status and an amount that are changed beside the ledger, of captured payments.
fn in_payment(status: &str, amount: &str) -> Vec<Corruption> {
    let set = |change: &str, id: &str| format!("UPDATE payments SET {change} WHERE order_id = {}", blob(id));
    let refunded = [
        (status, "its payment refunded"),
        (status, "refund is not in the ledger"),
        (status, "captured at the provider"),
    ];
    let more = [(amount, "its payment is of 501 EUR"), (amount, "capture is in the ledger with another amount")];
    vec![
        corrupt("payment", set("status = 'refunded'", status), &refunded),
        corrupt("payment", set("amount = amount + 1", amount), &more),
    ]
}

/// A voided charge that is captured, ten times the amount, a second charge, and one of an order that nobody has.
fn at_the_provider(voided: &str, ten: &str, twice: &str) -> Vec<Corruption> {
    let set = |change: &str, id: &str| format!("UPDATE charges SET {change} WHERE order_id = {}", blob(id));
    let nobody = Uuid::new_v4().to_string();
    let second = format!(
        "INSERT INTO charges SELECT 'ch_twice', order_id, amount, currency, state FROM charges WHERE order_id = {}",
        blob(twice)
    );
    let lost = format!("INSERT INTO charges VALUES ('ch_nobody', {}, 900, 'EUR', 'captured')", blob(&nobody));
    vec![
        corrupt("provider", set("state = 'captured'", voided), &[(voided, "is captured at the provider")]),
        corrupt("provider", set("amount = amount * 10", ten), &[(ten, "another amount at the provider")]),
        corrupt("provider", second, &[(twice, "charge ch_twice, which is captured, belongs to no payment")]),
        corrupt(
            "provider",
            lost,
            &[(&*nobody, "has charge ch_nobody of 900 EUR, captured, and payment does not have it")],
        ),
    ]
}

/// Two orders of one total, of which one has the other's status.
fn swapped(confirmed: &str, fulfilled: &str) -> Vec<Corruption> {
    let turned = |id: &str, status: &str, payment: &str| {
        format!("UPDATE orders SET status = '{status}', payment_status = '{payment}' WHERE id = {}", blob(id))
    };
    vec![
        corrupt(
            "order",
            turned(confirmed, "fulfilled", "captured"),
            &[(confirmed, "is fulfilled, and its payment authorized")],
        ),
        corrupt(
            "order",
            turned(fulfilled, "confirmed", "authorized"),
            &[(fulfilled, "is confirmed, and its payment captured")],
        ),
    ]
}

/// Two orders, of which one costs more by what the other costs less.
fn moved(from: &str, to: &str) -> Vec<Corruption> {
    let by = |id: &str, cents: i64| format!("UPDATE orders SET amount = amount + {cents} WHERE id = {}", blob(id));
    let more = [(to, "costs 600 EUR, and its payment is of 500 EUR"), (to, "costs 600, and its lines add up to 500")];
    let less = [(from, "costs 400 EUR, and its payment is of 500 EUR")];
    vec![corrupt("order", by(to, 100), &more), corrupt("order", by(from, -100), &less)]
}

async fn of_accounts_and_stock(shop: &Shop) -> Result<Vec<Corruption>> {
    let (counted, closed) = (shop.api.sign_up().await?, shop.api.sign_up().await?);
    shop.order(&counted, None).await?;
    shop.order(&closed, None).await?;
    let product = product(&shop.api, &shop.operator, "T-2").await?;
    let closing = "status = 'closed', email = NULL, email_key = NULL, name = NULL, password_hash = NULL";
    Ok(vec![
        corrupt(
            "user",
            format!("UPDATE users SET orders_placed = 2 WHERE id = {}", blob(&counted.id)),
            &[(&*counted.id, "counts 2 orders, and 1 were confirmed")],
        ),
        corrupt(
            "user",
            format!("UPDATE users SET {closing} WHERE id = {}", blob(&closed.id)),
            &[(&*closed.id, "is closed, with open orders: 1")],
        ),
        corrupt(
            "order",
            format!("UPDATE products SET available = available + 1 WHERE id = {}", blob(&product)),
            &[(&product, "has 51 available, and should have 50")],
        ),
    ])
}

async fn plant(cluster: &Cluster, corruption: &Corruption) -> Result<()> {
    let file = cluster.data().join(format!("{}.db", corruption.file));
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(10));
    let pool = SqlitePool::connect_with(options).await?;
    let planted = sqlx::query(AssertSqlSafe(corruption.sql.clone())).execute(&pool).await;
    ensure!(planted.with_context(|| corruption.sql.clone())?.rows_affected() == 1, "{}", corruption.sql);
    pool.close().await;
    Ok(())
}

/// Whether `trireme verify` is content, and what it prints.
fn verify(cluster: &Cluster) -> Result<(bool, String)> {
    let mut command = Command::new(binary("trireme")?);
    let output = command.arg("verify").arg("--data").arg(cluster.data()).stdin(Stdio::null()).output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_wrong_in_the_books_is_named() -> Result<()> {
    let cluster = Cluster::start()?;
    let corruptions = corruptions(&Shop::open(&cluster).await?).await?;
    let (holds, printed) = verify(&cluster)?;
    assert!(holds, "nothing is wrong yet:\n{printed}");

    let dead = dead_letters::are_shown_and_given_back(&cluster).await?;
    let mut expected = vec![(dead, "order.confirmed.v1 of nobody, died in user: permanent")];
    for corruption in corruptions {
        plant(&cluster, &corruption).await?;
        expected.extend(corruption.named);
    }
    let (holds, printed) = verify(&cluster)?;
    assert!(!holds, "{printed}");
    let missing: Vec<_> = expected
        .iter()
        .filter(|(id, words)| !printed.lines().any(|line| line.contains(id) && line.contains(words)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?} in\n{printed}");
    Ok(())
}
