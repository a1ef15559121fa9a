//! What is done now and then.

use crate::app::TestApp;

#[tokio::test]
async fn the_ids_of_old_webhooks_go_however_many_they_are() {
    let app = TestApp::start().await;
    let insert = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2500) \
                  INSERT INTO webhooks (id, received_at) SELECT 'evt_' || i, 0 FROM n";
    sqlx::query(insert).execute(&app.database.write).await.unwrap();
    app.use_cases.keep_house().await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM webhooks").fetch_one(&app.database.read).await.unwrap();
    assert_eq!(left, 0);
}
