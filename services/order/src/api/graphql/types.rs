//! Orders, products and customers as GraphQL has them.

mod enums;
mod scalars;

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use error::Error;

use self::{
    enums::{AccountStatus, OrderStatus, PaymentStatus, Reason},
    scalars::{DateTime, Long},
};
use super::context::app;
use crate::{
    app::{customers::CustomerBatch, orders::Caller, ports},
    domain::{basket, order, product},
};

/// An amount of money.
#[derive(SimpleObject)]
pub(super) struct Money {
    /// In minor units, such as cents.
    amount: Long,
    /// A code of ISO 4217.
    currency: String,
}

impl From<money::Money> for Money {
    fn from(money: money::Money) -> Self {
        Self { amount: Long(money.amount), currency: money.currency.code().to_owned() }
    }
}

/// A product of the catalogue.
pub(super) struct Product(pub(super) product::Product);

/// A product of the catalogue.
#[Object]
impl Product {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Its article number.
    async fn sku(&self) -> String {
        self.0.sku.to_string()
    }

    async fn name(&self) -> String {
        self.0.name.to_string()
    }

    async fn description(&self) -> String {
        self.0.description.to_string()
    }

    /// What a piece costs.
    async fn price(&self) -> Money {
        self.0.price.money().into()
    }

    /// Pieces that can be ordered.
    async fn available(&self) -> Long {
        Long(self.0.available)
    }

    /// Raised by each change of name, description or price.
    async fn version(&self) -> Long {
        Long::of(self.0.version)
    }
}

/// An order, with the accounts of all that are on its page.
pub(super) struct Order {
    pub(super) order: order::Order,
    pub(super) customers: Arc<CustomerBatch>,
}

impl Order {
    /// One order, without others beside it.
    pub(super) fn single(caller: Caller, order: order::Order) -> Self {
        let customers = Arc::new(CustomerBatch::new(caller, [order.user]));
        Self { order, customers }
    }
}

/// An order.
#[Object]
impl Order {
    async fn id(&self) -> ID {
        self.order.id.to_string().into()
    }

    /// Whose it is.
    async fn user_id(&self) -> ID {
        self.order.user.to_string().into()
    }

    /// The account of whoever ordered; null with an error while the user service does not answer.
    #[graphql(complexity = "10 + child_complexity")]
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>, Error> {
        let customer = app(ctx).customer(&self.customers, self.order.user).await?;
        Ok(customer.map(Customer::from))
    }

    async fn status(&self) -> OrderStatus {
        self.order.status.into()
    }

    /// Why it was rejected or cancelled.
    async fn reason(&self) -> Option<Reason> {
        self.order.reason.map(Reason::from)
    }

    #[graphql(complexity = "5 * child_complexity")]
    async fn items(&self) -> Vec<Item> {
        self.order.items.iter().map(Item::from).collect()
    }

    async fn total(&self) -> Money {
        self.order.total.into()
    }

    async fn payment(&self) -> Option<Payment> {
        self.order.payment.map(Payment::from)
    }

    async fn version(&self) -> Long {
        Long::of(self.order.version)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.order.created_at)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.order.updated_at)
    }
}

/// A line of an order, as it was when it was ordered.
#[derive(SimpleObject)]
pub(super) struct Item {
    product_id: ID,
    name: String,
    quantity: Long,
    unit_price: Money,
}

impl From<&basket::Item> for Item {
    fn from(item: &basket::Item) -> Self {
        Self {
            product_id: item.product.to_string().into(),
            name: item.name.to_string(),
            quantity: Long(item.quantity.pieces()),
            unit_price: item.unit_price.into(),
        }
    }
}

/// The payment of an order.
#[derive(SimpleObject)]
pub(super) struct Payment {
    id: ID,
    status: PaymentStatus,
}

impl From<order::Payment> for Payment {
    fn from(payment: order::Payment) -> Self {
        Self { id: payment.id.hyphenated().to_string().into(), status: payment.status.into() }
    }
}

/// The account of somebody who orders.
#[derive(SimpleObject)]
pub(super) struct Customer {
    id: ID,
    /// Null once the account is closed.
    email: Option<String>,
    /// Null once the account is closed.
    name: Option<String>,
    status: AccountStatus,
    /// Orders that were ever confirmed.
    orders_placed: Long,
}

impl From<ports::Customer> for Customer {
    fn from(customer: ports::Customer) -> Self {
        Self {
            id: customer.id.to_string().into(),
            email: customer.email,
            name: customer.name,
            status: customer.status.into(),
            orders_placed: Long::of(customer.orders_placed),
        }
    }
}
