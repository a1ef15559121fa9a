//! From one broker to another, as docs/move-bus.md says, on the same data.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::{Account, Api, Cluster};
use futures::future::{join_all, try_join_all};
use http::Method;
use serde_json::{Value, json};
use servers::Server;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    books::Books,
    kill::{insist, settled},
};

const CUSTOMERS: usize = 4;
const ORDERS_EACH: usize = 3;

/// Has each customer place some orders, of a product of their own; returns their ids.
async fn orders(api: &Api, customers: &[Account]) -> Result<BTreeSet<String>> {
    let list = api.send(Method::GET, "order:/v1/products?limit=12", &[], None).await?;
    let products = list.body["items"].as_array().context("products")?;
    let place = async |(customer, product): (&Account, &Value)| {
        let body = json!({"items": [{"product_id": product["id"], "quantity": 1}], "payment_token": "tok_ok"});
        let mut ids = Vec::new();
        for _ in 0..ORDERS_EACH {
            let key = Uuid::new_v4().to_string();
            let answer = insist(|| api.post("order:/v1/orders", customer, Some(&key), Some(&body))).await?;
            ensure!(answer.status.is_success(), "{answer:?}");
            ids.push(answer.text("id").to_owned());
        }
        anyhow::Ok(ids)
    };
    Ok(try_join_all(customers.iter().zip(products).map(place)).await?.into_iter().flatten().collect())
}

/// The orders that the bus has heard of.
async fn told(books: &Books) -> Result<BTreeSet<String>> {
    Ok(books.published().await?.into_keys().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moving_from_nats_to_kafka_loses_and_doubles_nothing() -> Result<()> {
    if ![Server::Nats, Server::Kafka].into_iter().all(testkit::servers::stack_is_installed) {
        return Ok(());
    }
    let cluster = Cluster::start_on_servers(Server::Nats)?;
    let api = Api::new(&cluster)?;
    let customers = try_join_all((0..CUSTOMERS).map(|_| api.sign_up())).await?;
    let first = orders(&api, &customers).await?;

    // Events stay in the outboxes, requests are served, and what is on the old bus is worked off.
    cluster.restart(&["up", "--detach", "--servers", "--bus", "nats"], &[("TRIREME_BUS__PUBLISH", "false")])?;
    let api = Api::new(&cluster)?;
    let second = orders(&api, &customers).await?;
    let old = Books::open(&cluster).await?;
    let deadline = Instant::now() + Duration::from_mins(1);
    while old.waiting_and_dead().await? != (0, 0) {
        ensure!(Instant::now() < deadline, "the old bus is not drained");
        sleep(Duration::from_millis(200)).await;
    }
    let on_the_old = told(&old).await?;
    assert!(on_the_old.is_subset(&first), "nothing is published while the bus is drained");
    drop(old);

    cluster.restart(&["up", "--detach", "--servers", "--bus", "kafka"], &[])?;
    let api = Api::new(&cluster)?;
    let third = orders(&api, &customers).await?;
    let new = Books::open(&cluster).await?;
    settled(&cluster, &new).await?;
    let on_the_new = told(&new).await?;
    let all: BTreeSet<String> = [first, second, third].into_iter().flatten().collect();
    assert_eq!(&on_the_old | &on_the_new, all, "every order was told of");
    let counted = join_all(customers.iter().map(|customer| api.get("user:/v1/users/me", customer))).await;
    for me in counted {
        assert_eq!(me?.body["orders_placed"], 3 * ORDERS_EACH, "each order is counted once");
    }
    Ok(())
}
