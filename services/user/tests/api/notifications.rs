//! What people are told by mail: that an order is confirmed or refunded, that their account is closed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::http::StatusCode;
use messaging::{Bus as _, Cause, Event, Receipt, Resolution};
use serde_json::{Value, json};
use telemetry::Carrier;
use testkit::{Proxy, Received, SmtpServer};
use user::{
    api::tasks::MAIL_GROUP,
    app::{
        Expected, News, Requester, notify,
        ports::{Letter, MailError, Mails},
    },
    domain::{Notification, Status, UserId},
};
use uuid::Uuid;

use crate::{
    app::{PASSWORD, Person, TestApp},
    order_stand_in::OrderStandIn,
    use_cases::UseCases,
};

const ADA: &str = "ada@example.com";
const CONFIRMED: &str = "Your order is confirmed";

/// The service, whose mail goes through a server that has taken the first one to Ada: that her address is to be confirmed.
async fn start() -> (TestApp, SmtpServer, Person) {
    let (server, url) = SmtpServer::start().await;
    let app = TestApp::with(&[("MAIL__URL", &url)]).await;
    let ada = app.person(ADA).await;
    server.mails_to(ADA, 1).await;
    (app, server, ada)
}

fn order(person: &Person) -> Value {
    json!({"order_id": Uuid::now_v7(), "user_id": person.id, "total": {"amount": 1299, "currency": "EUR"}, "items": []})
}

fn with_subject(server: &SmtpServer, subject: &str) -> Vec<Received> {
    let line = format!("Subject: {subject}");
    server.mails().into_iter().filter(|mail| mail.content.lines().any(|found| found == line)).collect()
}

/// The mails with this subject, once there are so many.
async fn mails(server: &SmtpServer, subject: &str, count: usize) -> Vec<Received> {
    testkit::eventually!(within Duration::from_secs(30), with_subject(server, subject).len() >= count);
    with_subject(server, subject)
}

/// Takes a task off the bus, as another group sees it.
async fn task(app: &TestApp) -> Event {
    let subscription = app.bus.subscribe("test", &[notify::TASK]).await.unwrap();
    let fetched = tokio::time::timeout(Duration::from_secs(10), subscription.fetch(1)).await;
    fetched.expect("a task in time").unwrap().remove(0).event
}

async fn settled(app: &TestApp) {
    testkit::eventually!(within Duration::from_secs(30), app.bus.depth(MAIL_GROUP).await.unwrap() == 0);
}

#[tokio::test]
async fn who_orders_is_told_by_mail() {
    let (app, server, ada) = start().await;
    let order = order(&ada);
    let event = app.publish("order.confirmed.v1", &order).await;
    let mail = mails(&server, CONFIRMED, 1).await.remove(0);
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("no-reply@localhost", ADA));
    assert!(mail.content.contains(order["order_id"].as_str().unwrap()), "{mail:?}");
    assert!(mail.content.contains("Total 12.99 EUR"), "{mail:?}");
    // Derived from the event, whoever sends it and however often.
    let user = UserId(ada.id.parse().unwrap());
    let news = News { user, what: Notification::AccountClosed, event: event.id, at: event.time };
    assert_eq!(mail.message_id(), format!("<{}@localhost>", news.task(event.time).unwrap().id));

    app.publish("order.refunded.v1", &order).await;
    let mail = mails(&server, "Your order is refunded", 1).await.remove(0);
    assert!(mail.content.contains(order["order_id"].as_str().unwrap()), "{mail:?}");
    settled(&app).await;
    assert_eq!(server.mails().len(), 3);
}

#[tokio::test]
async fn a_task_has_nothing_personal_and_goes_on_with_trace_and_mark() {
    let (app, server, ada) = start().await;
    let order = order(&ada);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let event = Event {
        carrier: Carrier {
            traceparent: Some(format!("00-{trace}-00f067aa0ba902b7-01")),
            tracestate: Some("vendor=value".to_owned()),
            canary: true,
        },
        ..Event::new("order.confirmed.v1", "order", "an order", clock::system().now(), &order).unwrap()
    };
    app.bus.publish(&[event]).await.unwrap();
    mails(&server, CONFIRMED, 1).await;
    let task = task(&app).await;
    let (order_id, total) = (&order["order_id"], &order["total"]);
    let expected = json!({"user_id": ada.id, "purpose": "order_confirmed", "order_id": order_id, "total": total});
    assert_eq!(task.decode::<Value>().unwrap(), expected);
    assert_eq!((task.key, task.source.as_str()), (task.id.to_string(), "user"));
    assert!(task.carrier.canary && task.carrier.traceparent.unwrap().contains(trace));
    assert_eq!(task.carrier.tracestate.as_deref(), Some("vendor=value"));
}

#[tokio::test]
async fn every_task_has_a_schema() {
    let path = format!("{}/../../proto/events/{}.json", env!("CARGO_MANIFEST_DIR"), notify::TASK);
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(schema["title"], notify::TASK);
    let (app, _server, ada) = start().await;
    app.publish("order.confirmed.v1", &order(&ada)).await;
    let data: Value = task(&app).await.decode().unwrap();
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&data), members(&schema["properties"]));
    assert!(schema["properties"]["purpose"]["enum"].as_array().unwrap().contains(&data["purpose"]));
    assert!(schema["required"].as_array().unwrap().iter().all(|name| data.get(name.as_str().unwrap()).is_some()));
}

/// The account has no address any more when the mail is sent.
#[tokio::test]
async fn whose_account_is_closed_is_told_by_mail() {
    let (_order, url) = OrderStandIn::start(0, 0).await;
    let (server, mail) = SmtpServer::start().await;
    let app = TestApp::with(&[("ORDER__URL", &url), ("MAIL__URL", &mail)]).await;
    let ada = app.person(ADA).await;
    let password = json!({"current_password": PASSWORD});
    app.delete("/v1/users/me").bearer(&ada.access).json(&password).send().await.expect(StatusCode::ACCEPTED);
    let mail = mails(&server, "Your account is closed", 1).await.remove(0);
    assert_eq!(mail.to, ADA);
    assert_eq!(app.me(&ada).await.body["email"], Value::Null);
    settled(&app).await;
    assert_eq!(count(&app).await, 0, "its address is deleted");
}

/// How many mails are owed.
async fn count(app: &TestApp) -> i64 {
    let database = sqlite::open(&app.config.database.url, &user::adapters::sqlite::MIGRATIONS).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM notifications").fetch_one(&database.read).await.unwrap()
}

/// As where a group begins with the oldest event kept, or a log is restored.
#[tokio::test]
async fn nobody_is_told_of_what_is_long_past() {
    let (app, server, ada) = start().await;
    let old = clock::system().now() - time::Duration::hours(25);
    app.bus.publish(&[Event::new("order.confirmed.v1", "order", "an order", old, order(&ada)).unwrap()]).await.unwrap();
    app.publish("order.confirmed.v1", &order(&ada)).await;
    testkit::eventually!(app.me(&ada).await.body["orders_placed"] == 2);
    mails(&server, CONFIRMED, 1).await;
    settled(&app).await;
    assert_eq!(with_subject(&server, CONFIRMED).len(), 1);
}

#[tokio::test]
async fn who_sends_mail_elsewhere_has_none_sent_from_here() {
    let (server, url) = SmtpServer::start().await;
    let app = TestApp::with(&[("MAIL__URL", &url), ("MAIL__NOTIFICATIONS", "false")]).await;
    let ada = app.person(ADA).await;
    app.publish("order.confirmed.v1", &order(&ada)).await;
    testkit::eventually!(app.me(&ada).await.body["orders_placed"] == 1);
    assert_eq!(count(&app).await, 0);
    server.mails_to(ADA, 1).await;
    assert!(with_subject(&server, CONFIRMED).is_empty());
}

#[tokio::test]
async fn an_address_that_is_refused_is_a_dead_letter_which_may_be_replayed() {
    let (app, server, ada) = start().await;
    server.set_answers(&["550 <ada@example.com>: no such mailbox"]);
    app.publish("order.confirmed.v1", &order(&ada)).await;
    testkit::eventually!(app.bus.dead_letters(Some(MAIL_GROUP), 9).await.unwrap().len() == 1);
    let dead = app.bus.dead_letters(Some(MAIL_GROUP), 9).await.unwrap().remove(0);
    assert_eq!((dead.reason.cause, dead.attempts), (Cause::Permanent, 1));
    assert_eq!(dead.reason.detail, "the mail was refused: the server answered 550");
    assert_eq!(app.bus.resolve(MAIL_GROUP, &[dead.event.id], Resolution::Replay).await.unwrap(), 1);
    let mail = mails(&server, CONFIRMED, 1).await.remove(0);
    assert_eq!(mail.message_id(), format!("<{}@localhost>", dead.event.id));
}

/// A server that is away, hangs up, or knows our password no more keeps all mails waiting, and none is given up.
#[tokio::test]
async fn no_mail_is_given_up_while_the_server_is_away() {
    let (server, url) = SmtpServer::start().await;
    let address = url.trim_start_matches("smtp://").trim_end_matches("?tls=none");
    let proxy = Proxy::to(address).await;
    let app = TestApp::with(&[("MAIL__URL", &format!("smtp://{}?tls=none", proxy.address()))]).await;
    let ada = app.person(ADA).await;
    server.mails_to(ADA, 1).await;
    proxy.cut();
    for _ in 0..12 {
        app.publish("order.confirmed.v1", &order(&ada)).await;
    }
    testkit::eventually!(app.me(&ada).await.body["orders_placed"] == 12);
    testkit::eventually!(attempts(&app).await >= 3);
    server.set_answers(&["535 5.7.8 credentials invalid"]);
    proxy.restore();
    mails(&server, CONFIRMED, 12).await;
    settled(&app).await;
    assert_eq!(with_subject(&server, CONFIRMED).len(), 12);
    assert!(app.bus.dead_letters(Some(MAIL_GROUP), 9).await.unwrap().is_empty());
}

/// How often mails that are owed have been tried.
async fn attempts(app: &TestApp) -> i64 {
    let database = sqlite::open(&app.config.database.url, &user::adapters::sqlite::MIGRATIONS).await.unwrap();
    let sql = "SELECT coalesce(sum(attempts), 0) FROM notifications";
    sqlx::query_scalar(sql).fetch_one(&database.read).await.unwrap()
}

#[tokio::test]
async fn a_mail_that_is_taken_later_delays_no_other() {
    let (app, server, ada) = start().await;
    server.set_answers(&["450 4.2.0 greylisted"]);
    let late = order(&ada);
    app.publish("order.confirmed.v1", &late).await;
    testkit::eventually!(attempts(&app).await == 1);
    app.publish("order.confirmed.v1", &order(&ada)).await;
    let mails = mails(&server, CONFIRMED, 2).await;
    assert!(mails[1].content.contains(late["order_id"].as_str().unwrap()), "{mails:?}");
}

/// A server that takes every mail, and perhaps says nothing then.
#[derive(Default)]
struct Taking {
    taken: Mutex<Vec<Uuid>>,
    is_silent: Mutex<bool>,
}

#[async_trait]
impl Mails for Taking {
    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        self.taken.lock().unwrap().push(letter.id);
        if *self.is_silent.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Use cases with this server, and the task of a mail that is owed.
async fn owing(server: &Arc<Taking>) -> (UseCases, Event) {
    let (cases, _jobs) = UseCases::mailing(server.clone()).await;
    let user = cases.register(ADA).await.id;
    let (at, event) = (cases.app.clock.now(), Uuid::now_v7());
    let news = News { user, what: Notification::AccountClosed, event, at };
    cases.app.notify(&news, Receipt { consumer: "user", event_id: event }).await.unwrap();
    (cases, news.task(at).unwrap())
}

#[tokio::test]
async fn a_mail_that_was_sent_is_not_sent_again() {
    let server = Arc::new(Taking::default());
    let (cases, task) = owing(&server).await;
    for _ in 0..3 {
        cases.app.send_notification(&task).await.unwrap();
    }
    assert_eq!(*server.taken.lock().unwrap(), [task.id]);
}

/// What a crash between sending and noting it leaves.
#[tokio::test]
async fn a_process_that_ends_before_it_noted_the_mail_has_the_same_mail_sent_again() {
    let server = Arc::new(Taking::default());
    let (cases, task) = owing(&server).await;
    *server.is_silent.lock().unwrap() = true;
    let cut = tokio::time::timeout(Duration::from_millis(50), cases.app.send_notification(&task)).await;
    assert!(cut.is_err());
    *server.is_silent.lock().unwrap() = false;
    for _ in 0..2 {
        cases.app.send_notification(&task).await.unwrap();
    }
    assert_eq!(*server.taken.lock().unwrap(), [task.id, task.id]);
}

/// A store that can be read and not written has no mail sent again and again.
#[tokio::test]
async fn nothing_is_sent_that_cannot_be_noted() {
    let server = Arc::new(Taking::default());
    let (cases, task) = owing(&server).await;
    sqlx::query("PRAGMA query_only = ON").execute(&cases.database.write).await.unwrap();
    // Whoever sends it first tries to note that for ever.
    let sent = tokio::time::timeout(Duration::from_secs(1), cases.app.send_notification(&task)).await;
    assert!(server.taken.lock().unwrap().is_empty());
    assert!(sent.unwrap().is_err());
}

#[tokio::test]
async fn whoever_opens_and_closes_accounts_floods_no_mailbox() {
    let cases = UseCases::new().await;
    for _ in 0..4 {
        let account = cases.register(ADA).await;
        cases.app.close_account(account.id, Expected::any(), Requester::Service).await.unwrap();
        cases.app.sweep().await.unwrap();
        assert_eq!(cases.app.get_user(account.id).await.unwrap().status, Status::Closed);
    }
    let owed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notifications").fetch_one(&cases.database.read).await.unwrap();
    assert_eq!(owed, 3);
}

#[tokio::test]
async fn an_address_is_deleted_when_its_mail_cannot_be_sent_for_days() {
    let server = Arc::new(Taking::default());
    let (cases, task) = owing(&server).await;
    cases.clock.advance(Duration::from_hours(5 * 24 - 1));
    cases.app.keep_house().await;
    assert!(cases.app.notifications.begin(task.id).await.unwrap().is_some());
    cases.clock.advance(Duration::from_hours(1));
    cases.app.keep_house().await;
    cases.app.send_notification(&task).await.unwrap();
    assert!(server.taken.lock().unwrap().is_empty());
}
