//! Subscriptions: over a WebSocket as graphql-ws speaks, and as Server-Sent Events as graphql-sse reads.

mod events;
mod limits;
mod socket;

use std::{net::SocketAddr, sync::Arc};

use messaging::{Bus, Relay};
use serde_json::{Value, json};

use crate::{
    app::{Person, TestApp},
    stream::{clients::Socket, following, memory, sockets::Served},
};

const PATH: &str = "/graphql/stream";
const EVENTS: &str = "subscription($of: String, $after: String) {
    orderEvents(userId: $of, after: $after) { type cursor order { id status customer { id } } }
}";

/// A service whose own events come back to it.
async fn relaying() -> (Arc<dyn Bus>, TestApp) {
    let bus = memory().await;
    let app = following(&bus).await;
    let relay = Relay::new(Arc::new(app.outbox.clone()), Arc::clone(&bus));
    app.tasks.tracker().spawn(relay.run(app.tasks.token()));
    (bus, app)
}

/// A client of `graphql-transport-ws`.
struct Client(Socket);

impl Client {
    /// Connects without saying who it is.
    async fn connect(address: SocketAddr) -> Self {
        let headers = [("sec-websocket-protocol", "graphql-transport-ws".to_owned())];
        Self(Socket::connect(address, PATH, &headers).await.unwrap())
    }

    async fn open(served: &Served, person: &Person) -> Self {
        let mut client = Self::connect(served.address).await;
        client.init(&person.token).await;
        assert_eq!(client.next().await.unwrap(), json!({ "type": "connection_ack" }));
        client
    }

    async fn init(&mut self, token: &str) {
        self.say(&json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } }))
            .await;
    }

    async fn say(&mut self, message: &Value) {
        self.0.send(&message.to_string()).await;
    }

    async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(&json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }

    /// What is said next, or the code that the socket is closed with.
    async fn next(&mut self) -> Result<Value, u16> {
        self.0.next().await
    }

    /// The next event of an operation.
    async fn event(&mut self, id: &str) -> Value {
        let next = self.next().await.unwrap();
        assert_eq!(
            (&next["type"], &next["id"], &next["payload"]["errors"]),
            (&json!("next"), &json!(id), &Value::Null),
            "{next}"
        );
        next["payload"]["data"]["orderEvents"].clone()
    }

    /// The code of the error that an operation ended with.
    async fn error(&mut self, id: &str) -> String {
        let next = self.next().await.unwrap();
        assert_eq!((&next["type"], &next["id"]), (&json!("error"), &json!(id)), "{next}");
        next["payload"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    }
}
