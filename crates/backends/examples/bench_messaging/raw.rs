//! What a broker's own client library does by itself: the same headers and data, the same number of confirmations under
//! way, and a consumer that acknowledges each event and does nothing else. Where the broker confirms acknowledgements (NATS),
//! they are confirmed, as many at a time.

mod kafka;
mod nats;
mod rabbitmq;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use messaging::Event;

pub(crate) use self::{kafka::Kafka, nats::Nats, rabbitmq::RabbitMq};
use super::load::{Delays, EVENTS, event, paced, rate};

/// Confirmations awaited at the same time, as many as ours awaits.
const WINDOW: usize = 256;

/// A client library.
#[async_trait]
pub(crate) trait Raw: Send + Sync {
    /// Returns when the broker has confirmed it.
    async fn publish(&self, event: Event);

    /// How long each event took, from the first on; each is acknowledged as it comes.
    async fn receive(&self) -> BoxStream<'static, Duration>;
}

/// Events per second that the broker confirms.
pub(crate) async fn published(client: &dyn Raw) -> f64 {
    let events: Vec<Event> = (0..EVENTS).map(event).collect();
    let started = Instant::now();
    stream::iter(events).for_each_concurrent(WINDOW, async |event| client.publish(event).await).await;
    rate(EVENTS, started.elapsed())
}

/// How long ago this was, in the text of an event's header.
fn since(time: &str) -> Duration {
    let time = time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).unwrap();
    Duration::try_from(clock::system().now() - time).unwrap_or_default()
}

/// Events per second that are published and received at the same time.
pub(crate) async fn received(client: &dyn Raw) -> f64 {
    let mut events = client.receive().await.take(EVENTS + 1);
    client.publish(event(0)).await;
    events.next().await.unwrap();
    let started = Instant::now();
    tokio::join!(published(client), events.count());
    rate(EVENTS, started.elapsed())
}

/// From publishing to received, at so many a second.
pub(crate) async fn delays(client: &dyn Raw, per_second: f64) -> Delays {
    let (mut events, mut delays) = (client.receive().await, Vec::new());
    let sending = paced(per_second, async |number| client.publish(event(number)).await);
    tokio::pin!(sending);
    let sent = loop {
        tokio::select! {
            sent = &mut sending => break sent,
            delay = events.next() => delays.push(delay.unwrap()),
        }
    };
    while delays.len() < sent {
        delays.push(events.next().await.unwrap());
    }
    Delays::of(delays)
}
