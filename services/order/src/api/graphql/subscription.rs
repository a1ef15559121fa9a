//! What is told while it happens: the live events of the REST interface, with the orders that they are about.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, Subscription as GraphqlSubscription};
use auth::Identity;
use error::{Error, Problem};
use futures::{Stream, future::pending, stream};
use messaging::Cursor;

use super::{
    context::{app, caller},
    types::Order,
};
use crate::{
    api::{http::orders, live},
    app::live::{End, Permit, Watch, Watched},
    domain::{event::DomainEvent, ids::OrderId},
};

/// Who watches, by leave of which.
#[derive(Clone)]
pub(super) struct Watcher {
    pub(super) identity: Identity,
    pub(super) permit: Arc<Permit>,
}

/// What has happened.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum OrderEventType {
    /// First of all: what follows comes after the cursor.
    Ready,
    /// Events are missing before the cursor: read the orders anew.
    Reset,
    Placed,
    Confirmed,
    Rejected,
    Fulfilled,
    Cancelled,
    Refunded,
}

impl OrderEventType {
    /// The type of an event by its name on the bus.
    fn of(kind: &str) -> Option<Self> {
        let kinds = [
            (DomainEvent::Placed, Self::Placed),
            (DomainEvent::Confirmed, Self::Confirmed),
            (DomainEvent::Rejected, Self::Rejected),
            (DomainEvent::Fulfilled, Self::Fulfilled),
            (DomainEvent::Cancelled, Self::Cancelled),
            (DomainEvent::Refunded, Self::Refunded),
        ];
        kinds.into_iter().find(|(event, _)| event.kind() == kind).map(|(_, of)| of)
    }
}

/// Something that happened to an order.
#[derive(Clone)]
struct OrderEvent {
    of: OrderEventType,
    cursor: String,
    order: Option<OrderId>,
}

/// Something that happened to an order, or to the stream of events.
#[Object(serial)]
impl OrderEvent {
    /// What has happened.
    #[graphql(name = "type")]
    async fn of(&self) -> OrderEventType {
        self.of
    }

    /// What a subscription goes on after.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The order as it is now, which may be later than the event; null where the event is about none.
    #[graphql(complexity = "5 + child_complexity")]
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>, Error> {
        let Some(id) = self.order else { return Ok(None) };
        let caller = caller(ctx)?;
        Ok(Some(Order::single(caller, app(ctx).order(caller, id).await?)))
    }
}

/// What is told while it happens.
pub(super) struct Subscription;

/// What is told while it happens.
#[GraphqlSubscription]
impl Subscription {
    /// What happens to the caller's orders, until the access token has run out.
    #[graphql(complexity = "500 + child_complexity")]
    async fn order_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose orders an operator asks for: an id, or `all`.")] user_id: Option<String>,
        #[graphql(desc = "The cursor of what was seen last; from now on where nothing is said.")] after: Option<String>,
    ) -> Result<impl Stream<Item = Result<OrderEvent, async_graphql::Error>> + use<>, Error> {
        let watcher = ctx.data_opt::<Watcher>().cloned();
        let Watcher { identity, permit } = watcher.ok_or_else(|| Error::of(Problem::TokenMissing))?;
        let asked = orders::asked(identity.is_operator(), user_id.as_deref())?;
        let after = after.as_deref().map(cursor).transpose()?;
        Ok(events(app(ctx).watch_orders(permit, &identity, asked, after).await?))
    }
}

fn cursor(text: &str) -> Result<Cursor, Error> {
    text.parse().map_err(|_| Error::malformed_parameter("after", "is not one of ours"))
}

fn events(watch: Watch) -> impl Stream<Item = Result<OrderEvent, async_graphql::Error>> {
    stream::unfold(Some(watch), async |watch| {
        let mut watch = watch?;
        loop {
            let event = match watch.next().await {
                Watched::Ready(cursor) => control(OrderEventType::Ready, &cursor),
                Watched::Reset(cursor) => control(OrderEventType::Reset, &cursor),
                Watched::Event(event) => match told(&event) {
                    Some(event) => event,
                    None => continue,
                },
                Watched::Heartbeat(_) => continue,
                Watched::End(End::TooSlow) => return Some((Err(Error::of(Problem::StreamBehind).into()), None)),
                // Who carries the events ends it, and says so in its own way.
                Watched::End(End::Expired | End::Stopping) => pending().await,
            };
            return Some((Ok(event), Some(watch)));
        }
    })
}

fn control(of: OrderEventType, cursor: &Cursor) -> OrderEvent {
    OrderEvent { of, cursor: cursor.to_string(), order: None }
}

fn told(event: &bytes::Bytes) -> Option<OrderEvent> {
    let live::Told { cursor, kind, order } = live::read(event)?;
    Some(OrderEvent { of: OrderEventType::of(&kind)?, cursor, order: Some(OrderId(order)) })
}
