//! What is done now and then, and what the audit counts.

use std::time::Duration;

use error::{HasProblem as _, Problem};
use sqlx::AssertSqlSafe;
use user::domain::Password;

use crate::use_cases::{PASSWORD, UseCases, email};

#[tokio::test]
async fn keys_are_rotated_and_expired_sessions_deleted() {
    let UseCases { app, clock, .. } = &{
        let use_cases = UseCases::new().await;
        use_cases.register("ada@example.com").await;
        use_cases
    };
    app.log_in(email("ada@example.com"), Password::attempt(PASSWORD), None).await.unwrap();
    clock.advance(Duration::from_hours(24 * 29));
    assert_eq!(app.keys.published().keys.len(), 1);
    app.keep_house().await;
    assert_eq!(app.keys.published().keys.len(), 2);
    assert_eq!(app.sessions.prune(app.clock.now(), 100).await.unwrap(), 0, "nothing is left");
}

/// What ends within a round is more than one batch.
#[tokio::test]
async fn pruning_keeps_up_with_what_ends() {
    let UseCases { app, database, .. } = &{
        let use_cases = UseCases::new().await;
        use_cases.register("ada@example.com").await;
        use_cases
    };
    app.log_in(email("ada@example.com"), Password::attempt(PASSWORD), None).await.unwrap();
    let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3500)";
    for insert in [
        "INSERT INTO refresh_tokens (hash, session_id, expires_at) SELECT randomblob(32), id, 0 FROM sessions, n",
        "INSERT INTO notifications (id, user_id, email, created_at) SELECT randomblob(16), id, email, 0 FROM users, n",
    ] {
        sqlx::query(AssertSqlSafe(format!("{numbers} {insert}"))).execute(&database.write).await.unwrap();
    }
    app.keep_house().await;
    for (table, left) in [("refresh_tokens", 1), ("notifications", 0)] {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(count).fetch_one(&database.read).await.unwrap();
        assert_eq!(count, left, "{table}");
    }
}

#[tokio::test]
async fn an_event_that_the_bus_refused_counts_as_not_published() {
    let use_cases = UseCases::new().await;
    use_cases.register("ada@example.com").await;
    let app = &use_cases.app;
    let claimed = app.outbox.claim("test", 10).await.unwrap();
    app.outbox.fail(&claimed[0], "refused", None).await.unwrap();
    let depth = app.outbox.depth().await.unwrap();
    assert_eq!((depth.count, depth.dead), (0, 1));
    assert_eq!(app.audit().await.unwrap().outbox, 1);
}

#[tokio::test]
async fn an_audit_can_be_asked_for_again_where_the_database_is_away() {
    let use_cases = UseCases::new().await;
    use_cases.database.close().await;
    let error = use_cases.app.audit().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Unavailable), "{error:?}");
}
