//! What happened to accounts, orders and payments is counted, and what the processes take is measured.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{Account, Answer, Api, Cluster};
use http::Method;
use serde_json::{Value, json};
use trireme::http::Http;

/// The metrics of all services, as text.
async fn metrics(cluster: &Cluster) -> Result<String> {
    let (http, mut all) = (Http::new(), String::new());
    for process in cluster.processes()? {
        all += &http.text(&format!("{}/metrics", process.admin)).await?;
    }
    Ok(all)
}

/// The value of the series of a name that has all these labels, added up over the services; `None` where there is none.
fn value(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let values = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    values.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).reduce(|a: f64, b| a + b)
}

async fn place(api: &Api, account: &Account, product: &Value, quantity: u32, token: &str) -> Result<Answer> {
    let order = json!({"items": [{"product_id": product["id"], "quantity": quantity}], "payment_token": token});
    api.post("order:/v1/orders", account, Some(&format!("{token}{quantity}")), Some(&order)).await
}

/// Each way that a login, a token, an order can end, once.
async fn happen(cluster: &Cluster) -> Result<()> {
    let api = Api::new(cluster)?;
    let mut account = api.operator(cluster).await?;
    let wrong = json!({"email": account.email, "password": "wrong horse battery"});
    api.send(Method::POST, "user:/v1/sessions", &[], Some(&wrong)).await?;
    let tea = json!({"sku": "T-1", "name": "Tea", "description": "", "price": {"amount": 500, "currency": "EUR"}, "stock": 5});
    let product = api.post("order:/v1/products", &account, Some("tea"), Some(&tea)).await?.body;
    for (quantity, token, expected) in [(1, "tok_ok", 201), (1, "tok_declined", 201), (9, "tok_ok", 409)] {
        let answer = place(&api, &account, &product, quantity, token).await?;
        ensure!(answer.status.as_u16() == expected, "{token}: {answer:?}");
    }
    "no.token".clone_into(&mut account.token);
    api.get("order:/v1/orders", &account).await?;
    Ok(())
}

/// A series by its name and some of its labels, and its value.
type Expected = (&'static str, &'static [(&'static str, &'static str)], f64);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_counted() -> Result<()> {
    let cluster = Cluster::start()?;
    happen(&cluster).await?;
    let expected: [Expected; 14] = [
        ("user_logins_total", &[("login_outcome", "succeeded")], 2.0),
        ("user_logins_total", &[("login_outcome", "wrong_credentials")], 1.0),
        ("auth_token_refusals_total", &[("auth_refusal", "unreadable")], 1.0),
        ("order_status_changes_total", &[("order_status", "pending")], 2.0),
        ("order_status_changes_total", &[("order_status", "confirmed")], 1.0),
        ("order_status_changes_total", &[("order_status", "rejected"), ("order_reason", "payment_declined")], 1.0),
        ("order_decision_duration_seconds_count", &[], 2.0),
        ("order_stock_refusals_total", &[], 1.0),
        ("order_sagas_open", &[("order_status", "pending")], 0.0),
        ("order_sagas_oldest_age_seconds", &[], 0.0),
        ("payment_outcomes_total", &[("payment_status", "authorized")], 1.0),
        ("payment_outcomes_total", &[("payment_status", "declined"), ("payment_reason", "declined")], 1.0),
        ("payment_provider_duration_seconds_count", &[("payment_operation", "authorize")], 2.0),
        // Checked every ten seconds.
        ("payment_ledger_imbalance", &[("currency", "EUR")], 0.0),
    ];
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = metrics(&cluster).await?;
        let wrong: Vec<_> = expected
            .iter()
            .filter(|(name, labels, expected)| value(&metrics, name, labels) != Some(*expected))
            .collect();
        if wrong.is_empty() {
            break;
        }
        ensure!(Instant::now() < give_up, "{wrong:?} are otherwise in\n{metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_processes_take_is_measured() -> Result<()> {
    let cluster = Cluster::start()?;
    let metrics = metrics(&cluster).await?;
    let processes = 3.0;
    for (name, least) in [
        ("process_cpu_time_seconds_total", 0.01),
        ("process_memory_usage_bytes", 1_000_000.0 * processes),
        ("process_unix_file_descriptor_count", 3.0 * processes),
        ("process_uptime_seconds", 0.01),
        // 2025.
        ("process_start_time_seconds", 1_735_689_600.0 * processes),
        ("tokio_workers", 2.0 * processes),
        ("tokio_workers_busy_seconds_total", 0.0),
        ("tokio_tasks_alive", processes),
        ("tokio_queue_depth", 0.0),
        ("build_info", processes),
    ] {
        let value = value(&metrics, name, &[]);
        assert!(value.is_some_and(|value| value >= least), "{name} is {value:?}");
    }
    let built = metrics.lines().find(|line| line.starts_with("build_info{")).unwrap_or_default();
    assert!(
        ["service_version", "vcs_ref_head_revision", "rustc_version=\"1."].iter().all(|l| built.contains(l)),
        "{built}"
    );
    Ok(())
}
