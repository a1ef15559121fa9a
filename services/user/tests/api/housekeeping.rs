//! What is done now and then, and what the audit counts.

use std::time::Duration;

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
