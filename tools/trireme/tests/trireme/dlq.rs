//! Dead letters are listed, shown and brought back by the command.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use messaging::{Consumer, Event, Handler, HandlerError, Policy, Receipt};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Cannot handle the event until it is repaired.
#[derive(Default)]
struct Broken {
    repaired: AtomicBool,
    applied: AtomicU32,
}

#[async_trait]
impl Handler for Broken {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        if event.key == "poison" && !self.repaired.load(Ordering::SeqCst) {
            return Err(HandlerError::permanent(anyhow::anyhow!("the price is missing")));
        }
        self.applied.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// The binary, on this bus; what it printed.
fn dlq(url: &str, arguments: &[&str]) -> (bool, String) {
    let binary = env!("CARGO_BIN_EXE_trireme");
    let output = Command::new(binary).args(["dlq", "--bus", url]).args(arguments).output().unwrap();
    (output.status.success(), [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat())
}

async fn is_brought_back(url: &str) {
    assert_eq!(dlq(url, &["list"]), (true, "no dead letters\n".to_owned()));
    let bus = backends::bus(&messaging::Config::new(url), clock::system()).await.unwrap();
    let (token, tasks, handler) = (CancellationToken::new(), TaskTracker::new(), Arc::new(Broken::default()));
    let consumer = Consumer::new(Arc::clone(&bus), "shop", &["thing.sold.v1"], handler.clone(), Policy::default());
    tasks.spawn(consumer.run(token.clone(), tasks.clone()));
    let event = |key| Event::new("thing.sold.v1", "test", key, clock::system().now(), json!({"total": 5})).unwrap();
    let poison = event("poison");
    bus.publish(&[poison.clone(), event("poison"), event("good")]).await.unwrap();
    // Until the consumer has joined, nothing waits for its group.
    let given_up = async || bus.dead_letters(Some("shop"), 9).await.unwrap().len();
    testkit::eventually!(within Duration::from_secs(30), given_up().await == 2);
    testkit::eventually!(within Duration::from_secs(30), bus.depth("shop").await.unwrap() == 0);
    assert_eq!(handler.applied.load(Ordering::SeqCst), 1, "the others flow");

    let id = poison.id.to_string();
    let (_, listed) = dlq(url, &["list", "--json"]);
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["id"], &first["cause"], &first["data"]),
        (&json!(id), &json!("permanent"), &json!({"total": 5}))
    );
    let (_, table) = dlq(url, &["list", "--group", "shop"]);
    assert!(table.contains(&id) && table.contains("thing.sold.v1") && table.starts_with("died"), "{table}");
    let (_, shown) = dlq(url, &["show", &id]);
    for part in ["the price is missing", "partitionkey poison", "\"total\": 5"] {
        assert!(shown.contains(part), "{shown}");
    }
    let (ok, none) = dlq(url, &["replay", "00000000-0000-0000-0000-000000000000"]);
    assert!(!ok && none.contains("dlq list"), "{none}");

    let (ok, refused) = dlq(url, &["discard", "--all"]);
    assert!(!ok && refused.contains("--group"), "{refused}");
    let (ok, refused) = dlq(url, &["discard", "--all", "--group", "outbox"]);
    assert!(!ok && refused.contains("replay"), "{refused}");
    let unwanted = event("poison");
    bus.publish(std::slice::from_ref(&unwanted)).await.unwrap();
    testkit::eventually!(within Duration::from_secs(30), given_up().await == 3);
    let (ok, said) = dlq(url, &["discard", &unwanted.id.to_string()]);
    assert!(ok && said.contains("thing.sold.v1 of poison never goes to shop"), "{said}");
    assert_eq!(given_up().await, 2);

    handler.repaired.store(true, Ordering::SeqCst);
    let (ok, said) = dlq(url, &["replay", &id]);
    assert!(ok && said.contains("thing.sold.v1 of poison goes to shop again"), "{said}");
    assert!(dlq(url, &["replay", "--all"]).0);
    testkit::eventually!(within Duration::from_secs(30), bus.depth("shop").await.unwrap() == 0);
    assert_eq!(handler.applied.load(Ordering::SeqCst), 3, "each once");
    assert_eq!(dlq(url, &["list"]).1, "no dead letters\n");
    token.cancel();
    tasks.close();
    tasks.wait().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_brought_back_on_the_embedded_bus() {
    let folder = tempfile::tempdir().unwrap();
    is_brought_back(&format!("sqlite://{}/bus.db", folder.path().display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_brought_back_on_nats() {
    let Some(server) = testkit::servers::Nats::shared().await else { return };
    is_brought_back(&server.fresh()).await;
}
