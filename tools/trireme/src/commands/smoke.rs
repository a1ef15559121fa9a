//! `trireme smoke`: one order through the public interface of a deployment.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use uuid::Uuid;

use crate::{
    output::{Output, dim, mark},
    shop::{Person, Shop},
};

pub(crate) async fn run(url: &str, canary: bool, key: Option<&Path>) -> Result<ExitCode> {
    let output = Output::new();
    let mut headers = Vec::new();
    if canary {
        headers.push(("x-canary", "true".to_owned()));
    }
    if let Some(path) = key {
        let key = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        headers.push(("x-canary-key", key.trim().to_owned()));
    }
    let shop = Shop::at_gateway(url.trim_end_matches('/'), headers);
    if canary {
        check_version(&shop, &output).await?;
    }
    let person = shop.sign_up("Smoke").await?;
    done(&output, "a customer signs up and logs in", &person.email);
    let ordered = order(&shop, &person, &output).await;
    // Also where something went wrong: nothing is left reserved or held.
    let closed = shop.close(&person).await;
    ordered?;
    closed?;
    done(&output, "the account is closed", "");
    Ok(ExitCode::SUCCESS)
}

fn done(output: &Output, what: &str, detail: &str) {
    output.line(&format!("  {} {what}  {}", mark(true), dim(detail)));
}

/// Makes sure that version 2 answers, where that can be known.
async fn check_version(shop: &Shop, output: &Output) -> Result<()> {
    match shop.upstream().await? {
        Some(upstream) => {
            ensure!(
                upstream.ends_with("v2"),
                "{upstream} answers a marked request: is there a canary, and the key right?"
            );
            done(output, "version 2 answers", &upstream);
        }
        None => output.line(&format!("  ? {}", dim("the entry point does not say which version answers"))),
    }
    Ok(())
}

async fn order(shop: &Shop, person: &Person, output: &Output) -> Result<()> {
    let products = shop.products("").await?;
    let product = products.iter().find(|product| product.available > 0);
    let product = product.context("none of the first hundred products is in stock")?;
    let placed = shop.place(person, &[(product, 1)], "tok_ok", &Uuid::new_v4().to_string()).await?;
    let id = placed.text("id");
    let (order, seen) = shop.until(person, id, "confirmed").await?;
    ensure!(order["payment"]["status"] == "authorized", "the payment should be authorized: {order}");
    done(output, &format!("an order for 1 {} is confirmed", product.name), &seen.join(" → "));
    shop.until_counted(person, 1).await?;
    done(output, "the account counts it", "from an event");
    shop.command(person, id, "cancel").await?;
    let (order, seen) = shop.until(person, id, "cancelled").await?;
    ensure!(order["payment"]["status"] == "voided", "the payment should be voided: {order}");
    done(output, "it is cancelled, and nothing is held", &seen.join(" → "));
    Ok(())
}
