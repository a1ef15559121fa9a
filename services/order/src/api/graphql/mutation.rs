//! What can be changed.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use chassis::{http::IdempotencyKey, json};
use error::{Error, Location, Problem};
use serde::Serialize;

use super::{
    context::{app, caller, id},
    types::Order,
};
use crate::{
    api::http::body,
    app::{
        orders::Caller,
        place_order::{PlaceOrder, PlacedOrder},
    },
};

/// A line of a new order.
#[derive(InputObject, Serialize)]
struct LineInput {
    product_id: ID,
    /// Pieces, 1 to 999.
    quantity: i32,
}

/// A new order.
#[derive(InputObject, Serialize)]
struct PlaceOrderInput {
    /// 1 to 50 lines.
    items: Vec<LineInput>,
    /// What is paid with, as the provider knows it.
    payment_token: String,
}

/// An order that was placed.
#[derive(SimpleObject)]
struct PlaceOrderPayload {
    /// The order as it is now.
    order: Order,
    /// Whether it had been placed before, with the same key.
    replayed: bool,
}

/// An order that was changed.
#[derive(SimpleObject)]
struct OrderPayload {
    /// The order as it is now.
    order: Order,
}

/// What can be changed.
pub(super) struct Mutation;

/// What can be changed. A command may be repeated with the same key, and has one effect.
#[Object]
impl Mutation {
    /// Places an order and waits for its payment for 3 s at most. The key, 1 to 255 visible ASCII characters, is the same
    /// as REST's: with another input it is refused.
    #[graphql(complexity = "500 + child_complexity")]
    async fn place_order(
        &self,
        ctx: &Context<'_>,
        idempotency_key: String,
        input: PlaceOrderInput,
    ) -> Result<Option<PlaceOrderPayload>, Error> {
        let caller = writer(ctx).await?;
        let key = key(&idempotency_key)?;
        // The body of the same request over REST: the same faults are found, and a key meets the same order.
        let node = json::parse(&serde_json::to_vec(&input).map_err(Error::internal)?)?;
        let (lines, token) = body::order(&node)?;
        let command = PlaceOrder { user: caller.user, key: key.to_string(), digest: node.digest(), lines, token };
        let PlacedOrder { order, replayed } = app(ctx).place_order(command).await?;
        Ok(Some(PlaceOrderPayload { order: Order::single(caller, order), replayed }))
    }

    /// Cancels an order of the caller's; an operator may cancel each. An order is cancelled once, whatever the key.
    #[graphql(complexity = "500 + child_complexity")]
    async fn cancel_order(
        &self,
        ctx: &Context<'_>,
        idempotency_key: String,
        id: ID,
    ) -> Result<Option<OrderPayload>, Error> {
        let caller = writer(ctx).await?;
        let order = self::id(&id, "order")?;
        key(&idempotency_key)?;
        let order = app(ctx).cancel_order(caller, order).await?.order;
        Ok(Some(OrderPayload { order: Order::single(caller, order) }))
    }

    /// Fulfils an order, which only an operator may. An order is fulfilled once, whatever the key.
    #[graphql(complexity = "500 + child_complexity")]
    async fn fulfil_order(
        &self,
        ctx: &Context<'_>,
        idempotency_key: String,
        id: ID,
    ) -> Result<Option<OrderPayload>, Error> {
        // As over REST, the role comes before what the account may still do, and that before what is asked for.
        caller(ctx)?.must_operate()?;
        let caller = writer(ctx).await?;
        let order = self::id(&id, "order")?;
        key(&idempotency_key)?;
        let order = app(ctx).fulfil_order(caller, order).await?;
        Ok(Some(OrderPayload { order: Order::single(caller, order) }))
    }
}

/// Somebody who may change something.
async fn writer(ctx: &Context<'_>) -> Result<Caller, Error> {
    let caller = caller(ctx)?;
    app(ctx).may_write(caller.user).await?;
    Ok(caller)
}

fn key(text: &str) -> Result<IdempotencyKey, Error> {
    IdempotencyKey::parse(text.as_bytes()).ok_or_else(|| {
        Error::new(Problem::MalformedParameter, "the idempotency key cannot be used")
            .at(Location::Parameter("idempotencyKey".to_owned()), "must be 1 to 255 visible ASCII characters")
    })
}
