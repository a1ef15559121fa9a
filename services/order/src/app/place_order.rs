//! Placing an order: price it, reserve stock, then wait a little for payment.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use tracing::instrument;

use super::{
    App, Error, origin,
    ports::{PaymentError, Placed},
    published::effects,
};
use crate::domain::{
    basket::{self, Basket, Line},
    ids::{OrderId, UserId},
    order::{Draft, Order},
    values::PaymentToken,
};

/// How long payment may take to say whether it knows the token.
const TOKEN_CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// What is kept of the caller's deadline for sending the response.
const RESPONSE_RESERVE: Duration = Duration::from_millis(100);
/// How much longer than the request may wait for payment the sweeper leaves the order to it.
const GRACE: Duration = Duration::from_secs(1);

/// The command to place an order.
#[derive(Debug)]
pub struct PlaceOrder {
    /// Who places it.
    pub user: UserId,
    /// The idempotency key.
    pub key: String,
    /// SHA-256 of the request's body.
    pub digest: [u8; 32],
    /// What is ordered.
    pub lines: Vec<Line>,
    /// To pay with.
    pub token: PaymentToken,
}

/// An order that was placed.
#[derive(Debug)]
pub struct PlacedOrder {
    /// The order, after payment has answered or the request's time was up.
    pub order: Order,
    /// Whether it had been placed before, with the same key.
    pub replayed: bool,
}

impl App {
    /// Places an order, or finds it placed.
    ///
    /// # Errors
    /// The key was used with another body, the lines cannot be ordered, the token is unknown, the account is
    /// closing, or the store failed.
    #[instrument(skip_all, fields(order.id))]
    pub async fn place_order(&self, command: PlaceOrder) -> Result<PlacedOrder, Error> {
        let until = Instant::now() + self.request_budget();
        let id = OrderId::derive(command.user, &command.key);
        tracing::Span::current().record("order.id", tracing::field::display(id));
        // Where payment is to be asked, which may be away: not for what is placed already.
        let is_known = self.token_cache.has(&command.token).await;
        let placed = if is_known { None } else { self.orders.get(id).await? };
        let (order, replayed) = match placed {
            Some(order) => (order, true),
            None => self.reserve_or_find(id, &command, until).await?,
        };
        if replayed && order.digest != command.digest {
            return Err(Error::KeyReused);
        }
        let budget = until.saturating_duration_since(Instant::now());
        let invalidated = self.product_cache.invalidate_ordered(&order).boxed();
        let (advanced, ()) = futures::join!(self.advance_within(order, budget).boxed(), invalidated);
        Ok(PlacedOrder { order: advanced?.order, replayed })
    }

    /// How long a request may wait for payment: less where its caller's deadline is sooner.
    pub(super) fn request_budget(&self) -> Duration {
        telemetry::remaining(self.timeouts.payment_wait + RESPONSE_RESERVE).saturating_sub(RESPONSE_RESERVE)
    }

    async fn reserve_or_find(&self, id: OrderId, command: &PlaceOrder, until: Instant) -> Result<(Order, bool), Error> {
        match self.reserve(id, command, until).await {
            // An earlier request may have placed it, and not have seen it through: that counts, whatever would be said
            // of the command now.
            Err(error) if !matches!(error, Error::Store(_)) => {
                let found = self.orders.get(id).await?;
                found.map(|order| (order, true)).ok_or(error)
            }
            reserved => reserved,
        }
    }

    async fn reserve(&self, id: OrderId, command: &PlaceOrder, until: Instant) -> Result<(Order, bool), Error> {
        let Basket { items, total } = self.priced(&command.lines).await?;
        self.check_token(&command.token, until).await?;
        let now = self.clock.now();
        let draft = Draft {
            id,
            user: command.user,
            items,
            total,
            token: command.token.clone(),
            digest: command.digest,
            origin: origin::current(),
        };
        let (order, transition) = Order::place(draft, self.timeouts.payment_wait + GRACE, now);
        let effects = effects(&order, transition.event, None, now)?;
        let placed = self.orders.place(&order, effects).await;
        if !matches!(placed, Ok(Placed::Stored | Placed::Existing(_))) {
            // It may have been stored all the same, and some of its lines may have been taken for a moment.
            self.product_cache.invalidate_ordered(&order).await;
        }
        match placed? {
            Placed::Stored => {
                self.metrics.changed(&order);
                Ok((order, false))
            }
            Placed::Existing(order) => Ok((*order, true)),
            Placed::Shortage(lines) => {
                self.metrics.stock_refused();
                Err(Error::Shortage(lines))
            }
            Placed::AccountClosing => Err(Error::AccountClosing),
        }
    }

    async fn priced(&self, lines: &[Line]) -> Result<Basket, Error> {
        let ids: Vec<_> = lines.iter().map(|line| line.product).collect();
        let products = self.products.get_many(&ids).await?;
        basket::price(lines, &products).map_err(Error::Basket)
    }

    /// Refuses a token that the provider does not know. When payment does not
    /// answer, the order is accepted and the authorization decides later.
    async fn check_token(&self, token: &PaymentToken, until: Instant) -> Result<(), Error> {
        if self.token_cache.has(token).await {
            return Ok(());
        }
        let until = until.min(Instant::now() + TOKEN_CHECK_TIMEOUT);
        let answer = self.token_cache.ask(&*self.payments, token);
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(false)) => Err(Error::UnknownToken),
            Ok(Err(error @ PaymentError::Failed(_))) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot check a payment token");
                Ok(())
            }
            Ok(Ok(true) | Err(_)) | Err(_) => Ok(()),
        }
    }
}
