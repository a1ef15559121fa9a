//! `trireme smoke`: one order through the public interface of a deployment.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use uuid::Uuid;

use crate::{
    output::{Output, dim, mark},
    shop::Shop,
};

pub(crate) async fn run(url: &str, canary: bool) -> Result<ExitCode> {
    let (output, url) = (Output::new(), url.trim_end_matches('/'));
    let done = |what: &str, detail: &str| output.line(&format!("  {} {what}  {}", mark(true), dim(detail)));
    let shop = Shop::new(url, url, canary);
    let person = shop.sign_up("Smoke").await?;
    done("a customer signs up and logs in", &person.email);
    let products = shop.products("").await?;
    let product = products.iter().find(|product| product.available > 0).context("no product is in stock")?;
    let placed = shop.place(&person, &[(product, 1)], "tok_ok", &Uuid::new_v4().to_string()).await?;
    let id = placed.text("id");
    let (order, seen) = shop.until(&person, id, "confirmed").await?;
    ensure!(order["payment"]["status"] == "authorized", "the payment should be authorized: {order}");
    done(&format!("an order for 1 {} is confirmed", product.name), &seen.join(" → "));
    shop.until_counted(&person, 1).await?;
    done("the account counts it", "from an event");
    shop.command(&person, id, "cancel").await?;
    let (order, seen) = shop.until(&person, id, "cancelled").await?;
    ensure!(order["payment"]["status"] == "voided", "the payment should be voided: {order}");
    done("it is cancelled, and nothing is held", &seen.join(" → "));
    Ok(ExitCode::SUCCESS)
}
