//! The contract of `Payments` over `SQLite`, in memory and in a file, and the ledger's own constraints.

use std::sync::Arc;

use messaging::Wake;
use payment::adapters::sqlite::{MIGRATIONS, SqlitePayments};

use crate::{euros, payments::Fixture};

async fn fixture(url: &str) -> (Fixture, sqlite::Database) {
    let database = sqlite::open(url, &MIGRATIONS).await.unwrap();
    let outbox = sqlite::Outbox::open(database.clone(), clock::system()).await.unwrap();
    let payments = SqlitePayments::new(database.clone(), Wake::default());
    (Fixture { payments: Arc::new(payments), outbox: Arc::new(outbox), _folder: None }, database)
}

mod memory {
    testkit::suite! { crate::payments::suite, super::fixture("sqlite::memory:").await.0 }
}

mod file {
    testkit::suite! { crate::payments::suite, {
        let folder = testkit::temp_dir();
        let (fixture, _) = super::fixture(&testkit::sqlite_url(&folder, "payment")).await;
        crate::payments::Fixture { _folder: Some(folder), ..fixture }
    } }
}

const PAYMENT: &str = "INSERT INTO payments (order_id, id, user_id, amount, currency, status, reference, version, fence, \
     created_at, updated_at) VALUES (zeroblob(16), zeroblob(16), zeroblob(16), 5, 'EUR', 'authorized', 'ch', 1, 1, 0, 0)";

const ENTRIES: &str = "INSERT INTO ledger_entries VALUES \
     (zeroblob(16), 'authorize', 'holds', 'EUR', 5), (zeroblob(16), 'authorize', 'authorizations', 'EUR', -5)";

const SEAL: &str = "INSERT INTO ledger_transactions VALUES (zeroblob(16), 'authorize', 0)";

async fn run(database: &sqlite::Database, statements: &[&'static str]) -> Result<(), sqlx::Error> {
    let mut tx = database.begin().await?;
    for statement in statements {
        sqlx::query(*statement).execute(&mut *tx).await?;
    }
    tx.commit().await
}

#[tokio::test]
async fn the_ledger_takes_only_what_balances() {
    let (_, database) = fixture("sqlite::memory:").await;
    let one_side = "INSERT INTO ledger_entries VALUES (zeroblob(16), 'authorize', 'holds', 'EUR', 5)";
    let late = "INSERT INTO ledger_entries VALUES (zeroblob(16), 'authorize', 'cash', 'EUR', 5)";
    for (statements, reason) in [
        (&[PAYMENT, one_side, SEAL][..], "does not balance"),
        (&[PAYMENT, SEAL], "does not balance"),
        (&[PAYMENT, ENTRIES], "FOREIGN KEY"),
        (&[ENTRIES, SEAL], "FOREIGN KEY"),
        (&[PAYMENT, ENTRIES, SEAL, "UPDATE ledger_entries SET amount = amount * 2"], "never changes"),
        (&[PAYMENT, ENTRIES, SEAL, "DELETE FROM ledger_entries"], "never goes"),
        (&[PAYMENT, ENTRIES, SEAL, "DELETE FROM ledger_transactions"], "never goes"),
        (&[PAYMENT, ENTRIES, SEAL, late], "is sealed"),
    ] {
        let error = run(&database, statements).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{statements:?}: {error}");
    }
    run(&database, &[PAYMENT, ENTRIES, SEAL]).await.unwrap();
}

#[tokio::test]
async fn the_audit_finds_what_does_not_balance() {
    let (fixture, database) = fixture("sqlite::memory:").await;
    run(&database, &[PAYMENT, ENTRIES, SEAL]).await.unwrap();
    assert_eq!(fixture.payments.totals().await.unwrap().unbalanced, 0);
    assert_eq!(fixture.payments.imbalances(9).await.unwrap(), [euros(0)]);
    let forged = ["DROP TRIGGER ledger_entries_kept", "UPDATE ledger_entries SET amount = 6 WHERE account = 'holds'"];
    run(&database, &forged).await.unwrap();
    assert_eq!(fixture.payments.totals().await.unwrap().unbalanced, 1);
    assert_eq!(fixture.payments.imbalances(9).await.unwrap(), [euros(1)]);
}
