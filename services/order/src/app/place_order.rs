//! Placing an order: price it, reserve stock, then wait a little for payment.

use std::time::Duration;

use tokio::time::Instant;
use tracing::instrument;

use super::{
    App, Error,
    ports::{PaymentError, Placed},
    published::effects,
};
use crate::domain::{
    basket::{self, Basket, Line},
    ids::{OrderId, UserId},
    order::{Draft, Order, Origin},
    values::PaymentToken,
};

/// How long payment has to say whether it knows the token.
const TOKEN_CHECK: Duration = Duration::from_secs(1);
/// What is kept of the caller's time for the answer itself.
const ANSWER: Duration = Duration::from_millis(100);
/// What the sweeper leaves to the request beyond its waiting.
const GRACE: Duration = Duration::from_secs(1);

/// A wish to order.
#[derive(Debug)]
pub struct Wish {
    /// Who wishes.
    pub user: UserId,
    /// The idempotency key.
    pub key: String,
    /// Of the body.
    pub digest: [u8; 32],
    /// What is wished for.
    pub lines: Vec<Line>,
    /// To pay with.
    pub token: PaymentToken,
    /// Of the request.
    pub origin: Origin,
}

/// An order that was placed.
#[derive(Debug)]
pub struct Ordered {
    /// The order, after payment has answered or the waiting was over.
    pub order: Order,
    /// Whether it had been placed before, under the same key.
    pub replayed: bool,
}

impl App {
    /// Places an order, or finds it placed.
    #[instrument(skip_all, fields(order.id))]
    pub async fn place_order(&self, wish: Wish) -> Result<Ordered, Error> {
        let until = Instant::now() + self.patience_of_request();
        let id = OrderId::derive(wish.user, &wish.key);
        tracing::Span::current().record("order.id", tracing::field::display(id));
        let (order, replayed) = match self.orders.get(id).await? {
            Some(order) => (order, true),
            None => self.reserve(id, &wish, until).await?,
        };
        if replayed && order.digest != wish.digest {
            return Err(Error::OtherBody);
        }
        let budget = until.saturating_duration_since(Instant::now());
        let order = self.drive_within(order, budget).await?.order;
        Ok(Ordered { order, replayed })
    }

    /// How long a request may wait for payment: less where its caller waits less.
    pub(super) fn patience_of_request(&self) -> Duration {
        telemetry::remaining(self.times.wait + ANSWER).saturating_sub(ANSWER)
    }

    async fn reserve(&self, id: OrderId, wish: &Wish, until: Instant) -> Result<(Order, bool), Error> {
        let Basket { items, total } = self.priced(&wish.lines).await?;
        self.check_token(&wish.token, until).await?;
        let now = self.clock.now();
        let draft = Draft {
            id,
            user: wish.user,
            items,
            total,
            token: wish.token.clone(),
            digest: wish.digest,
            origin: wish.origin.clone(),
        };
        let (order, moved) = Order::place(draft, self.times.wait + GRACE, now);
        let effects = effects(&order, moved.event, None, now)?;
        let placed = self.orders.place(&order, effects).await;
        self.shelf.drop_ordered(&order).await;
        match placed? {
            Placed::Stored => Ok((order, false)),
            Placed::Existing(order) => Ok((*order, true)),
            Placed::Shortage(lines) => Err(Error::Shortage(lines)),
            Placed::AccountClosing => Err(Error::AccountClosing),
        }
    }

    async fn priced(&self, lines: &[Line]) -> Result<Basket, Error> {
        let ids: Vec<_> = lines.iter().map(|line| line.product).collect();
        let products = self.products.get_many(&ids).await?;
        basket::price(lines, &products).map_err(Error::Basket)
    }

    /// Refuses a token that the provider does not know. When payment does not
    /// say, the order is taken and payment decides later.
    async fn check_token(&self, token: &PaymentToken, until: Instant) -> Result<(), Error> {
        let until = until.min(Instant::now() + TOKEN_CHECK);
        let answer = self.tokens.known(&*self.payments, token);
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(false)) => Err(Error::UnknownToken),
            Ok(Err(error @ PaymentError::Failed(_))) => {
                tracing::warn!(error = %error, "cannot check a payment token");
                Ok(())
            }
            Ok(Ok(true) | Err(_)) | Err(_) => Ok(()),
        }
    }
}
