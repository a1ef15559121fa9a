//! Orders and products to test with.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use messaging::{Effects, Event, Outbox, Receipt};
use money::{Currency, Money};
use order::{
    app::ports::{Accounts, Audit, CommandKey, Idempotent, Listed, Orders, Placed, Products, Row},
    domain::{
        basket::Item,
        ids::{OrderId, ProductId, UserId},
        order::{Draft, Order, Origin, Payment},
        product::Product,
        status::PaymentStatus,
        values::{Description, Name, PaymentToken, Price, Quantity, Sku},
    },
};
use time::OffsetDateTime;
use uuid::Uuid;

/// The ports of one store.
#[derive(Clone)]
pub struct Stores {
    pub orders: Arc<dyn Orders>,
    pub products: Arc<dyn Products>,
    pub accounts: Arc<dyn Accounts>,
    pub audit: Arc<dyn Audit>,
    pub outbox: Arc<dyn Outbox>,
    /// Makes an order or a product unreadable.
    pub spoil: Spoil,
}

pub type Spoil = Arc<dyn Fn(Uuid) -> BoxFuture<'static, ()> + Send + Sync>;

/// What was listed, of which each can be read.
pub fn readable<T: Listed>(rows: Vec<Row<T>>) -> Vec<T> {
    rows.into_iter().map(|row| row.unwrap()).collect()
}

pub const START: OffsetDateTime = time::macros::datetime!(2026-01-01 12:00 UTC);

/// So many seconds after [`START`].
pub fn at(seconds: u64) -> OffsetDateTime {
    START + Duration::from_secs(seconds)
}

pub fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

pub fn euros(amount: i64) -> Money {
    Money::new(amount, Currency::parse("EUR").unwrap())
}

pub fn product(sku: &str, available: i64) -> Product {
    Product {
        id: ProductId(Uuid::new_v4()),
        sku: Sku::parse(sku).unwrap(),
        name: Name::parse(&format!("Product {sku}")).unwrap(),
        description: Description::parse("").unwrap(),
        price: Price::parse(euros(250)).unwrap(),
        available,
        version: 1,
        created_at: START,
        updated_at: START,
    }
}

pub fn key(text: &str, digest: u8) -> CommandKey {
    CommandKey {
        user: user(1),
        command: "POST /v1/products".to_owned(),
        key: text.to_owned(),
        digest: [digest; 32],
        at: START,
    }
}

/// What distinguishes one order from another in these tests.
pub struct OrderSpec<'a> {
    pub user: UserId,
    pub key: &'a str,
    pub lines: &'a [(ProductId, i64)],
    pub at: OffsetDateTime,
}

pub fn order(spec: &OrderSpec<'_>) -> Order {
    let items: Vec<Item> = spec
        .lines
        .iter()
        .map(|(product, quantity)| Item {
            product: *product,
            name: Name::parse("Thing").unwrap(),
            quantity: Quantity::parse(*quantity).unwrap(),
            unit_price: euros(250),
        })
        .collect();
    let total = items.iter().map(|item| item.quantity.pieces() * 250).sum();
    let draft = Draft {
        id: OrderId::derive(spec.user, spec.key),
        user: spec.user,
        items,
        total: euros(total),
        token: PaymentToken::parse("tok_ok").unwrap(),
        digest: [7; 32],
        origin: Origin { traceparent: Some("00-aa-bb-01".to_owned()), tracestate: None, canary: true },
    };
    Order::place(draft, Duration::from_secs(2), spec.at).0
}

pub fn of_user_1(key: &str, lines: &[(ProductId, i64)]) -> Order {
    order(&OrderSpec { user: user(1), key, lines, at: START })
}

pub fn payment(status: PaymentStatus) -> Payment {
    Payment { id: Uuid::from_u128(99), status }
}

/// The effects of a transition with one event.
pub fn emits(order: &Order, kind: &str) -> Effects {
    let data = serde_json::json!({ "order_id": order.id.to_string() });
    Effects { events: vec![Event::new(kind, "order", order.id, START, data).unwrap()], receipt: None }
}

pub fn receipt(event: u128) -> Receipt {
    Receipt { consumer: "order", event_id: Uuid::from_u128(event) }
}

impl Stores {
    /// All the ports of one store.
    pub fn of(
        store: impl Orders + Products + Accounts + Audit + 'static,
        outbox: impl Outbox + 'static,
        spoil: Spoil,
    ) -> Self {
        let store = Arc::new(store);
        Self {
            orders: store.clone(),
            products: store.clone(),
            accounts: store.clone(),
            audit: store,
            outbox: Arc::new(outbox),
            spoil,
        }
    }

    /// Adds a product to the catalogue.
    pub async fn stocked(&self, sku: &str, available: i64) -> ProductId {
        let product = product(sku, available);
        assert!(matches!(self.products.create(&product, None, vec![]).await.unwrap(), Idempotent::Done(_)));
        product.id
    }

    pub async fn place(&self, order: &Order) -> Placed {
        self.orders.place(order, emits(order, "order.placed.v1")).await.unwrap()
    }

    pub async fn placed(&self, order: &Order) {
        assert!(matches!(self.place(order).await, Placed::Stored));
    }

    pub async fn available(&self, id: ProductId) -> i64 {
        self.products.get(id).await.unwrap().unwrap().available
    }

    pub async fn stored(&self, order: &Order) -> Option<Order> {
        self.orders.get(order.id).await.unwrap()
    }

    /// The kinds of all events in the outbox, in order.
    pub async fn emitted(&self) -> Vec<String> {
        let claimed = self.outbox.claim("test", 1000).await.unwrap();
        claimed.into_iter().map(|row| row.event.kind).collect()
    }
}
