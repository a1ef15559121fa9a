//! The contract of `Payments` over PostgreSQL, and the ledger's own constraints.

use std::sync::Arc;

use messaging::Wake;
use payment::{
    adapters::postgres::{MIGRATIONS, PostgresPayments},
    app::ports::StoreError,
};
use testkit::servers::Postgres;

use crate::{euros, payments::Fixture};

/// `None` where there is no server.
async fn fixture() -> Option<(Fixture, postgres::Pool)> {
    let url = Postgres::shared().await?.database().await;
    let pool = postgres::open(&url, "payment", &MIGRATIONS, true).await.unwrap();
    let outbox = postgres::Outbox::new(pool.clone());
    let payments = PostgresPayments::new(pool.clone(), Wake::default());
    Some((Fixture { payments: Arc::new(payments), outbox: Arc::new(outbox), _folder: None }, pool))
}

mod database {
    testkit::suite! { crate::payments::suite, match super::fixture().await {
        Some((fixture, _)) => fixture,
        None => return,
    } }
}

const PAYMENT: &str = "INSERT INTO payments (order_id, id, user_id, amount, currency, status, reference, version, fence, \
     created_at, updated_at) SELECT id, id, id, 5, 'EUR', 'authorized', 'ch', 1, 1, now(), now() \
     FROM (SELECT '00000000-0000-0000-0000-000000000000'::uuid) AS one (id)";

const ENTRIES: &str = "INSERT INTO ledger_entries VALUES \
     ('00000000-0000-0000-0000-000000000000', 'authorize', 'holds', 'EUR', 5), \
     ('00000000-0000-0000-0000-000000000000', 'authorize', 'authorizations', 'EUR', -5)";

const SEAL: &str =
    "INSERT INTO ledger_transactions VALUES ('00000000-0000-0000-0000-000000000000', 'authorize', now())";

async fn run(pool: &postgres::Pool, statements: &[&'static str]) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    for statement in statements {
        sqlx::query(*statement).execute(&mut *tx).await?;
    }
    tx.commit().await
}

#[tokio::test]
async fn the_ledger_takes_only_what_balances() {
    let Some((fixture, pool)) = fixture().await else { return };
    let one_side = "INSERT INTO ledger_entries VALUES \
         ('00000000-0000-0000-0000-000000000000', 'authorize', 'holds', 'EUR', 5)";
    for (statements, reason) in [
        (&[PAYMENT, one_side, SEAL][..], "does not balance"),
        (&[PAYMENT, SEAL], "does not balance"),
        (&[PAYMENT, ENTRIES], "foreign key"),
        (&[ENTRIES, SEAL], "foreign key"),
        (&[PAYMENT, ENTRIES, SEAL, "UPDATE ledger_entries SET amount = amount * 2"], "never changes"),
        (&[PAYMENT, ENTRIES, SEAL, "DELETE FROM ledger_entries"], "never changes"),
        (&[PAYMENT, ENTRIES, SEAL, "DELETE FROM ledger_transactions"], "never changes"),
        (&[PAYMENT, ENTRIES, SEAL, one_side], "is sealed"),
    ] {
        let error = run(&pool, statements).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{statements:?}: {error}");
    }
    run(&pool, &[PAYMENT, ENTRIES, SEAL]).await.unwrap();
    assert_eq!(fixture.payments.totals().await.unwrap().unbalanced, 0);
    assert_eq!(fixture.payments.imbalances(9).await.unwrap(), [euros(0)]);
    let forged = [
        "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_kept",
        "UPDATE ledger_entries SET amount = 6 WHERE account = 'holds'",
    ];
    run(&pool, &forged).await.unwrap();
    assert_eq!(fixture.payments.totals().await.unwrap().unbalanced, 1, "the audit finds what does not balance");
    assert_eq!(fixture.payments.imbalances(9).await.unwrap(), [euros(1)]);
}

/// sqlx makes a panic of it, which ends the process, and the next one at the same payment.
#[tokio::test]
async fn a_time_that_is_none_is_its_payments_alone() {
    let Some((fixture, pool)) = fixture().await else { return };
    run(&pool, &[PAYMENT, ENTRIES, SEAL, "UPDATE payments SET updated_at = 'infinity'"]).await.unwrap();
    let order = uuid::Uuid::nil().into();
    let page = fixture.payments.page(None, 9).await.unwrap();
    let booked = fixture.payments.booked(&[order]).await.unwrap();
    assert_eq!((page.len(), booked.len()), (0, 1), "a page begins behind the smallest id");
    assert!(matches!(booked[0].stored, Err(StoreError::Failed(_))), "{booked:?}");
    assert!(matches!(fixture.payments.by_order(order).await, Err(StoreError::Failed(_))));
}

/// What a newer version has written before it was rolled back.
#[tokio::test]
async fn a_currency_that_is_not_known_spoils_no_sum() {
    let Some((fixture, pool)) = fixture().await else { return };
    let other = PAYMENT.replace("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001");
    let other = [other, ENTRIES.replace("'EUR'", "'QQQ'"), SEAL.to_owned()].join(";").replace("00000'", "00001'");
    run(&pool, &[PAYMENT, ENTRIES, SEAL]).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {other}; COMMIT"))).execute(&pool).await.unwrap();
    assert_eq!(fixture.payments.imbalances(9).await.unwrap(), [euros(0)]);
    assert_eq!(fixture.payments.totals().await.unwrap().held, [euros(5)]);
}
