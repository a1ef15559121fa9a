//! Orders, products and customers as GraphQL has them.
//!
//! All of them are `serial`: nothing but the customer of an order is waited for, and the items of a list are waited for
//! together anyway. Otherwise each field would be a task of its own, and would come when it is there, not where the document
//! has it.

mod enums;
mod scalars;

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use error::Error;

pub(super) use self::scalars::Long;
use self::{
    enums::{AccountStatus, OrderStatus, PaymentStatus, Reason},
    scalars::DateTime,
};
use super::context::app;
use crate::{
    app::{customers::CustomerBatch, orders::Caller, ports},
    domain::{basket, order, product},
};

/// An amount of money.
#[derive(SimpleObject)]
#[graphql(serial)]
pub(super) struct Money {
    /// In minor units, such as cents.
    amount: Long,
    /// A code of ISO 4217.
    currency: &'static str,
}

impl From<money::Money> for Money {
    fn from(money: money::Money) -> Self {
        Self { amount: Long(money.amount), currency: money.currency.code() }
    }
}

/// A product of the catalogue.
pub(super) struct Product(pub(super) product::Product);

/// A product of the catalogue.
#[Object(serial)]
impl Product {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Its article number.
    async fn sku(&self) -> &str {
        self.0.sku.as_str()
    }

    async fn name(&self) -> &str {
        self.0.name.as_str()
    }

    async fn description(&self) -> &str {
        self.0.description.as_str()
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
#[Object(serial)]
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
    async fn items(&self) -> Vec<Item<'_>> {
        self.order.items.iter().map(Item).collect()
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
pub(super) struct Item<'a>(&'a basket::Item);

/// A line of an order, as it was when it was ordered.
#[Object(serial)]
impl Item<'_> {
    async fn product_id(&self) -> ID {
        self.0.product.to_string().into()
    }

    async fn name(&self) -> &str {
        self.0.name.as_str()
    }

    async fn quantity(&self) -> Long {
        Long(self.0.quantity.pieces())
    }

    async fn unit_price(&self) -> Money {
        self.0.unit_price.into()
    }
}

/// The payment of an order.
#[derive(SimpleObject)]
#[graphql(serial)]
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
#[graphql(serial)]
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
