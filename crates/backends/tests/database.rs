//! What services have in common of their databases.

use std::time::Duration;

use backends::Database;
use testkit::servers::Postgres;
use tokio::time::timeout;

#[tokio::test]
async fn the_end_does_not_wait_for_the_outbox() {
    let Some(server) = Postgres::shared().await else { return };
    let pool = sqlx::PgPool::connect(&server.database().await).await.unwrap();
    let database = Database::postgres(postgres::Pool::new(pool.clone(), "test".to_owned()));
    database.outbox.announced().await;
    assert_ne!(usize::try_from(pool.size()), Ok(pool.num_idle()), "it listens");
    timeout(Duration::from_secs(10), database.close()).await.unwrap();
}
