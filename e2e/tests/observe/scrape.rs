//! Every metric and label that an alert, an objective or a panel reads is there when the system has had some work.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::{
    Account, Api, Cluster,
    observe::{Prometheus, Stack, TIMEOUT, deploy},
};
use http::{Method, StatusCode};
use monitoring::{
    Sources,
    promql::{Needs, needs},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use servers::Server;
use tokio::time::{Instant, sleep};

use crate::installed;

/// The bus of `trireme up --servers`.
const BROKER: Server = Server::Nats;
/// After which a call to it has failed that is not answered: five seconds, and a busy machine's.
const GIVEN_UP: Duration = Duration::from_secs(8);

/// The names of the labels that a metric's series have.
type Labels = BTreeMap<String, BTreeSet<String>>;

async fn place(api: &Api, account: &Account, key: &str, product: &Value, token: &str) -> Result<Value> {
    let order = json!({"items": [{"product_id": product, "quantity": 1}], "payment_token": token});
    let answer = api.post("order:/v1/orders", account, Some(key), Some(&order)).await?;
    ensure!(answer.status.is_success() || answer.status.is_client_error(), "{answer:?}");
    Ok(answer.body)
}

/// A little of everything: what is well and what is refused.
pub(crate) async fn work(cluster: &Cluster) -> Result<()> {
    cluster.tool(&["verify"])?;
    let api = Api::new(cluster)?;
    let account = api.sign_up().await?;
    let products = api.send(Method::GET, "order:/v1/products?limit=1", &[], None).await?;
    let product = &products.body["items"][0]["id"];
    let placed = place(&api, &account, "one", product, "tok_ok").await?;
    let id = placed["id"].as_str().context("no order")?;
    place(&api, &account, "two", product, "tok_declined").await?;
    let many = json!({"items": [{"product_id": product, "quantity": 99}], "payment_token": "tok_ok"});
    for n in 0..20 {
        // Until there is too little in stock.
        let answer = api.post("order:/v1/orders", &account, Some(&format!("many-{n}")), Some(&many)).await?;
        if answer.status.is_client_error() {
            break;
        }
    }
    api.post(&format!("order:/v1/orders/{id}/cancel"), &account, None, None).await?;
    let wrong = json!({"email": account.email, "password": "not the password"});
    let refused = api.send(Method::POST, "user:/v1/sessions", &[], Some(&wrong)).await?;
    ensure!(refused.status == StatusCode::UNAUTHORIZED, "{refused:?}");
    let forged = [("authorization", "Bearer e30.e30.e30")];
    let refused = api.send(Method::GET, "user:/v1/users/me", &forged, None).await?;
    ensure!(refused.status == StatusCode::UNAUTHORIZED, "{refused:?}");
    api.send(Method::GET, &format!("order:/v1/products/{}", product.as_str().unwrap_or_default()), &[], None).await?;
    let query = json!({"query": "{ __typename }"});
    api.send(Method::POST, "order:/graphql", &[], Some(&query)).await?;
    Ok(())
}

/// What Prometheus has of each metric.
async fn series(prometheus: &Prometheus, metrics: &BTreeSet<String>) -> Result<Labels> {
    let found = prometheus.ask("series", "match[]", "{job=~\".+\"}").await?;
    let mut labels = Labels::new();
    for one in found.as_array().context("no list")? {
        let one = one.as_object().context("no series")?;
        let name = one["__name__"].as_str().unwrap_or_default();
        if metrics.contains(name) {
            labels.entry(name.to_owned()).or_default().extend(one.keys().cloned());
        }
    }
    Ok(labels)
}

/// What an expression reads and nobody has. Of what is recorded the tests of the rules tell.
fn missing(needs: &Needs, found: &Labels) -> Vec<String> {
    let mut missing = Vec::new();
    let measured = || needs.selectors.iter().filter(|one| !one.metric.contains(':'));
    for selector in measured() {
        let Some(labels) = found.get(&selector.metric) else {
            missing.push(selector.metric.clone());
            continue;
        };
        let wanted = selector.matchers.iter().filter(|matcher| matcher.wants_label()).map(|matcher| &matcher.label);
        let unknown = wanted.filter(|label| !labels.contains(*label));
        missing.extend(unknown.map(|label| format!("{}{{{label}}}", selector.metric)));
    }
    let known: BTreeSet<_> = measured().filter_map(|one| found.get(&one.metric)).flatten().collect();
    if !known.is_empty() && needs.selectors.iter().all(|one| !one.metric.contains(':')) {
        missing
            .extend(needs.grouping.iter().filter(|label| !known.contains(label)).map(|label| format!("by ({label})")));
    }
    missing
}

async fn look(arguments: &[&str], wanted: &[(String, Needs)], found: &mut Labels) -> Result<()> {
    let stack = Stack::start(arguments).await?;
    let metrics = wanted.iter().flat_map(|(_, needs)| &needs.selectors).map(|one| one.metric.clone()).collect();
    work(&stack.cluster).await?;
    // Calls that fail are measured once one has: of what is published while the broker is paused.
    if stack.cluster.servers()?.iter().any(|server| server.name == BROKER.slug()) {
        stack.cluster.signal(BROKER.slug(), Signal::SIGSTOP)?;
        Api::new(&stack.cluster)?.sign_up().await?;
        sleep(GIVEN_UP).await;
        stack.cluster.signal(BROKER.slug(), Signal::SIGCONT)?;
    }
    // What is measured now and then is there a little later.
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline && wanted.iter().any(|(_, needs)| !missing(needs, found).is_empty()) {
        for (name, labels) in series(&stack.prometheus, &metrics).await? {
            found.entry(name).or_default().extend(labels);
        }
        sleep(Duration::from_millis(500)).await;
    }
    let groups = stack.prometheus.ask("rules", "type", "").await?;
    let rules = groups["groups"].as_array().context("no groups")?.iter().filter_map(|one| one["rules"].as_array());
    for rule in rules.flatten() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_read_is_measured() -> Result<()> {
    if !installed(&["otelcol", "prometheus"]) || !testkit::servers::stack_is_installed(BROKER) {
        return Ok(());
    }
    let expressions = Sources::read(&deploy())?.expressions();
    let wanted: Vec<_> = expressions.iter().map(|(place, expression)| (place.clone(), needs(expression))).collect();
    let mut found = Labels::new();
    // Embedded stores have a disk of their own, real servers have pools and Redis.
    for arguments in [&[][..], &["--servers"]] {
        look(arguments, &wanted, &mut found).await?;
    }
    let missing =
        wanted.iter().flat_map(|(place, needs)| missing(needs, &found).into_iter().map(move |one| (place, one)));
    let missing: Vec<_> = missing.map(|(place, one)| format!("{place} reads {one}")).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}
