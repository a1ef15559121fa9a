//! What an audit reports.

use proto::payment::v1::Money;
use uuid::Uuid;

use crate::app::{TestApp, authorize_request};

fn money(amount: i64, currency: &str) -> Money {
    Money { amount, currency: currency.into() }
}

#[tokio::test]
async fn it_sums_up_per_currency() {
    let app = TestApp::start().await;
    let mut orders = Vec::new();
    for (amount, currency) in [(100, "EUR"), (20, "EUR"), (3_000, "JPY"), (7, "EUR")] {
        let order = Uuid::now_v7();
        let mut request = authorize_request(order, "tok_ok");
        request.amount = Some(money(amount, currency));
        app.authorize(request).await.unwrap();
        orders.push(order);
    }
    for order in &orders[..3] {
        app.capture(*order).await.unwrap();
    }
    app.refund(orders[1]).await.unwrap();
    let audit = app.audit().await;
    assert_eq!(audit.captured, [money(120, "EUR"), money(3_000, "JPY")]);
    assert_eq!(audit.refunded, [money(20, "EUR")]);
    assert_eq!(audit.held, [money(7, "EUR")]);
    assert_eq!((audit.payments, audit.outbox), (4, 8));
    assert_eq!((audit.unbalanced, audit.charged_twice, audit.unresolved), (0, 0, 0));
}
