//! Renewals of leases beside everything else that a member is asked for.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::Mutex, time::sleep};
use uuid::Uuid;

use super::{
    Broker,
    applying::settled,
    consumer::{Act, Script, policy, start},
    event, publish,
};
use crate::{Bus, DeadLetter, Delivery, Error, Event, Reason, Resolution, Subscription, Tail};

const LEASE: Duration = Duration::from_secs(2);

/// Whatever a member is asked for waits for its turn, as where a broker's client does one thing at a time; and renewing
/// a lease takes its time.
struct InTurn<T>(T, Mutex<()>);

#[async_trait]
impl Bus for InTurn<Arc<dyn Bus>> {
    fn system(&self) -> &'static str {
        self.0.system()
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        self.0.publish(events).await
    }

    async fn subscribe(&self, group: &str, kinds: &[&str]) -> Result<Arc<dyn Subscription>, Error> {
        Ok(Arc::new(InTurn(self.0.subscribe(group, kinds).await?, Mutex::default())))
    }

    async fn tail(&self, kinds: &[&str], back: u64) -> Result<Box<dyn Tail>, Error> {
        self.0.tail(kinds, back).await
    }

    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.0.dead_letters(group, limit).await
    }

    async fn resolve(&self, group: &str, events: &[Uuid], resolution: Resolution) -> Result<u64, Error> {
        self.0.resolve(group, events, resolution).await
    }

    async fn depth(&self, group: &str) -> Result<u64, Error> {
        self.0.depth(group).await
    }

    async fn count_dead_letters(&self, group: &str) -> Result<u64, Error> {
        self.0.count_dead_letters(group).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.0.ping().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl Subscription for InTurn<Arc<dyn Subscription>> {
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        self.0.fetch(max).await
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        let _turn = self.1.lock().await;
        self.0.ack(delivery).await
    }

    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        let _turn = self.1.lock().await;
        self.0.retry(delivery, after).await
    }

    async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        let _turn = self.1.lock().await;
        self.0.release(delivery).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<(), Error> {
        let _turn = self.1.lock().await;
        sleep(self.lease() / 6).await;
        self.0.extend(delivery).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        let _turn = self.1.lock().await;
        self.0.dead_letter(delivery, reason).await
    }

    fn lease(&self) -> Duration {
        self.0.lease()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// A handler that ends while its lease is being renewed does not wait for that, nor anybody else.
pub async fn a_renewal_under_way_holds_up_no_settlement(broker: &dyn Broker) {
    let bus: Arc<dyn Bus> = Arc::new(InTurn(broker.open(LEASE).await, Mutex::default()));
    let script = Script::new(|_, _| Act::Sleep(LEASE / 3 + LEASE / 12));
    let running = start(&bus, script.clone(), policy()).await;
    publish(&bus, &(0..4).map(|key| event(key, key)).collect::<Vec<_>>()).await;
    settled(&bus).await;
    assert_eq!(script.all_tries(), 4);
    running.stop().await;
}
